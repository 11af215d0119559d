"""Sharing the requests of one route out among several services."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from fengling_gateway.balancing.turns import take_turns


class Split:
    """
    Names the service for the next request: exact over a cycle of the weights.

    Services with weight 0 get nothing, unless all have it: then all get the same.
    """

    __slots__ = ("_turns", "weights")

    def __init__(self, weights: Mapping[str, int], rng: Random) -> None:
        self.weights = tuple(sorted(weights.items()))
        shares = [(service, weight) for service, weight in self.weights if weight > 0]
        self._turns = take_turns(shares or [(service, 1) for service in weights], rng)

    def pick(self) -> str:
        """Return the id of the service whose turn it is."""
        return next(self._turns)

    def has_weights(self, weights: Mapping[str, int]) -> bool:
        """Whether this split, half-way through its cycle as it is, serves `weights`."""
        return self.weights == tuple(sorted(weights.items()))

    def __repr__(self) -> str:
        return f"<Split {' '.join(f'{service}={weight}' for service, weight in self.weights)}>"
