"""
What instances are told of the traces of requests, header by header, as they are written.

The cases are those that the harness of the W3C's Trace Context has for services, and the
same for requests that are not recorded.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import pytest

from tests.dataplane.rig import OK, make_rig
from tests.dataplane.test_tracing import Tracing, ask

TRACE = b"%032x" % 0x0AF7651916CD43DD8448EB211C80319C
SPAN = b"%016x" % 0xB7AD6B7169203331
SAMPLED = b"00-%b-%b-01" % (TRACE, SPAN)
UNSAMPLED = b"00-%b-%b-00" % (TRACE, SPAN)
OTHER = SAMPLED.replace(TRACE, b"1" + TRACE[1:])

LINE = re.compile(rb"^(trace(?:parent|state)): (.*)\r$", re.MULTILINE | re.IGNORECASE)
VALUE = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


class Told(NamedTuple):
    """What an instance was told: one traceparent, and the members of the tracestate."""

    trace_id: bytes
    span_id: bytes
    is_sampled: bool
    state: list[bytes]


def told(*lines: bytes, ratio: float = 0.0, times: int = 1) -> list[Told]:
    """Ask some times with these lines; return what the instance was told each time."""
    rig = make_rig()
    plane: Any = rig.plane
    plane.tracing = Tracing(ratio)
    found = []
    client = rig.client()
    client.deliver(ask(*lines))
    upstream = rig.accept()
    for number in range(times):
        if number:
            client.deliver(ask(*lines))
        found.append(_told(bytes(upstream.take())))
        upstream.deliver(OK)
    rig.close()
    return found


def _told(head: bytes) -> Told:
    by_name: dict[bytes, list[bytes]] = {b"traceparent": [], b"tracestate": []}
    for name, value in LINE.findall(head):
        by_name[name.lower()].append(value)
    [value] = by_name[b"traceparent"]
    found = VALUE.fullmatch(value)
    assert found is not None, value
    trace_id, span_id, flags = found.groups()
    assert int(trace_id, 16)
    assert int(span_id, 16)
    members = [one.strip() for one in b",".join(by_name[b"tracestate"]).split(b",")]
    return Told(trace_id, span_id, int(flags, 16) % 2 == 1, [one for one in members if one])


def with_flags(value: bytes) -> tuple[bytes, bytes]:
    """The same, recorded and not."""
    return value, value.replace(b"-01", b"-00")


class TraceparentTests:
    """The trace that a request is part of."""

    @pytest.mark.parametrize("ratio", [0.0, 1.0])
    def test_request_without_one_begins_a_trace(self, ratio: float) -> None:
        """Each a new one, recorded or not."""
        many = told(ratio=ratio, times=3)
        assert len({one.trace_id for one in many}) == 3
        assert len({one.span_id for one in many}) == 3
        assert {one.is_sampled for one in many} == {ratio == 1.0}

    @pytest.mark.parametrize(
        "name", [b"traceparent", b"TraceParent", b"TRACEPARENT", b"tRacEparEnt"]
    )
    @pytest.mark.parametrize("value", with_flags(SAMPLED))
    def test_trace_goes_on(self, name: bytes, value: bytes) -> None:
        """However the name is written; each recorded attempt is the parent of what follows."""
        many = told(name + b": " + value, times=3)
        assert {one.trace_id for one in many} == {TRACE}
        if value == SAMPLED:
            assert len({SPAN, *(one.span_id for one in many)}) == 4
        else:
            assert {one.span_id for one in many} == {SPAN}

    @pytest.mark.parametrize("before", [b"", b" ", b"\t", b"\t "])
    @pytest.mark.parametrize("after", [b"", b" ", b"\t", b" \t"])
    @pytest.mark.parametrize("value", with_flags(SAMPLED))
    def test_white_space_around_it_is_none_of_it(
        self, before: bytes, after: bytes, value: bytes
    ) -> None:
        """Spaces and tabs."""
        [one] = told(b"traceparent:" + before + value + after)
        assert (one.trace_id, one.is_sampled) == (TRACE, value == SAMPLED)

    @pytest.mark.parametrize(
        "value",
        [
            *with_flags(b"cc" + SAMPLED[2:]),
            *with_flags(b"cc" + SAMPLED[2:] + b"-what-else-there-may-be"),
            *(SAMPLED[:-2] + flags for flags in (b"03", b"ff")),
        ],
    )
    def test_what_is_not_known_of_it_yet_is_no_harm(self, value: bytes) -> None:
        """Later versions, other flags; none of that goes on."""
        [one] = told(b"traceparent: " + value)
        assert one.trace_id == TRACE

    @pytest.mark.parametrize("flags", [b"02", b"fe"])
    def test_flags_of_what_is_not_recorded_go_on(self, flags: bytes) -> None:
        """As all of it does."""
        [one] = told(b"traceparent: " + SAMPLED[:-2] + flags)
        assert (one.trace_id, one.span_id, one.is_sampled) == (TRACE, SPAN, False)

    @pytest.mark.parametrize(
        "lines",
        [
            (b"traceparent: " + SAMPLED, b"traceparent: " + OTHER),
            (b"traceparent: " + SAMPLED, b"TraceParent: " + SAMPLED),
            (b"traceparent: " + SAMPLED + b", " + OTHER,),
            *((name + b": " + SAMPLED,) for name in (b"trace-parent", b"trace.parent")),
            (b"trace_parent: " + SAMPLED,),
        ],
    )
    def test_several_and_those_of_other_names_are_none(self, lines: tuple[bytes, ...]) -> None:
        """A new trace begins."""
        [one] = told(*lines)
        assert one.trace_id not in {TRACE, OTHER[3:35]}

    @pytest.mark.parametrize(
        "value",
        [
            *(SAMPLED + b".", SAMPLED + b"-what-else", b"cc" + SAMPLED[2:] + b".what-else"),
            *(
                version + SAMPLED[2:]
                for version in (b"ff", b".0", b"0.", b"000", b"0000", b"0", b"")
            ),
            *(
                b"00-" + one + SAMPLED[35:]
                for one in (b"0" * 32, b"." + TRACE[1:], TRACE[:-1] + b".")
            ),
            *(b"00-" + one + SAMPLED[35:] for one in (TRACE + b"0", b"0" + TRACE, TRACE[1:], b"")),
            *(b"00-" + TRACE + b"-" + one + b"-01" for one in (b"0" * 16, b"." + SPAN[1:])),
            *(b"00-" + TRACE + b"-" + one + b"-01" for one in (SPAN[:-1] + b".", SPAN + b"0")),
            *(b"00-" + TRACE + b"-" + one + b"-01" for one in (SPAN[1:], b"")),
            *(SAMPLED[:-2] + flags for flags in (b".0", b"0.", b"001", b"1", b"", b"0G")),
            *(SAMPLED.upper(), SAMPLED.replace(b"-", b"_"), b"", b"-", b"\xff" * 55),
        ],
    )
    def test_one_that_can_not_be_read_is_none(self, value: bytes) -> None:
        """A new trace begins, for each request; the tracestate is no longer of anything."""
        many = told(b"traceparent: " + value, b"tracestate: a=1", times=3)
        assert len({one.trace_id for one in many}) == 3
        assert TRACE not in {one.trace_id for one in many}
        assert [one.state for one in many] == [[]] * 3


def state(*lines: bytes) -> list[list[bytes]]:
    """What an instance is told of a tracestate in a recorded request, and in another."""
    headers = [b"tracestate: " + one for one in lines]
    found = []
    for value in (SAMPLED, UNSAMPLED):
        [one] = told(b"traceparent: " + value, *headers)
        assert one.trace_id == TRACE
        found.append(one.state)
    return found


MEMBERS = [b"k%02d=%02d" % (number, number) for number in range(33)]
KEY = b"abcdefghijklmnopqrstuvwxyz0123456789_-*/"
PRINTED = bytes(one for one in range(0x20, 0x7F) if one not in b",=")


class TracestateTests:
    """What goes along with it."""

    def test_it_is_of_no_trace_without_a_traceparent(self) -> None:
        """It is left out."""
        [one] = told(b"tracestate: a=1,b=2")
        assert one.state == []

    @pytest.mark.parametrize(
        ("lines", "members"),
        [
            ([b"a=1,b=2"], [b"a=1", b"b=2"]),
            ([b"a=1,b=2", b"c=3,d=4", b"e=5"], [b"a=1", b"b=2", b"c=3", b"d=4", b"e=5"]),
            ([b""], []),
            ([b"a=1", b""], [b"a=1"]),
            ([b"", b"a=1"], [b"a=1"]),
            *(([one], [b"a=1"]) for one in (b" a=1", b"\ta=1", b"a=1 ", b"a=1\t", b"\t a=1 \t")),
            ([b"a=1 \t , \t b=2, \t c=3"], [b"a=1", b"b=2", b"c=3"]),
            ([b"a=1\t \t,\t \tb=2,\t \tc=3"], [b"a=1", b"b=2", b"c=3"]),
            ([KEY + b"=" + PRINTED], [KEY + b"=" + PRINTED]),
            ([KEY + b"@a-z0-9_-*/=" + PRINTED], [KEY + b"@a-z0-9_-*/=" + PRINTED]),
            *(([key + b"=1,b=2"], [key + b"=1", b"b=2"]) for key in (b"a@", b"a@@b", b"a@b@c")),
            (
                [b",".join(MEMBERS[:10]), b",".join(MEMBERS[10:30]), b",".join(MEMBERS[30:32])],
                MEMBERS[:32],
            ),
            *(
                ([b"a=1", key + b"=1"], [b"a=1", key + b"=1"])
                for key in (b"z" * 256, b"t" * 241 + b"@" + b"v" * 14, b"t@" + b"v" * 15)
            ),
        ],
    )
    def test_it_goes_on(self, lines: list[bytes], members: list[bytes]) -> None:
        """All of it, in its order, from any number of headers."""
        assert state(*lines) == [members, members]

    @pytest.mark.parametrize("name", [b"TraceState", b"TRACESTATE", b"tRaceStAte"])
    @pytest.mark.parametrize("value", with_flags(SAMPLED))
    def test_it_goes_on_however_its_name_is_written(self, name: bytes, value: bytes) -> None:
        [one] = told(b"traceparent: " + value, name + b": a=1")
        assert one.state == [b"a=1"]

    @pytest.mark.parametrize("name", [b"trace-state", b"trace.state", b"trace_state"])
    def test_header_of_another_name_is_none(self, name: bytes) -> None:
        [one] = told(b"traceparent: " + SAMPLED, name + b": a=1")
        assert one.state == []

    @pytest.mark.parametrize(
        "lines",
        [
            *(
                [one]
                for one in (b"a =1", b"A=1", b"a.b=1", b"@a=1", b"=1", b"a", b"a==1", b"a=1=2")
            ),
            *([b"a=1", one] for one in (b"@b=1,c=2", b"b=,c=3", b"b=\xe9", b"z" * 257 + b"=1")),
            [b",".join(MEMBERS[:10]), b",".join(MEMBERS[10:])],
        ],
    )
    def test_malformed_one_is_left_out(self, lines: list[bytes]) -> None:
        """All of it; the trace goes on."""
        assert state(*lines) == [[], []]

    @pytest.mark.parametrize(
        "lines", [[b"a=1,a=1"], [b"a=1,a=2"], [b"a=1", b"a=1"], [b"a=1", b"a=2"]]
    )
    def test_key_that_is_there_twice_is_not_made_worse(self, lines: list[bytes]) -> None:
        """What is written anew leaves the tracestate out; what passes, passes as it came."""
        assert state(*lines) == [[], b",".join(lines).split(b",")]
