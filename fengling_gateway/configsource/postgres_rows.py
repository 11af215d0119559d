"""Rows of the configuration as PostgreSQL writes them: one JSON text each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, overload

from fengling_gateway.configsource.reading import Row
from fengling_gateway.model.entity import Key
from fengling_gateway.model.problems import shown
from fengling_gateway.model.validation import SOURCE_PROBLEMS

ID_COLUMN: Final = {"setting": "key", "instance_health": "instance_id"}
"""The column with the id, where it is not ``id``."""


class JsonRows(Sequence[Row]):
    """
    Rows that stay text until somebody looks at them.

    A hundred thousand routes as dicts are several hundred megabytes, as text a
    tenth of that; and who goes through them in slices parses them in slices.
    """

    def __init__(self, rows: Sequence[tuple[str, str, str | None]]) -> None:
        self._rows = rows

    def __repr__(self) -> str:
        return f"<JsonRows of {len(self._rows)}>"

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return (_row(*row) for row in self._rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> JsonRows: ...

    def __getitem__(self, index: int | slice) -> Row | JsonRows:
        if isinstance(index, slice):
            return JsonRows(self._rows[index])
        return _row(*self._rows[index])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # equal to lists, which have none


def values_of(key: Key, text: str) -> dict[str, Any]:
    """
    Parse the JSON of a row.

    PostgreSQL's JSON goes further than Python's: numbers of more than 4,300
    digits, nesting deeper than our stack. Such a row must reject itself and
    not the reading, so it becomes one that says why it can't be read.
    """
    try:
        values = json.loads(text)
    except RecursionError:
        reason = "the row can't be read: it is nested too deeply"
    except ValueError as error:
        # (The interpreter's own words for it are advice to programmers.)
        endless = "digits" in str(error)
        reason = f"the row can't be read: {'a number has too many digits' if endless else error}"
    else:
        if isinstance(values, dict):
            return values
        reason = f"the row is {shown(values)}, not an object"
    return {ID_COLUMN.get(key.kind, "id"): key.id, SOURCE_PROBLEMS: [reason]}


def _row(kind: str, entity_id: str, text: str | None) -> Row:
    key = Key(kind, entity_id)
    return Row(key, None if text is None else values_of(key, text))
