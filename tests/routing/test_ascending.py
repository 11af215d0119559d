"""Integers in order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fengling_gateway.routing.ascending import Ascending


class AscendingTests:
    @settings(max_examples=30, deadline=None)
    @given(
        st.sets(st.integers(-5000, 5000), max_size=3000),
        st.sets(st.integers(-5000, 5000), max_size=3000),
        st.randoms(use_true_random=False),
    )
    def test_largest_is_known_after_any_changes(
        self, first: set[int], second: set[int], random: object
    ) -> None:
        """In any order, beyond the size of a chunk; a copy keeps what it was."""
        numbers, model = Ascending(), set()
        steps = list(first)
        random.shuffle(steps)  # type: ignore[attr-defined]
        for number in steps:
            numbers.add(number)
        model |= first
        before = numbers.copy()
        for number in sorted(second, key=lambda one: one * 7919 % 10007):
            if number in model:
                numbers.remove(number)
            else:
                numbers.add(number)
            model ^= {number}
            assert bool(numbers) == bool(model)
            if model:
                assert numbers.last == max(model)
        found = []
        while before:
            found.append(before.last)
            before.remove(before.last)
        assert found == sorted(first, reverse=True)
