"""The ways of choosing one of several instances.

A choice is compiled for a fixed set of candidates, each with a positive
weight. It only reads ``in_flight``, which the data plane counts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from random import Random
from typing import Final

from fengling_gateway.balancing.instance import InstanceState
from fengling_gateway.balancing.turns import take_turns

Candidates = tuple[tuple[InstanceState, int], ...]
"""Instances that may be chosen, with their weights."""


class Choice:
    """Chooses the only candidate; the base of those that have several to choose from."""

    __slots__ = ("candidates",)

    def __init__(self, candidates: Candidates, rng: Random) -> None:
        self.candidates = candidates

    def pick(self, rng: Random, exclude: InstanceState | None) -> InstanceState | None:
        """Return a candidate other than `exclude`; None where there is no other."""
        state = self.candidates[0][0]
        return None if state is exclude else state

    def _another(self, rng: Random, exclude: InstanceState) -> InstanceState | None:
        """
        Return the least loaded candidate other than `exclude`.

        A second attempt is rare and wants the best chance, so every policy makes
        it alike; candidates with equal load take it at random.
        """
        others = [(state, weight) for state, weight in self.candidates if state is not exclude]
        if not others:
            return None
        rng.shuffle(others)
        return min(others, key=_load)[0]


def _load(candidate: tuple[InstanceState, int]) -> float:
    return (candidate[0].in_flight + 1) / candidate[1]


class PowerOfTwo(Choice):
    """Two different candidates of equal weight at random, the one with less in flight."""

    __slots__ = ("_count", "_states")

    def __init__(self, candidates: Candidates, rng: Random) -> None:
        super().__init__(candidates, rng)
        self._states = tuple(state for state, _ in candidates)
        self._count = len(candidates)

    def pick(self, rng: Random, exclude: InstanceState | None) -> InstanceState | None:
        count = self._count
        states = self._states
        # One draw gives both: the whole part is the first, the fraction the second.
        draw = rng.random() * count
        one = int(draw)
        first = states[one]
        if first.in_flight:
            other = int((draw - one) * (count - 1))
            second = states[other if other < one else other + 1]
            if second.in_flight < first.in_flight:
                first = second
        return first if first is not exclude else self._another(rng, first)


class WeightedPowerOfTwo(Choice):
    """
    Two candidates drawn in proportion to their weights, the one less loaded for its weight.

    The same candidate may be drawn twice, and the first drawn wins a tie. An
    idle service thus shares out exactly by weight, a loaded one by load per
    weight. (Drawing two different ones evenly and comparing load per weight
    would starve light candidates of an idle service: with weights 90 and 10, the
    second gets nothing until the first has nine requests in flight.)
    """

    __slots__ = ("_last", "_sums", "_total")

    def __init__(self, candidates: Candidates, rng: Random) -> None:
        super().__init__(candidates, rng)
        self._sums = tuple(accumulate(weight for _, weight in candidates))
        self._total = self._sums[-1]
        self._last = len(candidates) - 1

    def pick(self, rng: Random, exclude: InstanceState | None) -> InstanceState | None:
        sums, total, last = self._sums, self._total, self._last
        candidates = self.candidates
        first, weight = candidates[bisect_right(sums, rng.random() * total, 0, last)]
        if first.in_flight:
            second, other = candidates[bisect_right(sums, rng.random() * total, 0, last)]
            if second.in_flight * weight < first.in_flight * other:
                first = second
        return first if first is not exclude else self._another(rng, first)


class InTurn(Choice):
    """Every candidate in its turn, in proportion to weights: exact over a cycle."""

    __slots__ = ("_turns",)

    def __init__(self, candidates: Candidates, rng: Random) -> None:
        super().__init__(candidates, rng)
        self._turns = take_turns(candidates, rng)

    def pick(self, rng: Random, exclude: InstanceState | None) -> InstanceState | None:
        state = next(self._turns)
        return state if state is not exclude else self._another(rng, state)


class InPlainTurn(InTurn):
    """Every candidate in its turn, whatever its weight."""

    __slots__ = ()

    def __init__(self, candidates: Candidates, rng: Random) -> None:
        super().__init__(candidates, rng)
        self._turns = take_turns([(state, 1) for state, _ in candidates], rng)


class LeastRequests(Choice):
    """The candidate with the fewest requests in flight for its weight; on a tie, in turn."""

    __slots__ = ("_turns",)

    def __init__(self, candidates: Candidates, rng: Random) -> None:
        super().__init__(candidates, rng)
        self._turns = take_turns([(pair, pair[1]) for pair in candidates], rng)

    def pick(self, rng: Random, exclude: InstanceState | None) -> InstanceState | None:
        best, weight = next(self._turns)
        load = best.in_flight
        if load:
            for state, other in self.candidates:
                if state.in_flight * weight < load * other:
                    best, load, weight = state, state.in_flight, other
        return best if best is not exclude else self._another(rng, best)


class AtRandom(Choice):
    """Any candidate, with a probability in proportion to its weight."""

    __slots__ = ("_last", "_sums", "_total")

    def __init__(self, candidates: Candidates, rng: Random) -> None:
        super().__init__(candidates, rng)
        self._sums = tuple(accumulate(weight for _, weight in candidates))
        self._total = self._sums[-1]
        self._last = len(candidates) - 1

    def pick(self, rng: Random, exclude: InstanceState | None) -> InstanceState | None:
        place = bisect_right(self._sums, rng.random() * self._total, 0, self._last)
        state = self.candidates[place][0]
        return state if state is not exclude else self._another(rng, state)


def _power_of_two(candidates: Candidates, rng: Random) -> Choice:
    weights = {weight for _, weight in candidates}
    return (PowerOfTwo if len(weights) == 1 else WeightedPowerOfTwo)(candidates, rng)


POLICIES: Final[dict[str, Callable[[Candidates, Random], Choice]]] = {
    "power_of_two": _power_of_two,
    "weighted_round_robin": InTurn,
    "round_robin": InPlainTurn,
    "least_requests": LeastRequests,
    "random": AtRandom,
}


def compile_choice(
    policy: str, candidates: Sequence[tuple[InstanceState, int]], rng: Random
) -> Choice | None:
    """Return the choice that `policy` makes among `candidates`; None where there are none."""
    if not candidates:
        return None
    if len(candidates) == 1:
        return Choice(tuple(candidates), rng)
    return POLICIES[policy](tuple(candidates), rng)
