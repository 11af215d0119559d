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
