"""A client's connection: keep-alive, pipelining, limits, drain."""

from __future__ import annotations

import resource

from twisted.internet.error import ConnectionLost

from fengling_gateway.dataplane import http1_downstream
from fengling_gateway.dataplane.accepting import connection_cap
from fengling_gateway.dataplane.counters import LATENCY_BOUNDS
from fengling_gateway.http.forward_error import ForwardError
from tests.dataplane.rig import GET, OK, Transport, head_of, status_of
from tests.dataplane.snapshots import answering_route
from tests.dataplane.test_forwarding import RigCase

HI = answering_route("hi", "/hi", respond={"status": 200, "headers": {}, "body": "hi"})
GET_HI = b"GET /hi HTTP/1.1\r\nHost: h\r\n\r\n"


class KeepAliveTests(RigCase):
    """Connections between requests."""

    def test_second_request_is_served(self) -> None:
        """A connection carries one request after another."""
        rig = self.rig(HI)
        client = rig.ask(GET_HI)
        first = client.take()
        client.deliver(GET_HI)
        self.assertEqual(head_of(first), head_of(client.take()))

    def test_client_that_wants_to_close_is_closed(self) -> None:
        """Connection: close is heeded, and said back."""
        client = self.rig(HI).ask(b"GET /hi HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        self.assertEqual(head_of(client.sent)[b"connection"], b"close")
        self.assertEqual(client.ended, "closed")

    def test_old_client_is_closed(self) -> None:
        """HTTP/1.0 ends its connection unless it asks otherwise."""
        client = self.rig(HI).ask(b"GET /hi HTTP/1.0\r\n\r\n")
        self.assertEqual(client.ended, "closed")

    def test_idle_connection_is_closed_silently(self) -> None:
        """A client that thinks too long finds its connection closed."""
        rig = self.rig(HI, keepalive_idle=5.0)
        client = rig.ask(GET_HI)
        client.take()
        rig.advance(4.8)
        self.assertIsNone(client.ended)
        rig.advance(0.4)
        self.assertEqual((client.sent, client.ended), (b"", "closed"))

    def test_requests_per_connection_are_limited(self) -> None:
        """The last request that a connection may carry is told so."""
        client = self.rig(HI, keepalive_requests=2).ask(GET_HI)
        self.assertNotIn(b"connection", head_of(client.take()))
        client.deliver(GET_HI)
        self.assertEqual(head_of(client.take())[b"connection"], b"close")
        self.assertEqual(client.ended, "closed")

    def test_age_of_a_connection_is_limited(self) -> None:
        """The first request after an hour, a tenth more or less, is the last."""
        rig = self.rig(HI, keepalive_idle=5000.0)
        client = rig.ask(GET_HI)
        rig.advance(3200)
        client.take()
        client.deliver(GET_HI)
        self.assertNotIn(b"connection", head_of(client.take()))
        rig.advance(800)
        client.deliver(GET_HI)
        self.assertEqual(head_of(client.take())[b"connection"], b"close")


class HeadTests(RigCase):
    """Heads on their way in."""

    def test_head_in_pieces(self) -> None:
        """A head may come byte by byte."""
        client = self.rig(HI).client()
        for byte in GET_HI:
            self.assertEqual(client.sent, b"")
            client.deliver(bytes([byte]))
        self.assertEqual(status_of(client.sent), 200)

    def test_empty_lines_before_a_request_are_ignored(self) -> None:
        """Old clients send an empty line after a body (RFC 9112, 2.2)."""
        client = self.rig(HI).client()
        client.deliver(b"\r\n")
        client.deliver(b"\r\n\r\n" + GET_HI[:10])
        client.deliver(GET_HI[10:])
        self.assertEqual(status_of(client.sent), 200)

    def test_empty_lines_are_not_forwarded(self) -> None:
        """An empty line that comes with its request is no part of the method."""
        rig = self.rig()
        rig.ask(b"\r\n\r\n" + GET)
        self.assertTrue(rig.accept().sent.startswith(b"GET / HTTP/1.1\r\n"))

    def test_odd_line_ends_before_a_request_are_refused(self) -> None:
        """Half an empty line is none."""
        for prefix in [b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\n"]:
            client = self.rig(HI).ask(prefix + GET_HI)
            self.assertEqual(status_of(client.sent), 400, prefix)

    def test_slow_head_is_408(self) -> None:
        """The deadline of a head is absolute: trickling does not put it off."""
        for served in [False, True]:
            rig = self.rig(HI)
            client = rig.ask(GET_HI) if served else rig.client()
            client.take()
            for byte in GET_HI[:20]:
                if client.ended is None:
                    client.deliver(bytes([byte]))
                    rig.advance(0.6)
            self.assertEqual(status_of(client.sent), 408)
            self.assertEqual(head_of(client.sent)[b"x-gateway-error"], b"header_timeout")
            self.assertEqual(client.ended, "half-closed")

    def test_silent_client_is_closed(self) -> None:
        """A connection that never says anything is closed after the same time."""
        rig = self.rig()
        client = rig.client()
        rig.advance(10.2)
        self.assertEqual((client.sent, client.ended), (b"", "closed"))

    def test_limits(self) -> None:
        """Each limit holds at its last byte, and refuses one more."""
        small = {"max_head_bytes": 512, "max_header_line_bytes": 128, "max_headers": 5}
        line = b"X: " + b"y" * 123 + b"\r\n"

        def target(size: int) -> bytes:
            return b"GET /" + b"x" * (size - 1) + b" HTTP/1.1\r\nHost: h\r\n\r\n"

        def head(size: int) -> bytes:
            start = b"GET / HTTP/1.1\r\nHost: h\r\n" + 3 * line
            rest = size - len(start) - 2
            return start + b"X: " + b"y" * (rest - 5) + b"\r\n\r\n"

        for request, status in [
            (target(64), None),
            (target(65), 414),
            (target(5000), 414),
            (head(512), None),
            (head(513), 431),
            (b"GET / HTTP/1.1\r\nHost: h\r\n" + line + b"\r\n", None),
            (b"GET / HTTP/1.1\r\nHost: h\r\nX" + line + b"\r\n", 431),
            (b"GET / HTTP/1.1\r\nHost: h\r\n" + 4 * b"X: y\r\n" + b"\r\n", None),
            (b"GET / HTTP/1.1\r\nHost: h\r\n" + 5 * b"X: y\r\n" + b"\r\n", 431),
            (b"GET / HTTP/1.1\r\nX: " + 600 * b"y", 431),
            (b"GET /" + 600 * b"y", 414),
        ]:
            rig = self.rig(max_target_bytes=64, **small)
            client = rig.ask(request)
            self.assertEqual(status_of(client.sent) if client.sent else None, status, request)

    def test_bare_line_feeds_are_refused_at_once(self) -> None:
        """A head with bare LF has no end that we know: it is refused, not waited for."""
        client = self.rig().ask(b"GET / HTTP/1.1\nHost: h\n\n")
        self.assertEqual(status_of(client.sent), 400)

    def test_identity_of_hosts(self) -> None:
        """Exactly one valid host is needed."""
        for lines in [
            b"",
            b"Host: a\r\nHost: a\r\n",
            b"Host:\r\n",
            b"Host: a b\r\n",
            b"Host: a,b\r\n",
            b"Host: u@a\r\n",
            b"Host: a/b\r\n",
            b"Host: a:b\r\n",
        ]:
            client = self.rig().ask(b"GET / HTTP/1.1\r\n%b\r\n" % lines)
            self.assertEqual(status_of(client.sent), 400, lines)
            self.assertEqual(head_of(client.sent)[b"x-gateway-error"], b"invalid_host")
        client = self.rig().ask(b"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n")
        self.assertEqual(head_of(client.sent)[b"x-gateway-error"], b"invalid_host")


class PipeliningTests(RigCase):
    """Requests that come before the answer."""

    def test_answers_come_in_order(self) -> None:
        """One exchange at a time; the rest waits, and is served."""
        rig = self.rig(HI)
        client = rig.ask(GET + GET_HI + GET)
        upstream = rig.accept()
        self.assertEqual(upstream.take().count(b"GET / "), 1)
        upstream.deliver(OK)
        self.assertEqual(client.sent.count(b"HTTP/1.1 200 OK"), 2)
        self.assertEqual(upstream.take().count(b"GET / "), 1)
        upstream.deliver(OK)
        self.assertEqual(client.sent.count(b"HTTP/1.1 200 OK"), 3)
        self.assertIsNone(client.ended)

    def test_many_answers_of_our_own_need_no_stack(self) -> None:
        """A thousand requests in one read are a loop."""
        rig = self.rig(HI, keepalive_requests=2000)
        client = rig.ask(1000 * GET_HI)
        self.assertEqual(client.sent.count(b"HTTP/1.1 200 OK"), 1000)

    def test_request_after_a_body(self) -> None:
        """What follows a body is the next request, whatever the framing."""
        for request in [
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab",
            b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        ]:
            rig = self.rig(HI)
            client = rig.ask(request + GET_HI)
            upstream = rig.accept()
            self.assertIn(b"ab", upstream.sent)
            self.assertNotIn(b"/hi", upstream.sent)
            upstream.deliver(OK)
            self.assertEqual(client.sent.count(b"HTTP/1.1 200 OK"), 2)

    def test_what_waits_is_bounded(self) -> None:
        """A client that pipelines without end is not read without end."""
        rig = self.rig(HI, high_water_bytes=1000)
        client = rig.ask()
        delivered = 0
        while client.is_reading:
            client.deliver(GET_HI)
            delivered += len(GET_HI)
        self.assertLess(delivered, 1000 + len(GET_HI))
        rig.accept().deliver(OK)
        self.assertTrue(client.is_reading)
        self.assertGreater(client.sent.count(b"HTTP/1.1 200 OK"), 20)

    def test_nothing_is_answered_into_a_full_buffer(self) -> None:
        """A client that reads nothing is not served any further."""
        rig = self.rig(HI)
        client = rig.ask(GET_HI)
        client.block()
        client.take()
        client.deliver(GET_HI + GET_HI)
        self.assertEqual(client.sent, b"")
        client.unblock()
        self.assertEqual(client.sent.count(b"HTTP/1.1 200 OK"), 2)

    def test_nothing_follows_a_refusal(self) -> None:
        """After a bad request, what looks like a good one is not served."""
        client = self.rig(HI).ask(b"GET / HTTP/1.1\r\n\r\n" + GET_HI)
        self.assertEqual(client.sent.count(b"HTTP/1.1 "), 1)

    def test_half_closed_client_gets_all_its_answers(self) -> None:
        """Requests that came before the end are served before the end."""
        rig = self.rig(HI)
        client = rig.ask(GET + GET_HI)
        client.half_close()
        rig.accept().deliver(OK)
        self.assertEqual(client.sent.count(b"HTTP/1.1 200 OK"), 2)
        self.assertEqual(client.ended, "closed")


class LingeringTests(RigCase):
    """Closing on a client that is still sending."""

    def refused(self) -> tuple[object, Transport]:
        rig = self.rig()
        client = rig.ask(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\nx")
        self.assertEqual(status_of(client.sent), 413)
        self.assertEqual(client.ended, "half-closed")
        return rig, client

    def test_client_that_goes_on_is_read_a_little(self) -> None:
        """Its answer must not be lost to a reset; but it is not read for ever."""
        rig, client = self.refused()
        client.deliver(60000 * b"x")
        self.assertTrue(client.is_reading)
        client.deliver(60000 * b"x")
        self.assertFalse(client.is_reading)
        rig.advance(1.2)  # type: ignore[attr-defined]
        self.assertEqual(client.ended, "closed")

    def test_client_that_closes_is_closed(self) -> None:
        """Once the client has ended, nothing is waited for."""
        _, client = self.refused()
        client.half_close()
        self.assertEqual(client.ended, "closed")

    def test_answer_that_never_leaves_is_aborted(self) -> None:
        """A last answer of which nothing is read has half a minute."""
        rig = self.rig(HI)
        client = rig.client()
        client.lose = lambda *_: None  # type: ignore[method-assign]
        client.deliver(b"GET /hi HTTP/1.0\r\n\r\n")
        self.assertEqual(client.ended, "closed")
        aborted = []
        client.abortConnection = lambda: aborted.append(1)  # type: ignore[method-assign]
        rig.advance(30.2)
        self.assertEqual(aborted, [1])
        del client.lose
        client.lose()

    def test_answer_that_leaves_slowly_has_longer(self) -> None:
        """As long as some of it is read, it goes on."""
        rig = self.rig(HI)
        client = rig.client()
        client.lose = lambda *_: None  # type: ignore[method-assign]
        unread = [900]
        self.patch(http1_downstream, "has_unsent", lambda _: True)
        self.patch(http1_downstream, "backlog", lambda _: unread[-1])
        client.deliver(b"GET /hi HTTP/1.0\r\n\r\n")
        aborted = []
        client.abortConnection = lambda: aborted.append(1)  # type: ignore[method-assign]
        for left in (800, 1):
            unread.append(left)
            rig.advance(30.2)
            self.assertEqual(aborted, [])
        rig.advance(30.2)
        self.assertEqual(aborted, [1])
        del client.lose
        client.lose()


class DrainTests(RigCase):
    """Leaving."""

    def test_idle_clients_are_closed_and_others_after_their_answers(self) -> None:
        """What runs ends; what is idle is closed; then the drain is over."""
        rig = self.rig(HI)
        idle = rig.ask(GET_HI)
        rig.advance(2)
        busy = rig.ask()
        drained = rig.plane.start_draining(10.0)
        self.assertEqual(idle.ended, "closed")
        self.assertNoResult(drained)
        rig.accept().deliver(OK)
        self.assertEqual(head_of(busy.sent)[b"connection"], b"close")
        rig.settle()
        self.successResultOf(drained)

    def test_busy_client_is_told_by_its_next_answer(self) -> None:
        """A client that asked a moment ago may be asking now: it is answered first."""
        rig = self.rig(HI)
        client = rig.ask(GET_HI)
        client.take()
        drained = rig.plane.start_draining(10.0)
        rig.advance(0.5)
        self.assertIsNone(client.ended)
        client.deliver(GET_HI)
        self.assertEqual(head_of(client.sent)[b"connection"], b"close")
        rig.settle()
        self.successResultOf(drained)

    def test_clients_are_sent_away_and_served_all_the_same(self) -> None:
        """Idle ones stay until they ask; who comes is taken; and all of it can be taken back."""
        rig = self.rig(HI)
        idle = rig.ask(GET_HI)
        idle.take()
        rig.plane.send_away(True)
        rig.advance(5)
        self.assertIsNone(idle.ended)
        for client in (idle, rig.client()):
            client.deliver(GET_HI)
            self.assertEqual(status_of(client.sent), 200)
            self.assertEqual(head_of(client.sent)[b"connection"], b"close")
            self.assertEqual(client.ended, "closed")
        rig.plane.send_away(False)
        back = rig.ask(GET_HI)
        self.assertNotIn(b"connection", head_of(back.sent))
        self.assertIsNone(back.ended)

    def test_a_worker_that_leaves_can_not_be_taken_back(self) -> None:
        """Its connections end, whatever becomes of its node."""
        rig = self.rig(HI)
        client = rig.ask(GET_HI)
        client.take()
        drained = rig.plane.start_draining(10.0)
        rig.plane.send_away(False)
        client.deliver(GET_HI)
        self.assertEqual(head_of(client.sent)[b"connection"], b"close")
        rig.settle()
        self.successResultOf(drained)

    def test_deadline_ends_what_is_left(self) -> None:
        """After the deadline the rest is broken off."""
        rig = self.rig()
        waiting = rig.ask()
        answered = rig.ask()
        rig.accept()
        rig.accept().deliver(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
        drained = rig.plane.start_draining(2.0)
        rig.advance(2.2)
        self.assertEqual(status_of(waiting.sent), 503)
        self.assertEqual(head_of(waiting.sent)[b"x-gateway-error"], b"drain_deadline")
        self.assertEqual(answered.ended, "aborted")
        self.successResultOf(drained)

    def test_deadline_holds_whatever_is_left(self) -> None:
        """A connection that can't be ended, or fails at it, puts nothing off."""
        rig = self.rig()
        stuck, broken = rig.ask(), rig.ask()
        rig.accept()
        rig.accept()

        def fail() -> None:
            raise RuntimeError("broken")

        broken.loseConnection = broken.abortConnection = fail  # type: ignore[method-assign]
        stuck.lose = lambda reason=None: None  # type: ignore[method-assign]
        drained = rig.plane.start_draining(2.0)
        rig.advance(1.8)
        self.assertNoResult(drained)
        rig.advance(0.4)
        self.successResultOf(drained)
        self.assertTrue(self.flushLoggedErrors(RuntimeError))
        for client in (stuck, broken):
            client.is_lost = False
            Transport.lose(client)

    def test_drain_of_nothing_is_over(self) -> None:
        """Without connections there is nothing to wait for."""
        self.successResultOf(self.rig().plane.start_draining(10.0))

    def test_stopping_to_accept_twice_is_harmless(self) -> None:
        """A supervisor may say it again."""
        rig = self.rig()
        rig.port.stop_accepting()
        rig.port.stop_accepting()


class CapTests(RigCase):
    """More clients than descriptors."""

    def test_clients_beyond_the_cap_are_told(self) -> None:
        """A connection too many is answered at once, without reading from it."""
        rig = self.rig(HI, max_connections=1)
        first = rig.client()
        second = rig.client()
        self.assertEqual(status_of(second.sent), 503)
        self.assertEqual(
            head_of(second.sent)[b"x-gateway-error"], ForwardError.CONNECTION_LIMIT.code.encode()
        )
        self.assertEqual(second.ended, "closed")
        self.assertEqual(rig.counters()["connections_refused"], 1)
        first.lose(ConnectionLost())
        rig.settle()
        self.assertEqual(status_of(rig.ask(GET_HI).sent), 200)

    def test_cap_follows_the_descriptor_limit(self) -> None:
        """Each client may need a connection to an instance, and some are kept back."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.assertEqual(connection_cap(), max((soft - 256) // 2, 16))


class ClockTests(RigCase):
    """What depends on the time."""

    def test_latency_is_counted(self) -> None:
        """The time from head to answer falls into its bucket."""
        rig = self.rig()
        rig.ask()
        rig.reactor.advance(0.3)
        rig.accept().deliver(OK)
        latency = rig.counters()["services"]["s"]["latency"]
        self.assertAlmostEqual(latency[-1], 0.3)
        self.assertEqual(latency[LATENCY_BOUNDS.index(0.5)], 1)
        self.assertEqual(rig.counters()["requests"], [["r", "s", [0, 0, 1, 0, 0, 0], {}]])
