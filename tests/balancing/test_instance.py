"""Instances and their states."""

from __future__ import annotations

import pytest

from fengling_gateway.balancing.instance import InstanceState
from fengling_gateway.balancing.upstream_networks import UpstreamNetworks
from tests.balancing.builders import make_instance


class CompileInstanceTests:
    @pytest.mark.parametrize(
        ("address", "scheme", "host", "port", "authority"),
        [
            ("http://192.0.2.7:8080", "http", "192.0.2.7", 8080, b"192.0.2.7:8080"),
            ("http://shop.internal:80", "http", "shop.internal", 80, b"shop.internal"),
            ("https://shop.internal:443", "https", "shop.internal", 443, b"shop.internal"),
            ("https://shop.internal:80", "https", "shop.internal", 80, b"shop.internal:80"),
            ("http://[2001:db8::1]:9000", "http", "2001:db8::1", 9000, b"[2001:db8::1]:9000"),
            ("http://[::1]:80/", "http", "::1", 80, b"[::1]"),
        ],
    )
    def test_address_is_taken_apart(
        self, address: str, scheme: str, host: str, port: int, authority: bytes
    ) -> None:
        """An address gives what to connect to and what a Host header says of it."""
        found = make_instance(address=address)
        assert (found.scheme, found.host, found.port, found.authority) == (
            scheme,
            host,
            port,
            authority,
        )

    @pytest.mark.parametrize(
        ("given", "ready"),
        [
            ({}, True),
            ({"state": "drain"}, False),
            ({"state": "maintenance"}, False),
            ({"weight": 0}, False),
        ],
    )
    def test_ready_is_what_an_operator_lets_have_requests(
        self, given: dict[str, object], ready: bool
    ) -> None:
        """Draining, maintenance and weight 0 keep new requests away."""
        assert make_instance(**given).is_ready is ready

    @pytest.mark.parametrize(
        ("health", "healthy"), [("unknown", True), ("healthy", True), ("unhealthy", False)]
    )
    def test_unknown_health_is_routable(self, health: str, healthy: bool) -> None:
        """Only an instance reported unhealthy is unhealthy."""
        assert make_instance(health=health).is_healthy is healthy

    def test_addresses_are_compared_by_where_they_lead(self) -> None:
        """Weight and state are not part of an address; scheme, host and port are."""
        one = make_instance()
        assert one.has_address_of(make_instance("other", weight=7, state="drain"))
        assert not one.has_address_of(make_instance(address="http://192.0.2.1:8081"))
        assert not one.has_address_of(make_instance(address="https://192.0.2.1:8080"))

    @pytest.mark.parametrize(
        "address",
        ["http://192.0.2.7:8080", "https://shop.internal:443", "http://[2001:db8::1]:9000"],
    )
    def test_address_is_told_as_it_is_configured(self, address: str) -> None:
        """With its port, and brackets around IPv6."""
        assert make_instance(address=address).address == address

    @pytest.mark.parametrize(
        ("address", "named"),
        [
            ("http://shop.internal:80", True),
            ("http://shop:80", True),
            ("http://shop7:80", True),
            ("http://192.0.2.7:80", False),
            ("http://[2001:db8::a]:80", False),
        ],
    )
    def test_names_are_told_from_addresses(self, address: str, *, named: bool) -> None:
        """A name has to be resolved before anybody connects."""
        assert make_instance(address=address).is_named is named

    def test_everything_else_is_taken_over(self) -> None:
        """Whose it is, where, and how much of the requests it wants."""
        found = make_instance("i7", "healthy", tenant_id="t", weight=7, zone="eu-1", state="drain")
        assert (found.id, found.service_id, found.tenant_id) == ("i7", "s", "t")
        assert (found.weight, found.zone, found.state) == (7, "eu-1", "drain")
        assert (found.health, found.refused) == ("healthy", None)

    def test_refused_address_is_not_ready(self) -> None:
        """It has the reason with it; where the host allows it, nothing is in the way."""
        here = {"address": "http://127.0.0.1:8080"}
        refused = make_instance(**here)
        assert "127.0.0.1 is loopback" in str(refused.refused)
        assert not refused.is_ready
        assert make_instance(networks=UpstreamNetworks(["127.0.0.0/8"]), **here).is_ready
        own = UpstreamNetworks(["127.0.0.0/8"], [("127.0.0.1", 8080)])
        assert "loop" in str(make_instance(networks=own, **here).refused)


class InstanceStateTests:
    def test_new_state_is_idle(self) -> None:
        """A state starts without requests, connections or a past."""
        state = InstanceState(make_instance("i7"))
        assert (state.id, state.in_flight, state.picked, state.retired) == ("i7", 0, 0, False)
        assert (state.failures, state.ejections, state.ejected_until) == (0, 0, 0.0)
        assert (state.unanswered, state.told, state.answered) == (0, 0, 0)
        assert state.pool is None
        assert repr(state) == "<InstanceState i7 192.0.2.1:8080 in_flight=0>"

    def test_answered_is_what_has_ended_well(self) -> None:
        """Of seven sent, two have not ended and one had no answer."""
        state = InstanceState(make_instance())
        state.picked, state.in_flight, state.unanswered = 7, 2, 1
        assert state.answered == 4
