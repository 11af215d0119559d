"""What the cluster wants, brought together with what people have changed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.kubernetes.merging import MANAGED_BY, merge, merged_value, named
from fengling_gateway.model.entity import Key

POD = Key("instance", "shop.orders_a")
ROUTE = Key("route", "shop.orders")
WANTED = {
    "service_id": "shop.orders",
    "address": "http://10.0.0.1:8080",
    "state": "ready",
    "zone": None,
}
ROUTE_WANTED: dict[str, Any] = {
    "path": "/orders/{**rest}",
    "hosts": ["a.example"],
    "service_id": "shop.orders",
    "policies": {"retry": {"attempts": 1}},
}


def stored(wanted: dict[str, Any], **others: Any) -> dict[str, Any]:
    """Return a row as the database has it."""
    return {"version": 7, "managed_by": MANAGED_BY, "labels": {}, **wanted, **others}


def written(key: Key, *args: Any) -> dict[str, Any]:
    change = merge(key, *args).change
    return {} if change is None else change.values


def test_new_one_is_made_and_says_whose_it_is() -> None:
    """With all that the cluster names."""
    found = merge(POD, WANTED, None, None)
    assert found.change is not None
    assert found.change.action == "create"
    assert found.change.values["managed_by"] == MANAGED_BY
    assert found.change.values["address"] == WANTED["address"]
    assert found.said == WANTED


def test_what_is_so_already_is_not_written() -> None:
    """Also where the cluster has never said so: after a restore, for one."""
    for said in (WANTED, None):
        found = merge(POD, WANTED, stored(WANTED), said)
        assert (found.change, found.said, found.left_to) == (None, WANTED, None)


def test_only_what_the_cluster_says_anew_is_written() -> None:
    """An operator's weight stays; and so does his drain, until the cluster speaks of the state."""
    mine = stored(WANTED, weight=5, state="drain")
    moved = {**WANTED, "address": "http://10.0.0.2:8080"}
    assert written(POD, moved, mine, WANTED) == {"address": "http://10.0.0.2:8080"}
    drained = {**WANTED, "state": "drain"}
    assert written(POD, drained, mine, WANTED) == {}
    assert written(POD, WANTED, mine, drained) == {"state": "ready"}


def test_place_of_an_instance_is_always_the_clusters() -> None:
    """An address that somebody has put back reaches nobody, or somebody else."""
    old = stored({**WANTED, "address": "http://10.0.0.9:8080"})
    assert written(POD, WANTED, old, WANTED) == {"address": WANTED["address"]}


def test_where_a_route_leads_is_always_the_clusters() -> None:
    """Also key by key: a service that an older revision names is none of its split."""
    wanted = {"path": "/a", "split": {"new": 1}}
    old = stored({**wanted, "split": {"new": 1, "old": 5}})
    assert written(ROUTE, wanted, old, named(ROUTE, wanted)) == {"split": {"new": 1}}


def test_policies_go_key_by_key() -> None:
    """What people have added stays; what the cluster changes, or no longer says, follows it."""
    said = named(ROUTE, ROUTE_WANTED)
    limit = {"rate_limit": {"rate": "10/s"}}
    row = stored(ROUTE_WANTED, policies={**ROUTE_WANTED["policies"], **limit})
    more = {**ROUTE_WANTED, "policies": {"retry": {"attempts": 2}}}
    policies = written(ROUTE, more, row, said)["policies"]
    assert policies["retry"] == {"attempts": 2}
    assert policies["rate_limit"]["rate"] == "10/s"
    none = {**ROUTE_WANTED, "policies": {}}
    assert list(written(ROUTE, none, row, said)["policies"]) == ["rate_limit"]


def test_field_that_is_no_longer_named_is_as_usual_again() -> None:
    """An annotation that has gone."""
    service = Key("service", "shop.orders")
    said = named(service, {"name": "shop/orders", "balancing": "random"})
    row = stored({"name": "shop/orders", "balancing": "random", "idle_timeout": 5.0})
    assert written(service, {"name": "shop/orders"}, row, said) == {"balancing": "power_of_two"}


@pytest.mark.parametrize("manager", ["ui", "", None, "git:shop"])
def test_somebody_elses_is_left_alone(manager: str | None) -> None:
    """Whether it is to be so, or to be gone."""
    row = stored(WANTED, managed_by=manager, address="http://10.9.9.9:1")
    found = merge(POD, WANTED, row, None)
    assert found.change is None
    assert found.left_to == (manager or "nobody")
    assert found.said is None
    assert merge(POD, None, row, WANTED).change is None


def test_gone() -> None:
    """What is ours goes in the version that was read; what is not there needs nothing."""
    found = merge(POD, None, stored(WANTED), WANTED)
    assert found.change is not None
    assert (found.change.action, found.change.version) == ("delete", 7)
    assert merge(POD, None, None, WANTED) == (None, None, None)


VALUES = st.recursive(
    st.sampled_from([1, 2, None, "a"]),
    lambda inner: st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=6,
)


@given(VALUES, VALUES)
def test_what_nobody_has_touched_becomes_what_the_cluster_says(before: Any, now: Any) -> None:
    """Whatever it was before."""
    assert merged_value(before, now, before) == now


@given(VALUES, VALUES)
def test_what_the_cluster_does_not_change_stays_as_it_is(said: Any, current: Any) -> None:
    """Whatever somebody has made of it."""
    assert merged_value(said, said, current) == current
