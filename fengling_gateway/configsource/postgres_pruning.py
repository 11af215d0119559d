"""
Shortening the log in the database, which otherwise nobody does.

Every gateway tries, each at times of its own. What is due, and for how long the
log is kept, the database decides (``fengling.retention``): most attempts find
nothing to do and cost one look at one row. A step is short, since it runs on
the thread that reads.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

PERIOD_SECONDS: Final = 3600.0
"""The database begins a round every twelve hours at most."""
PAUSE_SECONDS: Final = 1.0
"""Between two steps of a round, so that it is no burden to anybody."""


class Pruning:
    """
    Takes steps until it is stopped.

    Args:
        step: takes one, and tells whether there is more to do.
        told: of every attempt: why it failed, or None.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        step: Callable[[], Deferred[bool]],
        told: Callable[[str | None], None],
        rng: random.Random,
    ) -> None:
        self._clock = clock
        self._step = step
        self._told = told
        self._rng = rng
        self._next: Any = None
        self._stopped = False

    def __repr__(self) -> str:
        return f"<Pruning {'stopped' if self._stopped else 'started'}>"

    def start(self) -> None:
        """Begin at some time within the first period: nodes that start together don't try so."""
        self._later(PERIOD_SECONDS * self._rng.random())

    def stop(self) -> None:
        self._stopped = True
        if self._next is not None and self._next.active():
            self._next.cancel()

    def _later(self, seconds: float) -> None:
        if not self._stopped:
            self._next = self._clock.callLater(seconds, self._take_step)

    def _take_step(self) -> None:
        self._step().addCallbacks(self._taken, self._failed)

    def _taken(self, more: bool) -> None:
        self._told(None)
        self._later((PAUSE_SECONDS if more else PERIOD_SECONDS) * self._rng.uniform(0.5, 1.0))

    def _failed(self, failure: Failure) -> None:
        if not self._stopped:
            self._told(failure.getErrorMessage())
        self._later(PERIOD_SECONDS * self._rng.uniform(0.5, 1.0))
