"""Upgrades: from the offer to the end of a tunnel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import TestCase

from twisted.internet.error import ConnectionLost

from fengling_gateway.http.websocket import close_frame
from tests.dataplane.rig import GET, OK, Rig, Transport, head_of, make_rig, status_of
from tests.dataplane.snapshots import instance, plain, route, service

OFFER = (
    b"GET /chat HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: %b\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
WEBSOCKET = OFFER % b"websocket"
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %b\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
SWITCHED = SWITCH % b"websocket"
TO_CLIENT = close_frame(1001)


def text(data: bytes) -> bytes:
    return bytes((0x81, len(data))) + data


def masked(data: bytes) -> bytes:
    return bytes((0x81, 0x80 | len(data))) + b"\0\0\0\0" + data


def is_close_frame(sent: bytes) -> bool:
    """Whether it is a masked close frame with status 1001."""
    if len(sent) != 8 or sent[:2] != b"\x88\x82":
        return False
    return bytes(a ^ b for a, b in zip(sent[6:], sent[2:4], strict=True)) == b"\x03\xe9"


def errors_of(rig: Rig) -> dict[str, int]:
    """Failures of all routes, by their codes."""
    total: dict[str, int] = {}
    for _, _, _, errors in rig.counters()["requests"]:
        for code, number in errors.items():
            total[code] = total.get(code, 0) + number
    return total


class TunnelCase(TestCase):
    """A rig, and tunnels through it."""

    def rig(self, *more: Any, **settings: Any) -> Rig:
        rig = make_rig(*more, **settings)
        self.addCleanup(rig.close)
        return rig

    def open(
        self, rig: Rig, offer: bytes = WEBSOCKET, switch: bytes = SWITCHED
    ) -> tuple[Transport, Transport]:
        """The client's end and the instance's end of a tunnel."""
        client = rig.ask(offer)
        upstream = rig.accept()
        upstream.take()
        upstream.deliver(switch)
        self.assertEqual(status_of(client.take()), 101)
        return client, upstream


class OfferTests(TunnelCase):
    """Who may offer what."""

    def forwarded(self, request: bytes, *more: Any) -> dict[bytes, bytes]:
        rig = self.rig(*more)
        client = rig.ask(request)
        upstream = rig.accept()
        head = head_of(upstream.take())
        upstream.deliver(OK)
        self.assertEqual(status_of(client.sent), 200)
        return head

    def test_offer_of_a_websocket_is_passed_on(self) -> None:
        """In the canonical form, with what belongs to it."""
        head = self.forwarded(WEBSOCKET)
        self.assertEqual((head[b"connection"], head[b"upgrade"]), (b"Upgrade", b"websocket"))
        self.assertEqual(head[b"sec-websocket-key"], b"dGhlIHNhbXBsZSBub25jZQ==")

    def test_offer_that_the_route_does_not_allow_is_not(self) -> None:
        """The request is an ordinary one then, and so is its answer."""
        for protocol in (b"h2c", b"irc", b"websocket2"):
            head = self.forwarded(OFFER % protocol)
            self.assertNotIn(b"upgrade", head, protocol)
            self.assertNotIn(b"connection", head, protocol)

    def test_route_may_allow_others_or_none(self) -> None:
        """But never HTTP/2, whose requests nobody would see."""
        any_protocol = route(policies={"upgrade": {"protocols": ["*"]}})
        for protocol, passed in ((b"irc/6.9", True), (b"WebSocket", True), (b"H2C", False)):
            head = self.forwarded(OFFER % protocol, any_protocol)
            self.assertEqual(head.get(b"upgrade"), protocol if passed else None)
        head = self.forwarded(WEBSOCKET, route(policies={"upgrade": None}))
        self.assertNotIn(b"upgrade", head)

    def test_first_allowed_of_several_offers_is_made(self) -> None:
        """The instance can then only choose what the route allows."""
        self.assertEqual(self.forwarded(OFFER % b"h2c, websocket")[b"upgrade"], b"websocket")

    def test_offer_without_connection_or_with_a_body_or_by_http_1_0_is_none(self) -> None:
        """RFC 9110, 7.8: an Upgrade that Connection does not name is to be ignored."""
        for request in (
            b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n",
            b"GET / HTTP/1.0\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            OFFER.replace(b"GET", b"POST").replace(b"Host", b"Content-Length: 2\r\nHost") + b"hi",
        ):
            self.assertNotIn(b"upgrade", self.forwarded(request))


class SwitchTests(TunnelCase):
    """What an instance may answer."""

    def test_refused_offer_is_an_ordinary_answer(self) -> None:
        """And what the client sent meanwhile is its next request, and no word in a tunnel."""
        rig = self.rig()
        client = rig.ask(WEBSOCKET + GET)
        upstream = rig.accept()
        self.assertNotIn(b"GET / ", upstream.take())
        upstream.deliver(OK)
        self.assertEqual(status_of(client.take()), 200)
        self.assertTrue(upstream.take().startswith(b"GET / "))
        upstream.deliver(OK)
        self.assertEqual(status_of(client.take()), 200)

    def test_101_is_relayed_in_its_canonical_form(self) -> None:
        """Its own headers pass, but for those of the connection."""
        rig = self.rig()
        client = rig.ask(WEBSOCKET)
        rig.accept().deliver(
            b"HTTP/1.1 101 Come\r\nUpgrade: WebSocket\r\nConnection: upgrade, X-Hop\r\nX-Hop: 1\r\n"
            b"Sec-WebSocket-Accept: a\r\nKeep-Alive: timeout=5\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        self.assertEqual(
            client.take(),
            b"HTTP/1.1 101 Come\r\nSec-WebSocket-Accept: a\r\n"
            b"Connection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n",
        )

    def test_101_that_nobody_asked_for_is_no_answer(self) -> None:
        """Not offered, or another protocol than was."""
        for request, switch in (
            (GET, SWITCHED),
            (WEBSOCKET, SWITCH % b"irc"),
            (WEBSOCKET, SWITCH % b"websocket, irc"),
            (WEBSOCKET, b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\n\r\n"),
            (WEBSOCKET, SWITCH % "wébsocket".encode()),
        ):
            rig = self.rig()
            client = rig.ask(request)
            upstream = rig.accept()
            upstream.deliver(switch)
            self.assertEqual(status_of(client.sent), 502)
            self.assertEqual(upstream.ended, "aborted")

    def test_nothing_is_lost_around_the_101(self) -> None:
        """Words of the client that came early, and of the instance that came with it."""
        rig = self.rig()
        client = rig.ask(WEBSOCKET)
        client.deliver(masked(b"early"))
        upstream = rig.accept()
        self.assertTrue(upstream.take().endswith(b"\r\n\r\n"), "nothing before the 101")
        upstream.deliver(SWITCHED + text(b"hello"))
        self.assertTrue(client.take().endswith(b"\r\n\r\n" + text(b"hello")))
        self.assertEqual(upstream.take(), masked(b"early"))

    def test_interim_answers_may_come_before(self) -> None:
        """A 103 and then the 101."""
        rig = self.rig()
        client = rig.ask(WEBSOCKET)
        upstream = rig.accept()
        upstream.deliver(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + SWITCHED)
        sent = client.take()
        self.assertIn(b"103 Early Hints", sent)
        self.assertIn(b"101 Switching", sent)


class RelayTests(TunnelCase):
    """Bytes both ways."""

    def test_bytes_pass_as_they_come(self) -> None:
        """Whatever they are."""
        rig = self.rig(route(policies={"upgrade": {"protocols": ["irc"]}}))
        client, upstream = self.open(rig, OFFER % b"irc", SWITCH % b"irc")
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\0\xff" * 1000, b"\r\n"):
            client.deliver(data)
            self.assertEqual(upstream.take(), data)
            upstream.deliver(data)
            self.assertEqual(client.take(), data)

    def test_slow_reader_pauses_the_other_side(self) -> None:
        """In both directions."""
        client, upstream = self.open(self.rig())
        client.block()
        self.assertFalse(upstream.is_reading)
        client.unblock()
        self.assertTrue(upstream.is_reading)
        upstream.block()
        self.assertFalse(client.is_reading)
        upstream.unblock()
        self.assertTrue(client.is_reading)

    def test_limit_of_bodies_is_none_of_a_tunnel(self) -> None:
        """There is no body."""
        rig = self.rig(route(policies={"limits": {"max_request_body": 10}}))
        client, upstream = self.open(rig)
        client.deliver(masked(b"a" * 100))
        self.assertEqual(upstream.take(), masked(b"a" * 100))

    def test_end_of_one_side_is_passed_on_and_the_other_goes_on(self) -> None:
        """Whichever ends first."""
        for first_of, second_of in (((0, 1), (1, 0)), ((1, 0), (0, 1))):
            ends = self.open(self.rig())
            first, second = ends[first_of[0]], ends[second_of[0]]
            first.half_close()
            self.assertEqual(second.ended, "half-closed")
            second.deliver(text(b"more"))
            self.assertEqual(first.take(), text(b"more"))
            second.half_close()
            self.assertEqual((first.ended, second.ended), ("closed", "closed"))

    def test_bytes_without_frames_that_are_cut_are_broken_off(self) -> None:
        """Without the end that TLS has they may lack something, which the other side is to see."""
        irc = route(policies={"upgrade": {"protocols": ["irc", "websocket"]}})
        for cut, other, code in ((0, 1, "client_gone_in_response"), (1, 0, "tunnel_broken")):
            rig = self.rig(irc)
            ends = self.open(rig, OFFER % b"irc", SWITCH % b"irc")
            ends[cut].half_close(is_cut=True)
            self.assertEqual(ends[other].ended, "aborted")
            self.assertEqual(errors_of(rig), {code: 1})
            ends = self.open(rig, OFFER % b"irc", SWITCH % b"irc")
            ends[other].half_close()
            ends[cut].half_close(is_cut=True)
            self.assertEqual((ends[0].ended, ends[1].ended), ("closed", "closed"))
            ends = self.open(rig)
            ends[cut].half_close(is_cut=True)
            self.assertEqual(ends[other].ended, "half-closed")

    def test_client_that_is_gone_cancels_the_instance(self) -> None:
        """And the other way round the client is cut off."""
        client, upstream = self.open(self.rig())
        client.lose(ConnectionResetError())
        self.assertEqual(upstream.ended, "aborted")
        client, upstream = self.open(self.rig())
        upstream.lose(ConnectionResetError())
        self.assertEqual(client.ended, "aborted")

    def test_side_that_closes_both_ways_is_heard_to_the_end(self) -> None:
        """Twisted's TLS knows no half of an end; what was said before it still leaves."""
        rig = self.rig()
        client, upstream = self.open(rig)
        client.deliver(masked(b"bye"))
        client.lose()
        self.assertEqual((upstream.take(), upstream.ended), (masked(b"bye"), "closed"))
        client, upstream = self.open(rig)
        upstream.deliver(text(b"bye"))
        upstream.lose()
        self.assertEqual((client.take(), client.ended), (text(b"bye"), "closed"))
        self.assertEqual(errors_of(rig), {})

    def test_tunnel_takes_no_place_of_the_pool(self) -> None:
        """Requests to the same instance are not kept waiting by those who listen."""
        rig = self.rig(upstream_max_connections=1)
        tunnels = [self.open(rig) for _ in range(3)]
        client = rig.ask()
        rig.accept().deliver(OK)
        self.assertEqual(status_of(client.sent), 200)
        self.assertEqual(rig.counters()["upstream_connections_now"], 4)
        for one, _ in tunnels:
            one.lose()
        rig.settle()
        self.assertEqual(rig.counters()["upstream_connections_now"], 1)


class EndTests(TunnelCase):
    """How the gateway ends a tunnel."""

    def assert_told(self, client: Transport, upstream: Transport) -> None:
        self.assertEqual(client.take(), TO_CLIENT)
        self.assertTrue(is_close_frame(upstream.take()))

    def test_silence_ends_it(self) -> None:
        """Words of either side start the time anew, whatever the exchange's other timeouts."""
        policies = {"timeouts": {"tunnel": 5.0, "total": 1.0, "idle": 1.0}}
        rig = self.rig(route(policies=policies))
        client, upstream = self.open(rig)
        for end in (client, upstream, client):
            rig.advance(4)
            end.deliver(text(b"still here"))
        client.take(), upstream.take()
        rig.advance(4)
        self.assertEqual(client.take(), b"")
        rig.advance(1.2)
        self.assert_told(client, upstream)
        self.assertIsNone(client.ended)
        rig.advance(5.2)
        self.assertEqual((client.ended, upstream.ended), ("aborted", "aborted"))
        self.assertEqual(errors_of(rig), {"tunnel_idle_timeout": 1})

    def test_peers_that_end_when_told_are_not_broken_off(self) -> None:
        """A close frame is answered by one, and then by the end of the connection."""
        rig = self.rig(route(policies={"timeouts": {"tunnel": 5.0}}))
        client, upstream = self.open(rig)
        rig.advance(5.2)
        self.assert_told(client, upstream)
        client.deliver(b"\x88\x82\0\0\0\0\x03\xe9")
        upstream.deliver(TO_CLIENT)
        self.assertEqual((client.take(), upstream.take()), (b"", b""), "each has had its own")
        client.half_close()
        upstream.half_close()
        self.assertEqual((client.ended, upstream.ended), ("closed", "closed"))

    def test_what_is_not_passed_on_does_not_count(self) -> None:
        """To the client, that is: the end counts, and nothing that the instance says after it."""
        rig = self.rig(route(policies={"timeouts": {"tunnel": 5.0}}))
        client, upstream = self.open(rig)
        upstream.deliver(text(b"hello"))
        rig.advance(5.2)
        upstream.deliver(text(b"more"))
        client.half_close()
        upstream.half_close()
        [one] = [one for name, one in rig.plane.counters()["services"].items() if name]
        self.assertEqual(one["sent"][-1], len(client.take()))

    def test_frame_under_way_is_not_broken(self) -> None:
        """The close frame waits for its end, and nothing follows."""
        rig = self.rig(route(policies={"timeouts": {"tunnel": 5.0}}))
        client, upstream = self.open(rig)
        upstream.deliver(text(b"hello")[:3])
        client.take()
        rig.advance(5.2)
        self.assertEqual(client.take(), b"")
        upstream.deliver(text(b"hello")[3:] + text(b"more"))
        self.assertEqual(client.take(), b"ello" + TO_CLIENT)
        upstream.deliver(text(b"and more"))
        self.assertEqual(client.take(), b"")

    def test_other_protocols_are_just_closed(self) -> None:
        """Nobody here knows how they say goodbye."""
        policies = {"timeouts": {"tunnel": 5.0}, "upgrade": {"protocols": ["irc"]}}
        rig = self.rig(route(policies=policies))
        client, upstream = self.open(rig, OFFER % b"irc", SWITCH % b"irc")
        rig.advance(5.2)
        self.assertEqual((client.ended, upstream.ended), ("half-closed", "half-closed"))
        rig.advance(5.2)
        self.assertEqual((client.ended, upstream.ended), ("aborted", "aborted"))

    def test_way_that_one_side_has_ended_is_ended_once(self) -> None:
        """Also where both are told to end after that: who still speaks has its moment."""
        policies = {"timeouts": {"tunnel": 5.0}, "upgrade": {"protocols": ["irc"]}}
        for order in (1, -1):
            rig = self.rig(route(policies=policies))
            first, second = self.open(rig, OFFER % b"irc", SWITCH % b"irc")[::order]
            first.half_close()
            rig.advance(5.2)
            self.assertEqual((first.ended, second.ended), ("half-closed", "half-closed"))
            second.half_close()
            self.assertEqual((first.ended, second.ended), ("closed", "closed"))
            self.assertEqual(errors_of(rig), {"tunnel_idle_timeout": 1})

    def test_instance_that_breaks_off_when_told_to_end_is_not_to_blame(self) -> None:
        """It was asked to."""
        policies = {"timeouts": {"tunnel": 5.0}, "upgrade": {"protocols": ["irc"]}}
        rig = self.rig(route(policies=policies))
        client, upstream = self.open(rig, OFFER % b"irc", SWITCH % b"irc")
        rig.advance(5.2)
        upstream.lose(ConnectionLost())
        self.assertEqual(client.ended, "closed")
        self.assertEqual(errors_of(rig), {"tunnel_idle_timeout": 1})

    def test_it_outlives_configurations_with_its_route_and_instance(self) -> None:
        """Others may change, and so may they."""
        rig = self.rig()
        client, upstream = self.open(rig)
        rig.apply(*plain(service("other"), route("r", "/elsewhere/{**rest}")))
        rig.advance(1)
        client.deliver(masked(b"still here"))
        self.assertEqual(upstream.take(), masked(b"still here"))

    def test_it_ends_with_its_route_or_instance(self) -> None:
        """The configuration no longer wants it."""

        def retire(rig: Rig) -> None:
            (tunnel,) = rig.plane._state.tunnels
            tunnel._instance.retired = True
            rig.apply(*plain())

        removals: list[Callable[[Rig], Any]] = [
            lambda rig: rig.apply(service(), instance(), route("another")),
            lambda rig: rig.apply(service(), instance(), route(enabled=False)),
            retire,
        ]
        for remove in removals:
            rig = self.rig()
            client, upstream = self.open(rig)
            remove(rig)
            rig.advance(0.3)
            self.assert_told(client, upstream)
            client.half_close()
            upstream.half_close()
            self.assertEqual(errors_of(rig), {"tunnel_withdrawn": 1})

    def test_drain_ends_tunnels_bit_by_bit(self) -> None:
        """Not all in one moment, since all come back; and all within half of the deadline."""
        rig = self.rig()
        tunnels = [self.open(rig) for _ in range(100)]
        drained = rig.plane.start_draining(10)
        rig.advance(2)
        told = sum(client.sent == TO_CLIENT for client, _ in tunnels)
        self.assertTrue(30 <= told <= 50, told)
        rig.advance(3.1)
        self.assertTrue(all(client.sent == TO_CLIENT for client, _ in tunnels))
        self.assertFalse(drained.called)
        for client, upstream in tunnels:
            client.half_close()
            upstream.half_close()
        rig.advance(0.2)
        self.assertTrue(drained.called)
