"""``fenglingctl rollback``: back to a revision, or behind single ones."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click
from rich.text import Text

from fengling_gateway.cli.api import ConsoleApi
from fengling_gateway.cli.configuration import signature_options
from fengling_gateway.cli.errors import answer_no, note
from fengling_gateway.cli.going_back import Back, GoingBack, PlannedBack, in_database
from fengling_gateway.cli.going_back_console import ConsoleRollback
from fengling_gateway.cli.output import console, output_option, print_value
from fengling_gateway.cli.place import Place, place_options
from fengling_gateway.cli.plans import (
    plan_document,
    planned_lines,
    print_lines,
    print_outcome,
    print_remarks,
)
from fengling_gateway.editing.transaction import Committed, Signature
from fengling_gateway.observability.plain import plain

_HELP: Final = """
Undo revisions, or have everything as it was at one. What that changes is shown first, and
written as a new revision, which can be undone like any other.

\b
rollback 412             undo revision 412, and nothing that came after it
rollback 412 413         undo both
rollback --to 411        everything as it was at revision 411

What a revision changed and another has changed since is not undone alone: name both. What can't
come back is named and stays: values of secrets, of which nobody has the old ones, and clients, keys
and tokens that have been shut out since. Exit status 1 if the new revision is held because it
removes too many routes, or if you say no.

Over a console the author is who the token is of, who has to be an admin. If the plan is no longer
what it was when you have seen it, nothing is written.
"""


@click.command("rollback", help=_HELP, short_help="Undo revisions, or go back to one.")
@click.argument("revisions", nargs=-1, type=int, metavar="[REVISION]…")
@click.option("--to", type=int, metavar="REVISION", help="Have everything as it was then.")
@click.option("--dry-run", is_flag=True, help="Show the plan, and write nothing.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask; asked is in a terminal only.")
@place_options
@signature_options
@output_option
def rollback_command(
    revisions: tuple[int, ...],
    to: int | None,
    dry_run: bool,
    yes: bool,
    place: Place,
    signature: Signature,
    output: str,
) -> None:
    """Plan, show, ask and write; the help above has all forms."""
    if bool(revisions) == (to is not None):
        raise click.UsageError("name the revisions to undo, or one to go back to: --to REVISION")
    committed = None
    with _going_back(place, Back(to, revisions)) as back:
        planned = back.plan()
        changes = planned.plan.changes
        if output == "table":
            _print(planned)
        if changes and not dry_run:
            _ask(len(changes), yes=yes)
            committed = back.write(signature)
    _tell(planned, committed, output)
    if dry_run and changes and output == "table":
        click.echo("dry run: nothing is written")
    if committed is not None and committed.held:
        note(f"fenglingctl: {committed.held}")
        answer_no()


@contextmanager
def _going_back(place: Place, back: Back) -> Iterator[GoingBack]:
    if not isinstance(place, ConsoleApi):
        with in_database(place, back) as found:
            yield found
        return
    if click.get_current_context().params.get("author"):
        raise click.UsageError("over a console the author is who the token is of, not --author")
    yield ConsoleRollback(place, back)


def _print(planned: PlannedBack) -> None:
    dropped = sum(one.revisions for one in planned.dropped)
    counted = [f"{one.author} ({one.revisions})" for one in planned.dropped]
    whose = ", ".join(counted) if len(counted) > 1 else planned.dropped[0].author if counted else ""
    revisions = "revision" if dropped == 1 else "revisions"
    out = console()
    if dropped:
        line = plain(f"{planned.what}: takes back {dropped} {revisions}, by {whose}")
        out.print(Text(line, "bold"))
    if planned.plan.changes:
        lines = planned_lines(planned.plan.changes)
        print_lines(lines, before="IS", after="WOULD BE", empty="")
    for one in planned.left:
        out.print(Text(plain(f"! {one.key} {one.message}"), style="magenta"))
    print_remarks(planned.plan)


def _ask(count: int, *, yes: bool) -> None:
    if yes or not sys.stdin.isatty():
        return
    question = f"Write {'this change' if count == 1 else f'these {count} changes'}?"
    if not click.confirm(question, err=True):
        note("nothing is written")
        answer_no()


def _tell(planned: PlannedBack, committed: Committed | None, output: str) -> None:
    if output == "table":
        print_outcome(planned.plan, committed)
        return
    left = [{"code": one.code, **one.key._asdict(), "message": one.message} for one in planned.left]
    print_value(
        {
            "what": planned.what,
            "dropped": [one._asdict() for one in planned.dropped],
            **plan_document(planned.plan, committed),
            "left": left,
        },
        output,
    )
