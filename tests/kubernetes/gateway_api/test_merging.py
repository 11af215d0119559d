"""Statuses as they should be, put into those that are there."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from fengling_gateway.kubernetes.gateway_api.conditions import condition
from fengling_gateway.kubernetes.gateway_api.merging import merged_status
from fengling_gateway.kubernetes.gateway_api.objects import ObjectRef
from fengling_gateway.kubernetes.resources import GATEWAY_CLASSES, GATEWAYS, HTTP_ROUTES
from tests.kubernetes.gateway_api.builders import (
    CONTROLLER,
    Obj,
    make_route,
    make_rule,
    parent,
    path,
    translated,
)

THEN, NOW = "2026-01-01T00:00:00Z", "2026-02-02T00:00:00Z"
KINDS = [
    ObjectRef(HTTP_ROUTES, "shop", "web"),
    ObjectRef(GATEWAYS, "shop", "gw"),
    ObjectRef(GATEWAY_CLASSES, "", "fengling"),
]


def merged(present: Obj | None, wanted: Obj, now: str = NOW) -> dict[str, Any] | None:
    return merged_status(present, wanted, now, CONTROLLER)


def wanted(ref: ObjectRef) -> dict[str, Any]:
    return translated(make_route()).statuses[ref]


def accepted(status: str = "True", generation: int = 1, **given: Any) -> Obj:
    found = condition("Accepted", "Accepted", "fine", generation, is_true=status == "True")
    return {**found, **given}


def of_route(*parents: Obj) -> Obj:
    return {"parents": list(parents)}


def of_parent(*conditions: Obj, controller: str = CONTROLLER, name: str = "gw") -> Obj:
    return {
        "parentRef": parent(name),
        "controllerName": controller,
        "conditions": list(conditions),
    }


class MergedStatusTests:
    @pytest.mark.parametrize("ref", KINDS)
    def test_what_was_written_is_not_written_again(self, ref: ObjectRef) -> None:
        """However often one looks."""
        first = merged(None, wanted(ref), THEN)
        assert first is not None
        assert merged(deepcopy(first), wanted(ref)) is None

    def test_new_condition_has_the_time(self) -> None:
        """At which it was written."""
        found = merged(None, {"conditions": [accepted()]}, THEN)
        assert found == {"conditions": [accepted(lastTransitionTime=THEN)]}

    def test_time_stays_while_the_status_does(self) -> None:
        """Another message or generation is no transition."""
        present = {"conditions": [accepted(lastTransitionTime=THEN)]}
        found = merged(present, {"conditions": [accepted(generation=2, message="other")]})
        assert found is not None
        assert found["conditions"] == [
            accepted(generation=2, message="other", lastTransitionTime=THEN)
        ]

    def test_time_changes_with_the_status(self) -> None:
        """From true to false, and from unknown to true."""
        present = {"conditions": [accepted(lastTransitionTime=THEN)]}
        found = merged(present, {"conditions": [accepted("False")]})
        assert found is not None
        assert found["conditions"][0]["lastTransitionTime"] == NOW

    def test_conditions_of_others_stay_and_ours_go(self) -> None:
        """In the order in which they are."""
        theirs = {"type": "x.example/Own", "status": "True", "reason": "Y", "message": ""}
        ours = condition("PartiallyInvalid", "UnsupportedValue", "was", 1)
        present = {"conditions": [ours, theirs, accepted(lastTransitionTime=THEN)]}
        found = merged(present, {"conditions": [accepted()]})
        assert found is not None
        assert [one["type"] for one in found["conditions"]] == ["x.example/Own", "Accepted"]

    def test_parents_of_others_stay(self) -> None:
        """A route may have Gateways of several controllers."""
        theirs = of_parent(accepted(), controller="x.example/y", name="theirs")
        found = merged(of_route(theirs), of_route(of_parent(accepted())))
        assert found is not None
        assert [one["controllerName"] for one in found["parents"]] == ["x.example/y", CONTROLLER]
        assert found["parents"][0] == theirs

    def test_parents_that_are_no_more_go(self) -> None:
        """Ours alone."""
        theirs = of_parent(accepted(), controller="x.example/y")
        found = merged(of_route(of_parent(accepted()), theirs), of_route())
        assert found == of_route(theirs)

    def test_order_of_parents_is_no_reason_to_write(self) -> None:
        """Two controllers would else write in turns for ever."""
        ours = of_parent(accepted(lastTransitionTime=THEN))
        theirs = of_parent(accepted(), controller="x.example/y")
        assert merged(of_route(ours, theirs), of_route(of_parent(accepted()))) is None

    @pytest.mark.parametrize("present", [None, {}, {"parents": []}])
    def test_route_that_is_not_ours_is_left_alone(self, present: Obj | None) -> None:
        """Nothing is to be taken away there."""
        assert merged(present, of_route()) is None

    def test_defaults_of_a_parent_stay_as_they_are_written(self) -> None:
        """What an API server adds to a reference is no other reference."""
        ours = of_parent(accepted(lastTransitionTime=THEN))
        assert merged(of_route(ours), of_route(deepcopy(of_parent(accepted())))) is None

    def test_later_generation_is_not_overwritten(self) -> None:
        """Whoever judged it has seen more than is known here."""
        present = {"conditions": [accepted("False", 3, lastTransitionTime=THEN)]}
        assert merged(present, {"conditions": [accepted(generation=2)]}) is None
        assert merged(present, {"conditions": [accepted(generation=3)]}) is not None

    def test_features_alone_are_no_reason_to_write(self) -> None:
        """An older API server drops them, and would be written to for ever."""
        status = wanted(KINDS[2])
        first = merged(None, status, THEN)
        assert first is not None
        assert first["supportedFeatures"]
        dropped = {"conditions": first["conditions"]}
        assert merged(dropped, status) is None
        fewer = {**first, "supportedFeatures": [{"name": "Gateway"}]}
        assert merged(fewer, status) == first

    def test_fields_of_others_stay(self) -> None:
        """Addresses that somebody else has written."""
        addresses = [{"type": "IPAddress", "value": "192.0.2.1"}]
        found = merged({"addresses": addresses}, wanted(KINDS[1]))
        assert found is not None
        assert found["addresses"] == addresses

    def test_listener_that_is_no_more_goes(self) -> None:
        """And those that stay keep their times."""
        first = merged(None, wanted(KINDS[1]), THEN)
        assert first is not None
        present = {**first, "listeners": [{"name": "old", "conditions": []}, *first["listeners"]]}
        assert merged(present, wanted(KINDS[1])) == first

    def test_dropped_rule_is_told_no_longer_when_it_is_right(self) -> None:
        """A condition that is only there while it is true."""
        mirrored = make_rule(path("/a"), filters=[{"type": "RequestMirror"}])
        before = translated(make_route(mirrored, make_rule())).statuses[KINDS[0]]
        present = merged(None, before, THEN)
        after = merged(present, wanted(KINDS[0]))
        assert after is not None
        types = [one["type"] for one in after["parents"][0]["conditions"]]
        assert types == ["Accepted", "ResolvedRefs"]
