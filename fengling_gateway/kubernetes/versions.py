"""Versions of a cluster's resources, and how long to wait after failures. Pure."""

from __future__ import annotations

from random import Random
from typing import Final

FIRST_BACKOFF_SECONDS: Final = 0.2
MAX_BACKOFF_SECONDS: Final = 30.0
_MOST_DOUBLINGS: Final = 16


def is_older(version: str, than: str) -> bool:
    """
    Whether a version is of a time before another one.

    The API calls versions opaque, but for its own resources and those of definitions they are
    numbers that grow (KEP-5504). What is no number is not compared.
    """
    if not (_is_number(version) and _is_number(than)):
        return False
    return int(version) < int(than)


def _is_number(version: str) -> bool:
    return version.isascii() and version.isdecimal() and len(version) <= 30


class Backoff:
    """
    How long to wait after one failure more, without a success in between.

    Attributes:
        failures: how many there have been in a row.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.failures = 0

    def reset(self) -> None:
        self.failures = 0

    def next_seconds(self, at_least: float | None) -> float:
        """
        Return seconds to wait.

        Args:
            at_least: what the server asks for; then somewhat more, so that not all come at once.
        """
        doublings = min(self.failures, _MOST_DOUBLINGS)
        self.failures += 1
        usual = min(FIRST_BACKOFF_SECONDS * 2**doublings, MAX_BACKOFF_SECONDS)
        jittered = usual * self._rng.uniform(0.5, 1.0)
        if at_least is None:
            return jittered
        return max(jittered, at_least * self._rng.uniform(1.0, 1.1))
