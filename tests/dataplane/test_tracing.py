"""Which requests are recorded, and what instances and records have of it."""

from __future__ import annotations

from random import Random
from typing import Any

from fengling_gateway.dataplane.recipients import ALL
from fengling_gateway.records.ended import Ended
from fengling_gateway.tracing.sampling import Sampler, Traced
from tests.dataplane.rig import OK, Rig
from tests.dataplane.snapshots import route, setting
from tests.dataplane.test_forwarding import RigCase

TRACE = b"%032x" % 0x0AF7651916CD43DD8448EB211C80319C
CALLER = b"%016x" % 0xB7AD6B7169203331


class Tracing:
    """Decides as workers do; keeps what it is told."""

    def __init__(self, ratio: float, trust: str = "all") -> None:
        self.sampler = Sampler(ratio=ratio, rng=Random(1))
        self.trust = trust
        self.told: list[tuple[Ended, Traced]] = []
        self.forwarded: list[bytes] = []

    def exchange_ended(
        self, ended: Ended, traced: Traced, *, route_path: str, forwarded: bytes
    ) -> None:
        self.told.append((ended, traced))
        self.forwarded.append(forwarded)


def ask(*lines: bytes) -> bytes:
    return b"\r\n".join((b"GET / HTTP/1.1", b"Host: example.com", *lines, b"", b""))


class TracingTests(RigCase):
    def traced(
        self, ratio: float, *configured: Any, trust: str = "all"
    ) -> tuple[Rig, Tracing, list[Ended]]:
        rig, tracing = self.rig(*configured), Tracing(ratio, trust)
        plane: Any = rig.plane
        plane.tracing = tracing
        plane.debug_id_in = lambda value: "0a1b" if value == b"good" else None
        ended: list[Ended] = []
        plane.recipients.add(ended.append, slower_than=ALL)
        return rig, tracing, ended

    def served(self, rig: Rig, raw: bytes) -> bytes:
        """Have a request answered, and return what the instance got."""
        rig.ask(raw)
        upstream = rig.accept()
        upstream.deliver(OK)
        return bytes(upstream.sent)

    def test_request_that_is_not_recorded_passes_its_context_on(self) -> None:
        """Untouched; and its trace is named where records are kept all the same."""
        rig, tracing, ended = self.traced(1.0)
        line = b"traceparent: 00-%b-%b-00" % (TRACE, CALLER)
        sent = self.served(rig, ask(line, b"tracestate: a=b", b"tracestate: c=d"))
        assert sent.count(b"traceparent: 00-%b-%b-00\r\n" % (TRACE, CALLER)) == 1
        assert sent.count(b"tracestate: a=b\r\ntracestate: c=d\r\n") == 1
        assert tracing.told == []
        assert ended[0].trace_id == TRACE

    def test_recorded_request_is_told_of_and_leads_on_from_its_attempt(self) -> None:
        """What the instance does is a child of the attempt, in the caller's trace."""
        rig, tracing, ended = self.traced(0.0)
        sent = self.served(rig, ask(b"traceparent: 00-%b-%b-01" % (TRACE, CALLER)))
        [(one, traced)] = tracing.told
        assert (traced.trace_id, traced.parent_id) == (TRACE, CALLER)
        assert sent.count(b"traceparent: ") == 1
        assert b"traceparent: 00-%b-" % TRACE in sent
        assert CALLER not in sent
        assert traced.span_id not in sent
        assert (one.trace_id, ended[0].trace_id) == (TRACE, TRACE)

    def test_good_debug_header_has_a_request_recorded(self) -> None:
        """Whatever the ratio; one that is not good does not."""
        rig, tracing, _ = self.traced(0.0)
        self.served(rig, ask(b"X-Gateway-Debug: good"))
        assert len(tracing.told) == 1
        rig, tracing, _ = self.traced(0.0)
        self.served(rig, ask(b"X-Gateway-Debug: bad"))
        assert tracing.told == []

    def test_without_tracing_contexts_are_headers_like_others(self) -> None:
        rig = self.rig()
        line = b"traceparent: 00-%b-%b-01" % (TRACE, CALLER)
        assert line in self.served(rig, ask(line))

    def test_trace_tells_what_the_instance_was_asked_for(self) -> None:
        """Where the route makes it another path; also by an instance that can't be reached."""
        rewritten = route(path="/api/{**rest}", policies={"path": {"strip": "/api"}})
        rig, tracing, _ = self.traced(1.0, rewritten)
        sent = self.served(rig, ask().replace(b"GET / ", b"GET /api/orders?a=1 "))
        self.assertTrue(sent.startswith(b"GET /orders?a=1 HTTP/1.1"))
        rig.ask(ask())  # which no route takes
        self.assertEqual(tracing.forwarded, [b"/orders?a=1", b""])
        rig, tracing, _ = self.traced(1.0, rewritten)
        rig.ask(ask().replace(b"GET / ", b"GET /api "))
        rig.refuse()
        self.assertEqual(tracing.forwarded, [b"/"])
        rig, tracing, _ = self.traced(1.0)
        self.served(rig, ask())
        self.assertEqual(tracing.forwarded, [b""])

    def test_whose_word_on_traces_does_not_count_begins_one(self) -> None:
        """In a new trace, by the ratio; what he said is not passed on."""
        lines = (b"traceparent: 00-%b-%b-01" % (TRACE, CALLER), b"tracestate: a=b")
        for trust, is_believed in (
            (("none", ()), False),
            (("none", ("198.51.100.7/32",)), False),
            (("trusted_proxies", ()), False),
            (("trusted_proxies", ("192.0.2.0/24",)), False),
            (("trusted_proxies", ("198.51.100.7/32",)), True),
            (("all", ()), True),
        ):
            whose, proxies = trust
            proxied = setting("trusted_proxies", list(proxies))
            rig, tracing, ended = self.traced(0.0, proxied, trust=whose)
            sent = self.served(rig, ask(*lines))
            with self.subTest(whose, proxies=proxies):
                self.assertEqual(len(tracing.told), is_believed)
                self.assertEqual(sent.count(b"traceparent: "), 1)
                self.assertEqual(ended[0].trace_id == TRACE, is_believed)
                self.assertEqual(TRACE in sent, is_believed)
                self.assertEqual(b"tracestate: a=b\r\n" in sent, is_believed)

    def test_several_of_a_trusted_proxy_count_as_none(self) -> None:
        """As those of anybody who is believed."""
        proxied = setting("trusted_proxies", ["198.51.100.7/32"])
        rig, tracing, _ = self.traced(0.0, proxied, trust="trusted_proxies")
        line = b"traceparent: 00-%b-%b-01" % (TRACE, CALLER)
        self.assertNotIn(TRACE, self.served(rig, ask(line, line)))
        self.assertEqual(tracing.told, [])
