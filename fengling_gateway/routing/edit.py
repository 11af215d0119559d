"""Ownership: what a round of changes may change in place."""

from __future__ import annotations

from typing import Final, TypeVar

T = TypeVar("T")

_REMEMBERED: Final = 4096
"""
Objects an edit remembers. It forgets them all when there are more, and copies
some once again: cheap, where remembering every node of a large load is not.
"""


class Edit:
    """
    One round of changes to a structure whose published parts never change.

    A part made in this round is still private to it and may be changed in
    place; any other has to be copied first.
    """

    __slots__ = ("_made",)

    def __init__(self) -> None:
        self._made: set[object] = set()

    def made(self, part: object) -> bool:
        """Whether the part is known to be private to this edit."""
        return part in self._made

    def keep(self, part: T) -> T:
        """Remember a part as made by this edit, and return it."""
        if len(self._made) >= _REMEMBERED:
            self._made.clear()
        self._made.add(part)
        return part
