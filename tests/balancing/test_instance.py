"""Instances and their states."""

from __future__ import annotations

import pytest

from fengling_gateway.balancing.instance import InstanceState
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


class InstanceStateTests:
    def test_new_state_is_idle(self) -> None:
        """A state starts without requests, connections or a past."""
        state = InstanceState(make_instance("i7"))
        assert (state.id, state.in_flight, state.picked, state.retired) == ("i7", 0, 0, False)
        assert state.pool is None
        assert repr(state) == "<InstanceState i7 192.0.2.1:8080 in_flight=0>"
