"""
Which requests are recorded.

Who sends a traceparent has decided; where none comes along, as many of the traces
that begin here as a ratio says, by their ids; and those that somebody forces who
may. A request that is not recorded pays for its header, and nothing else.
"""

from __future__ import annotations

from binascii import hexlify
from collections.abc import Sequence
from random import Random
from typing import Final

from fengling_gateway.http.headers import Pair
from fengling_gateway.tracing.trace_context import (
    NO_SPAN,
    TRACEPARENT,
    TRACESTATE,
    UNSAMPLED,
    context_pairs,
    parse_traceparent,
    parse_tracestate,
    traceparent,
)

_LOW: Final = (1 << 64) - 1


def ratio_bound(ratio: float) -> int:
    """
    Return below which number the last 64 bits of a trace's id have to be for it to be recorded.

    As OpenTelemetry's TraceIdRatioBased has it, so that services that decide by the same
    ratio decide the same, and a larger ratio records what a smaller one does, and more.
    """
    return round(ratio * (_LOW + 1))


class Traced:
    """
    A request that is recorded: where it is in its trace.

    Attributes:
        trace_id, span_id: in lower-case hex; the span is the gateway's own of the request.
        parent_id: the caller's span; b"" where the trace begins here.
        state: the tracestate that is sent on.
    """

    __slots__ = ("parent_id", "span_id", "state", "trace_id")

    def __init__(self, trace_id: bytes, span_id: bytes, parent_id: bytes, state: bytes) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = parent_id
        self.state = state

    def __repr__(self) -> str:
        return f"<Traced {self.trace_id.decode()} {self.span_id.decode()}>"

    def attempt_id(self, number: int) -> bytes:
        """
        Return the id of the span of an attempt, the first one's number being 0.

        They follow the gateway's own, which is random, so that nobody has to keep them.
        """
        return b"%016x" % ((int(self.span_id, 16) + 1 + number) % _LOW or 1)

    def pairs(self, number: int) -> list[Pair]:
        """Return the headers of an attempt, by its number: what it leads to is its."""
        value = traceparent(self.trace_id, self.attempt_id(number), is_sampled=True)
        return context_pairs(value, self.state)


class Sampler:
    """
    Decides, and makes ids.

    Args:
        ratio: of the traces that begin here, from 0 to 1.
        rng: of the ids; they are no secret.
    """

    def __init__(self, *, ratio: float, rng: Random) -> None:
        self._bound = ratio_bound(ratio)
        self._bits = rng.getrandbits

    def begin(
        self, value: bytes | None, states: Sequence[bytes] = (), *, is_forced: bool = False
    ) -> tuple[list[Pair], Traced | None]:
        """
        Decide about a request.

        Args:
            value: of its traceparent header; None without one, b"" where there are
                several, of which none counts.
            states: the values of its tracestate headers.
            is_forced: whether somebody who may wants it to be recorded.

        Returns:
            The headers that the instance gets, where it is not recorded; else none, and
            what is recorded: then each attempt has `Traced.pairs`.
        """
        if value is None:
            return self._root(is_forced)
        if not is_forced and UNSAMPLED.fullmatch(value) is not None:
            # Nothing of it is changed, so nothing of its tracestate may be either.
            if not states:
                return [(TRACEPARENT, value)], None
            return [(TRACEPARENT, value), *((TRACESTATE, one) for one in states)], None
        parent = parse_traceparent(value)
        if parent is None:
            return self._root(is_forced)
        state = parse_tracestate(states) if states else b""
        if parent.is_sampled or is_forced:
            return [], Traced(parent.trace_id, self._new_span_id(), parent.span_id, state)
        # It is of a later version.
        ours = traceparent(parent.trace_id, parent.span_id, is_sampled=False)
        return context_pairs(ours, state), None

    def _root(self, is_forced: bool) -> tuple[list[Pair], Traced | None]:
        number = self._bits(192)
        trace, span = number >> 64, number & _LOW
        if not trace or not span:
            return self._root(is_forced)  # ids of zeros are none
        ids = hexlify(number.to_bytes(24, "big"), b"-", -16)
        if is_forced or trace & _LOW < self._bound:
            return [], Traced(ids[:32], ids[33:], b"", b"")
        # Whoever comes next need not decide anew, and would otherwise record half a trace.
        return [(TRACEPARENT, b"00-" + ids + b"-00")], None

    def _new_span_id(self) -> bytes:
        while True:
            span_id = b"%016x" % self._bits(64)
            if span_id != NO_SPAN:
                return span_id
