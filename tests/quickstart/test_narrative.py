"""Changes in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fengling_gateway.quickstart.narrative import (
    ChangeRow,
    RevisionRow,
    Sight,
    change_words,
    remarks,
    served,
    what,
    who,
)

REVISION = RevisionRow(
    id=7,
    kind="config",
    committed_at=1000.0,
    author="ops",
    application="psql",
    comment="",
    held=False,
    count=1,
    changes=(ChangeRow("route", "hello", {"split": {"v1": 100}}, {"split": {"v1": 90, "v2": 10}}),),
)


def status(**changes: Any) -> dict[str, Any]:
    """Return a status document of two workers that serve revision 7."""
    worker = {"worker": "w0", "pid": 11, "state": "serving", "revision": 7, "applied_at": 1000.0031}
    other = {**worker, "worker": "w1", "pid": 12, "applied_at": 1000.0041}
    document = {
        "workers": [worker, other],
        "rejected": [],
        "held": None,
        "source": {"connected": True},
        "redis": {"connected": True},
    }
    return {**document, **changes}


class ChangeWordsTests:
    """One entity's change."""

    @pytest.mark.parametrize(
        ("before", "after", "words"),
        [
            (None, {"path": "/"}, "route hello created"),
            ({"path": "/"}, None, "route hello removed"),
            ({"path": "/a"}, {"path": "/b"}, "route hello: path /a → /b"),
            ({"version": 1}, {"version": 2}, "route hello touched"),
            ({"enabled": True}, {"enabled": False}, "route hello: enabled on → off"),
            ({"digest": "ab"}, {"digest": "cd"}, "route hello: another key"),
            ({"service_id": None}, {"service_id": "a"}, "route hello: service_id nothing → a"),
            (
                {"split": {"hello-v1": 100}},
                {"split": {"hello-v1": 50, "hello-v2": 50}},
                "route hello: split v1 100 → v1 50, v2 50",
            ),
            (
                {"policies": {"retry": {}}},
                {"policies": {"path": {"strip": "/"}}},
                'route hello: policies.path nothing → {"strip": "/"}, policies.retry {} → nothing',
            ),
        ],
    )
    def test_fields_that_differ_are_named(
        self, before: dict[str, Any] | None, after: dict[str, Any] | None, words: str
    ) -> None:
        """What is the same is left out, and what Postgres keeps for itself too."""
        assert change_words(ChangeRow("route", "hello", before, after)) == words

    def test_long_values_are_cut(self) -> None:
        """A line stays a line."""
        change = ChangeRow("route", "a", {"path": "/"}, {"path": "/" + "x" * 500})
        assert len(change_words(change)) < 100


class RevisionWordsTests:
    """A whole revision."""

    def test_author_and_program_are_named(self) -> None:
        """Who, and with what."""
        assert who(REVISION) == "ops via psql"
        assert who(replace(REVISION, application="")) == "ops"

    def test_few_changes_are_told_one_by_one(self) -> None:
        """Up to three."""
        assert what(REVISION) == "route hello: split v1 100 → v1 90, v2 10"

    def test_many_changes_are_counted_by_kind(self) -> None:
        """More than three are counted, by what became of them."""
        route, service = REVISION.changes[0], ChangeRow("service", "a", None, {})
        many = replace(REVISION, count=4, changes=(route, route, route, service))
        assert what(many) == "3 routes changed, 1 service created"

    def test_more_changes_than_were_read_are_counted_only(self) -> None:
        """Ten thousand changes are not fetched for a line."""
        assert what(replace(REVISION, count=10_000)) == "10,000 changes"
        assert what(replace(REVISION, changes=())) == "1 change", "its images are gone"


class ServedTests:
    """When a revision is served."""

    def test_served_by_all_gives_the_time_of_the_last(self) -> None:
        """From the commit to the last worker's swap."""
        assert served(status(), REVISION) == "served by 2/2 workers in 4.1 ms"

    def test_a_worker_behind_means_not_yet(self) -> None:
        """All or nothing."""
        behind = status()
        behind["workers"][1]["revision"] = 6
        assert served(behind, REVISION) is None
        assert served(status(workers=[]), REVISION) is None

    def test_workers_further_on_give_no_time(self) -> None:
        """Their swap was another revision's."""
        further = status()
        for worker in further["workers"]:
            worker["revision"] = 8
        assert served(further, REVISION) == "served by 2/2 workers"

    def test_what_is_rejected_is_not_served(self) -> None:
        """Workers at its number serve the rest of it, or what they served before."""
        refused = status(rejected=[{"kind": "route", "id": "hello", "problems": []}])
        assert served(refused, REVISION) == "rejected: no change in what is served"
        service = ChangeRow("service", "a", {}, {})
        two = replace(REVISION, count=2, changes=(*REVISION.changes, service))
        assert served(refused, two) == (
            "served by 2/2 workers in 4.1 ms, but for what is rejected: route hello"
        )
        other = status(rejected=[{"kind": "route", "id": "other", "problems": []}])
        assert served(other, REVISION) == "served by 2/2 workers in 4.1 ms"


class RemarksTests:
    """What is worth telling between two looks."""

    def told(self, before: dict[str, Any], now: dict[str, Any]) -> list[str]:
        return [remark.text for remark in remarks(Sight.of(before), Sight.of(now))]

    def test_nothing_new_is_nothing_told(self) -> None:
        """The same status twice."""
        assert self.told(status(), status()) == []

    def test_worker_killed_and_replaced_is_told(self) -> None:
        """Its end, then its successor."""
        one, other = status()["workers"]
        dead = status(workers=[one])
        assert self.told(status(), dead) == [
            "worker w1 (pid 12) is gone; the others take its connections"
        ]
        again = status(workers=[one, {**other, "pid": 13}])
        assert self.told(dead, again) == ["worker w1 (pid 13) serves"]
        assert self.told(status(), again) == ["worker w1: pid 12 is gone, pid 13 serves"]

    def test_rejection_is_named_with_its_reason(self) -> None:
        """And its end is told too."""
        problem = {"path": "route a: path", "code": "bad_regex", "message": "missing )"}
        rejected = status(
            rejected=[
                {"kind": "route", "id": "a", "serving": "previous version", "problems": [problem]}
            ]
        )
        assert self.told(status(), rejected) == [
            "rejected: route a: path: missing ) · previous version keeps serving"
        ]
        assert self.told(rejected, status()) == ["route a is no longer rejected"]

    def test_held_revision_is_told_once(self) -> None:
        """With what it would remove."""
        held = status(held={"revision": 8, "message": "held: revision 8 removes 4 of 4 routes"})
        assert self.told(status(), held) == [
            "held: revision 8 removes 4 of 4 routes · what was before keeps serving"
        ]
        assert self.told(held, held) == []
        assert self.told(held, status()) == ["nothing is held any more"]

    def test_servers_that_go_and_come_are_told(self) -> None:
        """PostgreSQL and Redis."""
        down = status(source={"connected": False}, redis={"connected": False})
        assert len(self.told(status(), down)) == 2
        assert len(self.told(down, status())) == 2
