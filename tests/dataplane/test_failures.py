"""What happens when an instance, a client or the clock does the wrong thing."""

from __future__ import annotations

from tempfile import NamedTemporaryFile

from twisted.internet.error import ConnectionLost

from fengling_gateway.http.forward_error import ForwardError
from tests.dataplane.rig import GET, OK, Rig, Transport, body_of, head_of, status_of
from tests.dataplane.snapshots import (
    answering_route,
    instance,
    make_snapshot,
    plain,
    route,
    service,
    setting,
    tenant,
)
from tests.dataplane.test_forwarding import RigCase

POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab"


class FailureCase(RigCase):
    """A test that ends with a failure having been told and counted."""

    def assert_failed(self, rig: Rig, client: Transport, error: ForwardError) -> None:
        """The client was told of `error`, and it was counted once."""
        self.assertEqual(status_of(client.sent), error.status)
        self.assertEqual(head_of(client.sent)[b"x-gateway-error"], error.code.encode())
        self.assert_counted(rig, error)

    def assert_counted(self, rig: Rig, error: ForwardError) -> None:
        counted = [row[3] for row in rig.counters()["requests"] if row[3]]
        self.assertEqual(counted, [{error.code: 1}])

    def reused(self, rig: Rig) -> tuple[Transport, Transport]:
        """A client and an instance that have had one exchange."""
        client = rig.ask()
        upstream = rig.accept()
        upstream.deliver(OK)
        client.take()
        upstream.take()
        return client, upstream


class ConnectTests(FailureCase):
    """Instances that cannot be reached."""

    def test_refused_connection_tries_another_instance(self) -> None:
        """Nothing was sent, so even a POST goes to another instance."""
        rig = self.rig(instance("j", address="http://192.0.2.2:80"))
        client = rig.ask(POST)
        rig.refuse()
        self.assertEqual(len(set(rig.dials)), 2)
        upstream = rig.accept()
        self.assertEqual(body_of(upstream.sent), b"ab")
        upstream.deliver(OK)
        self.assertEqual(status_of(client.sent), 200)
        self.assertEqual(rig.counters()["retries"], 1)

    def test_attempts_are_limited(self) -> None:
        """After the attempts of the route's policy the client is told."""
        rig = self.rig(*[instance(f"i{n}", address=f"http://192.0.2.{n}:80") for n in range(9)])
        client = rig.ask()
        rig.refuse()
        rig.refuse()
        self.assertEqual(len(rig.dials), 2)
        self.assert_failed(rig, client, ForwardError.CONNECT_FAILED)
        self.assertIsNone(client.ended)

    def test_only_instance_is_not_tried_twice(self) -> None:
        """Where there is no other instance, the first failure is the answer."""
        rig = self.rig()
        client = rig.ask()
        rig.refuse()
        self.assert_failed(rig, client, ForwardError.CONNECT_FAILED)
        self.assertEqual(rig.counters()["upstream_connections_now"], 0)

    def test_slow_connection_times_out(self) -> None:
        """Connecting has a deadline of its own; then another instance is tried, then 504."""
        rig = self.rig(instance("j", address="http://192.0.2.2:80"), service(connect_timeout=1.0))
        client = rig.ask()
        rig.advance(1.2)
        self.assertEqual(len(rig.dials), 2)
        rig.advance(1.2)
        self.assert_failed(rig, client, ForwardError.CONNECT_TIMEOUT)
        self.assertEqual(
            [connector.state for connector in rig.reactor.connectors], ["disconnected"] * 2
        )
        self.assertEqual(rig.counters()["upstream_connects_failed"], 2)
        self.assertEqual(rig.counters()["upstream_connections_now"], 0)

    def test_timeout_of_the_route_while_connecting(self) -> None:
        """The limit of the whole exchange is told in the same way, and the client may go on."""
        rig = self.rig(route(policies={"timeouts": {"total": 1.0}}))
        client = rig.ask()
        rig.advance(1.2)
        self.assert_failed(rig, client, ForwardError.TOTAL_TIMEOUT)
        self.assertEqual(rig.counters()["upstream_connections_now"], 0)
        client.take()
        client.deliver(GET)
        rig.accept().deliver(OK)
        self.assertEqual(status_of(client.sent), 200)

    def test_connection_that_comes_too_late_is_closed(self) -> None:
        """A connection nobody waits for any more carries nothing."""
        rig = self.rig(service(connect_timeout=1.0))
        rig.ask()
        rig.reactor.connectors[0].state = "connected"  # and its protocol is not told yet
        rig.advance(1.2)
        late = rig.accept()
        self.assertEqual((late.sent, late.ended), (b"", "closed"))

    def test_secure_instance_is_never_sent_plain_text(self) -> None:
        """An https address is connected to by TLS, for its own name."""
        hosts = self.enterContext(NamedTemporaryFile("w"))
        hosts.write("192.0.2.9 secure.example\n")
        hosts.flush()
        rig = self.rig(instance(address="https://secure.example:8443"), dns_hosts=hosts.name)
        client = rig.ask()
        self.assertEqual(rig.dials, [("192.0.2.9", 8443)])
        upstream = rig.accept()
        self.assertEqual(upstream.sent[:2], b"\x16\x03")
        self.assertIn(b"secure.example", upstream.sent)
        upstream.deliver(OK)
        rig.settle()
        self.assertNotIn(b"HTTP", upstream.sent)
        self.assertIn(b"tls_failed", client.sent)

    def test_connection_that_cannot_even_be_tried(self) -> None:
        """What fails at once is told like any other failure, and takes no place in the pool."""
        rig = self.rig(
            instance(address=f"https://{64 * 's'}:8443"),  # no name that a certificate can have
            upstream_max_connections=2,
        )
        clients = [rig.ask() for _ in range(6)]
        clients.pop().lose()
        rig.settle()
        for _ in clients:
            rig.settle()
        self.assertEqual([status_of(client.sent) for client in clients], [502] * 5)
        self.assertEqual(rig.counters()["upstream_connections_now"], 0)
        self.assertEqual(rig.counters()["upstream_queued_now"], 0)
        client = clients[0]
        client.take()
        client.deliver(GET)
        client.lose()  # with nothing to be given up
        rig.settle()
        self.assertEqual(rig.counters()["upstream_connections_now"], 0)

    def test_in_flight_is_counted_per_instance(self) -> None:
        """An instance knows how many requests it has, and forgets them as they end."""
        rig = self.rig()
        rig.ask()
        client = rig.ask()
        state = rig.plane.snapshot.services.get("s").states[0]
        self.assertEqual(state.in_flight, 2)
        rig.accept().deliver(OK)
        self.assertEqual(state.in_flight, 1)
        client.lose()
        self.assertEqual(state.in_flight, 0)

    def test_instance_that_speaks_first_or_hangs_up_gets_no_request(self) -> None:
        """What it has said would be taken for an answer; another instance may have the request."""
        for said in (OK, b"220 mail\r\n", b""):
            rig = self.rig(instance("j", address="http://192.0.2.2:80"))
            client = rig.ask(POST)
            first = rig.accept(said)
            self.assertEqual((first.sent, first.ended), (b"", "aborted"))
            second = rig.accept()
            second.deliver(OK)
            self.assertEqual(status_of(client.sent), 200)


class PoolTests(FailureCase):
    """Connections that are used again."""

    def test_connection_is_used_again(self) -> None:
        """The next request takes the idle connection."""
        rig = self.rig()
        client, upstream = self.reused(rig)
        client.deliver(GET)
        self.assertEqual(len(rig.dials), 1)
        upstream.deliver(OK)
        self.assertEqual(status_of(client.sent), 200)
        self.assertEqual(rig.counters()["upstream_reused"], 1)

    def test_idle_connection_ages(self) -> None:
        """After the idle time a connection is closed in peace."""
        rig = self.rig()
        _, upstream = self.reused(rig)
        rig.advance(7.8)
        self.assertIsNone(upstream.ended)
        rig.advance(0.4)
        self.assertEqual(upstream.ended, "closed")
        self.assertEqual(rig.counters()["upstream_connections_now"], 0)

    def test_idle_connection_that_closes_is_forgotten(self) -> None:
        """A connection that the instance closes is not used."""
        rig = self.rig()
        client, upstream = self.reused(rig)
        upstream.lose()
        client.deliver(GET)
        self.assertEqual(len(rig.dials), 2)

    def test_bytes_on_an_idle_connection_discard_it(self) -> None:
        """What was not asked for is never given to the next client."""
        rig = self.rig()
        client, upstream = self.reused(rig)
        upstream.deliver(OK)
        self.assertEqual(upstream.ended, "aborted")
        client.deliver(GET)
        self.assertEqual(len(rig.dials), 2)
        self.assertEqual(client.sent, b"")

    def test_dead_connection_is_noticed_before_it_is_used(self) -> None:
        """What the reactor has not reported yet is found by a look at the socket."""
        for request in [GET, POST]:
            for unread in [b"", OK]:
                rig = self.rig()
                client, upstream = self.reused(rig)
                upstream.leave_unread(unread)
                client.deliver(request)
                self.assertEqual((upstream.sent, upstream.ended), (b"", "aborted"))
                rig.accept().deliver(OK)
                self.assertEqual(client.sent, OK)

    def test_dead_connection_is_noticed_after_a_refused_one(self) -> None:
        """The second instance's idle connection is looked at as well before a body is sent on it."""
        rig = self.rig(
            instance("j", address="http://192.0.2.2:80"), service(balancing="round_robin")
        )
        rig.ask()
        idle = rig.accept()
        idle.deliver(OK)
        idle.take()
        idle.leave_unread(b"")
        client = rig.ask(POST.replace(b"POST", b"PUT"))
        rig.refuse()
        self.assertEqual((idle.sent, idle.ended), (b"", "aborted"))
        upstream = rig.accept()
        self.assertEqual(body_of(upstream.sent), b"ab")
        upstream.deliver(OK)
        self.assertEqual(client.sent, OK)

    def test_dead_connection_is_not_given_to_who_waits(self) -> None:
        """An answer that comes with another one ends its connection, and who waits gets a new one."""
        rig = self.rig(upstream_max_connections=1)
        rig.ask()
        client = rig.ask()
        upstream = rig.accept()
        upstream.leave_unread(OK)
        upstream.take()
        upstream.deliver(OK)
        self.assertEqual((upstream.sent, upstream.ended), (b"", "aborted"))
        rig.settle()
        rig.accept().deliver(OK)
        self.assertEqual(client.sent, OK)

    def test_reused_connection_that_dies_is_replaced_once(self) -> None:
        """A GET is sent again, over a new connection, and only once."""
        rig = self.rig()
        client, idle = self.reused(rig)
        client.deliver(GET)
        other = rig.ask()
        busy = rig.accept()
        busy.deliver(OK)
        other.lose()
        idle.lose()
        self.assertEqual(len(rig.dials), 3, "the other idle connection is not trusted either")
        rig.accept().lose()
        self.assert_failed(rig, client, ForwardError.NO_RESPONSE)
        self.assertEqual(rig.counters()["retries"], 1)

    def test_post_is_never_sent_twice(self) -> None:
        """What may have been executed is not repeated."""
        rig = self.rig()
        client, upstream = self.reused(rig)
        client.deliver(POST)
        upstream.lose()
        self.assert_failed(rig, client, ForwardError.NO_RESPONSE)
        self.assertEqual(len(rig.dials), 1)

    def test_request_whose_answer_had_begun_is_never_sent_twice(self) -> None:
        """An interim answer shows that the instance saw the request."""
        rig = self.rig()
        client, upstream = self.reused(rig)
        client.deliver(b"DELETE / HTTP/1.1\r\nHost: h\r\n\r\n")
        upstream.deliver(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
        self.assertTrue(client.take().startswith(b"HTTP/1.1 103"))
        upstream.lose()
        self.assert_failed(rig, client, ForwardError.NO_RESPONSE)
        self.assertEqual(len(rig.dials), 1)

    def test_fresh_connection_that_dies_is_not_retried(self) -> None:
        """An instance that closes a new connection is down, not tired."""
        rig = self.rig()
        client = rig.ask()
        rig.accept().lose()
        self.assert_failed(rig, client, ForwardError.NO_RESPONSE)

    def test_connections_are_bounded(self) -> None:
        """Beyond the bound requests queue, and get the connection that becomes free."""
        rig = self.rig(upstream_max_connections=1)
        first, second = rig.ask(), rig.ask()
        self.assertEqual(len(rig.dials), 1)
        self.assertEqual(rig.counters()["upstream_queued_now"], 1)
        upstream = rig.accept()
        upstream.deliver(OK)
        self.assertEqual(status_of(first.sent), 200)
        self.assertEqual(rig.counters()["upstream_queued_now"], 0)
        upstream.deliver(OK)
        self.assertEqual(status_of(second.sent), 200)

    def test_place_of_a_lost_connection_is_given_on(self) -> None:
        """When a connection is lost, who waits gets a new one."""
        rig = self.rig(upstream_max_connections=1)
        rig.ask()
        second = rig.ask()
        rig.accept().lose()
        rig.accept().deliver(OK)
        self.assertEqual(status_of(second.sent), 200)

    def test_queue_is_bounded(self) -> None:
        """A full queue is 503 at once."""
        rig = self.rig(upstream_max_connections=1, upstream_queue=1)
        rig.ask()
        rig.ask()
        self.assert_failed(rig, rig.ask(), ForwardError.UPSTREAM_BUSY)

    def test_queue_has_a_timeout(self) -> None:
        """Who waits too long is told so."""
        rig = self.rig(upstream_max_connections=1, upstream_queue_timeout=1.0)
        rig.ask()
        client = rig.ask()
        rig.advance(1.2)
        self.assert_failed(rig, client, ForwardError.UPSTREAM_WAIT_TIMEOUT)
        self.assertEqual(head_of(client.sent)[b"retry-after"], b"1")
        self.assertEqual(rig.counters()["upstream_queued_now"], 0)

    def test_idle_connections_are_bounded(self) -> None:
        """No more idle connections are kept than the bound."""
        rig = self.rig(upstream_max_idle=1)
        rig.ask()
        rig.ask()
        first, second = rig.accept(), rig.accept()
        first.deliver(OK)
        second.deliver(OK)
        self.assertEqual((first.ended, second.ended), (None, "closed"))

    def test_connection_that_does_not_close_is_broken_off(self) -> None:
        """An instance that is deaf to the end of its connection keeps nothing of ours."""
        rig = self.rig()
        _, upstream = self.reused(rig)
        upstream.loseConnection = lambda: None  # type: ignore[method-assign]
        rig.advance(8.4)
        self.assertIsNone(upstream.ended)
        self.assertEqual(rig.counters()["upstream_connections_now"], 1)
        rig.advance(5.2)
        self.assertEqual(upstream.ended, "aborted")
        self.assertEqual(rig.counters()["upstream_connections_now"], 0)
        rig.advance(6.0)
        self.assertEqual(rig.counters()["upstream_discarded"], 1)

    def test_connection_with_a_part_of_the_request_unsent_is_not_used_again(self) -> None:
        """An instance that answers without reading may never read the next request either."""
        rig = self.rig()
        client = rig.ask(POST)
        upstream = rig.accept()
        upstream.block()
        upstream.deliver(OK)
        self.assertEqual((status_of(client.sent), upstream.ended), (200, "aborted"))

    def test_instance_that_is_gone_keeps_no_connection(self) -> None:
        """Connections to an instance that left the configuration are closed."""
        rig = self.rig()
        _, upstream = self.reused(rig)
        state = rig.plane.snapshot.services.get("s").states[0]
        state.retired = True
        rig.advance(0.2)
        self.assertEqual(upstream.ended, "closed")
        self.assertIsNone(state.pool or None)


class ResponseTests(FailureCase):
    """Answers that are none."""

    def fails(self, response: bytes, error: ForwardError, request: bytes = GET) -> None:
        """An instance that answers so is not believed."""
        rig = self.rig()
        client = rig.ask(request)
        upstream = rig.accept()
        upstream.deliver(response)
        self.assert_failed(rig, client, error)
        self.assertEqual(upstream.ended, "aborted")

    def test_malformed_heads(self) -> None:
        """A head that is not HTTP/1.x to the letter is 502."""
        for head in [
            b"HTTP/1.1 20 OK\r\n\r\n",
            b"HTTP/2.0 200 OK\r\n\r\n",
            b"garbage\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: a\n\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n X: folded\r\n\r\n",
            b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        ]:
            self.fails(head, ForwardError.MALFORMED_RESPONSE)

    def test_too_large_heads(self) -> None:
        """A head without end is not collected for ever."""
        many = b"".join([b"X-%d: y\r\n" % n for n in range(101)])
        self.fails(b"HTTP/1.1 200 OK\r\n%b\r\n" % many, ForwardError.RESPONSE_HEADERS_TOO_LARGE)
        self.fails(
            b"HTTP/1.1 200 OK\r\nX: " + 33000 * b"y", ForwardError.RESPONSE_HEADERS_TOO_LARGE
        )

    def test_flood_of_interim_answers(self) -> None:
        """Interim answers are limited in number."""
        rig = self.rig()
        client = rig.ask(b"GET / HTTP/1.0\r\n\r\n")
        upstream = rig.accept()
        upstream.deliver(33 * b"HTTP/1.1 103 Early Hints\r\n\r\n")
        self.assert_failed(rig, client, ForwardError.MALFORMED_RESPONSE)
        self.assertEqual(upstream.ended, "aborted")

    def test_second_answer_in_the_same_read(self) -> None:
        """An instance that answers twice has its first answer disbelieved too."""
        self.fails(OK + OK, ForwardError.RESPONSE_TOO_LONG)
        self.fails(OK + b"x", ForwardError.RESPONSE_TOO_LONG)
        self.fails(b"HTTP/1.1 204 No Content\r\n\r\nbody", ForwardError.RESPONSE_TOO_LONG)

    def test_second_answer_later(self) -> None:
        """An answer that comes after the answer reaches nobody."""
        rig = self.rig()
        client = rig.ask()
        upstream = rig.accept()
        upstream.deliver(OK)
        upstream.deliver(OK)
        self.assertEqual(client.sent, OK)
        self.assertEqual(upstream.ended, "aborted")

    def test_broken_chunks_before_anything_was_sent(self) -> None:
        """While the head can be taken back, the client gets a clean 502."""
        self.fails(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            ForwardError.MALFORMED_RESPONSE_BODY,
        )

    def test_broken_chunks_in_the_middle(self) -> None:
        """After that, the client's connection is aborted, never ended cleanly."""
        rig = self.rig()
        client = rig.ask()
        upstream = rig.accept()
        upstream.deliver(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        upstream.deliver(b"xyz\r\n")
        self.assertEqual(client.ended, "aborted")
        self.assertFalse(client.sent.endswith(b"0\r\n\r\n"))
        self.assert_counted(rig, ForwardError.MALFORMED_RESPONSE_BODY)

    def test_answer_that_ends_early(self) -> None:
        """An answer shorter than it said is aborted, whatever its framing."""
        for framing in [b"Content-Length: 5", b"Transfer-Encoding: chunked"]:
            rig = self.rig()
            client = rig.ask()
            upstream = rig.accept()
            upstream.deliver(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n1\r\n" % framing)
            upstream.lose()
            self.assertEqual(client.ended, "aborted")
            self.assert_counted(rig, ForwardError.RESPONSE_TOO_SHORT)

    def test_unframed_answer_that_is_reset(self) -> None:
        """Only a clean close ends an answer of unknown length."""
        rig = self.rig()
        client = rig.ask()
        upstream = rig.accept()
        upstream.deliver(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        upstream.lose(ConnectionLost())
        self.assertEqual(client.ended, "aborted")
        self.assert_counted(rig, ForwardError.RESPONSE_TOO_SHORT)

    def test_close_in_the_middle_of_a_head(self) -> None:
        """Half a head is no answer, and its request is not repeated."""
        rig = self.rig()
        client, upstream = self.reused(rig)
        client.deliver(GET)
        upstream.deliver(b"HTTP/1.1 200 ")
        upstream.lose()
        self.assert_failed(rig, client, ForwardError.MALFORMED_RESPONSE)

    def test_connection_that_shall_close_is_closed(self) -> None:
        """Connections of instances that say so, or speak HTTP/1.0, are not used again."""
        for response in [
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        ]:
            rig = self.rig()
            rig.ask()
            upstream = rig.accept()
            upstream.deliver(response)
            self.assertEqual(upstream.ended, "closed")

    def test_instance_that_closes_during_an_upload(self) -> None:
        """An instance that hangs up on an upload is to blame."""
        rig = self.rig()
        client = rig.ask(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab")
        rig.accept().lose()
        self.assert_failed(rig, client, ForwardError.REQUEST_SEND_FAILED)
        self.assertEqual(client.ended, "half-closed")


class TimeoutTests(FailureCase):
    """Whoever is too slow is told, and blamed."""

    def test_first_byte(self) -> None:
        """An instance that says nothing is 504."""
        rig = self.rig(service(first_byte_timeout=2.0))
        client = rig.ask()
        upstream = rig.accept()
        rig.advance(1.8)
        self.assertEqual(client.sent, b"")
        rig.advance(0.4)
        self.assert_failed(rig, client, ForwardError.FIRST_BYTE_TIMEOUT)
        self.assertEqual(upstream.ended, "aborted")

    def test_first_byte_is_not_put_off_by_interim_answers(self) -> None:
        """An instance cannot buy time with interim answers."""
        rig = self.rig(service(first_byte_timeout=2.0))
        client = rig.ask(b"GET / HTTP/1.0\r\n\r\n")
        upstream = rig.accept()
        rig.advance(1.5)
        upstream.deliver(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        rig.advance(0.7)
        self.assert_failed(rig, client, ForwardError.FIRST_BYTE_TIMEOUT)

    def test_route_overrides_the_service(self) -> None:
        """A route's timeouts win over its service's."""
        rig = self.rig(route(policies={"timeouts": {"first_byte": 1.0}}))
        client = rig.ask()
        rig.accept()
        rig.advance(1.2)
        self.assert_failed(rig, client, ForwardError.FIRST_BYTE_TIMEOUT)

    def test_idle_answer(self) -> None:
        """An answer that stops is aborted; one that trickles goes on for ever."""
        rig = self.rig(service(idle_timeout=2.0))
        client = rig.ask()
        upstream = rig.accept()
        upstream.deliver(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        for _ in range(5):
            rig.advance(1.5)
            upstream.deliver(b"x")
        self.assertIsNone(client.ended)
        rig.advance(2.2)
        self.assertEqual(client.ended, "aborted")
        self.assert_counted(rig, ForwardError.RESPONSE_IDLE_TIMEOUT)

    def test_client_that_stops_reading(self) -> None:
        """A client that takes nothing for the idle time loses its connection."""
        rig = self.rig(service(idle_timeout=2.0))
        client = rig.ask()
        upstream = rig.accept()
        upstream.deliver(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
        client.block()
        self.assertFalse(upstream.is_reading)
        rig.advance(2.2)
        self.assertEqual(client.ended, "aborted")
        self.assert_counted(rig, ForwardError.RESPONSE_SEND_TIMEOUT)

    def test_client_that_stops_sending(self) -> None:
        """A body that stops is 408, and the client's fault."""
        rig = self.rig(service(idle_timeout=2.0))
        client = rig.ask(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab")
        rig.accept()
        rig.advance(2.2)
        self.assert_failed(rig, client, ForwardError.REQUEST_BODY_TIMEOUT)

    def test_instance_that_stops_reading(self) -> None:
        """An instance that does not take the body is 504."""
        rig = self.rig(service(idle_timeout=2.0))
        client = rig.ask(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab")
        upstream = rig.accept()
        upstream.block()
        self.assertFalse(client.is_reading)
        rig.advance(2.2)
        self.assert_failed(rig, client, ForwardError.REQUEST_SEND_TIMEOUT)

    def test_stall_of_our_own(self) -> None:
        """What begins or goes on right after the process was stopped for long has all its time."""
        rig = self.rig(
            service(connect_timeout=1.0, first_byte_timeout=1.0),
            route(policies={"timeouts": {"total": 2.0}}),
        )
        before = rig.ask()
        upstream = rig.accept()
        rig.advance(0.5)
        rig.reactor.rightNow += 60.0  # and events are found before the sweep is due
        after = rig.ask()
        rig.advance(0.3)
        self.assertEqual((before.sent, after.sent), (b"", b""))
        upstream.deliver(OK)
        self.assertEqual(before.sent, OK)
        rig.accept()
        rig.advance(0.9)
        self.assertEqual(after.sent, b"")
        rig.advance(0.3)
        self.assert_failed(rig, after, ForwardError.FIRST_BYTE_TIMEOUT)

    def test_total(self) -> None:
        """A route may limit the whole exchange, whatever moves."""
        rig = self.rig(route(policies={"timeouts": {"total": 3.0}}))
        client = rig.ask()
        upstream = rig.accept()
        upstream.deliver(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        for _ in range(4):
            rig.advance(0.9)
            if client.ended is None:
                upstream.deliver(b"x")
        self.assertEqual(client.ended, "aborted")
        self.assert_counted(rig, ForwardError.TOTAL_TIMEOUT)


class BackPressureTests(FailureCase):
    """Instances that read slowly; `test_back_pressure` has the same with real sockets."""

    def test_body_that_came_first_fills_the_buffer(self) -> None:
        """Of what waited for the connection the instance takes little: no more is read."""

        def write(transport: Transport, data: bytes) -> None:
            transport.sent += data
            transport.block()

        rig = self.rig()
        client = rig.ask(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab")
        self.patch(Transport, "write", write)
        upstream = rig.accept()
        self.assertFalse(client.is_reading)
        upstream.unblock()
        self.assertTrue(client.is_reading)

    def test_client_that_has_said_all_is_still_read_from(self) -> None:
        """Nothing is held back by not reading, and a client that leaves is noticed."""
        rig = self.rig()
        early = rig.ask(POST)
        self.assertFalse(early.is_reading)
        upstream = rig.accept()
        self.assertTrue(early.is_reading)
        upstream.block()
        self.assertTrue(early.is_reading)
        early.lose(ConnectionLost())
        self.assertEqual(upstream.ended, "aborted")
        self.assert_counted(rig, ForwardError.CLIENT_GONE)


class ClientGoneTests(FailureCase):
    """Clients that leave."""

    def test_before_the_answer(self) -> None:
        """The instance's work is cancelled; nobody is blamed but the client."""
        rig = self.rig()
        client = rig.ask()
        upstream = rig.accept()
        client.lose(ConnectionLost())
        self.assertEqual(upstream.ended, "aborted")
        self.assert_counted(rig, ForwardError.CLIENT_GONE)

    def test_while_connecting(self) -> None:
        """A connection being opened for a client that left is not needed."""
        rig = self.rig()
        rig.ask().lose(ConnectionLost())
        self.assert_counted(rig, ForwardError.CLIENT_GONE)
        self.assertEqual(rig.counters()["upstream_connections_now"], 0)

    def test_fault_while_leaving(self) -> None:
        """Whatever goes wrong when a client leaves, it has left: a drain does not wait for it."""
        rig = self.rig()
        client = rig.ask()

        def fail() -> None:
            raise RuntimeError("broken")

        rig.reactor.connectors[0].disconnect = fail
        drained = rig.plane.start_draining(10.0)
        self.assertRaises(RuntimeError, client.lose)
        self.successResultOf(drained)
        rig.refuse()  # what could not be given up ends at last

    def test_in_the_middle_of_the_answer(self) -> None:
        """The rest of the answer is not fetched."""
        rig = self.rig()
        client = rig.ask()
        upstream = rig.accept()
        upstream.deliver(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
        client.lose(ConnectionLost())
        self.assertEqual(upstream.ended, "aborted")
        self.assert_counted(rig, ForwardError.CLIENT_GONE_IN_RESPONSE)

    def test_in_the_middle_of_its_body(self) -> None:
        """A request that will never be complete is 400, for who may still be listening (Y20)."""
        for body in (b"Content-Length: 9\r\n\r\nab", b"Transfer-Encoding: chunked\r\n\r\n2\r\nab"):
            rig = self.rig()
            client = rig.ask(b"POST / HTTP/1.1\r\nHost: h\r\n" + body)
            upstream = rig.accept()
            client.half_close()
            rig.settle()
            self.assertEqual((upstream.ended, client.ended), ("aborted", "closed"))
            self.assert_failed(rig, client, ForwardError.MALFORMED_REQUEST_BODY)

    def test_in_the_middle_of_its_body_while_it_is_answered(self) -> None:
        """An answer that had begun is broken off with the request that it is for."""
        rig = self.rig()
        client = rig.ask(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab")
        rig.accept().deliver(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
        client.half_close()
        self.assertEqual(client.ended, "aborted")
        self.assert_counted(rig, ForwardError.MALFORMED_REQUEST_BODY)

    def test_in_the_middle_of_its_head(self) -> None:
        """The same goes for a head."""
        rig = self.rig()
        client = rig.ask(b"GET / HTTP/1.1\r\nHos")
        client.half_close()
        self.assert_failed(rig, client, ForwardError.MALFORMED_REQUEST)
        self.assertEqual(client.ended, "closed")

    def test_in_the_middle_of_a_head_behind_another_request(self) -> None:
        """Each request gets its own answer."""
        rig = self.rig()
        client = rig.ask(GET + b"GET / HTTP/1.1\r\nHos")
        client.half_close()
        rig.accept().deliver(OK)
        self.assertTrue(client.sent.startswith(OK))
        self.assertEqual(status_of(client.sent[len(OK) :]), 400)
        self.assertEqual(client.ended, "closed")

    def test_between_requests(self) -> None:
        """Who has nothing left to ask is told nothing; a line end between requests asks nothing."""
        for rest in (b"", b"\r", b"\r\n"):
            rig = self.rig()
            client = rig.ask(GET + rest)
            client.half_close()
            rig.accept().deliver(OK)
            self.assertEqual((client.sent, client.ended), (OK, "closed"))

    def test_half_close_after_the_request_is_honoured(self) -> None:
        """A client that has said all may still listen."""
        rig = self.rig()
        client = rig.ask()
        client.half_close()
        upstream = rig.accept()
        upstream.deliver(OK)
        self.assertEqual(client.sent, OK)
        self.assertEqual(client.ended, "closed")


class FaultTests(FailureCase):
    """Faults of our own."""

    def test_exception_costs_one_request(self) -> None:
        """An exception is logged and answered with 500; the next request is served."""
        rig = self.rig()
        snapshot = rig.plane.snapshot

        class Broken:
            def resolve(self, host: bytes, path: bytes) -> None:
                raise RuntimeError("broken")

        rig.plane.apply(snapshot._replace(tenants=Broken()))
        client = rig.ask()
        self.assert_failed(rig, client, ForwardError.INTERNAL_ERROR)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        rig.plane.apply(snapshot)
        rig.ask()
        self.assertEqual(len(rig.dials), 1)

    def break_writing(self, transport: Transport) -> None:
        def fail(data: bytes) -> None:
            raise RuntimeError("broken")

        transport.write = fail  # type: ignore[method-assign]
        self.addCleanup(self.flushLoggedErrors, RuntimeError)

    def test_client_that_cannot_be_told_is_cut_off(self) -> None:
        """A fault while an answer is given leaves nobody waiting, and harms nobody else."""
        rig = self.rig(upstream_max_connections=1)
        client, queued = rig.ask(), rig.ask()
        upstream = rig.accept()
        self.break_writing(client)
        upstream.deliver(OK)
        self.assertEqual((client.ended, upstream.ended), ("aborted", None))
        upstream.deliver(OK)
        self.assertEqual(queued.sent, OK)

    def test_own_answer_that_cannot_be_given(self) -> None:
        """The same goes for answers of our own."""
        respond = {"status": 200, "headers": {}, "body": "hi"}
        rig = self.rig(answering_route("a", "/a", respond=respond))
        client = rig.client()
        self.break_writing(client)
        client.deliver(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
        self.assertEqual(client.ended, "aborted")

    def test_answer_that_ends_with_its_connection_cannot_be_told(self) -> None:
        """The same goes for answers that end where the connection does."""
        rig = self.rig()
        client = rig.ask()
        upstream = rig.accept()
        upstream.deliver(b"HTTP/1.1 200 OK\r\n\r\nx")
        self.break_writing(client)
        upstream.lose()
        self.assertEqual(client.ended, "aborted")

    def test_connection_that_cannot_be_passed_on(self) -> None:
        """Who waits for a connection hears of its faults; whose answer it brought does not."""
        rig = self.rig(upstream_max_connections=1)
        client, queued = rig.ask(), rig.ask()
        upstream = rig.accept()
        self.break_writing(upstream)
        upstream.deliver(OK)
        self.assertEqual(client.sent, OK)
        self.assertEqual(status_of(queued.sent), 500)

    def test_next_request_that_cannot_be_served(self) -> None:
        """A fault of a request that waited for its turn is its own."""
        rig = self.rig()
        client = rig.ask(GET + GET)
        upstream = rig.accept()

        class Broken:
            def resolve(self, host: bytes, path: bytes) -> None:
                raise RuntimeError("broken")

        rig.plane.apply(rig.plane.snapshot._replace(tenants=Broken()))
        upstream.deliver(OK)
        self.assertTrue(client.sent.startswith(OK))
        self.assertEqual(status_of(client.sent[len(OK) :]), 500)
        self.assertIsNone(upstream.ended)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class RevisionTests(RigCase):
    """Configuration that changes under way."""

    def test_exchange_ends_by_what_it_began_with(self) -> None:
        """An exchange keeps its plan; the next one has the new one."""
        rig = self.rig(route(policies={"response_headers": {"set": {"X-Rev": "old"}}}))
        client = rig.ask()
        upstream = rig.accept()
        rig.apply(*plain(route(policies={"response_headers": {"set": {"X-Rev": "new"}}})))
        upstream.deliver(OK)
        self.assertEqual(head_of(client.take())[b"x-rev"], b"old")
        client.deliver(GET)
        rig.accept().deliver(OK)
        self.assertEqual(head_of(client.take())[b"x-rev"], b"new")

    def test_answer_names_the_revision_that_it_was_routed_by(self) -> None:
        """Whatever is applied until the answer comes, or fails to."""
        for ends_well in (True, False):
            rig = self.rig(worker_header=True)
            client = rig.ask()
            upstream = rig.accept()
            rig.plane.apply(make_snapshot(*plain(), revision=2))
            upstream.deliver(OK if ends_well else b"nonsense\r\n\r\n")
            self.assertEqual(head_of(client.take())[b"x-gateway-revision"], b"1")
            client.deliver(GET)
            rig.accept().deliver(OK)
            self.assertEqual(head_of(client.take())[b"x-gateway-revision"], b"2")

    def test_tenant_is_told_by_the_header_that_was_stripped(self) -> None:
        """A name that comes while a connection is opened is for the next request."""
        acme = tenant("acme", hosts=["example.com"])
        rig = self.rig(acme, setting("identity_headers", {"tenant": "X-Org"}))
        rig.ask(b"GET / HTTP/1.1\r\nHost: example.com\r\nX-Org: acme\r\n\r\n")
        rig.apply(*plain(acme, setting("identity_headers", {"tenant": "X-Customer"})))
        head = head_of(rig.accept().sent)
        self.assertEqual(head[b"x-org"], b"acme")
        self.assertNotIn(b"x-customer", head)
