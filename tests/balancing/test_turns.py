"""Turns: exact over a cycle, evenly spread, each worker from its own place."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from math import gcd
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.balancing.turns import MAX_LISTED_TURNS, take_turns

SEEDS = st.integers(0, 1000)
weights = st.lists(st.integers(1, 40), min_size=1, max_size=8)
heavy_weights = st.lists(st.integers(300, 3000), min_size=2, max_size=4)


def named(shares: list[int]) -> list[tuple[int, int]]:
    return list(enumerate(shares))


def cycle_length(shares: list[int]) -> int:
    return sum(shares) // gcd(*shares)


def assert_exact(shares: list[int], rng: Random, skipped: int) -> None:
    """Each has its share of a cycle that is counted from after so many turns."""
    turns = take_turns(named(shares), rng)
    counted = Counter(islice(turns, skipped, skipped + cycle_length(shares)))
    assert counted == {name: share // gcd(*shares) for name, share in enumerate(shares)}


class At(Random):
    """Chooses one place of a cycle to begin at."""

    def __init__(self, place: int, length: int) -> None:
        super().__init__()
        self._drawn = (place + 0.5) / length

    def random(self) -> float:
        return self._drawn


class TakeTurnsTests:
    @given(weights, SEEDS, st.integers(0, 200))
    def test_any_window_of_a_cycle_has_exact_shares(
        self, shares: list[int], seed: int, skipped: int
    ) -> None:
        """From wherever one starts counting, a cycle gives each exactly its share."""
        assert_exact(shares, Random(seed), skipped)

    @given(heavy_weights, SEEDS, st.integers(0, 50))
    def test_a_long_cycle_is_as_exact_as_a_listed_one(
        self, shares: list[int], seed: int, skipped: int
    ) -> None:
        """Weights whose cycle is too long to be listed give exact shares too."""
        assert_exact(shares, Random(seed), skipped)

    def test_several_long_cycles_repeat_the_same_turns(self) -> None:
        """A long cycle begins anew where it began."""
        shares = [700, 301, 2]
        turns = take_turns(named(shares), Random(5))
        length = cycle_length(shares)
        assert length > MAX_LISTED_TURNS
        assert list(islice(turns, length)) == list(islice(turns, length))

    def test_long_cycle_begins_with_everybodys_turn_in_one_of_its_places(self) -> None:
        """Of all places to begin at, each begins with as many as its share; the order is one."""
        shares = [300, 211, 2]  # of which no two have a deadline in common
        length = cycle_length(shares)
        assert length > MAX_LISTED_TURNS
        deadlines = sorted(
            ((k + 0.5) / share, name) for name, share in named(shares) for k in range(share)
        )
        order = bytes(name for _, name in deadlines) * 2
        begun = [take_turns(named(shares), At(place, length)) for place in range(length)]
        cycles = [bytes(islice(turns, length)) for turns in begun]
        assert all(cycle in order for cycle in cycles)
        assert Counter(cycle[0] for cycle in cycles) == dict(enumerate(shares))

    @given(weights, SEEDS)
    def test_turns_are_spread_over_the_cycle(self, shares: list[int], seed: int) -> None:
        """At no time has anybody had two turns more or less than its share so far."""
        turns = take_turns(named(shares), Random(seed))
        total = sum(shares)
        had = Counter(islice(turns, cycle_length(shares)))
        spread = [Counter[int]()]
        for name in islice(turns, cycle_length(shares)):
            spread.append(spread[-1] + Counter([name]))
        assert sum(had.values()) == cycle_length(shares)
        for name, share in enumerate(shares):
            ahead = [so_far[name] - at * share / total for at, so_far in enumerate(spread)]
            assert max(ahead) - min(ahead) <= len(shares)

    def test_turns_come_by_their_deadlines(self) -> None:
        """The k-th of weight w at (k - ½) / w; of several at once, in the order they are given."""
        turns = take_turns([("a", 5), ("b", 3), ("c", 1)], At(0, 9))
        assert "".join(islice(turns, 18)) == "abaabcaba" * 2

    def test_light_participant_waits_for_the_middle(self) -> None:
        """Weights 3 and 1 do not give three turns in a row and then one at the end of a cycle."""
        turns = take_turns([("a", 3), ("b", 1)], Random(1))
        assert "".join(islice(turns, 8)) in {"aaba" * 2, "abaa" * 2, "baaa" * 2, "aaab" * 2}

    def test_workers_start_at_different_places(self) -> None:
        """Of many workers, about as many start with each participant as its share says."""
        starts = Counter(
            next(take_turns([("a", 3), ("b", 1)], Random(seed))) for seed in range(2000)
        )
        assert 1400 < starts["a"] < 1600

    def test_workers_start_at_different_places_of_long_cycles(self) -> None:
        """The same with a cycle that is too long to be listed."""
        starts = Counter(
            next(take_turns([("a", 3000), ("b", 1001)], Random(seed))) for seed in range(2000)
        )
        assert 1400 < starts["a"] < 1600

    @pytest.mark.parametrize("participants", [[], [("a", 0)], [("a", 1), ("b", -1)]])
    def test_senseless_weights_are_refused(self, participants: list[tuple[str, int]]) -> None:
        """Without participants, or with weights below 1, there are no turns."""
        with pytest.raises(ValueError, match=r"^turns need participants with positive weights$"):
            take_turns(participants, Random(1))
