"""All that a data plane has counted, told in parts of which none takes long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

ROWS: Final = 500
"""Of a part: with their JSON half a millisecond."""


class CountersInParts:
    """
    Args:
        values: all but ``requests``, whose rows may be many.
        rows: return these rows, as they are when they are told.
        told: called when all have been.
    """

    def __init__(
        self,
        values: dict[str, Any],
        rows: Sequence[Callable[[], list[Any]]],
        told: Callable[[], None],
    ) -> None:
        self._values = values
        self._rows = rows
        self._told = told
        self._next = 0

    def __repr__(self) -> str:
        return f"<CountersInParts {self._next} of {len(self._rows)} rows>"

    def next(self) -> dict[str, Any]:
        """Return the next part: ``requests``, ``is_more``; with the first one come all other values."""
        values, self._values = self._values, {}
        first = self._next
        self._next += ROWS
        is_more = self._next < len(self._rows)
        rows = [row() for row in self._rows[first : self._next]]
        if not is_more:
            self._told()
        return {**values, "requests": rows, "is_more": is_more}

    def whole(self) -> dict[str, Any]:
        """Return all of it at once."""
        rows = [row() for row in self._rows]
        self._told()
        return {**self._values, "requests": rows}
