"""Request bodies that trickle in."""

from __future__ import annotations

from tests.dataplane.rig import OK, Rig, Transport, body_of, make_rig, status_of
from tests.dataplane.snapshots import route, service
from tests.dataplane.test_forwarding import RigCase

UPLOAD = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n"
EXPECTING = UPLOAD.replace(b"Host", b"Expect: 100-continue\r\nHost")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class SlowBodyTests(RigCase):
    """`limits.min_body_rate`: 1000 bytes a second, judged over ten seconds."""

    def test_body_must_come_at_a_rate(self) -> None:
        """A byte less in ten seconds, and the answer is 408; before or after the first ten."""
        for sizes, status in (
            ([10_000, 10_001], None),
            ([10_000, 10_000], None),
            ([10_000, 9_999], 408),
            ([9_999], 408),
        ):
            rig = make_rig()
            client = rig.ask(UPLOAD)
            upstream = rig.accept()
            for size in sizes:
                client.deliver(b"a" * (size - 1))
                rig.advance(9.8)
                client.deliver(b"a")
                self.assertEqual(client.take(), b"")
                rig.advance(0.3)
            sent = client.take()
            self.assertEqual(status_of(sent) if sent else None, status, sizes)
            self.assertEqual(upstream.ended, "aborted" if status else None)
            client.lose()
            rig.close()

    def test_chunked_body_is_judged_by_what_is_in_the_chunks(self) -> None:
        """Chunk sizes of many noughts are no body."""
        rig = self.rig()
        client = rig.ask(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        rig.accept()
        for _ in range(101):
            client.deliver(b"000000000000001;%b\r\na\r\n" % (b"x" * 200))
            rig.advance(0.1)
        self.assertEqual(status_of(client.take()), 408)

    def test_client_is_not_judged_by_what_was_not_read(self) -> None:
        """While the instance is not there yet, or does not read."""
        rig = self.rig(service(connect_timeout=30.0, idle_timeout=60.0))
        client = rig.ask(UPLOAD + b"a")
        rig.advance(25)
        upstream = rig.accept()
        upstream.block()
        rig.advance(31)
        self.assertEqual(client.take(), b"")
        upstream.unblock()
        rig.advance(20.5)
        self.assertEqual(status_of(client.take()), 408)

    def test_client_that_waits_to_be_asked_is_not_slow(self) -> None:
        """From 100 Continue on it is, as if it had just begun."""
        rig = self.rig(service(first_byte_timeout=30.0, idle_timeout=60.0))
        client = rig.ask(EXPECTING)
        upstream = rig.accept()
        rig.advance(25)
        self.assertEqual(client.take(), b"")
        upstream.deliver(CONTINUE)
        self.assertEqual(client.take(), CONTINUE)
        rig.advance(9.8)
        self.assertEqual(client.take(), b"")
        rig.advance(0.4)
        self.assertEqual(status_of(client.take()), 408)

    def test_client_that_no_longer_waits_is_judged_from_then_on(self) -> None:
        """It may have asked somebody who does not know what to say."""
        rig = self.rig(service(first_byte_timeout=30.0, idle_timeout=60.0))
        client = rig.ask(EXPECTING)
        rig.accept()
        rig.advance(19)
        client.deliver(b"a")
        rig.advance(9.8)
        self.assertEqual(client.take(), b"")
        rig.advance(0.4)
        self.assertEqual(status_of(client.take()), 408)

    def test_instance_that_asks_for_nothing_and_says_nothing_is_too_slow(self) -> None:
        """The client is not to blame for a body that nobody has asked for."""
        rig = self.rig(service(first_byte_timeout=15.0, idle_timeout=60.0))
        client = rig.ask(EXPECTING)
        rig.accept()
        rig.advance(15.2)
        sent = client.take()
        self.assertEqual(status_of(sent), 504)
        self.assertIn(b"X-Gateway-Error: first_byte_timeout\r\n", sent)

    def test_answer_to_a_client_that_is_not_asked_may_take_its_time(self) -> None:
        """Its body is not missed: the answer has declined it."""
        rig = self.rig(service(idle_timeout=60.0))
        client = rig.ask(EXPECTING)
        upstream = rig.accept()
        upstream.deliver(b"HTTP/1.1 413 Large\r\nContent-Length: 5\r\n\r\nhe")
        rig.advance(25)
        upstream.deliver(b"llo")
        self.assertEqual(body_of(client.take()), b"hello")
        self.assertEqual(client.ended, "half-closed")

    def test_instance_that_does_not_read_is_still_too_slow(self) -> None:
        """Its own timeout is not put off by looking at the client."""
        rig = self.rig(service(idle_timeout=25.0))
        client = rig.ask(UPLOAD + b"a")
        rig.accept().block()
        rig.advance(24.5)
        self.assertEqual(client.take(), b"")
        rig.advance(1)
        self.assertEqual(status_of(client.take()), 504)

    def test_answer_under_way_is_cut_off(self) -> None:
        """An instance may answer before it has read everything; the client still has to send."""
        rig = self.rig()
        client = rig.ask(UPLOAD)
        rig.accept().deliver(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
        rig.advance(10.2)
        self.assertEqual(client.ended, "aborted")

    def test_rate_may_be_any(self) -> None:
        """Then the idle timeout is all there is."""
        rig = self.rig(min_body_rate=0)
        client = rig.ask(UPLOAD)
        rig.accept()
        for _ in range(20):
            rig.advance(10)
            client.deliver(b"a")
        self.assertEqual(client.take(), b"")
        client.lose()

    def test_total_time_is_the_total_time(self) -> None:
        """Whatever the rate."""
        rig = self.rig(route(policies={"timeouts": {"total": 15.0}}))
        client = rig.ask(UPLOAD)
        rig.accept()
        for _ in range(14):
            client.deliver(b"a" * 1500)
            rig.advance(1)
        self.assertEqual(client.take(), b"")
        rig.advance(1.2)
        self.assertEqual(status_of(client.take()), 504)


class CrowdTests(RigCase):
    """Bodies that trickle in while more than half of an instance's connections are busy."""

    def crowd(self) -> tuple[Rig, Transport]:
        """A rig with one connection left, and an upload that has not got it."""
        rig = self.rig(upstream_max_connections=4)
        for _ in range(3):
            rig.ask(UPLOAD + b"a")
            rig.accept()
        return rig, rig.ask(UPLOAD + b"a")

    def test_slow_uploads_leave_connections_for_others(self) -> None:
        """And are given up when they are too slow, without an instance having been asked."""
        rig, upload = self.crowd()
        self.assertEqual(len(rig.dials), 3)
        other = rig.ask()
        rig.accept().deliver(OK)
        self.assertEqual(status_of(other.take()), 200)
        self.assertTrue(upload.is_reading)
        rig.advance(10.2)
        self.assertEqual(status_of(upload.take()), 408)

    def test_upload_goes_on_when_it_is_complete(self) -> None:
        """With all that has come, in order."""
        rig, upload = self.crowd()
        for _ in range(9):
            upload.deliver(b"b" * 5000)
            rig.advance(1)
        self.assertEqual(len(rig.dials), 3)
        upload.deliver(b"c" * (99_999 - 45_000))
        upstream = rig.accept()
        self.assertEqual(body_of(upstream.sent), b"a" + b"b" * 45_000 + b"c" * 54_999)
        upstream.deliver(OK)
        self.assertEqual(status_of(upload.take()), 200)

    def test_upload_goes_on_when_there_is_enough_of_it(self) -> None:
        """No more is kept than is buffered anywhere."""
        rig, upload = self.crowd()
        upload.deliver(b"b" * 65_534)
        self.assertEqual(len(rig.dials), 3)
        upload.deliver(b"c")
        self.assertFalse(upload.is_reading)
        upstream = rig.accept()
        self.assertTrue(upload.is_reading)
        self.assertEqual(len(body_of(upstream.take())), 65_536)
        upload.deliver(b"d" * 34_464)
        self.assertEqual(len(upstream.sent), 34_464)
        upstream.deliver(OK)
        self.assertEqual(status_of(upload.take()), 200)

    def test_client_that_waits_to_be_told_is_asked_for(self) -> None:
        """Its body would never come (RFC 9110, 10.1.1)."""
        rig, _ = self.crowd()
        rig.ask(EXPECTING)
        self.assertEqual(len(rig.dials), 4)

    def test_client_that_leaves_meanwhile_leaves_nothing(self) -> None:
        """Its instance's count included; see `Rig.close`."""
        rig, upload = self.crowd()
        upload.lose()
        self.assertEqual(rig.counters()["in_flight_now"], 3)
