"""What an answer says of how it came about, to whoever may know."""

from __future__ import annotations

import json
from typing import Any

from tests.dataplane.rig import OK, Rig, Transport, head_of, status_of
from tests.dataplane.snapshots import (
    answering_route,
    instance,
    policies,
    route,
    setting,
    tenant,
)
from tests.dataplane.test_forwarding import RigCase

ASK = b"GET / HTTP/1.1\r\nHost: example.com\r\nX-Gateway-Debug: good\r\n\r\n"
NOTHING = {"status": 200, "headers": {}, "body": "own"}


def said(client: Transport) -> dict[str, Any]:
    """What the newest answer says."""
    value: dict[str, Any] = json.loads(head_of(client.sent)[b"x-gateway-debug"])
    return value


class DebugTests(RigCase):
    """`DebuggedExchange`"""

    def rig(self, *entities: object, **settings: object) -> Rig:
        rig = super().rig(*entities, **settings)
        rig.plane.debug_id_in = lambda value: "0a1b" if value == b"good" else None
        return rig

    def test_answer_says_where_it_is_from_and_how_long_what_took(self) -> None:
        """Only measured here, and only for this request."""
        rig = self.rig(setting("trusted_proxies", []), tenant("t", hosts=["example.com"]))
        client = rig.ask(ASK)
        rig.reactor.advance(0.25)
        upstream = rig.accept()
        self.assertNotIn(b"ebug", upstream.sent)
        rig.reactor.advance(0.5)
        upstream.deliver(OK)
        self.assertEqual(
            said(client),
            {
                "id": "0a1b",
                "route": "r",
                "service": "s",
                "tenant": "t",
                "instance": "i",
                "address": "http://192.0.2.1:8080",
                "attempts": 1,
                "worker": "w1",
                "revision": 1,
                "phases": {
                    "match_us": 0.0,
                    "connect_ms": 250.0,
                    "first_byte_ms": 500.0,
                    "total_ms": 750.0,
                },
            },
        )
        self.assertEqual(client.take().count(b"ok"), 1)
        client.deliver(ASK)
        rig.reactor.advance(0.125)
        upstream.deliver(OK)
        phases = said(client)["phases"]
        self.assertEqual((phases["connect_ms"], phases["first_byte_ms"]), (None, 125.0))
        client.take()
        client.deliver(ASK.replace(b"X-Gateway-Debug: good\r\n", b""))
        upstream.deliver(OK)
        self.assertNotIn(b"ebug", client.sent)
        self.assertEqual(self.counted(rig), (2, 0))

    def counted(self, rig: Rig) -> tuple[int, int]:
        counters = rig.counters()
        return counters["debugged"], counters["debug_headers_refused"]

    def test_header_that_is_not_good_is_taken_off_and_ignored(self) -> None:
        """However it is spelled; without keys none is good."""
        rig = self.rig()
        for line in (b"X-Gateway-Debug: bad", b"x-gateway-debug:", b"X_Gateway_Debug: good"):
            client = rig.ask(ASK.replace(b"X-Gateway-Debug: good", line))
            upstream = rig.accept()
            self.assertNotIn(b"ebug", upstream.sent)
            upstream.deliver(OK)
            self.assertEqual(client.sent, OK)
            upstream.lose()
        self.assertEqual(self.counted(rig), (0, 2))
        fresh = super().rig()
        client = fresh.ask(ASK)
        fresh.accept().deliver(OK)
        self.assertEqual(client.sent, OK)

    def test_what_an_instance_says_under_that_name_is_not_believed(self) -> None:
        """It passes where nobody has asked."""
        rig = self.rig()
        client = rig.ask(ASK)
        rig.accept().deliver(OK.replace(b"Date", b"x-gateway-debug: {}\r\nDate"))
        self.assertEqual(said(client)["route"], "r")

    def test_failures_say_it_too(self) -> None:
        """With the attempts there were, and as far as it came."""
        rig = self.rig(instance("j", address="http://192.0.2.2:80"))
        client = rig.ask(ASK)
        rig.refuse()
        rig.refuse()
        self.assertEqual(status_of(client.sent), 502)
        found = said(client)
        self.assertEqual((found["attempts"], found["phases"]["connect_ms"]), (2, None))
        self.assertIn(found["instance"], {"i", "j"})
        rig = self.rig(route("own", "/own", service_id="nobody"))
        client = rig.ask(ASK.replace(b"GET /", b"GET /own"))
        found = said(client)
        self.assertEqual((found["route"], found["service"]), ("own", "nobody"))
        self.assertEqual((found["instance"], found["attempts"]), (None, 0))

    def test_failure_in_an_answer_that_has_not_left_says_it_once(self) -> None:
        """A new head takes the place of the one that was to be."""
        rig = self.rig()
        client = rig.ask(ASK)
        rig.accept().deliver(OK + b"more")
        self.assertEqual(status_of(client.sent), 502)
        self.assertEqual(client.sent.lower().count(b"x-gateway-debug:"), 1)

    def test_answers_of_the_gateway_say_it_too(self) -> None:
        """Fixed responses, and what guards refuse; they have no instance."""
        rig = self.rig(
            answering_route("own", "/own", respond=NOTHING),
            route("shut", "/shut", policies=policies(access={"deny": ["0.0.0.0/0"]})),
        )
        for path, status in ((b"own", 200), (b"shut", 403)):
            client = rig.ask(ASK.replace(b"GET /", b"GET /" + path))
            self.assertEqual(status_of(client.sent), status)
            found = said(client)
            self.assertEqual((found["route"], found["instance"]), (path.decode(), None))
            self.assertEqual(client.sent.lower().count(b"x-gateway-debug:"), 1)

    def test_tunnels_say_it_when_they_begin(self) -> None:
        """In the 101."""
        rig = self.rig()
        client = rig.ask(
            ASK.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        )
        upstream = rig.accept()
        upstream.deliver(
            b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        self.assertEqual(status_of(client.sent), 101)
        self.assertEqual(said(client)["instance"], "i")
        upstream.lose()
        rig.settle()

    def test_bodies_are_waited_for_as_ever(self) -> None:
        """A request that has one is another way through."""
        rig = self.rig(upstream_max_connections=1)
        rig.ask()
        upstream = rig.accept()
        client = rig.ask(
            ASK.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 4\r\n\r\nab")
        )
        client.deliver(b"cd")
        upstream.deliver(OK)
        upstream.deliver(OK)
        self.assertEqual(said(client)["attempts"], 1)
        self.assertEqual(upstream.sent[-4:], b"abcd")
