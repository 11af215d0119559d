"""Changes as people read them: what is to be done, or has been, field by field."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import click
from rich.text import Text

from fengling_gateway.cli.history_words import who
from fengling_gateway.cli.output import console, print_table
from fengling_gateway.cli.validation import public_line
from fengling_gateway.editing.changes import SIGNS, FieldChange, Planned, shown_fields
from fengling_gateway.editing.drift import Drift
from fengling_gateway.editing.images import as_people_write, is_usual, parts
from fengling_gateway.editing.planning import ChangePlan
from fengling_gateway.editing.transaction import Committed
from fengling_gateway.model.entity import Key
from fengling_gateway.model.times import moment
from fengling_gateway.model.validation import KNOWN_FIELDS
from fengling_gateway.observability.plain import plain, plain_json

STYLES: Final = {"create": "green", "update": "yellow", "delete": "red"}

_NOTHING: Final = Text("")
_LONGEST: Final = 100
"""Characters of a value in a table; certificates have thousands."""

_LONGEST_LINE: Final = 200
_NAMED: Final = 3
"""Revisions of others that are named."""


class Line(NamedTuple):
    """What becomes of one entity, and in which fields."""

    action: str
    key: Key
    fields: Sequence[FieldChange]


class ShownPlan(NamedTuple):
    """
    A plan as anybody may see it, whoever has made it.

    Attributes:
        changes: with durations and times as numbers.
        warnings: what is odd because of it, as JSON.
        public: routes that anybody may ask then.
    """

    changes: Sequence[Line]
    warnings: Sequence[Mapping[str, Any]]
    public: Sequence[str]


def shown_plan(planned: ChangePlan) -> ShownPlan:
    warnings = [one._asdict() for one in planned.warnings(time.time())]
    return ShownPlan(shown_changes(planned.changes), warnings, planned.public())


def shown_changes(changes: Iterable[Planned]) -> list[Line]:
    return [Line(one.action, one.key, shown_fields(one)) for one in changes]


def planned_lines(changes: Iterable[Line]) -> Iterator[Line]:
    """Yield what a plan does; of what is new, what is not as by default, and what goes, goes."""
    for one in changes:
        yield one._replace(fields=() if one.action == "delete" else _as_written(one))


def _as_written(change: Line) -> list[FieldChange]:
    kind = change.key.kind
    fields = [
        FieldChange(one.name, *(as_people_write(one.name, it) for it in (one.before, one.after)))
        for one in change.fields
    ]
    if change.action == "create":
        fields = [one for one in fields if not is_usual(kind, one.name, one.after)]
    order = {name: number for number, name in enumerate(KNOWN_FIELDS[kind])}
    return sorted(fields, key=lambda one: order.get(one.name, len(order)))


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


def plan_document(plan: ShownPlan, committed: Committed | None = None) -> dict[str, Any]:
    """Return a plan as JSON, and what became of it."""
    document: dict[str, Any] = {
        "changes": [_plain(change) for change in plan.changes],
        "warnings": [dict(one) for one in plan.warnings],
        "public": list(plan.public),
    }
    if committed is not None:
        document |= {"revision": committed.revision, "held": committed.held}
    return document


def _plain(change: Line) -> dict[str, Any]:
    return {
        "action": change.action,
        "kind": change.key.kind,
        "id": change.key.id,
        "fields": {field.name: [field.before, field.after] for field in change.fields},
    }


def print_plan(changes: Iterable[Planned], drift: Iterable[Drift] = ()) -> None:
    """Print changes as a list, with who has changed before what is to be changed back."""
    out = console()
    drifted = {(one.key, one.field): one for one in drift}
    for change in changes:
        line = f"{SIGNS[change.action]} {change.key}"
        out.print(Text(line, style=STYLES[change.action]))
        _print_drift(drifted.get((change.key, None)))
        if change.action == "update":
            for field in shown_fields(change):
                out.print(f"    {field.name}: {_short(field.before)} → {_short(field.after)}")
                _print_drift(drifted.get((change.key, field.name)))


def print_drift(drift: Iterable[Drift]) -> None:
    """Print what others have changed, and who."""
    for one in drift:
        what = str(one.key) if one.field is None else f"{one.key}: {one.field}"
        for line in _by_whom(one):
            console().print(Text(f"! {plain(what)} {line}", style="cyan"))


def _print_drift(drift: Drift | None) -> None:
    for line in _by_whom(drift) if drift is not None else ():
        console().print(Text(f"      {line}", style="cyan"))


def _by_whom(drift: Drift) -> Iterator[str]:
    for one in drift.revisions[:_NAMED]:
        why = f" ({one.comment})" if one.comment else ""
        when = moment(one.committed_at)
        yield plain(f"changed since by {who(one)} in revision {one.id}, {when}{why}")
    more = len(drift.revisions) - _NAMED
    if more > 0:
        yield f"and in {more} revisions before"


def print_remarks(plan: ShownPlan) -> None:
    """Print what is odd because of a plan, and what anybody may ask then."""
    out = console()
    for one in plan.warnings:
        out.print(Text(plain(f"! {_subject(one)} {one['message']}"), style="magenta"))
    if plan.public:
        out.print(Text(f"! {public_line(plan.public)}", style="magenta"))


def _subject(warning: Mapping[str, Any]) -> Key:
    """Return what a warning is about, as `fengling_gateway.editing.refusals.subject` does."""
    if "instance" in warning:
        return Key("instance", warning["instance"])
    if "kind" in warning:
        return Key(warning["kind"], warning["id"])
    return Key("route", warning["route"])


def print_outcome(plan: ShownPlan, committed: Committed | None) -> None:
    """Print what became of a plan; nothing where it is only a plan."""
    if not plan.changes:
        click.echo("nothing to change")
    elif committed is not None and committed.revision is None:
        click.echo("no revision: the database holds just that already")
    elif committed is not None:
        word = "change" if len(plan.changes) == 1 else "changes"
        click.echo(f"revision {committed.revision} ({len(plan.changes)} {word})")


def _short(value: Any) -> Text:
    text = json.dumps(value, ensure_ascii=False)
    return Text(text if len(text) <= _LONGEST_LINE else text[: _LONGEST_LINE - 1] + "…")
