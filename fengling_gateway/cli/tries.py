"""Trying again what may fail because of others: for a bounded time, with pauses of chance."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Final

FEWEST: Final = 3
"""Tries that there are in any case: one may take longer than all of the time."""

FIRST_PAUSE_SECONDS: Final = 0.05
LONGEST_PAUSE_SECONDS: Final = 2.0


def tries(
    seconds: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,  # noqa: TID251 - a command has nothing else to do
    chance: Callable[[], float] = random.random,
) -> Iterator[int]:
    """
    Yield 1, 2, 3, … until `seconds` have passed; the first at once.

    In between it sleeps up to twice as long each time. How long exactly is left
    to chance: two that keep disturbing each other must not do so in step.
    """
    deadline = clock() + seconds
    pause = FIRST_PAUSE_SECONDS
    number = 1
    yield number
    while number < FEWEST or clock() < deadline:
        sleep(pause * chance())
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        number += 1
        yield number
