"""What is switched off, as clients see it."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from fengling_gateway.balancing.overrides import Overrides
from fengling_gateway.balancing.upstream_networks import LOOPBACK, UpstreamNetworks
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.routing.overriding import override
from fengling_gateway.routing.snapshot import CompileContext
from tests.dataplane.rig import GET, OK, Rig, Transport, body_of, head_of, status_of
from tests.dataplane.snapshots import (
    Entity,
    answering_route,
    instance,
    make_snapshot,
    plain,
    policies,
    route,
    service,
)
from tests.dataplane.test_forwarding import RigCase

PREFLIGHT = (
    b"OPTIONS / HTTP/1.1\r\nHost: h\r\nOrigin: https://a.example\r\n"
    b"Access-Control-Request-Method: GET\r\n\r\n"
)
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCHED = b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


class OverridesCase(RigCase):
    def serve(self, *entities: Entity) -> Rig:
        self.context = CompileContext(Random(1), UpstreamNetworks(LOOPBACK))
        rig = self.rig()
        self.snapshot = make_snapshot(*(entities or plain()), context=self.context)
        rig.plane.apply(self.snapshot)
        return rig

    def override(self, rig: Rig, **given: Any) -> None:
        overrides = Overrides(**{name: frozenset(ids) for name, ids in given.items()})
        self.snapshot = override(self.snapshot, overrides, self.context)
        rig.plane.apply(self.snapshot)

    def assert_refused(self, client: Transport) -> None:
        self.assertEqual(status_of(client.sent), 503)
        head = head_of(client.sent)
        self.assertEqual(head[b"x-gateway-error"], b"route_switched_off")
        self.assertEqual(head[b"retry-after"], b"1")
        self.assertEqual(json.loads(body_of(client.sent))["code"], "route_switched_off")


class RouteTests(OverridesCase):
    """Routes that are switched off."""

    def test_route_answers_503_and_no_other_gets_its_requests(self) -> None:
        """Until it is on again; what was under way goes on."""
        rig = self.serve(*plain(answering_route("below", "/a", respond=OWN)))
        before = rig.ask()
        upstream = rig.accept()
        self.override(rig, routes=["r"])
        self.assert_refused(rig.ask())
        upstream.deliver(OK)
        self.assertEqual(status_of(before.sent), 200)
        self.override(rig, routes=["below"])
        self.assert_refused(rig.ask(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"))
        self.override(rig)
        client = rig.ask(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
        self.assertEqual(status_of(client.sent), 200)
        errors = [row[3] for row in rig.counters()["requests"] if row[3]]
        self.assertEqual(sum(one["route_switched_off"] for one in errors), 2)

    def test_body_of_a_refused_request_is_no_harm(self) -> None:
        """The connection ends as with any refusal before the body is there."""
        rig = self.serve()
        self.override(rig, routes=["r"])
        client = rig.ask(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab")
        self.assert_refused(client)

    def test_splits_redirects_and_preflights_are_refused_alike(self) -> None:
        """Whatever the route does."""
        cors = policies(cors={"origins": ["https://a.example"]})
        for one in (
            route("r", service_id=None, split={"s": 1, "t": 1}),
            answering_route("r", "/", redirect={"status": 302, "location": "/x"}),
            route("r", policies=cors),
        ):
            rig = self.serve(service("s"), service("t"), instance(), one)
            self.override(rig, routes=["r"])
            self.assert_refused(rig.ask())
            if one[1]["policies"]:
                self.assert_refused(rig.ask(PREFLIGHT))

    def test_tunnels_of_a_route_are_ended(self) -> None:
        """Else whoever is in one stays for hours."""
        rig = self.serve()
        client = rig.ask(UPGRADE)
        upstream = rig.accept()
        upstream.deliver(SWITCHED)
        self.override(rig, routes=["other"])
        rig.advance(0.2)
        self.assertIsNone(client.ended)
        self.assertEqual(status_of(client.take()), 101)
        self.override(rig, routes=["r"])
        rig.advance(0.2)
        self.assertEqual(client.take()[:1], b"\x88")
        rig.advance(6.0)
        errors = [row[3] for row in rig.counters()["requests"] if row[3]]
        self.assertEqual(errors, [{ForwardError.TUNNEL_WITHDRAWN.code: 1}])

    def test_counters_say_what_is_off(self) -> None:
        """Ids of nothing count, too: they are off."""
        rig = self.serve()
        self.override(rig, routes=["r", "x"], instances=["i"])
        counters = rig.counters()
        found = [counters[name] for name in NAMES]
        self.assertEqual(found, [2, 1, 0])
        self.snapshot = override(self.snapshot, Overrides(health_is_stale=True), self.context)
        rig.plane.apply(self.snapshot)
        self.assertEqual([rig.counters()[name] for name in NAMES], [0, 0, 1])


class InstanceTests(OverridesCase):
    """Instances that are switched off."""

    def test_instance_gets_nothing_new(self) -> None:
        """As if it were drained: what is under way goes on."""
        rig = self.serve()
        before = rig.ask()
        upstream = rig.accept()
        self.override(rig, instances=["i"])
        client = rig.ask()
        self.assertEqual(head_of(client.sent)[b"x-gateway-error"], b"no_instance")
        upstream.deliver(OK)
        self.assertEqual(status_of(before.sent), 200)
        self.override(rig)
        before.take()
        before.deliver(GET)
        upstream.deliver(OK)
        self.assertEqual(status_of(before.sent), 200)


NAMES = ("routes_off_now", "instances_off_now", "health_stale_now")
OWN = {"status": 200, "headers": {}, "body": "own"}
