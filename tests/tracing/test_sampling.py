"""Which requests are recorded, and what instances are told."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.http.headers import Pair
from fengling_gateway.tracing.sampling import Sampler, Traced, ratio_bound
from fengling_gateway.tracing.trace_context import parse_traceparent
from tests.tracing.test_trace_context import GOOD, SPAN, TRACE

UNSAMPLED = GOOD[:-1] + b"0"


def sampler(ratio: float = 0.0, seed: int = 1) -> Sampler:
    return Sampler(ratio=ratio, rng=Random(seed))


def recorded(outcome: tuple[list[Pair], Traced | None]) -> Traced:
    pairs, traced = outcome
    assert pairs == []
    assert traced is not None
    return traced


class Bits(Random):
    """Gives what it is told."""

    def __init__(self, *numbers: int) -> None:
        super().__init__()
        self._numbers = list(numbers)

    def getrandbits(self, k: int, /) -> int:
        return self._numbers.pop(0)


class SamplerTests:
    """`Sampler`"""

    def test_trace_that_begins_unrecorded_says_so(self) -> None:
        """A good traceparent of version 00, by which nobody after us records half of it."""
        pairs, traced = sampler().begin(None)
        assert traced is None
        ((name, value),) = pairs
        parent = parse_traceparent(value)
        assert name == b"traceparent"
        assert parent is not None
        assert not parent.is_sampled

    def test_trace_that_begins_recorded_has_no_parent(self) -> None:
        """And each attempt is told of its own span."""
        traced = recorded(sampler(1.0).begin(None))
        assert traced.parent_id == b""
        ids = [traced.attempt_id(number) for number in range(3)]
        assert len({*ids, traced.span_id}) == 4
        for number, span_id in enumerate(ids):
            ((name, value),) = traced.pairs(number)
            assert name == b"traceparent"
            assert parse_traceparent(value) == (traced.trace_id, span_id, True)

    @pytest.mark.parametrize("span_id", [b"f" * 16, b"f" * 15 + b"e", b"f" * 15 + b"d"])
    def test_ids_of_attempts_are_never_zeros(self, span_id: bytes) -> None:
        """Where counting comes to an end it begins anew."""
        traced = Traced(TRACE, span_id, b"", b"")
        ids = [traced.attempt_id(number) for number in range(3)]
        assert all(len(one) == 16 and int(one, 16) for one in ids)

    def test_recorded_parent_is_continued(self) -> None:
        """Whatever the ratio: who sends it has decided."""
        traced = recorded(sampler(0.0).begin(GOOD, [b"a=1", b" b=2"]))
        assert (traced.trace_id, traced.parent_id) == (TRACE, SPAN)
        assert traced.span_id != SPAN
        own = traced.pairs(0)
        value = b"00-" + TRACE + b"-" + traced.attempt_id(0) + b"-01"
        assert own == [(b"traceparent", value), (b"tracestate", b"a=1,b=2")]

    def test_malformed_tracestate_is_left_out(self) -> None:
        """And the trace goes on all the same."""
        traced = recorded(sampler().begin(GOOD, [b"A=1"]))
        assert [name for name, _ in traced.pairs(0)] == [b"traceparent"]

    def test_unrecorded_parent_is_passed_on_untouched(self) -> None:
        """Line by line, also more than needs to be sent on; but nothing that is no tracestate."""
        long = b"c=" + b"v" * 200 + b",d=" + b"v" * 200 + b",e=" + b"v" * 200
        states = [b"a=1, b=2", b"", b"b=3,,", long]
        pairs, traced = sampler(1.0).begin(UNSAMPLED, states)
        assert traced is None
        assert pairs == [(b"traceparent", UNSAMPLED), *((b"tracestate", one) for one in states)]
        pairs, traced = sampler(1.0).begin(UNSAMPLED, [b"a=1", b"A=1"])
        assert traced is None
        assert pairs == [(b"traceparent", UNSAMPLED)]

    def test_unrecorded_parent_of_a_later_version_is_written_as_ours(self) -> None:
        """With nothing of what we don't know."""
        pairs, traced = sampler(1.0).begin(b"cc" + UNSAMPLED[2:] + b"-more", [b"A=1"])
        assert traced is None
        assert pairs == [(b"traceparent", UNSAMPLED)]

    @pytest.mark.parametrize("value", [b"", b"nonsense", b"ff" + GOOD[2:]])
    @pytest.mark.parametrize("ratio", [0.0, 1.0])
    def test_what_is_no_parent_begins_anew(self, value: bytes, ratio: float) -> None:
        """Without the tracestate that came with it."""
        pairs, traced = sampler(ratio).begin(value, [b"a=1"])
        if traced is not None:
            pairs = traced.pairs(0)
            assert traced.parent_id == b""
        assert [name for name, _ in pairs] == [b"traceparent"]
        assert TRACE not in pairs[0][1]

    def test_forced_request_is_recorded(self) -> None:
        """Whatever its parent or the ratio say; it stays in its trace."""
        assert recorded(sampler().begin(None, is_forced=True)).parent_id == b""
        traced = recorded(sampler().begin(UNSAMPLED, [b"a=1"], is_forced=True))
        assert (traced.trace_id, traced.parent_id, traced.state) == (TRACE, SPAN, b"a=1")

    def test_ids_of_zeros_are_not_used(self) -> None:
        """They would be no ids."""
        low, good = 5, (7 << 64) + 5
        one = Sampler(ratio=1.0, ahead=1, rng=Bits(low, 7 << 64, good, 0, 9))
        traced = recorded(one.begin(None))
        assert (int(traced.trace_id, 16), int(traced.span_id, 16)) == (7, 5)
        assert recorded(one.begin(GOOD)).span_id == b"0000000000000009"

    def test_ratio_is_kept(self) -> None:
        """Over many requests."""
        one = sampler(0.25)
        share = sum(one.begin(None)[1] is not None for _ in range(4000)) / 4000
        assert 0.2 < share < 0.3


class RatioTests:
    """`ratio_bound`, which is what OpenTelemetry's TraceIdRatioBased decides by"""

    @pytest.mark.parametrize(
        ("ratio", "bound"), [(0.0, 0), (0.5, 1 << 63), (1.0, 1 << 64), (1e-3, 18446744073709552)]
    )
    def test_bound_is_that_of_opentelemetry(self, ratio: float, bound: int) -> None:
        """Numbers that its Python SDK gives."""
        assert ratio_bound(ratio) == bound

    @pytest.mark.parametrize(("low", "is_recorded"), [((1 << 63) - 1, True), (1 << 63, False)])
    def test_bound_itself_is_not_recorded(self, low: int, is_recorded: bool) -> None:
        """A ratio of 0.5 records exactly half of all ids."""
        _, traced = Sampler(ratio=0.5, ahead=1, rng=Bits((low << 64) + 1)).begin(None)
        assert (traced is not None) == is_recorded

    @given(st.floats(0, 1), st.integers(1, (1 << 128) - 1), st.integers(1, (1 << 64) - 1))
    def test_low_half_of_the_trace_id_decides(self, ratio: float, trace: int, span: int) -> None:
        """So that whoever sees the trace can tell."""
        _, traced = Sampler(ratio=ratio, ahead=1, rng=Bits((trace << 64) + span)).begin(None)
        assert (traced is not None) == (trace % (1 << 64) < round(ratio * (1 << 64)))

    @given(st.floats(0, 1), st.floats(0, 1), st.integers(1, (1 << 64) - 1))
    def test_larger_ratio_records_what_a_smaller_one_does(
        self, one: float, other: float, low: int
    ) -> None:
        """Services with different ratios record whole traces, only fewer."""
        smaller, larger = sorted((one, other))
        assert not low < ratio_bound(smaller) or low < ratio_bound(larger)
