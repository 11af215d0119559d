"""The configuration served on this host, and the last deltas that led to it."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Final

from fengling_gateway.model.delta import Delta, Everything, Position
from fengling_gateway.model.entity import Key

MAX_LOGGED_CHANGES: Final = 20_000
"""
Changes kept for workers that catch up; one further behind gets everything.

It bounds memory, and a worker that has missed this much is served as fast by a
full delta.
"""


class DeltaLog:
    """
    Answers one question: which deltas lead a worker from where it is to the head?

    Holds the bodies by reference: they are the same objects that the effective
    configuration holds.
    """

    def __init__(self) -> None:
        self.head: Position | None = None
        self.content_hash = 0
        self._deltas: deque[Delta] = deque()
        self._logged = 0

    def append(self, delta: Delta) -> None:
        """
        Move the head.

        Raises:
            ValueError: the delta does not start at the head.
        """
        if self.head is not None and delta.hash_before != self.content_hash:
            raise ValueError(f"a delta to revision {delta.after.revision} that skips something")
        self.head = delta.after
        self.content_hash = delta.hash_after
        self._deltas.append(delta)
        self._logged += len(delta.changes) + 1
        while self._logged > MAX_LOGGED_CHANGES and len(self._deltas) > 1:
            self._logged -= len(self._deltas.popleft().changes) + 1

    def after(self, position: Position | None, content_hash: int) -> list[Delta] | None:
        """Return the deltas that follow; [] at the head, None where only a full one helps."""
        if position == self.head and content_hash == self.content_hash:
            return []
        following: list[Delta] = []
        for delta in reversed(self._deltas):
            following.append(delta)
            if delta.before is not None and delta.before == position:
                return following[::-1] if delta.hash_before == content_hash else None
        return None

    def full(self, bodies: dict[Key, bytes]) -> Delta:
        """Return everything as one delta from nothing, which later changes of `bodies` don't touch."""
        assert self.head is not None, "nothing is served yet"
        if self._deltas and self._deltas[-1].is_full:
            return replace(self._deltas[-1], committed_at=None)  # shared by all workers
        return Delta(
            before=None,
            after=self.head,
            hash_before=0,
            hash_after=self.content_hash,
            changes=Everything(bodies),
        )
