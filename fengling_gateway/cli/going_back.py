"""Going back, as a command asks for it: planned and written here, in a database, or by a console."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, NamedTuple, Protocol

from fengling_gateway.cli import database
from fengling_gateway.cli.errors import CommandError
from fengling_gateway.cli.plans import ShownPlan, shown_plan
from fengling_gateway.cli.validation import report
from fengling_gateway.editing import transaction
from fengling_gateway.editing.planning import ChangePlan, InvalidError
from fengling_gateway.editing.returning import Left
from fengling_gateway.editing.revisions import ForgottenError, NoRevisionError
from fengling_gateway.editing.rollback import (
    ChangedSinceError,
    Dropped,
    NothingError,
    Rollback,
    make_rollback,
)

UNDO_THOSE: Final = "Undo those, too, or go back with --to"
HAS_ERRORS: Final = "nothing is changed: it would have errors (see above)"


class Back(NamedTuple):
    """Where to: to a revision, or behind some."""

    to: int | None
    of: tuple[int, ...]


class PlannedBack(NamedTuple):
    """What a rollback would do; see `Rollback`."""

    what: str
    plan: ShownPlan
    left: Sequence[Left]
    dropped: Sequence[Dropped]


class GoingBack(Protocol):
    """Plans a rollback, and then writes just that. Whatever keeps it from that is a `CommandError`."""

    def plan(self) -> PlannedBack: ...

    def write(self, signature: transaction.Signature) -> transaction.Committed:
        """Write what was planned last; the signature's comment is the reason."""


@contextmanager
def in_database(dsn: str, back: Back) -> Iterator[GoingBack]:
    with database.connected(dsn) as connection:
        yield _DatabaseRollback(connection, back)


class _DatabaseRollback:
    def __init__(self, connection: Any, back: Back) -> None:
        self._connection = connection
        self._back = back
        self._planned: tuple[Rollback, ChangePlan] | None = None

    def plan(self) -> PlannedBack:
        try:
            planned, plan = make_rollback(self._connection, to=self._back.to, of=self._back.of)
        except ChangedSinceError as error:
            raise CommandError(f"nothing is changed: {error}. {UNDO_THOSE}") from error
        except (ForgottenError, NoRevisionError, NothingError) as error:
            raise CommandError(str(error)) from error
        except InvalidError as error:
            report(error.judged, [], {}, "table")
            raise CommandError(HAS_ERRORS) from error
        self._planned = planned, plan
        return PlannedBack(planned.what, shown_plan(plan), planned.left, planned.dropped)

    def write(self, signature: transaction.Signature) -> transaction.Committed:
        assert self._planned is not None
        planned, plan = self._planned
        signature = replace(signature, comment=planned.comment(signature.comment))
        try:
            return transaction.write(self._connection, plan.changes, signature, plan.refers_to)
        except transaction.ConflictError as error:
            raise CommandError(
                f"nothing is changed: somebody has just changed {error}; look again"
            ) from error
        except transaction.BusyError as error:
            raise CommandError(f"nothing is changed: the database is busy: {error}") from error
        except transaction.UncertainError as error:
            raise CommandError(
                f"the connection broke while the changes were committed ({error}): they are made "
                "or not, which `fenglingctl history` tells"
            ) from error
