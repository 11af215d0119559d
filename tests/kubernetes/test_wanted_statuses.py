"""Which statuses are not as they are to be."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.kubernetes.gateway_api.merging import merged_status
from fengling_gateway.kubernetes.gateway_api.objects import ObjectRef
from fengling_gateway.kubernetes.gateway_api.world import Translation
from fengling_gateway.kubernetes.resources import GATEWAYS, HTTP_ROUTES
from fengling_gateway.kubernetes.wanted_statuses import WantedStatuses

CONTROLLER = "gateway.fengling/controller"
REFS = [ObjectRef(kind, "shop", name) for kind in (GATEWAYS, HTTP_ROUTES) for name in "ab"]


def status(reason: str, generation: int = 1, **more: str) -> dict[str, Any]:
    about = {"status": "True", "message": "", "observedGeneration": generation, **more}
    return {"conditions": [{"type": "Accepted", "reason": reason, **about}]}


def translation(wanted: dict[ObjectRef, Any]) -> Translation:
    return Translation({}, {}, wanted, {}, dict.fromkeys(wanted, frozenset()))


reasons = st.sampled_from(["Accepted", "Other"])
statuses = st.builds(status, reasons, st.integers(1, 2))
written = st.builds(status, reasons, st.integers(1, 2), lastTransitionTime=st.just("2026-11-22"))
steps = st.one_of(
    st.tuples(st.just("heard"), st.sampled_from(REFS), st.none() | written),
    st.tuples(st.just("gone"), st.sampled_from(REFS)),
    st.tuples(st.just("forget"), st.sampled_from([GATEWAYS, HTTP_ROUTES])),
    st.tuples(
        st.just("want"),
        st.dictionaries(st.sampled_from(REFS), statuses).map(translation),
        st.just({}),
    ),
)


@given(st.lists(steps, max_size=20))
def test_what_is_to_be_written_is_what_is_not_so(steps: list[Any]) -> None:
    """Of objects that there are, whatever has been heard and wanted before."""
    found = WantedStatuses(CONTROLLER)
    there: dict[ObjectRef, Any] = {}
    wanted: dict[ObjectRef, Any] = {}
    for what, *how in steps:
        getattr(found, what)(*how)
        if what == "heard":
            there[how[0]] = how[1]
        elif what == "want":
            wanted = how[0].statuses
        else:
            there = {ref: one for ref, one in there.items() if how[0] not in (ref, ref.resource)}
        untrue = {
            ref: one
            for ref, one in wanted.items()
            if ref in there and merged_status(there[ref], one, "", CONTROLLER) is not None
        }
        assert found.untrue() == untrue
        assert {ref for ref in REFS if not found.is_so(ref)} == untrue.keys()


def test_refused_route_is_not_accepted() -> None:
    """Whatever else its parents say stays."""
    route = REFS[2]
    parents = [{"parentRef": {"name": name}, **status("Accepted")} for name in "ab"]
    found = WantedStatuses(CONTROLLER)
    found.heard(route, None)
    found.want(
        translation({route: {"parents": parents}}), {route: ["no such tenant", "no such service"]}
    )
    for parent in found.untrue()[route]["parents"]:
        [accepted] = parent["conditions"]
        assert (accepted["status"], accepted["reason"]) == ("False", "UnsupportedValue")
        assert accepted["message"] == "no such tenant; no such service"
    assert parents[0]["conditions"] == status("Accepted")["conditions"]
