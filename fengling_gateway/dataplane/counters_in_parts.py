"""All that a data plane has counted, told in parts of which none takes long."""

from __future__ import annotations

from array import array
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, repeat
from typing import Any, Final

from fengling_gateway.dataplane.counters import RouteCounts

_NUMBER: Final = "q"
_NO_ERRORS: Final[dict[str, int]] = {}

ROWS: Final = 500
"""Of a part: with their JSON half a millisecond."""


class CountersInParts:
    """
    Rows are told in columns: a container for each would have the collector look at everything.

    Args:
        values: all but ``requests``.
        pairs: of routes and services.
        counts: what each of them counts by; it is told as it is then.
        told: called when all have been.
    """

    def __init__(
        self,
        values: dict[str, Any],
        pairs: Sequence[tuple[str, str]],
        counts: Sequence[RouteCounts],
        told: Callable[[], None],
    ) -> None:
        self._values = values
        self._pairs = pairs
        self._counts = counts
        self._told = told
        self._next = 0

    def __repr__(self) -> str:
        return f"<CountersInParts {self._next} of {len(self._pairs)} pairs>"

    def next(self) -> dict[str, Any]:
        """
        Return the next part; the first one has no pairs, but all other values.

        ``routes`` and ``services`` of its pairs; ``classes``: the six numbers of each, packed;
        ``errors``, by the place of a pair; ``is_more``: whether this was not the last one.
        """
        values, self._values = self._values, {}
        rows = 0 if values else ROWS
        pairs = self._pairs[self._next : self._next + rows]
        counts = self._counts[self._next : self._next + rows]
        self._next += rows
        is_more = self._next < len(self._pairs)
        if not is_more:
            self._told()
        return {
            **values,
            "pairs": {
                "routes": [route for route, _ in pairs],
                "services": [service for _, service in pairs],
                "classes": _packed(chain.from_iterable([one.by_class for one in counts])),
                "errors": {
                    place: one.errors_by_code() for place, one in enumerate(counts) if one.errors
                },
            },
            "is_more": is_more,
        }


def rows_of(pairs: dict[str, Any]) -> list[tuple[Any, ...]]:
    """
    Return the ``requests`` of ``pairs`` in a part, as `Counters.to_json` has them, from JSON.

    As tuples, and those without errors with the same dict, which nobody is to change: there are
    many, and of tuples of numbers the collector soon takes no notice.
    """
    numbers = iter(array(_NUMBER, b64decode(pairs["classes"])))
    by_class = zip(*[numbers] * 6, strict=True)
    rows = list(zip(pairs["routes"], pairs["services"], by_class, repeat(_NO_ERRORS)))
    for place, errors in pairs["errors"].items():
        rows[int(place)] = (*rows[int(place)][:3], errors)
    return rows


def _packed(numbers: Iterable[int]) -> str:
    return b64encode(array(_NUMBER, numbers)).decode()
