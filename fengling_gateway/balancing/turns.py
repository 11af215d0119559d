"""Turns that are exact over a cycle: who comes next, in proportion to weights.

Each participant's turns are spread evenly: turn *k* of one with weight *w* has
the deadline (k - ½) / w, and whoever's deadline is nearest comes next. A cycle
has as many turns as the weights, divided by what they have in common, add up
to; every window of that length gives each participant exactly its share.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heapify, heapreplace
from itertools import cycle
from math import gcd
from random import Random
from typing import Final, TypeVar

T = TypeVar("T")

MAX_LISTED_TURNS: Final = 512
"""Longest cycle kept as a list (4 KiB); a longer one is worked out turn by turn."""


def take_turns(participants: Sequence[tuple[T, int]], rng: Random) -> Iterator[T]:
    """
    Return an endless iterator over `participants`, pairs of anything and a weight.

    It starts at a random place of the cycle, so that many workers which begin
    at once do not all begin with the same participant.

    Raises:
        ValueError: there is no participant, or a weight is not positive.
    """
    if not participants or min(weight for _, weight in participants) < 1:
        raise ValueError("turns need participants with positive weights")
    common = gcd(*(weight for _, weight in participants))
    shares = [(participant, weight // common) for participant, weight in participants]
    total = sum(share for _, share in shares)
    start = int(rng.random() * total)
    if total > MAX_LISTED_TURNS:
        return _long_cycle(shares, total, _first_turns(shares, start))
    turns = _listed(shares)
    return cycle(turns[start:] + turns[:start])


def _listed(shares: Sequence[tuple[T, int]]) -> list[T]:
    deadlines = [
        ((k + 0.5) / share, index) for index, (_, share) in enumerate(shares) for k in range(share)
    ]
    deadlines.sort()
    return [shares[index][0] for _, index in deadlines]


def _first_turns(shares: Sequence[tuple[T, int]], start: int) -> list[int]:
    """Return everybody's first turn of a cycle that begins with one turn, the `start`-th of all."""
    for _, share in shares:
        if start < share:
            break
        start -= share
    # The deadline to begin at is (start + ½) / share. Whole numbers, because one
    # turn too many or too few would make the cycle inexact.
    return [-((share - (2 * start + 1) * other) // (2 * share)) for _, other in shares]


def _long_cycle(
    shares: Sequence[tuple[T, int]], total: int, first_turns: Sequence[int]
) -> Iterator[T]:
    """Yield the same turns as a list would hold, with a heap."""
    while True:
        # Begun anew after each cycle: deadlines stay small, so that no error of
        # floats ever decides who comes next.
        heap = [
            ((turn + 0.5) / share, index, turn)
            for index, ((_, share), turn) in enumerate(zip(shares, first_turns, strict=True))
        ]
        heapify(heap)
        for _ in range(total):
            _, index, turn = heap[0]
            participant, share = shares[index]
            turn += 1
            heapreplace(heap, ((turn + 0.5) / share, index, turn))
            yield participant
