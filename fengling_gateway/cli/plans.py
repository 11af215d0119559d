"""Changes as a table: what is to be done, or has been, field by field."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from rich.text import Text

from fengling_gateway.cli.output import print_table
from fengling_gateway.editing.changes import SIGNS, FieldChange, Planned, shown_fields
from fengling_gateway.editing.images import as_people_write, parts
from fengling_gateway.model.entity import Key
from fengling_gateway.observability.plain import plain, plain_json

STYLES: Final = {"create": "green", "update": "yellow", "delete": "red"}

_NOTHING: Final = Text("")
_LONGEST: Final = 100
"""Characters of a value; certificates have thousands."""


class Line(NamedTuple):
    """What becomes of one entity, and in which fields."""

    action: str
    key: Key
    fields: Sequence[FieldChange]


def planned_lines(changes: Iterable[Planned]) -> Iterator[Line]:
    """Yield what a plan does; of what goes, no more than that."""
    for one in changes:
        fields = () if one.action == "delete" else _as_written(shown_fields(one))
        yield Line(one.action, one.key, tuple(fields))


def _as_written(fields: Iterable[FieldChange]) -> Iterator[FieldChange]:
    for one in fields:
        before, after = (as_people_write(one.name, value) for value in (one.before, one.after))
        if before is not None or after not in (None, "", [], {}):
            yield FieldChange(one.name, before, after)


def print_lines(lines: Iterable[Line], *, before: str, after: str, empty: str) -> None:
    """
    Print changes as a table.

    Args:
        before: the headings of both sides, with ``after``.
    """
    rows = [row for line in lines for row in _rows(line)]
    print_table(("", "WHAT", "FIELD", before, after), rows, empty=empty)


def _rows(line: Line) -> Iterator[tuple[Any, ...]]:
    style = STYLES[line.action]
    subject: tuple[Text, Text] | None = (
        Text(SIGNS[line.action], style=style),
        Text(plain(str(line.key)), style=style),
    )
    for field in line.fields:
        for one in parts(field):
            named = subject or (_NOTHING, _NOTHING)
            yield *named, plain(one.name), value(one.before), value(one.after)
            subject = None
    if subject is not None:
        yield *subject, _NOTHING, _NOTHING, _NOTHING


def value(it: Any) -> Text:
    """Return a value as it looks in a table of changes: text as it is, all else as JSON."""
    if it is None:
        return Text("–", style="dim")
    text = plain(it) if type(it) is str and it else plain_json(json.dumps(it, ensure_ascii=False))
    return Text(text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…")
