"""Discovered Services: who has approved them, and what follows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fengling_gateway.kubernetes.backends import Backends
from fengling_gateway.kubernetes.catalog import Catalog, Decided
from fengling_gateway.kubernetes.limits import NO_LIMITS, Limits
from fengling_gateway.kubernetes.objects import ObjectName
from fengling_gateway.kubernetes.selection import parse_selector
from fengling_gateway.kubernetes.wants import Wants
from fengling_gateway.model.entity import Key
from tests.kubernetes.builders import ORDERS, endpoint, service, slice_

ROUTE = Key("route", "shop.orders")
SERVICE = Key("service", "shop.orders")
POD = Key("instance", "shop.orders_a")


class Scene:
    """A catalog with whatever it keeps up."""

    def __init__(self, *rules: str, limits: Limits = NO_LIMITS) -> None:
        self.wants = Wants(lambda: None)
        self.backends = Backends(
            lambda one, row, _: self.wants.put(Key("instance", one), row, "shop/orders")
        )
        self.backends.slice_changed(slice_(endpoint("10.0.0.1", "a")))
        self.catalog = Catalog(
            selector=parse_selector("managed-by=fengling"),
            rules=rules,
            backends=self.backends,
            wants=self.wants,
            limits=limits,
        )

    def decide(
        self,
        state: str,
        approved: Mapping[str, str] | None = None,
        wish: Mapping[str, Any] | None = None,
    ) -> None:
        self.catalog.decided(ORDERS, Decided(state, wish or {}, approved, 1))

    @property
    def wanted(self) -> set[Key]:
        return set(self.wants.rows)

    @property
    def path(self) -> Any:
        row = self.wants.rows[ROUTE].row
        return row and row["path"]


def test_new_service_is_pending() -> None:
    """Nothing follows from it, and people are told that it is there."""
    scene = Scene()
    scene.catalog.changed(service())
    assert scene.catalog.entries[ORDERS].state == "pending"
    assert list(scene.catalog.untold) == [ORDERS]
    assert scene.wanted == set()


def test_approved_service_is_followed() -> None:
    """A service, a route, and the instances; whichever comes first, approval or service."""
    for first in (True, False):
        scene = Scene()
        if first:
            scene.catalog.changed(service())
        scene.decide("approved")
        if not first:
            scene.catalog.changed(service())
        assert scene.wanted == {SERVICE, ROUTE, POD}


def test_rejected_service_stays_out() -> None:
    """Whatever a rule says; and what was approved once goes."""
    scene = Scene("shop/*")
    scene.catalog.changed(service())
    assert scene.wanted == {SERVICE, ROUTE, POD}
    scene.decide("rejected")
    assert scene.wanted == set()
    scene.catalog.changed(service(annotations={"path": "/other"}))
    assert scene.wanted == set()


def test_rule_approves() -> None:
    """Of what it names; the entry says which one."""
    scene = Scene("billing/*", "sh?p/ord*")
    scene.catalog.changed(service())
    scene.catalog.changed(service(name=ObjectName("shop", "carts")))
    assert scene.catalog.entries[ORDERS].rule == "sh?p/ord*"
    assert scene.catalog.entries[ObjectName("shop", "carts")].state == "pending"


def test_taken_back_decision_leaves_it_pending() -> None:
    """As if nobody had ever decided."""
    scene = Scene()
    scene.catalog.changed(service())
    scene.decide("approved")
    scene.decide("pending")
    assert scene.wanted == set()
    assert scene.catalog.entries[ORDERS].state == "pending"


def test_taken_back_decision_is_no_rules_business() -> None:
    """Somebody wants to decide."""
    scene = Scene("shop/*")
    scene.catalog.changed(service())
    scene.decide("pending")
    assert scene.wanted == set()


def test_other_annotations_wait_for_another_approval() -> None:
    """What was approved stays in effect: whoever may annotate can't take others' requests."""
    scene = Scene()
    scene.catalog.changed(service(annotations={"path": "/a"}))
    scene.decide("approved", {"path": "/a"})
    scene.catalog.changed(service(annotations={"path": "/{**rest}", "priority": "100"}))
    assert scene.path == "/a"
    assert scene.catalog.entries[ORDERS].is_changed
    scene.decide("approved", {"path": "/{**rest}", "priority": "100"})
    assert scene.path == "/{**rest}"
    assert not scene.catalog.entries[ORDERS].is_changed


def test_what_a_rule_approves_follows_annotations() -> None:
    """Whoever has made the rule trusts who annotates."""
    scene = Scene("shop/*")
    scene.catalog.changed(service(annotations={"path": "/a"}))
    scene.catalog.changed(service(annotations={"path": "/b"}))
    assert scene.path == "/b"


def test_slip_in_an_annotation_takes_nothing_away() -> None:
    """What was before stays, with the instances as they are; the problem is told."""
    scene = Scene("shop/*")
    scene.catalog.changed(service(annotations={"path": "/a"}))
    scene.catalog.changed(service(annotations={"path": "oops"}))
    assert scene.wanted == {SERVICE, ROUTE, POD}
    assert scene.path == "/a"
    assert scene.catalog.entries[ORDERS].offer.problems
    assert scene.catalog.is_kept("shop/orders")
    scene.backends.slice_changed(slice_(endpoint("10.0.0.2", "b")))
    assert Key("instance", "shop.orders_b") in scene.wanted
    scene.catalog.gone(ORDERS)
    assert scene.wanted == set()
    assert not scene.catalog.is_kept("shop/orders")


def test_service_without_the_label_is_gone() -> None:
    """As if it were."""
    scene = Scene("shop/*")
    scene.catalog.changed(service())
    scene.catalog.untold.clear()
    scene.catalog.changed(service(labels={"managed-by": "others"}))
    assert scene.wanted == set()
    assert list(scene.catalog.untold) == [ORDERS]


def test_list_replaces_all() -> None:
    """What is not in it is gone; what is in it unchanged is nothing to tell."""
    scene = Scene("shop/*")
    scene.catalog.listed([service(), service(name=ObjectName("shop", "carts"))])
    scene.catalog.untold.clear()
    scene.catalog.listed([service()])
    assert list(scene.catalog.untold) == [ObjectName("shop", "carts")]
    assert scene.wanted == {SERVICE, ROUTE, POD}


def test_what_an_approver_sets_counts() -> None:
    """Where the cluster says nothing, or something else."""
    scene = Scene()
    scene.catalog.changed(service(annotations={}))
    scene.decide("approved", {})
    assert scene.wanted == set()
    scene.decide("approved", {}, {"path": "/set"})
    assert scene.path == "/set"


SHOP_ALONE = Limits(hosts=(("shop", ("shop.example",)),))


def test_host_of_another_namespace_is_not_served() -> None:
    """Whoever has approved it: the entry says why."""
    foreign, own = {"hosts": "bank.example"}, {"hosts": "shop.example"}
    for rules, approved, asked in (
        (("shop/*",), None, foreign),
        ((), foreign, foreign),
        ((), foreign, own),
    ):
        scene = Scene(*rules, limits=SHOP_ALONE)
        if approved is not None:
            scene.decide("approved", approved)
        scene.catalog.changed(service(annotations=asked))
        assert scene.wanted == set()
        effective = scene.catalog.entries[ORDERS].effective
        assert effective is not None
        assert "bank.example is not for namespace shop" in effective.problems[0]


def test_reaching_for_another_host_changes_nothing() -> None:
    """What was in effect stays, and its own host is taken again when it is asked for."""
    scene = Scene("shop/*", limits=SHOP_ALONE)
    scene.catalog.changed(service(annotations={"hosts": "shop.example"}))
    scene.catalog.changed(service(annotations={"hosts": "shop.example, bank.example"}))
    row = scene.wants.rows[ROUTE].row
    assert row is not None
    assert row["hosts"] == ["shop.example"]
    assert scene.catalog.is_kept("shop/orders")


def test_approver_may_give_any_host() -> None:
    """He may write routes, too."""
    scene = Scene(limits=SHOP_ALONE)
    foreign = {"hosts": "other.example"}
    scene.decide("approved", foreign, {"hosts": ["bank.example"]})
    scene.catalog.changed(service(annotations=foreign))
    row = scene.wants.rows[ROUTE].row
    assert row is not None
    assert row["hosts"] == ["bank.example"]


def test_rule_approves_no_certificate_to_show() -> None:
    """Nor what it approved before, when the rule is gone; somebody may, and it may wait for him."""
    shows = {"path": "/a", "service": "{tls: {client_certificate: ours}}"}
    for rules, decided, is_served in (
        (("shop/*",), None, False),
        ((), ("approved", None), False),
        ((), ("approved", shows), True),
    ):
        scene = Scene(*rules)
        if decided is not None:
            scene.decide(*decided)
        scene.catalog.changed(service(annotations=shows))
        assert (SERVICE in scene.wanted) is is_served
    scene = Scene()
    scene.catalog.changed(service(annotations=shows))
    assert scene.catalog.entries[ORDERS].offer.problems == ()


def test_certificate_to_show_does_not_count_because_its_rule_is_gone() -> None:
    """What a rule has approved is settled then, now and after the next start: nobody has seen it."""
    shows = {"path": "/a", "service": "{tls: {client_certificate: ours}}"}
    for approved in (None, shows):
        scene = Scene()
        scene.catalog.decided(ORDERS, Decided("approved", {}, approved, 1, shows, is_rule_s=True))
        scene.catalog.changed(service(annotations=shows))
        assert scene.wanted == set()
        scene.catalog.changed(service(annotations={"path": "/b"}))
        assert scene.wanted == set()
