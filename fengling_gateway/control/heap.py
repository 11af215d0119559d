"""Keeps Python's garbage collector away from large configurations.

A collection visits every container that the process holds; with 100,000 routes
that stops a process for a second. So there is none while a load builds, and
what a large load has built is frozen: moved out of the collector's sight for
good. Reference counts still free what a later revision replaces. What freezing
can lose is garbage in cycles that happens to exist at that moment: kilobytes.
"""

from __future__ import annotations

import gc
from typing import Final

LARGE_LOAD: Final = 500
"""Entities from which a load is worth freezing; a smaller one leaves little to visit."""


class Heap:
    """
    The collector of this process, during loads.

    Loads may overlap: the collector rests until the last one has ended.
    """

    def __init__(self) -> None:
        self._loads = 0
        self._size = 0

    def load_began(self) -> None:
        """Something that may be large is being built, over several reactor turns."""
        self._loads += 1
        gc.disable()

    def load_ended(self, entities: int) -> None:
        """It is done, or given up; `entities` says how large it was."""
        self._size += entities
        self._loads -= 1
        if self._loads:
            return
        if self._size >= LARGE_LOAD:
            gc.freeze()
        self._size = 0
        gc.enable()
