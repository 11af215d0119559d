"""What is known of many keys, bounded, and forgotten when it no longer matters."""

from __future__ import annotations

from typing import Generic, TypeVar

V = TypeVar("V")


class Generations(Generic[V]):
    """
    States by key in two generations.

    Whatever has not been touched for as long as a generation lives says nothing
    any more: that is forgotten without a loss. When there are too many keys a
    generation ends before its time.

    Attributes:
        younger: what has been touched since this generation began; others set here.
        forgotten: how many keys were forgotten before their time.
    """

    __slots__ = ("_ends_at", "_half", "_older", "_seconds", "forgotten", "younger")

    def __init__(self, seconds: float, size: int) -> None:
        self._seconds = seconds
        self._half = max(1, size // 2)
        self._ends_at = 0.0
        self._older: dict[bytes, V] = {}
        self.younger: dict[bytes, V] = {}
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self.younger) + len(self._older)

    def recall(self, key: bytes, now: float) -> V | None:
        """Return what is not in the younger generation, if it is known, and make room for it."""
        if now >= self._ends_at:
            self._begin(now)
        elif len(self.younger) >= self._half:
            self.forgotten += len(self._older)
            self._begin(now)
        found = self._older.pop(key, None)
        if found is not None:
            self.younger[key] = found
        return found

    def peek(self, key: bytes) -> V | None:
        """Return what is known of a key."""
        found = self.younger.get(key)
        return self._older.get(key) if found is None else found

    def age(self, now: float) -> None:
        """Begin the next generation if it is time."""
        if now >= self._ends_at:
            self._begin(now)

    def shrink(self, now: float) -> None:
        """Forget the older half at once."""
        self.forgotten += len(self._older)
        self._begin(now)

    def _begin(self, now: float) -> None:
        self._older = self.younger
        self.younger = {}
        self._ends_at = now + self._seconds
