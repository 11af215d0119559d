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
from struct import Struct
from typing import Final

from fengling_gateway.http.headers import Pair
from fengling_gateway.tracing.trace_context import (
    NO_SPAN,
    NO_TRACE,
    TRACEPARENT,
    TRACESTATE,
    UNSAMPLED,
    context_pairs,
    is_well_formed,
    parse_traceparent,
    parse_tracestate,
    traceparent,
)

_LOW: Final = (1 << 64) - 1

AHEAD: Final = 64
"""Traces that are begun at once: a third of what each costs alone, and no 20 µs together."""


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


Began = tuple[list[Pair], Traced | None]


class Sampler:
    """
    Decides, and makes ids.

    Traces that begin here are begun ahead, some at a time.

    Args:
        ratio: of the traces that begin here, from 0 to 1.
        rng: of the ids; they are no secret.
        ahead: how many are begun at a time.
    """

    __slots__ = ("_ahead", "_bits", "_bound", "_format", "_ids_of", "_ready", "_values_of")

    def __init__(self, *, ratio: float, rng: Random, ahead: int = AHEAD) -> None:
        bound = ratio_bound(ratio)
        # As the digits of an id are compared; above all of them, where there is no bound.
        self._bound = b"%016x" % bound if bound <= _LOW else b"g"
        self._bits = rng.getrandbits
        self._ahead = ahead
        self._ready: list[Began] = []
        self._ids_of = Struct("32s16s" * ahead).unpack
        self._format = b"00-%b-%b-00" * ahead
        self._values_of = Struct("55s" * ahead).unpack

    def __repr__(self) -> str:
        return f"<Sampler {len(self._ready)} ready>"

    def begin(
        self, value: bytes | None, states: Sequence[bytes] = (), *, is_forced: bool = False
    ) -> Began:
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
            # Nothing of it is changed, so nothing of its tracestate may be either, if it is one.
            if not states or not is_well_formed(states):
                return [(TRACEPARENT, value)], None
            return [(TRACEPARENT, value), *[(TRACESTATE, one) for one in states]], None
        parent = parse_traceparent(value)
        if parent is None:
            return self._root(is_forced)
        state = parse_tracestate(states) if states else b""
        if parent.is_sampled or is_forced:
            return [], Traced(parent.trace_id, self._new_span_id(), parent.span_id, state)
        # It is of a later version.
        ours = traceparent(parent.trace_id, parent.span_id, is_sampled=False)
        return context_pairs(ours, state), None

    def _root(self, is_forced: bool) -> Began:
        while not self._ready:
            self._ready = self._roots()
        began = self._ready.pop()
        if is_forced and began[1] is None:
            return [], _recorded(began[0][0][1])
        return began

    def _roots(self) -> list[Began]:
        """Begin some traces; none may have an id of zeros."""
        number, bound = self._ahead, self._bound
        ids = hexlify(self._bits(192 * number).to_bytes(24 * number, "big"))
        # What is not recorded is told, too: else whoever comes next would decide anew, and
        # record half a trace.
        values = self._values_of(self._format % self._ids_of(ids))
        if NO_SPAN in ids:
            values = tuple([one for one in values if _is_good(one)])
        return [
            ([(TRACEPARENT, one)], None) if one[19:35] >= bound else ([], _recorded(one))
            for one in values
        ]

    def _new_span_id(self) -> bytes:
        while True:
            span_id = b"%016x" % self._bits(64)
            if span_id != NO_SPAN:
                return span_id


def _recorded(value: bytes) -> Traced:
    """Return what is recorded of a trace that begins with a traceparent's ids."""
    return Traced(value[3:35], value[36:52], b"", b"")


def _is_good(value: bytes) -> bool:
    return value[3:35] != NO_TRACE and value[36:52] != NO_SPAN
