"""Changes of a few entities that depend on what is there: read, plan, write, and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from fengling_gateway.cli import database
from fengling_gateway.cli.configuration import PATIENCE_SECONDS
from fengling_gateway.cli.errors import CommandError, answer_no, note
from fengling_gateway.cli.tries import tries
from fengling_gateway.editing import transaction
from fengling_gateway.editing.changes import Planned
from fengling_gateway.editing.rows import read_rows, snapshot
from fengling_gateway.model.entity import Key

Rows = dict[Key, dict[str, Any]]
Outcome = tuple[transaction.Committed, int]
"""What was committed, and how many entities it changes."""


def rewrite(
    dsn: str,
    kind: str,
    plan: Callable[[Rows], list[Planned]],
    signature: transaction.Signature,
    beside: tuple[str, ...] = (),
) -> Outcome:
    """Write what a plan makes of the rows of a kind, and of those ``beside``, that there are."""
    reason: Exception | None = None
    with database.connected(dsn) as connection:
        for _ in tries(PATIENCE_SECONDS):
            with snapshot(connection):
                rows = read_rows(connection, (kind, *beside))
            changes = plan(rows)
            if not changes:
                return transaction.Committed(None, None), 0
            try:
                return transaction.write(connection, changes, signature), len(changes)
            except (transaction.ConflictError, transaction.BusyError) as error:
                reason = error
            except transaction.UncertainError as error:
                raise CommandError(
                    f"the connection broke while the change was committed ({error}): it is made or "
                    f"not, which the {kind.replace('_', ' ')}s tell (`fenglingctl get`)"
                ) from error
    raise CommandError(f"nothing is changed: somebody else keeps changing this: {reason}")


def say(outcome: Outcome, what: str) -> None:
    """Tell the revision and what it is; a held one ends the command with status 1."""
    committed, _ = outcome
    revision = "" if committed.revision is None else f"revision {committed.revision}: "
    click.echo(f"{revision}{what}")
    if committed.held:
        note(f"fenglingctl: {committed.held}")
        answer_no()
