"""What is counted of connections while they last; that nothing is left of it, every rig looks."""

from __future__ import annotations

from typing import Any

from tests.dataplane.rig import GET, OK, Rig
from tests.dataplane.snapshots import instance, plain, route, service
from tests.dataplane.test_ejection import EjectionCase
from tests.dataplane.test_forwarding import RigCase
from tests.dataplane.test_tunnels import SWITCHED, WEBSOCKET


def pools(rig: Rig, name: str = "s") -> dict[str, int]:
    values: list[int] = rig.counters()["pools_now"].get(name, [0] * 4)
    return dict(zip(("idle", "busy", "connecting", "waiting"), values, strict=True))


def pool(**given: int) -> dict[str, int]:
    return {"idle": 0, "busy": 0, "connecting": 0, "waiting": 0, **given}


class PoolCountsTests(RigCase):
    def test_connection_is_in_one_state_after_the_other(self) -> None:
        """Being opened, busy, idle, lent again, closed for its age."""
        rig = self.rig(upstream_idle_timeout=5.0)
        assert rig.counters()["pools_now"] == {}
        client = rig.ask()
        assert pools(rig) == pool(connecting=1)
        upstream = rig.accept()
        assert pools(rig) == pool(busy=1)
        upstream.deliver(OK)
        assert pools(rig) == pool(idle=1)
        client.deliver(GET)
        assert pools(rig) == pool(busy=1)
        upstream.deliver(OK)
        rig.advance(6)
        assert pools(rig) == pool()

    def test_requests_that_wait_are_counted(self) -> None:
        """Until they have a connection, or their clients leave."""
        rig = self.rig(upstream_max_connections=1)
        clients = [rig.ask() for _ in range(4)]
        assert pools(rig) == pool(connecting=1, waiting=3)
        clients[3].lose()
        assert pools(rig) == pool(connecting=1, waiting=2)
        upstream = rig.accept()
        upstream.deliver(OK)
        assert pools(rig) == pool(busy=1, waiting=1)
        upstream.lose()  # whoever has lost it asks again
        assert pools(rig) == pool(connecting=1, waiting=1)

    def test_connection_that_can_not_be_made_is_gone(self) -> None:
        """Refused, or given up by its client."""
        rig = self.rig()
        rig.ask()
        rig.refuse()
        rig.advance(1)
        client = rig.ask()
        assert pools(rig)["connecting"] >= 1
        client.lose()
        rig.settle()
        assert pools(rig)["busy"] == 0

    def test_idle_connection_that_the_instance_closes_is_gone(self) -> None:
        """It was idle, and is nothing then."""
        rig = self.rig()
        rig.ask()
        upstream = rig.accept()
        upstream.deliver(OK)
        upstream.lose()
        assert pools(rig) == pool()

    def test_tunnel_has_left_its_pool(self) -> None:
        """It is a client's connection in a state of its own."""
        rig = self.rig()
        client = rig.ask(WEBSOCKET)
        rig.accept().deliver(SWITCHED)
        assert client.sent
        counters = rig.counters()
        found = [counters[f"{name}_now"] for name in ("connections", "in_flight", "tunnels")]
        assert (found, pools(rig)) == ([1, 1, 1], pool())

    def test_services_beyond_the_bound_count_together(self) -> None:
        """As their durations do."""
        entities = [
            entity
            for name in ("a", "b")
            for entity in (
                service(name),
                instance(f"i-{name}", service_id=name, address="http://192.0.2.1:8080"),
                route(f"r-{name}", f"/{name}", service_id=name),
            )
        ]
        rig = Rig(*entities, max_metric_pairs=10)
        self.addCleanup(rig.close)
        for name in (b"a", b"b"):
            rig.ask(b"GET /%b HTTP/1.1\r\nHost: h\r\n\r\n" % name)
        assert rig.counters()["pools_now"] == {"a": [0, 0, 1, 0], "other": [0, 0, 1, 0]}


class ClientCountsTests(RigCase):
    def test_connection_that_has_not_come_to_http_is_told_apart(self) -> None:
        """Until its PROXY header is there, or it leaves."""
        rig = self.rig(listeners={"http": {"proxy_protocol": ["198.51.100.0/24"]}})

        def counted() -> tuple[int, int]:
            counters = rig.counters()
            return counters["connections_now"], counters["opening_now"]

        client, other = rig.client(), rig.client()
        assert counted() == (2, 2)
        client.deliver(b"PROXY UNKNOWN\r\n")
        assert counted() == (2, 1)
        other.lose()
        assert counted() == (1, 0)


class MovedInstanceTests(EjectionCase):
    def test_connections_go_with_an_instance_to_its_new_service(self) -> None:
        """They are lent on there."""
        rig = self.two()
        busy, _ = self.ask_one(rig)
        rig.accept()
        moved: dict[str, Any] = {"service_id": "t"}
        self.change(rig, "service", service("t")[1])
        for name, address in (("bad", "192.0.2.1"), ("good", "192.0.2.2")):
            self.change(rig, "instance", instance(name, address=f"http://{address}:80", **moved)[1])
        rig.advance(0.1)
        assert (pools(rig), pools(rig, "t")) == (pool(), pool(busy=1))
        busy.lose()
        rig.settle()
        assert pools(rig, "t") == pool()


class RetiredServiceTests(RigCase):
    def test_service_that_is_gone_counts_until_its_last_connection_is_closed(self) -> None:
        """Also where others want its place."""
        rig = Rig(*plain(), max_metric_pairs=10)
        self.addCleanup(rig.close)
        client = rig.ask()
        rig.accept()
        rig.apply(*_other_services(12))
        for number in range(12):
            rig.ask(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number)
            rig.refuse()
        rig.counters()
        assert pools(rig)["busy"] == 1
        client.lose()
        rig.settle()
        rig.counters()
        assert "s" not in rig.counters()["pools_now"]


def _other_services(count: int) -> list[Any]:
    entities: list[Any] = [service("x"), instance("ix", service_id="x")]
    return entities + [route(f"r{one}", f"/{one}", service_id="x") for one in range(count)]
