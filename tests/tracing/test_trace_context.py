"""traceparent and tracestate, to the letter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.tracing.trace_context import (
    MAX_STATE_BYTES,
    UNSAMPLED,
    Parent,
    is_well_formed,
    parse_traceparent,
    parse_tracestate,
    traceparent,
)
from tests.tracing import abnf

TRACE = b"%032x" % 0x0AF7651916CD43DD8448EB211C80319C
SPAN = b"%016x" % 0xB7AD6B7169203331
GOOD = b"00-" + TRACE + b"-" + SPAN + b"-01"

hexadecimal = st.sampled_from("0123456789abcdef")


def near(text: str) -> st.SearchStrategy[str]:
    """A text with one character replaced, removed or added somewhere, or none."""
    place = st.integers(0, len(text))
    other = st.sampled_from(["", "0", "f", "-", "F", "g", ".", " ", "\n", "00", "é", "\0"])
    return st.one_of(
        st.just(text),
        st.builds(lambda at, char: text[:at] + char + text[at + 1 :], place, other),
        st.builds(lambda at, char: text[:at] + char + text[at:], place, other),
        st.builds(lambda end: text + end, st.sampled_from(["-", "-more", "x", "\n", "-é", " "])),
    )


@st.composite
def traceparents(draw: st.DrawFn) -> str:
    """Values of a traceparent that are good, or almost."""
    version = draw(st.sampled_from(["00", "00", "01", "cc", "fe", "ff", "0", "0G", "Fe"]))
    trace_id = draw(st.one_of(st.just("0" * 32), st.text(hexadecimal, min_size=32, max_size=32)))
    span_id = draw(st.one_of(st.just("0" * 16), st.text(hexadecimal, min_size=16, max_size=16)))
    flags = draw(st.text(hexadecimal, min_size=2, max_size=2))
    return draw(near(f"{version}-{trace_id}-{span_id}-{flags}"))


class TraceparentTests:
    """`parse_traceparent`"""

    def test_good_value_is_read(self) -> None:
        """Both ids, and the one flag that there is."""
        assert parse_traceparent(GOOD) == Parent(TRACE, SPAN, True)

    @pytest.mark.parametrize(
        ("flags", "is_sampled"), [(b"00", False), (b"08", False), (b"09", True), (b"ff", True)]
    )
    def test_other_flags_say_nothing(self, flags: bytes, is_sampled: bool) -> None:
        """They are bits, of which the last is looked at."""
        parent = parse_traceparent(GOOD[:-2] + flags)
        assert parent is not None
        assert parent.is_sampled == is_sampled

    @pytest.mark.parametrize("end", [b"", b"-", b"-what-the-future-brings"])
    def test_later_version_counts_as_far_as_it_is_known(self, end: bytes) -> None:
        """But it can't be sent on as if we knew the rest."""
        parent = parse_traceparent(b"cc" + GOOD[2:] + end)
        assert parent == Parent(TRACE, SPAN, True)

    @pytest.mark.parametrize(
        "value",
        [
            b"",
            b"00",
            b"ff" + GOOD[2:],
            GOOD + b"-",
            GOOD + b"-more",
            GOOD + b" ",
            GOOD + b"\n",
            GOOD.upper(),
            b"0" + GOOD,
            GOOD[1:],
            b"cc" + GOOD[2:] + b".",
            GOOD.replace(TRACE, b"0" * 32),
            GOOD.replace(SPAN, b"0" * 16),
            GOOD.replace(b"-", b"_"),
        ],
    )
    def test_what_is_not_good_counts_as_none(self, value: bytes) -> None:
        """The trace begins anew."""
        assert parse_traceparent(value) is None

    @given(traceparents())
    def test_it_is_read_as_the_specification_says(self, text: str) -> None:
        """The grammar and its rules give the same."""
        found = parse_traceparent(text.encode("latin-1"))
        said = None if found is None else (found.trace_id, found.span_id, found.is_sampled)
        model = abnf.traceparent(text)
        assert said == (model and (model[0].encode(), model[1].encode(), model[2]))
        untouched = model is not None and not model[2] and text.startswith("00")
        assert (UNSAMPLED.fullmatch(text.encode("latin-1")) is not None) == untouched

    @given(st.binary(max_size=80))
    def test_any_bytes_are_read_or_not(self, value: bytes) -> None:
        """Nothing that a client sends is an error."""
        model = abnf.traceparent(value.decode("latin-1"))
        assert (parse_traceparent(value) is None) == (model is None)

    @pytest.mark.parametrize("is_sampled", [True, False])
    def test_written_value_is_read_as_it_was_meant(self, is_sampled: bool) -> None:
        """In the version that we know."""
        value = traceparent(TRACE, SPAN, is_sampled=is_sampled)
        assert parse_traceparent(value) == Parent(TRACE, SPAN, is_sampled)


keys = st.one_of(
    st.from_regex(r"[a-z][a-z0-9_*/-]{0,20}", fullmatch=True),
    st.from_regex(r"[a-z0-9][a-z0-9_*/-]{0,8}@[a-z][a-z0-9_*/-]{0,14}", fullmatch=True),
    st.sampled_from(["A", "1a", "@a", "a@", "a@1", "a@b@c", "a b", "", "z" * 256, "z" * 257])
    | st.sampled_from(["t" * 241 + "@v", "t" * 242 + "@v", "t@" + "v" * 14, "t@" + "v" * 15]),
)
values_of_keys = st.one_of(
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12),
    st.sampled_from(["", " ", " x", "x y", "a=b", "a,b", "\x7f", "é", "v" * 256, "v" * 257]),
)
members = st.one_of(
    st.builds("{}={}".format, keys, values_of_keys), st.sampled_from(["", " ", "\t ", "a", "="])
)


@st.composite
def tracestates(draw: st.DrawFn) -> list[str]:
    """The values of some tracestate headers, good ones or almost."""
    separators = st.sampled_from([",", ", ", " ,\t", ",,"])
    lines = []
    for _ in range(draw(st.integers(1, 3))):
        line = ""
        for number, one in enumerate(draw(st.lists(members, max_size=4))):
            line += (draw(separators) if number else "") + one
        lines.append(line)
    return lines


class TracestateTests:
    """`parse_tracestate`"""

    def test_members_are_sent_on_in_their_order(self) -> None:
        """Of several headers, as one, without what is empty."""
        assert parse_tracestate([b"foo=1 , bar=2", b"", b",a@b=3\t"]) == b"foo=1,bar=2,a@b=3"

    def test_nothing_is_nothing(self) -> None:
        """No header, an empty one, empty members."""
        assert [parse_tracestate(one) for one in ([], [b""], [b" ,\t,"])] == [b"", b"", b""]

    @pytest.mark.parametrize(
        "value",
        [
            *(b"foo", b"foo=", b"=1", b"FOO=1", b"foo =1", b"foo=1=2", b"foo=1,foo=2", b"-a=1"),
            *(b"@a=1", b"foo=\x7f", b"foo=\xe9", b"foo=a,b@", b"foo=a\tb", b"_foo=1", b"foo.bar=1"),
        ],
    )
    def test_malformed_member_takes_all_with_it(self, value: bytes) -> None:
        """Who has made a mistake in one may have made it in others."""
        assert parse_tracestate([b"good=1," + value]) == b""

    @pytest.mark.parametrize(
        ("longest", "longer"),
        [
            (b"z" * 256 + b"=1", b"z" * 257 + b"=1"),
            (b"t" * 242 + b"@" + b"v" * 13 + b"=1", b"t" * 242 + b"@" + b"v" * 14 + b"=1"),
            (b"k=" + b"v" * 256, b"k=" + b"v" * 257),
        ],
    )
    def test_keys_and_values_are_as_long_as_they_may_be(
        self, longest: bytes, longer: bytes
    ) -> None:
        """And no longer."""
        assert parse_tracestate([longest]) == longest
        assert parse_tracestate([longer]) == b""

    @pytest.mark.parametrize("key", [b"a@", b"a@@b", b"1@b@c", b"0", b"a" * 3 + b"@" + b"b" * 99])
    def test_at_signs_may_be_anywhere_but_in_front(self, key: bytes) -> None:
        """As level 2 has it, of which level 1 allows less."""
        assert parse_tracestate([key + b"=1"]) == key + b"=1"
        assert parse_tracestate([b"@" + key + b"=1"]) == b""

    def test_as_many_members_as_there_may_be_are_taken(self) -> None:
        """Empty ones count."""
        most = [b"k%d=1" % number for number in range(32)]
        assert parse_tracestate(most) == b",".join(most)
        assert parse_tracestate([*most, b""]) == b""
        assert parse_tracestate([*most[1:], b""]) == b",".join(most[1:])

    def test_as_much_as_must_be_is_sent_on(self) -> None:
        """All of 512 bytes; of more, what comes last is left out, as a whole."""
        fits = [b"k%02d=%s" % (number, b"v" * 60) for number in range(7)]
        rest = MAX_STATE_BYTES - len(b",".join(fits)) - 1
        last = b"z=" + b"v" * (rest - 2)
        assert parse_tracestate([*fits, last]) == b",".join([*fits, last])
        assert parse_tracestate([*fits, last + b"v"]) == b",".join(fits)

    def test_large_members_are_left_out_first(self) -> None:
        """Wherever they are."""
        small = [b"k%02d=%s" % (number, b"v" * 60) for number in range(6)]
        large = b"large=" + b"v" * 200
        assert parse_tracestate([large, *small]) == b",".join(small)

    @given(tracestates())
    def test_it_is_read_as_the_specification_says(self, lines: list[str]) -> None:
        """What is well-formed is sent on; of what is too long, members that were there, in order."""
        state = parse_tracestate([one.encode("latin-1") for one in lines])
        model = abnf.tracestate(lines)
        well_formed = [f"{key}={value}" for key, value in model or ()]
        whole = ",".join(well_formed)
        if len(whole) <= MAX_STATE_BYTES:
            assert state.decode("latin-1") == whole
            return
        assert 0 <= len(state) <= MAX_STATE_BYTES
        kept = [one for one in state.decode("latin-1").split(",") if one]
        rest = iter(well_formed)
        assert all(one in rest for one in kept)

    @given(tracestates())
    def test_it_is_well_formed_where_it_can_be_read(self, lines: list[str]) -> None:
        """But for keys that are there twice, which are told from nothing else."""
        values = [one.encode("latin-1") for one in lines]
        model = abnf.tracestate(lines, unique=False)
        assert is_well_formed(values) == (model is not None)

    @pytest.mark.timeout(10)
    @pytest.mark.parametrize(
        "value",
        [
            *(b" \t" * 100_000 + b"!", b"a=" + b" " * 100_000, b"a=b" + b" " * 100_000 + b"!"),
            *(b"k=" + b"v" * 100_000, b"a@" * 100_000, (b"a=" + b" v" * 120 + b",") * 30 + b"!"),
        ],
    )
    def test_it_is_soon_seen_not_to_be_well_formed(self, value: bytes) -> None:
        """Whatever a client has thought of: nothing is tried in many ways, which would take minutes."""
        assert not is_well_formed([value])

    @given(st.lists(st.binary(max_size=40), max_size=3))
    def test_any_bytes_are_read_or_not(self, lines: list[bytes]) -> None:
        """Nothing that a client sends is an error."""
        model = abnf.tracestate([one.decode("latin-1") for one in lines])
        expected = ",".join(f"{key}={value}" for key, value in model or ())
        assert parse_tracestate(lines).decode("latin-1") == expected
