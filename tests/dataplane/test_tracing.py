"""Which requests are recorded, and what instances and records have of it."""

from __future__ import annotations

from random import Random
from typing import Any

from fengling_gateway.dataplane.recipients import ALL
from fengling_gateway.records.ended import Ended
from fengling_gateway.tracing.sampling import Sampler, Traced
from tests.dataplane.rig import OK, Rig
from tests.dataplane.test_forwarding import RigCase

TRACE = b"%032x" % 0x0AF7651916CD43DD8448EB211C80319C
CALLER = b"%016x" % 0xB7AD6B7169203331


class Tracing:
    """Decides as workers do; keeps what it is told."""

    def __init__(self, ratio: float) -> None:
        self.sampler = Sampler(ratio=ratio, rng=Random(1))
        self.told: list[tuple[Ended, Traced]] = []

    def exchange_ended(self, ended: Ended, traced: Traced, *, route_path: str) -> None:
        self.told.append((ended, traced))


def ask(*lines: bytes) -> bytes:
    return b"\r\n".join((b"GET / HTTP/1.1", b"Host: example.com", *lines, b"", b""))


class TracingTests(RigCase):
    def traced(self, ratio: float) -> tuple[Rig, Tracing, list[Ended]]:
        rig, tracing = self.rig(), Tracing(ratio)
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
