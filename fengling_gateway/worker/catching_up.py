"""When a worker that has lost its place asks for what it misses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime

_MAX_DOUBLINGS: Final = 6
"""The longest pause is about a minute."""


class LostPlace:
    """
    One question at a time, and ever less often.

    What is on its way behind a delta that did not fit does not fit either, and
    is not asked about. A question that did not help is asked again, after a
    growing pause and for everything: what has failed once may well fail again,
    and must not keep supervisor and worker busy.

    Args:
        ask: asks; its argument says whether for everything.
    """

    def __init__(self, *, clock: IReactorTime, ask: Callable[[bool], None]) -> None:
        self._clock = clock
        self._ask = ask
        self._pause: Any = None
        self._in_vain = 0

    def lost(self) -> None:
        """A delta did not fit."""
        if self._pause is None:
            self._ask_now()

    def found(self) -> None:
        """A delta did; leaves no timer."""
        self._in_vain = 0
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None

    def _ask_now(self) -> None:
        self._pause = self._clock.callLater(2.0**self._in_vain, self._ask_now)
        self._ask(self._in_vain > 0)
        self._in_vain = min(self._in_vain + 1, _MAX_DOUBLINGS)
