"""One slot of worker and sockets, and how soon it gets its next worker."""

from __future__ import annotations

from typing import Any, Final

from fengling_gateway.supervisor.link import WorkerLink, WorkerState

STEADY_AFTER_SECONDS: Final = 10.0
"""A worker that has lived this long starts over with the shortest delay."""

_MAX_DOUBLINGS: Final = 16


class Slot:
    """
    The worker that is to serve a slot, and the one that is to replace it.

    Those that it had before, and that still drain, are of no slot.
    """

    def __init__(self, index: int) -> None:
        self.index = index
        self.current: WorkerLink | None = None
        self.successor: WorkerLink | None = None
        self.respawn: Any = None
        self._deaths_in_a_row = 0

    def __repr__(self) -> str:
        return f"<Slot {self.index}: {self.current}>"

    @property
    def serves(self) -> bool:
        return self.current is not None and self.current.state is WorkerState.SERVING

    def delay_after_death(self, lived_seconds: float, first: float, longest: float) -> float:
        """Return for how many seconds to wait; none at first, then `first` and ever doubled."""
        if lived_seconds > STEADY_AFTER_SECONDS:
            self._deaths_in_a_row = 0
        doublings = self._deaths_in_a_row
        self._deaths_in_a_row = min(doublings + 1, _MAX_DOUBLINGS)
        return min(longest, first * 2**doublings) if doublings else 0.0

    def cancel_respawn(self) -> None:
        if self.respawn is not None and self.respawn.active():
            self.respawn.cancel()
