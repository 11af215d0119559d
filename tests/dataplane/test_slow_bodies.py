"""Request bodies that trickle in."""

from __future__ import annotations

from tests.dataplane.rig import make_rig, status_of
from tests.dataplane.snapshots import route, service
from tests.dataplane.test_forwarding import RigCase

UPLOAD = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n"


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
