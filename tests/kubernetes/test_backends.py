"""Instances, kept up slice by slice."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.kubernetes.backends import Backends
from fengling_gateway.kubernetes.objects import Endpoint, EndpointSlice, ObjectName
from fengling_gateway.kubernetes.offers import Backend
from tests.kubernetes.builders import ORDERS, endpoint, slice_

BACKEND = Backend("shop.orders", ORDERS, "http", "http", "IPv4", {})


class Heard(dict[str, dict[str, Any]]):
    """The instances that follow from what is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def __call__(self, instance: str, row: dict[str, Any] | None, backend: Backend) -> None:
        self.told.append(instance)
        if row is None:
            del self[instance]
        else:
            self[instance] = row


def wanted(*slices: EndpointSlice, backend: Backend = BACKEND) -> tuple[Backends, Heard]:
    heard = Heard()
    backends = Backends(heard)
    backends.slices_listed(slices)
    backends.want(backend)
    return backends, heard


def test_endpoints_become_instances() -> None:
    """By the names of their pods, with the port of the slice."""
    _, heard = wanted(slice_(endpoint("10.0.0.1", "orders-1", zone="a"), endpoint("10.0.0.2")))
    assert heard == {
        "shop.orders_orders-1": {
            "service_id": "shop.orders",
            "address": "http://10.0.0.1:8080",
            "state": "ready",
            "zone": "a",
        },
        "shop.orders_10.0.0.2": {
            "service_id": "shop.orders",
            "address": "http://10.0.0.2:8080",
            "state": "ready",
            "zone": None,
        },
    }


def test_states() -> None:
    """Ready takes requests; not ready, or about to end, takes nothing new; gone is gone."""
    backends, heard = wanted(
        slice_(
            endpoint("10.0.0.1", "a"),
            endpoint("10.0.0.2", "b", ready=False),
            endpoint("10.0.0.3", "c", terminating=True),
        )
    )
    states = {name: row["state"] for name, row in heard.items()}
    assert states == {
        "shop.orders_a": "ready",
        "shop.orders_b": "drain",
        "shop.orders_c": "drain",
    }
    heard.told.clear()
    backends.slice_changed(slice_(endpoint("10.0.0.1", "a"), endpoint("10.0.0.2", "b")))
    assert sorted(heard.told) == ["shop.orders_b", "shop.orders_c"]
    assert {name: row["state"] for name, row in heard.items()} == {
        "shop.orders_a": "ready",
        "shop.orders_b": "ready",
    }


def test_ipv6() -> None:
    """In brackets; slices of the Service's other family are not counted twice."""
    six = BACKEND._replace(family="IPv6")
    _, heard = wanted(
        slice_(endpoint("10.0.0.1", "a")),
        slice_(endpoint("fd00::1", "a"), endpoint("fd00::2"), name="six", family="IPv6"),
        backend=six,
    )
    assert {name: row["address"] for name, row in heard.items()} == {
        "shop.orders_a": "http://[fd00::1]:8080",
        "shop.orders_fd00--2": "http://[fd00::2]:8080",
    }


def test_what_slices_made_by_hand_may_hold_is_left_out() -> None:
    """Nothing of it may keep others from being written."""
    _, heard = wanted(
        slice_(
            endpoint("10.0.0.1", "a", zone="z" * 101),
            endpoint("fd00::1", "six"),
            endpoint("10.0.0", "short"),
            endpoint("name.example", "name"),
        ),
        slice_(endpoint("10.0.0.9", "b"), name="c", port=70_000),
    )
    assert {name: row["zone"] for name, row in heard.items()} == {"shop.orders_a": None}


def test_names_are_no_addresses() -> None:
    """As with ExternalName: whoever makes slices could name anybody."""
    _, heard = wanted(slice_(endpoint("metadata.example.internal"), family="FQDN"))
    assert heard == {}


def test_other_ports_and_other_services_are_others() -> None:
    """Only the port that is meant, only slices of the Service, only ports with a number."""
    _, heard = wanted(
        slice_(endpoint("10.0.0.1"), name="a", port_name="admin"),
        slice_(endpoint("10.0.0.2"), name="b", of=ObjectName("shop", "carts")),
        slice_(endpoint("10.0.0.3"), name="c", of=None),
        slice_(endpoint("10.0.0.4"), name="d", port=None),
    )
    assert heard == {}


def test_endpoint_in_two_slices_is_one_instance() -> None:
    """While it moves from one to another; it goes when both say so."""
    backends, heard = wanted(
        slice_(endpoint("10.0.0.1", "a", ready=False), name="old"),
        slice_(endpoint("10.0.0.1", "a"), name="new"),
    )
    assert heard["shop.orders_a"]["state"] == "ready"
    backends.slice_gone(ObjectName("shop", "new"))
    assert heard["shop.orders_a"]["state"] == "drain"
    backends.slice_gone(ObjectName("shop", "old"))
    assert heard == {}


def test_what_is_not_wanted_any_more_goes() -> None:
    """All instances of it, and none of another service of the same endpoints."""
    backends, heard = wanted(slice_(endpoint("10.0.0.1", "a")))
    backends.want(BACKEND._replace(id="shop.orders.80"))
    backends.unwant("shop.orders")
    assert list(heard) == ["shop.orders.80_a"]
    backends.unwant("shop.orders")
    backends.unwant("shop.orders.80")
    assert heard == {}


def test_another_port_or_scheme_makes_other_addresses() -> None:
    """Of the same instances, in place."""
    backends, heard = wanted(
        slice_(endpoint("10.0.0.1", "a"), name="a"),
        slice_(endpoint("10.0.0.1", "a"), name="b", port=9000, port_name="admin"),
    )
    backends.want(BACKEND._replace(port="admin", scheme="https"))
    assert heard["shop.orders_a"]["address"] == "https://10.0.0.1:9000"
    heard.told.clear()
    backends.want(BACKEND._replace(port="admin", scheme="https", fields={"balancing": "random"}))
    assert heard.told == []


def test_states_are_counted_also_of_what_is_not_wanted() -> None:
    """Whoever is to approve a Service wants to know whether anybody is there."""
    backends = Backends(Heard())
    backends.slices_listed([slice_(endpoint("10.0.0.1"), endpoint("10.0.0.2", ready=False))])
    assert backends.states(ORDERS, "http", "IPv4") == {"drain": 1, "ready": 1}


ENDPOINTS = st.builds(
    endpoint,
    st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
    st.sampled_from(["a", "b", None]),
    ready=st.booleans(),
    terminating=st.booleans(),
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["change", "gone", "list"]),
        st.sampled_from(["one", "two", "three"]),
        st.lists(ENDPOINTS, max_size=4),
        st.sampled_from([ORDERS, ObjectName("shop", "carts")]),
    ),
    max_size=20,
)


@given(STEPS)
def test_any_changes_give_what_the_slices_say_in_the_end(
    steps: list[tuple[str, str, list[Endpoint], ObjectName]],
) -> None:
    """In whatever order, in however many slices: as if all had been listed at once."""
    heard = Heard()
    backends = Backends(heard)
    backends.want(BACKEND)
    there: dict[str, EndpointSlice] = {}
    for step, name, endpoints, service in steps:
        if step == "gone":
            there.pop(name, None)
            backends.slice_gone(ObjectName("shop", name))
        else:
            there[name] = slice_(*endpoints, name=name, of=service)
            if step == "list":
                backends.slices_listed(there.values())
            else:
                backends.slice_changed(there[name])
    _, at_once = wanted(*there.values())
    assert heard == at_once
    assert backends.instances("shop.orders") == at_once
