"""How watching a cluster goes, put into words."""

from __future__ import annotations

from typing import Any

import pytest

from fengling_gateway.doctor.finding import Finding
from fengling_gateway.doctor.kubernetes import (
    LONG_SECONDS,
    MANY_WAITING,
    SILENT_SECONDS,
    kubernetes,
)

LEADER = {"term": 3, "holder": "c1", "heartbeat_age_s": 0.4, "is_mine": True, "problem": None}


def resource(**values: Any) -> dict[str, Any]:
    usual = {"resource": "services", "namespace": None, "state": "watching", "problem": None}
    return {**usual, **values}


def look(
    waiting: list[tuple[str, float]] | None = None,
    *,
    leader: dict[str, Any] | None = None,
    counts: dict[str, int] | None = None,
    **status: Any,
) -> dict[str, Finding]:
    """Return what is found where nothing is wrong but what is named."""
    told = {
        "enabled": True,
        "leader": {**LEADER, **(leader or {})},
        "status": {"api_server": {}, "resources": [resource()], **status},
        "counts": {"approved": 2, "problems": 0, "changed": 0, **(counts or {})},
    }
    return {one.about: one for one in kubernetes(told, waiting or [])}


class KubernetesTests:
    """Each thing that may be wrong, alone."""

    def test_nothing_wrong_is_found_where_nothing_is(self) -> None:
        """Each thing that was looked at says so."""
        found = look([("shop/orders", LONG_SECONDS)])
        assert {one.state for one in found.values()} == {"ok"}
        assert len(found) == 6

    def test_without_a_cluster_there_is_nothing_to_say(self) -> None:
        """Most have none."""
        assert list(kubernetes({"enabled": False})) == []

    @pytest.mark.parametrize(
        ("age", "said"),
        [
            (None, "nobody has ever watched"),
            (SILENT_SECONDS + 1, "nobody has watched the cluster for 11 s"),
        ],
    )
    def test_nobody_watches(self, age: float | None, said: str) -> None:
        """What was known then is not gone into."""
        found = look(leader={"heartbeat_age_s": age, "problem": "no database"})
        assert found.keys() == {"kubernetes.leader"}
        assert found["kubernetes.leader"].state == "wrong"
        assert said in found["kubernetes.leader"].said
        assert "no database" in found["kubernetes.leader"].said

    @pytest.mark.parametrize(
        ("about", "state", "said", "status"),
        [
            (
                "writing",
                "wrong",
                "can't write; 9 entities wait",
                {"writing": {"problem": "can't write", "waiting": 9, "refused": 3}},
            ),
            (
                "writing",
                "wrong",
                f"{MANY_WAITING + 1} entities wait",
                {"writing": {"problem": None, "waiting": MANY_WAITING + 1}},
            ),
            ("writing", "wrong", "1 entity can't", {"writing": {"waiting": 1, "refused": 1}}),
            (
                "gateway_api",
                "wrong",
                "HTTPRoute shop/web: 403",
                {"gateway_api": {"routes": 2, "problem": "HTTPRoute shop/web: 403"}},
            ),
            ("telling", "wrong", "too many", {"telling": "too many connections"}),
            ("api", "wrong", "401", {"api_server": {"problem": "401: expired"}}),
            (
                "resources",
                "wrong",
                "may not read endpointslices in shop",
                {
                    "resources": [
                        resource(),
                        resource(resource="endpointslices", namespace="shop", state="forbidden"),
                    ]
                },
            ),
            (
                "resources",
                "wrong",
                "services: connection refused",
                {"resources": [resource(state="waiting", problem="connection refused")]},
            ),
            (
                "resources",
                "wrong",
                "no httproutes",
                {"resources": [resource(resource="httproutes", state="absent", problem="404")]},
            ),
        ],
    )
    def test_what_is_wrong_has_a_cure(
        self, about: str, state: str, said: str, status: dict[str, Any]
    ) -> None:
        """And nothing else is found with it."""
        found = look(**status)
        one = found.pop(f"kubernetes.{about}")
        assert (one.state, said in one.said, bool(one.cure)) == (state, True, True)
        assert {other.state for other in found.values()} == {"ok"}

    def test_what_a_cluster_need_not_have_is_not_missed(self) -> None:
        """Most have no ReferenceGrants."""
        grants = resource(
            resource="referencegrants", state="absent", problem="404", is_optional=True
        )
        found = look(resources=[resource(), grants], gateway_api={"routes": 2, "is_synced": True})
        assert {one.state for one in found.values()} == {"ok"}

    def test_nothing_is_known_of_the_gateway_api_yet(self) -> None:
        """As in the first moments, or where one of its resources can't be watched."""
        found = look(gateway_api={"routes": 0, "is_synced": False, "problem": None})
        assert found["kubernetes.gateway_api"].state == "note"

    def test_what_is_held_has_another_cure_than_the_database(self) -> None:
        """It is written, and waits for somebody who confirms."""
        held = "revision 9 held: waits for revision 8, which removes 4 of 5 routes"
        one = look(writing={"problem": held, "held": held})["kubernetes.writing"]
        assert (one.state, f"not served: {held}" in one.said) == ("wrong", True)
        assert ("fenglingctl confirm" in one.cure, "--database" in one.cure) == (True, False)
        both = look(writing={"problem": "read-only", "held": held})["kubernetes.writing"]
        assert ("read-only" in both.said, "--database" in both.cure) == (True, True)

    @pytest.mark.parametrize(
        ("side", "state", "said"),
        [
            (
                {"has_host_limits": False, "priority": 0},
                "note",
                "that people have written included",
            ),
            ({"has_host_limits": False, "priority": -1}, "note", "higher priority than -1"),
            ({"has_host_limits": True, "priority": 0}, "ok", "limits"),
        ],
    )
    def test_namespaces_that_may_take_any_host_are_noted(
        self, side: dict[str, Any], state: str, said: str
    ) -> None:
        """Nothing is broken by it, and who trusts all namespaces can say so."""
        found = look(gateway_api={"routes": 2, "problem": None, **side})
        one = found.pop("kubernetes.limits")
        assert (one.state, said in one.said, "*=*" in one.cure) == (state, True, state == "note")
        assert {other.state for other in found.values()} == {"ok"}

    def test_limits_are_no_matter_where_they_are_not_told(self) -> None:
        """The console that watches may be of an older version; and nobody needs them without HTTPRoutes."""
        assert "kubernetes.limits" not in look(gateway_api={"routes": 2})
        assert "kubernetes.limits" not in look()

    def test_what_is_well_is_said(self) -> None:
        """A little that waits is what there is while a cluster is at work."""
        found = look(
            gateway_api={"routes": 12, "problem": None},
            writing={"problem": None, "waiting": MANY_WAITING, "refused": 0, "removal": None},
            telling=None,
        )
        assert {one.state for one in found.values()} == {"ok"}
        assert "12 routes" in found["kubernetes.gateway_api"].said
        assert "kubernetes.telling" not in found

    def test_services_with_problems_are_counted(self) -> None:
        """A command names them."""
        assert look(counts={"problems": 1})["kubernetes.services"].said.startswith(
            "1 service can't"
        )

    def test_what_offers_something_else_by_now_is_noted(self) -> None:
        """It is served as it was approved."""
        one = look(counts={"changed": 2})["kubernetes.pending"]
        assert (one.state, one.said.startswith("2 services ask for something else")) == (
            "note",
            True,
        )

    def test_what_waits_for_long_is_noted(self) -> None:
        """Some by name, of many a number."""
        waiting = [(f"shop/s{number}", LONG_SECONDS + 1) for number in range(5)]
        one = look(waiting)["kubernetes.pending"]
        assert (one.state, one.said.endswith("shop/s0, shop/s1, shop/s2 and 2 more")) == (
            "note",
            True,
        )

    def test_routes_that_wait_for_a_confirmation(self) -> None:
        """With the command that lets them go."""
        removal = {"id": "3f9a", "routes": 6, "of": 8, "names": []}
        finding = look(writing={"removal": removal})["kubernetes.removal"]
        assert (finding.state, "6 of 8 routes" in finding.said) == ("wrong", True)
        assert "confirm 3f9a" in str(finding.cure)
