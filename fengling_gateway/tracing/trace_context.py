"""
The headers traceparent and tracestate (W3C Trace Context, level 1; keys as level 2 has them).

A traceparent that cannot be read counts as none, and its tracestate with it. A
tracestate that cannot be read is left out, whole, and changes nothing else. Both
are sent on otherwise untouched as long as nothing is recorded here; once a traceparent
is changed, it is of version 00, in which all flags but one are zero.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from fengling_gateway.http.headers import Pair

TRACEPARENT: Final = b"traceparent"
TRACESTATE: Final = b"tracestate"

MAX_MEMBERS: Final = 32
"""Of a tracestate, empty ones included; more are malformed."""

MAX_STATE_BYTES: Final = 512
"""That are sent on of a tracestate: what has to be, and no more; whole members are left out."""

_LARGE_MEMBER_BYTES: Final = 128
"""Larger ones are left out first."""

NO_TRACE: Final = b"0" * 32
NO_SPAN: Final = b"0" * 16

_TRACEPARENT: Final = re.compile(
    rb"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL
)
UNSAMPLED: Final = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f][02468ace]")
"""A good traceparent of our version that is not sampled."""

_MEMBER_PATTERN: Final = (
    rb"([a-z0-9][a-z0-9_*/@-]{0,255})"
    rb"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_MEMBER: Final = re.compile(_MEMBER_PATTERN)
_PLACE_PATTERN: Final = rb"[ \t]*+(?:" + _MEMBER_PATTERN + rb"[ \t]*+)?"
_MEMBERS: Final = re.compile(_PLACE_PATTERN + rb"(?:," + _PLACE_PATTERN + rb")*+")
"""Nothing is tried twice: what a client sends is as long as a head may be."""


class Parent(NamedTuple):
    """Whom a request says that it is part of; ids in lower-case hex."""

    trace_id: bytes
    span_id: bytes
    is_sampled: bool


def parse_traceparent(value: bytes) -> Parent | None:
    """
    Return what a traceparent says; None: the trace begins here.

    Of a later version, what is known of it counts, if it is where it is in version 00.
    """
    found = _TRACEPARENT.fullmatch(value)
    if found is None:
        return None
    trace_id, span_id, flags, more = found.groups()
    if trace_id == NO_TRACE or span_id == NO_SPAN:
        return None
    if more is not None and value.startswith(b"00"):
        return None  # of our version, we know all
    return Parent(trace_id, span_id, int(flags, 16) & 1 == 1)


def traceparent(trace_id: bytes, span_id: bytes, *, is_sampled: bool) -> bytes:
    """Return the value by which a span becomes the parent of what happens elsewhere."""
    return b"00-%b-%b-%b" % (trace_id, span_id, b"01" if is_sampled else b"00")


def parse_tracestate(values: Iterable[bytes]) -> bytes:
    """
    Return what is to be sent on of a request's tracestate headers, in their order, as one.

    Empty members are left out, and what is too much. b"": nothing of it, since there is
    nothing in it, or it is malformed: a member that is none, a key twice, too many.
    """
    given = b",".join(values)
    if given.count(b",") >= MAX_MEMBERS:
        return b""
    keys: set[bytes] = set()
    members = []
    for one in given.split(b","):
        member = one.strip(b" \t")
        if not member:
            continue
        found = _MEMBER.fullmatch(member)
        if found is None or found[1] in keys:
            return b""
        keys.add(found[1])
        members.append(member)
    state = b",".join(members)
    return state if len(state) <= MAX_STATE_BYTES else b",".join(_shortened(members))


def is_well_formed(values: Sequence[bytes]) -> bool:
    """Whether tracestate headers can be read; whether a key is there twice is not looked at."""
    given = values[0] if len(values) == 1 else b",".join(values)
    return given.count(b",") < MAX_MEMBERS and _MEMBERS.fullmatch(given) is not None


def _shortened(members: list[bytes]) -> list[bytes]:
    """Leave out large members, from the end, then others, until it is little enough."""
    excess = sum(map(len, members)) + len(members) - 1 - MAX_STATE_BYTES
    kept: list[bytes | None] = list(members)
    for least in (_LARGE_MEMBER_BYTES + 1, 0):
        for place in reversed(range(len(kept))):
            member = kept[place]
            if excess > 0 and member is not None and len(member) >= least:
                kept[place] = None
                excess -= len(member) + 1
    return [one for one in kept if one is not None]


def context_pairs(value: bytes, state: bytes) -> list[Pair]:
    """Return the headers of a traceparent and a tracestate, which may be empty."""
    if not state:
        return [(TRACEPARENT, value)]
    return [(TRACEPARENT, value), (TRACESTATE, state)]
