"""Sliding windows, one per key, each made of two that do not slide.

What was taken in the last window counts by the part of it that the sliding
window still covers, as if it had come evenly. One more is let in while there is
room for a part of it: asked for always, the rate is let in exactly, and never
more than one too many. That takes three numbers for each key.
"""

from __future__ import annotations

from math import ceil, floor
from typing import Final

from fengling_gateway.limiting.generations import Generations

LEAST_ROOM: Final = 0.001
"""The part of a request that there has to be room for."""

_BEGAN: Final = 0
_TAKEN: Final = 1
_BEFORE: Final = 2

State = list[float]
"""When the window began, what was taken in it, and in the one before."""


class SlidingWindows:
    """
    Windows of the same length.

    Args:
        count: what may be taken in a window.
        window: seconds.
        max_keys: roughly how many are known at a time.
        most_debt: windows that may be filled at once. More than one only if others
            take, too.
    """

    __slots__ = ("_count", "_most", "_window", "keys")

    def __init__(self, count: int, window: float, max_keys: int, most_debt: int = 1) -> None:
        self._count = count
        self._most = count - LEAST_ROOM
        self._window = window
        self.keys: Generations[State] = Generations((1 + most_debt) * window, max_keys)

    def take(self, key: bytes, now: float) -> float:
        """Take one: return 0.0, or the seconds until one may be taken."""
        state = self.keys.younger.get(key)
        if state is None:
            state = self.keys.recall(key, now)
            if state is None:
                self.keys.younger[key] = [now, 1, 0]
                return 0.0
        if not 0.0 <= now - state[_BEGAN] < self._window:
            self._move_on(state, now)
        part_before = 1 - (now - state[_BEGAN]) / self._window
        if state[_TAKEN] + state[_BEFORE] * part_before <= self._most:
            state[_TAKEN] += 1
            return 0.0
        return self._wait(state, now)

    def wait(self, key: bytes, now: float) -> float:
        """Return the seconds until one may be taken, and take none."""
        state = self.keys.peek(key)
        if state is None:
            return 0.0
        self._move_on(state, now)
        return self._wait(state, now)

    def left(self, key: bytes, now: float) -> tuple[int, int]:
        """Return what may still be taken now, and the seconds until it is more."""
        state = self.keys.peek(key)
        if state is None:
            return self._count, 0
        self._move_on(state, now)
        passed = now - state[_BEGAN]
        counted = state[_TAKEN] + state[_BEFORE] * (1 - passed / self._window)
        left = max(0, floor(self._most - counted) + 1)
        return left, ceil(self._wait(state, now) or self._window - passed)

    def settle(self, key: bytes, state: tuple[float, int, int], taken: int, now: float) -> None:
        """
        Go by what was counted elsewhere.

        Args:
            state: seconds since the window there began, what was taken in it, and
                in the one before.
            taken: since then.
        """
        passed, in_window, before = state
        if self.keys.younger.get(key) is None:
            self.keys.recall(key, now)
        self.keys.younger[key] = [now - passed, in_window + taken, before]

    def __len__(self) -> int:
        return len(self.keys)

    def take_forgotten(self) -> int:
        """Return how many keys were forgotten before their time since the last call."""
        forgotten, self.keys.forgotten = self.keys.forgotten, 0
        return forgotten

    def age(self, now: float) -> None:
        """Forget what no longer matters."""
        self.keys.age(now)

    def shrink(self, now: float) -> None:
        """Forget what has not been touched for longest, too."""
        self.keys.shrink(now)

    def _move_on(self, state: State, now: float) -> None:
        windows = (now - state[_BEGAN]) // self._window
        if windows == 0:
            return
        if windows < 0:  # the clock was set back
            state[_BEGAN] = now
            return
        # What others took beyond the count, before they knew, is owed by the next windows.
        count, taken = self._count, state[_TAKEN]
        state[_BEFORE] = taken if windows == 1 else max(0, taken - (windows - 1) * count)
        state[_TAKEN] = max(0, taken - windows * count)
        state[_BEGAN] += windows * self._window

    def _wait(self, state: State, now: float) -> float:
        """Return how long it takes until there is room."""
        taken, before = state[_TAKEN], state[_BEFORE]
        window_ends_in = self._window - (now - state[_BEGAN])
        if taken <= self._most:
            # What was before counts less and less.
            covered = (self._most - taken) / before if before else 1.0
            return max(0.0, window_ends_in - self._window * min(1.0, covered))
        # One window for each count that was taken at once, then until enough of the last has gone.
        full, rest = divmod(taken, self._count)
        covered = (self._most - rest) / (self._count + rest)
        return window_ends_in + self._window * (full - covered)
