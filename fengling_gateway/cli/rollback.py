"""``fenglingctl rollback``: back to a revision, or behind single ones."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any, Final

import click
from rich.text import Text

from fengling_gateway.cli import database
from fengling_gateway.cli.configuration import signature_options
from fengling_gateway.cli.errors import CommandError, answer_no, note
from fengling_gateway.cli.output import console, output_option, print_value
from fengling_gateway.cli.plans import (
    plan_document,
    planned_lines,
    print_lines,
    print_outcome,
    print_remarks,
)
from fengling_gateway.cli.target import database_option
from fengling_gateway.cli.validation import report
from fengling_gateway.editing import transaction
from fengling_gateway.editing.planning import ChangePlan, InvalidError
from fengling_gateway.editing.revisions import ForgottenError, NoRevisionError
from fengling_gateway.editing.rollback import (
    ChangedSinceError,
    NothingError,
    Rollback,
    make_rollback,
)

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
"""


@click.command("rollback", help=_HELP, short_help="Undo revisions, or go back to one.")
@click.argument("revisions", nargs=-1, type=int, metavar="[REVISION]…")
@click.option("--to", type=int, metavar="REVISION", help="Have everything as it was then.")
@click.option("--dry-run", is_flag=True, help="Show the plan, and write nothing.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask; asked is in a terminal only.")
@database_option
@signature_options
@output_option
def rollback_command(
    revisions: tuple[int, ...],
    to: int | None,
    dry_run: bool,
    yes: bool,
    dsn: str,
    signature: transaction.Signature,
    output: str,
) -> None:
    """Plan, show, ask and write; the help above has all forms."""
    if bool(revisions) == (to is not None):
        raise click.UsageError("name the revisions to undo, or one to go back to: --to REVISION")
    with database.connected(dsn) as connection:
        planned, plan = _plan(connection, revisions, to)
        if output == "table":
            _print(planned, plan)
        committed = None
        if planned.changes and not dry_run:
            _ask(planned, yes=yes)
            comment = planned.comment(signature.comment)
            committed = _write(connection, plan, replace(signature, comment=comment))
    _tell(planned, plan, committed, output)
    if dry_run and planned.changes and output == "table":
        click.echo("dry run: nothing is written")
    if committed is not None and committed.held:
        note(f"fenglingctl: {committed.held}")
        answer_no()


def _plan(
    connection: Any, revisions: tuple[int, ...], to: int | None
) -> tuple[Rollback, ChangePlan]:
    try:
        return make_rollback(connection, to=to, of=revisions)
    except ChangedSinceError as error:
        raise CommandError(
            f"nothing is changed: {error}. Undo those, too, or go back with --to"
        ) from error
    except (ForgottenError, NoRevisionError, NothingError) as error:
        raise CommandError(str(error)) from error
    except InvalidError as error:
        report(error.judged, [], {}, "table")
        raise CommandError("nothing is changed: it would have errors (see above)") from error


def _print(planned: Rollback, plan: ChangePlan) -> None:
    dropped = sum(one.revisions for one in planned.dropped)
    counted = [f"{one.author} ({one.revisions})" for one in planned.dropped]
    whose = ", ".join(counted) if len(counted) > 1 else planned.dropped[0].author if counted else ""
    revisions = "revision" if dropped == 1 else "revisions"
    out = console()
    if dropped:
        out.print(Text(f"{planned.what}: takes back {dropped} {revisions}, by {whose}", "bold"))
    if planned.changes:
        print_lines(planned_lines(planned.changes), before="IS", after="WOULD BE", empty="")
    for one in planned.left:
        out.print(Text(f"! {one.key} {one.message}", style="magenta"))
    print_remarks(plan)


def _ask(planned: Rollback, *, yes: bool) -> None:
    if yes or not sys.stdin.isatty():
        return
    count = len(planned.changes)
    question = f"Write {'this change' if count == 1 else f'these {count} changes'}?"
    if not click.confirm(question, err=True):
        note("nothing is written")
        answer_no()


def _write(
    connection: Any, plan: ChangePlan, signature: transaction.Signature
) -> transaction.Committed:
    try:
        return transaction.write(connection, plan.changes, signature, plan.refers_to)
    except transaction.ConflictError as error:
        raise CommandError(
            f"nothing is changed: somebody has just changed {error}; look again"
        ) from error
    except transaction.BusyError as error:
        raise CommandError(f"nothing is changed: the database is busy: {error}") from error
    except transaction.UncertainError as error:
        raise CommandError(
            f"the connection broke while the changes were committed ({error}): they are made or "
            "not, which `fenglingctl history` tells"
        ) from error


def _tell(
    planned: Rollback, plan: ChangePlan, committed: transaction.Committed | None, output: str
) -> None:
    if output == "table":
        print_outcome(plan, committed)
        return
    left = [{"code": one.code, **one.key._asdict(), "message": one.message} for one in planned.left]
    print_value(
        {
            "what": planned.what,
            "dropped": [one._asdict() for one in planned.dropped],
            **plan_document(plan, committed),
            "left": left,
        },
        output,
    )
