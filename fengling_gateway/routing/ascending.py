"""Distinct integers in order, with a cheap copy."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

_CHUNK: Final = 512
"""Longest chunk; a change copies one, and a copy the list of them."""


class Ascending:
    """
    A set of integers that knows its largest.

    Of any number of them a change or a copy costs a few microseconds: they are
    kept in chunks, which are tuples, and so are shared between copies.
    """

    __slots__ = ("_chunks",)

    def __init__(self) -> None:
        self._chunks: list[tuple[int, ...]] = []

    def __bool__(self) -> bool:
        return bool(self._chunks)

    @property
    def last(self) -> int:
        """The largest; IndexError if there is none."""
        return self._chunks[-1][-1]

    def copy(self) -> Ascending:
        twin = Ascending()
        twin._chunks = self._chunks.copy()
        return twin

    def add(self, value: int) -> None:
        """Add what is not in it."""
        chunks = self._chunks
        if not chunks:
            chunks.append((value,))
            return
        index = min(bisect_left(chunks, value, key=_last_of), len(chunks) - 1)
        chunk = chunks[index]
        at = bisect_left(chunk, value)
        grown = (*chunk[:at], value, *chunk[at:])
        half = len(grown) // 2
        chunks[index : index + 1] = (
            [grown] if len(grown) <= _CHUNK else [grown[:half], grown[half:]]
        )

    def remove(self, value: int) -> None:
        """Take away what is in it."""
        index = bisect_left(self._chunks, value, key=_last_of)
        chunk = self._chunks[index]
        at = bisect_left(chunk, value)
        left = chunk[:at] + chunk[at + 1 :]
        self._chunks[index : index + 1] = [left] if left else []


def _last_of(chunk: tuple[int, ...]) -> int:
    return chunk[-1]
