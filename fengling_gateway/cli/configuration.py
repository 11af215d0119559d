"""``fenglingctl apply``, ``diff`` and ``export``: files and the database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import click

from fengling_gateway.cli import database
from fengling_gateway.cli.errors import CommandError, answer_no, note
from fengling_gateway.cli.files import read_files
from fengling_gateway.cli.options import collect
from fengling_gateway.cli.output import output_option, print_value
from fengling_gateway.cli.person import user_name
from fengling_gateway.cli.plans import (
    plan_document,
    planned_lines,
    print_drift,
    print_lines,
    print_outcome,
    print_plan,
    print_remarks,
    shown_plan,
)
from fengling_gateway.cli.target import database_option
from fengling_gateway.cli.tries import tries
from fengling_gateway.cli.validation import report
from fengling_gateway.editing import transaction
from fengling_gateway.editing.changes import Ownership, TakenError
from fengling_gateway.editing.documents import write_document
from fengling_gateway.editing.drift import Drift, application, find_drift
from fengling_gateway.editing.labels import has_labels, parse_selector
from fengling_gateway.editing.planning import WRITABLE_KINDS, ChangePlan, InvalidError, make_plan
from fengling_gateway.editing.rows import read_rows, snapshot
from fengling_gateway.model.certificates import is_sealed
from fengling_gateway.model.entity import Key

PATIENCE_SECONDS: Final = 30.0
"""How long apply tries while others keep changing what it is about."""

_NAMED: Final = 3


def _ownership(
    managed_by: str | None, prune: bool, take_over: bool, selector: tuple[str, ...]
) -> Ownership:
    if prune and managed_by is None:
        raise click.UsageError("--prune needs --managed-by: it deletes only what is so managed")
    return Ownership(managed_by, prune, take_over, read_selector(selector))


def read_selector(texts: tuple[str, ...]) -> dict[str, str]:
    """Return what ``--selector`` says."""
    try:
        return parse_selector(texts)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--selector") from error


_selector_option = click.option(
    "--selector",
    multiple=True,
    metavar="LABEL=VALUE,…",
    help="Only entities with these labels, all of them.",
)


def _ownership_options(command: Callable[..., Any]) -> Any:
    options = (
        click.option(
            "--managed-by",
            metavar="NAME",
            help="Mark the entities of these files as managed by NAME (git:payments).",
        ),
        click.option(
            "--prune",
            is_flag=True,
            help="Delete what is managed by NAME and no longer in the files.",
        ),
        click.option("--take-over", is_flag=True, help="Change also what somebody else manages."),
        _selector_option,
    )
    return collect(command, options, "ownership", _ownership)


def _signature(author: str | None, comment: str | None, force: bool) -> transaction.Signature:
    return transaction.Signature(author or user_name(), comment, force)


def signature_options(command: Callable[..., Any]) -> Any:
    options = (
        click.option("-m", "--comment", help="Why; kept with the revision."),
        click.option("--author", help="Who; by default the user that runs this."),
        click.option("--force", is_flag=True, help="Serve it even if it removes most routes."),
    )
    return collect(command, options, "signature", _signature)


@click.command("diff", short_help="Show what apply would change.")
@click.argument("files", nargs=-1, required=True)
@database_option
@_ownership_options
@output_option
def diff_command(files: tuple[str, ...], dsn: str, ownership: Ownership, output: str) -> None:
    """
    Show what apply would change in the database. Exit status 0: nothing, 1: something.

    Warns of routes that could then never be chosen, or that only their ids would tell apart, and
    of instances whose address gateways do not connect to unless their settings allow it. What
    others have changed since it was applied is shown with who did, and in which revision.

    FILES are YAML as `export` writes it; - is stdin.
    """
    wanted, places = _read(files, ownership)
    with database.connected(dsn) as connection:
        planned, drift = _planned(connection, wanted, places, ownership)
    _show(planned, drift, output)
    if planned.changes:
        answer_no()


@click.command("apply", short_help="Write files to the database in one transaction.")
@click.argument("files", nargs=-1, required=True)
@database_option
@_ownership_options
@signature_options
@click.option("--dry-run", is_flag=True, help="Show the plan, and write nothing.")
@output_option
def apply_command(
    files: tuple[str, ...],
    dsn: str,
    ownership: Ownership,
    signature: transaction.Signature,
    dry_run: bool,
    output: str,
) -> None:
    """
    Make the database hold what FILES say (- is stdin): one transaction, one revision.

    What is not in the files stays, unless --prune, and so does what has not the labels of
    --selector. Files with anything wrong in them change nothing. What somebody else changes meanwhile is never overwritten unseen: it is compared again,
    and again for up to 30 seconds if that keeps happening. It warns of what `diff` warns of.
    Exit status 1 if the revision is held because it removes too many routes.
    """
    wanted, places = _read(files, ownership)
    if dry_run:
        _rehearse(dsn, wanted, places, ownership, output)
        return
    signature = replace(signature, application=application(ownership.managed_by))
    planned, drift, committed = _apply(dsn, wanted, places, ownership, signature)
    _show(planned, drift, output, committed)
    if committed.held:
        note(f"fenglingctl: {committed.held}")
        answer_no()


def _read(
    files: tuple[str, ...], ownership: Ownership
) -> tuple[dict[Key, dict[str, Any]], dict[Key, str]]:
    # (Nothing may be what is left of a file that was cut off, and pruning by it deletes all.)
    wanted, places = read_files(files, may_be_empty=not ownership.prune)
    others = sum(not has_labels(row, ownership.selector) for row in wanted.values())
    if others:
        note(
            f"{others} of {len(wanted)} entities in the files have other labels: they are left out, "
            "unless they have these in the database"
        )
    return wanted, places


def _apply(
    dsn: str,
    wanted: Mapping[Key, dict[str, Any]],
    places: Mapping[Key, str],
    ownership: Ownership,
    signature: transaction.Signature,
) -> tuple[ChangePlan, list[Drift], transaction.Committed]:
    changed: Counter[Key] = Counter()
    busy = None
    with database.connected(dsn) as connection:
        for _ in tries(PATIENCE_SECONDS):
            planned, drift = _planned(connection, wanted, places, ownership)
            if not planned.changes:
                return planned, [], transaction.Committed(None, None)
            try:
                committed = transaction.write(
                    connection, planned.changes, signature, planned.refers_to
                )
                return planned, drift, committed
            except transaction.ConflictError as error:
                changed.update(error.keys)
            except transaction.BusyError as error:
                busy = error
            except transaction.UncertainError as error:
                raise CommandError(
                    f"the connection broke while the changes were committed ({error}): "
                    "they are applied or not, which `fenglingctl diff` tells"
                ) from error
    raise CommandError(f"nothing is applied: {_disturbance(changed, busy)}")


def _disturbance(changed: Counter[Key], busy: Exception | None) -> str:
    """Say why a change can't be made, for all the tries."""
    if not changed:
        return f"the database is busy: {busy}"
    named = ", ".join(f"{key} ({times}×)" for key, times in changed.most_common(_NAMED))
    more = len(changed) - _NAMED
    others = f" and {more} more" if more > 0 else ""
    return f"somebody else keeps changing what this changes or refers to: {named}{others}"


@click.command("export", short_help="Write the database's configuration as YAML.")
@database_option
@click.option("--full", is_flag=True, help="Write fields that have their default value, too.")
@click.option("--managed-by", metavar="NAME", help="Only what is managed by NAME.")
@_selector_option
def export_command(dsn: str, full: bool, managed_by: str | None, selector: tuple[str, ...]) -> None:
    """Write the configuration in the database as YAML, which apply and the file source take."""
    labels = read_selector(selector)
    with database.connected(dsn) as connection, snapshot(connection):
        rows = read_rows(connection, WRITABLE_KINDS)
    rows = {key: row for key, row in rows.items() if has_labels(row, labels)}
    if managed_by is not None:
        rows = {key: row for key, row in rows.items() if row.get("managed_by") == managed_by}
    click.echo(write_document(rows, full=full), nl=False)
    if sealed := [key.id for key, row in rows.items() if is_sealed(row.get("value"))]:
        note(
            f"the values of {len(sealed)} encrypted secrets stay in the database "
            f"({_some(sealed)}); apply leaves them as they are"
        )


def _some(names: list[str]) -> str:
    return ", ".join(sorted(names)[:_NAMED]) + (", …" if len(names) > _NAMED else "")


def _rehearse(
    dsn: str,
    wanted: Mapping[Key, dict[str, Any]],
    places: Mapping[Key, str],
    ownership: Ownership,
    output: str,
) -> None:
    """Show what would be applied."""
    with database.connected(dsn) as connection:
        planned, drift = _planned(connection, wanted, places, ownership)
    if output != "table":
        print_value({**_document(planned, drift), "dry_run": True}, output)
        return
    empty = "nothing to change"
    plan = shown_plan(planned)
    print_lines(planned_lines(plan.changes), before="IS", after="WOULD BE", empty=empty)
    print_drift(drift)
    print_remarks(plan)
    if plan.changes:
        click.echo("dry run: nothing is written")


def _planned(
    connection: Any,
    wanted: Mapping[Key, dict[str, Any]],
    places: Mapping[Key, str],
    ownership: Ownership,
) -> tuple[ChangePlan, list[Drift]]:
    """Plan what to change, and find what of it others have changed; errors end the command."""
    planned = _plan(connection, wanted, places, ownership)
    drift = find_drift(connection, planned.changes, ownership.managed_by)
    connection.rollback()
    return planned, drift


def _plan(
    connection: Any,
    wanted: Mapping[Key, dict[str, Any]],
    places: Mapping[Key, str],
    ownership: Ownership,
) -> ChangePlan:
    """Plan what to change; errors in the files end the command."""
    try:
        return make_plan(connection, wanted, ownership)
    except InvalidError as error:
        report(error.judged, [], places, "table")
        raise CommandError("nothing is changed: the files have errors (see above)") from error
    except TakenError as error:
        raise CommandError(f"nothing is changed: {error}; --take-over changes them") from error


def _show(
    planned: ChangePlan,
    drift: list[Drift],
    output: str,
    committed: transaction.Committed | None = None,
) -> None:
    if output != "table":
        print_value(_document(planned, drift, committed), output)
        return
    plan = shown_plan(planned)
    print_plan(planned.changes, drift)
    print_remarks(plan)
    print_outcome(plan, committed)


def _document(
    planned: ChangePlan, drift: list[Drift], committed: transaction.Committed | None = None
) -> dict[str, Any]:
    document = plan_document(shown_plan(planned), committed)
    return {**document, "drift": [one.document() for one in drift]}
