"""Keeps Python's garbage collector away from large configurations.

A collection visits every container that the process holds; with 100,000 routes
that stops a process for a second. So there is none while a load builds, and
what loads have built is frozen: moved out of the collector's sight for good. Reference counts still free what a later revision replaces. What freezing
can lose is garbage in cycles that happens to exist at that moment: kilobytes.
"""

from __future__ import annotations

import gc
from typing import Final

WORTH_FREEZING: Final = 500
"""Entities built since the last freeze that are worth the next one: a millisecond's visit."""


class Heap:
    """
    The collector of this process, during loads.

    Loads may overlap: the collector rests until the last one has ended.
    """

    def __init__(self) -> None:
        self._loads = 0
        self._unfrozen = 0

    def load_began(self) -> None:
        """Something that may be large is being built, over several reactor turns."""
        self._loads += 1
        gc.disable()

    def load_ended(self, entities: int) -> None:
        """It is done, or given up; `entities` says how large it was."""
        self._unfrozen += entities
        self._loads -= 1
        if self._loads:
            return
        if self._unfrozen >= WORTH_FREEZING:
            self._unfrozen = 0
            gc.freeze()
        gc.enable()
