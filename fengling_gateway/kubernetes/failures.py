"""What follows from a failure of following a resource: what to say, and how long to wait. Pure."""

from __future__ import annotations

from random import Random
from typing import Final, NamedTuple

from fengling_gateway.kubernetes.errors import ApiError
from fengling_gateway.kubernetes.standing import State

FIRST_BACKOFF_SECONDS: Final = 0.2
MAX_BACKOFF_SECONDS: Final = 30.0
FORBIDDEN_SECONDS: Final = 30.0
ABSENT_SECONDS: Final = 60.0

ABSENT: Final = 404
EXPIRED: Final = 410

WARNED_FAILURES: Final = 3
"""In a row, before the log has them: single ones are of every day, and end within a second."""

_AT_ONCE: Final = frozenset((400, 401, 403, 404))
"""What does not pass by itself is warned of at once."""

_MOST_DOUBLINGS: Final = 16


class Verdict(NamedTuple):
    """
    What follows.

    Attributes:
        seconds: to wait.
        is_listed_anew: whether the version is of no use any more.
        is_warned_of: whether the log is to have it.
    """

    state: State
    seconds: float
    is_listed_anew: bool
    is_warned_of: bool


class Failures:
    """Failures since the last success."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._in_a_row = 0

    def reset(self) -> None:
        """Note a success."""
        self._in_a_row = 0

    def judge(self, error: ApiError) -> Verdict:
        """Note a failure, and return what follows from it."""
        is_first = self._in_a_row == 0
        seconds = self._next_seconds(error.retry_after)
        is_warned_of = self._in_a_row >= WARNED_FAILURES or error.status in _AT_ONCE
        if error.status == EXPIRED:
            # It happens whenever a watch was away for longer than the server remembers.
            return Verdict("waiting", 0.0 if is_first else seconds, True, is_warned_of)
        if error.status == 403:
            return Verdict("forbidden", FORBIDDEN_SECONDS, False, is_warned_of)
        if error.status == ABSENT:
            return Verdict("absent", ABSENT_SECONDS, True, is_warned_of)
        return Verdict("waiting", seconds, False, is_warned_of)

    def _next_seconds(self, at_least: float | None) -> float:
        doublings = min(self._in_a_row, _MOST_DOUBLINGS)
        self._in_a_row += 1
        usual = min(FIRST_BACKOFF_SECONDS * 2**doublings, MAX_BACKOFF_SECONDS)
        jittered = usual * self._rng.uniform(0.5, 1.0)
        if at_least is None:
            return jittered
        # Somewhat more than the server asks for, so that not all come at once.
        return max(jittered, at_least * self._rng.uniform(1.0, 1.1))
