"""The log of changes as tables."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Final

import click
from rich.text import Text

from fengling_gateway.cli.errors import note
from fengling_gateway.cli.history_words import who
from fengling_gateway.cli.output import print_facts, print_table
from fengling_gateway.cli.plans import STYLES, Line, print_lines, value
from fengling_gateway.editing.changes import SIGNS
from fengling_gateway.editing.history import EntityChange, EntityHistory, RevisionChanges
from fengling_gateway.editing.images import parts
from fengling_gateway.editing.revisions import Page, Reach, Revision
from fengling_gateway.model.times import moment
from fengling_gateway.observability.plain import plain

_NAMED: Final = 3
"""Changes that are named of a revision in a list."""

_STATE_STYLES: Final = {"held": "bold red", "waiting": "yellow", "never served": "dim"}


def print_page(page: Page) -> None:
    """Print revisions, one a line."""
    rows = (
        (_number(one), moment(one.committed_at), who(one), what(one), one.comment)
        for one in page.revisions
    )
    print_table(("REVISION", "WHEN", "WHO", "WHAT", "WHY"), rows, empty="no such revisions")
    if page.before is not None:
        note(f"older ones: --before {page.before}")
    if page.is_shortened:
        note_shortened(page.reach)


def note_shortened(reach: Reach) -> None:
    """Say that the log does not go back to the beginning."""
    note(
        "the log has been shortened: it tells all there was from revision "
        f"{reach.known_from} on, of health from {reach.pruned_to}"
    )


def what(revision: Revision) -> Text:
    """Name the first changes, each with its sign; in a terminal each on a line of its own."""
    named = revision.first if revision.changes <= _NAMED else revision.first[: _NAMED - 1]
    said = [Text(f"{SIGNS[one.action]} {plain(str(one.key))}", STYLES[one.action]) for one in named]
    more = revision.changes - len(named)
    if more > 0:
        said.append(Text(f"and {more} more" if named else f"{more} changes", "dim"))
    return Text("\n" if sys.stdout.isatty() else ", ").join(said) if said else Text("–", "dim")


def print_revision(found: RevisionChanges) -> None:
    """Print one revision, and what it changed, field by field."""
    one = found.revision
    facts = [
        ("revision", _number(one)),
        ("when", moment(one.committed_at)),
        ("who", who(one)),
        ("from", one.client_addr),
        ("why", one.comment),
    ]
    if one.confirmed_at is not None:
        by = one.confirmed_by or ""
        if one.confirmed_db_user not in (None, by):
            by += f" (as {one.confirmed_db_user})"
        facts.append(("confirmed", f"{moment(one.confirmed_at)} by {by}"))
    print_facts(facts)
    click.echo()
    print_changes(found.changes, empty="no changes")
    if one.kept < one.changes:
        note(f"of its {one.changes} changes, the log still has {one.kept}: it has been shortened")
    if found.after is not None:
        note(f"and {one.kept - len(found.changes)} more (-o json has them all)")


def print_changes(changes: Iterable[EntityChange], *, empty: str) -> None:
    lines = (Line(one.action, one.key, one.fields) for one in changes)
    print_lines(lines, before="BEFORE", after="AFTER", empty=empty)


def print_entity_history(history: EntityHistory) -> None:
    """Print who changed an entity, and which fields."""
    rows = (
        (_number(one), moment(one.committed_at), who(one), _how(change), one.comment)
        for one, change in history.entries
    )
    columns = ("REVISION", "WHEN", "WHO", "WHAT", "WHY")
    print_table(columns, rows, empty="the log has never seen it")
    if history.before is not None:
        note(f"older ones: --before {history.before}")
    if history.is_shortened:
        note("what was before is no longer known: the log has been shortened")


def _how(change: EntityChange) -> Text:
    if change.action != "update":
        said = "made" if change.action == "create" else "deleted"
        return Text(said, style=STYLES[change.action])
    return Text("\n").join(
        Text.assemble(f"{plain(one.name)}: ", value(one.before), " → ", value(one.after))
        for field in change.fields
        for one in parts(field)
    )


def _number(revision: Revision) -> Text:
    state = revision.state
    if state in ("served", "forced"):
        return Text(str(revision.id))
    return Text(f"{revision.id} {state}", style=_STATE_STYLES.get(state, ""))
