"""Counting priorities."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.routing.levels import NO_PRIORITY, Levels


class LevelsTests:
    @given(st.data(), st.lists(st.integers(-3, 3), max_size=30))
    def test_top_and_flatness_follow_what_is_there(
        self, data: st.DataObject, added: list[int]
    ) -> None:
        """After any additions and removals the top is the highest priority left."""
        levels = Levels()
        for priority in added:
            levels.add(priority)
        frozen = levels.copy()
        left = Counter(added)
        for priority in data.draw(st.permutations(added)):
            assert levels.top == max(left)
            assert levels.count == left[max(left)]
            assert levels.is_flat == (len(left) == 1)
            levels.subtract(priority)
            left -= Counter([priority])
        assert (levels.top, levels.count, levels.is_flat) == (NO_PRIORITY, 0, True)
        assert frozen.top == max(added, default=NO_PRIORITY)

    def test_number_of_priorities_makes_no_change_dear(self) -> None:
        """Taking the highest of 5,000 priorities away looks at few of the others."""
        levels = Levels()
        for priority in range(5000):
            levels.add(Counted(priority))
        Counted.looks = 0
        for priority in range(4999, 4499, -1):
            assert levels.top == priority
            levels.subtract(Counted(priority))
        assert Counted.looks < 100 * 500


class Counted(int):
    """An integer that counts how often one is compared with another."""

    looks = 0

    def __lt__(self, other: int) -> bool:
        Counted.looks += 1
        return int(self) < other

    def __gt__(self, other: int) -> bool:
        Counted.looks += 1
        return int(self) > other

    def __eq__(self, other: object) -> bool:
        Counted.looks += 1
        return int(self) == other

    __hash__ = int.__hash__
