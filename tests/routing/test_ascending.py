"""Integers in order."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from fengling_gateway.routing.ascending import Ascending


def popped(numbers: Ascending) -> list[int]:
    """Take out the largest until nothing is left."""
    found = []
    while numbers:
        found.append(numbers.last)
        numbers.remove(numbers.last)
    return found


class AscendingTests:
    def test_thousands_are_kept_whatever_their_order(self) -> None:
        """In many chunks, of which each change touches one."""
        rng = Random(3)
        numbers, values = Ascending(), list(range(4000))
        rng.shuffle(values)
        for value in values:
            numbers.add(value)
        gone = values[::3]
        for value in gone:
            numbers.remove(value)
        expected = sorted(set(values) - set(gone), reverse=True)
        assert popped(numbers.copy()) == expected
        for value in gone:
            numbers.add(value)
        assert popped(numbers) == sorted(values, reverse=True)

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
        assert popped(before) == sorted(first, reverse=True)
