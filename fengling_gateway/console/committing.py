"""What all operations that change something have in common: who, why, whether at all, and who serves it then."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred, succeed

from fengling_gateway.access.problems import ProblemError
from fengling_gateway.console.call import Call
from fengling_gateway.console.fleet import Convergence, FleetWatch
from fengling_gateway.console.mirror import Mirror
from fengling_gateway.editing import transaction
from fengling_gateway.model.delta import Position

T = TypeVar("T")

PARAMETERS: Final = ("dry_run", "wait", "timeout", "comment", "force")


@dataclass(frozen=True, slots=True)
class Wish:
    """
    How a change is to be made.

    Attributes:
        dry_run: not at all: only say what it would be.
        waits: until every worker serves it, no longer than ``timeout`` seconds.
        began: seconds since the epoch.
    """

    dry_run: bool
    waits: bool
    timeout: float
    signature: transaction.Signature
    began: float


class Committing:
    """
    Args:
        wall: seconds since the epoch.
    """

    def __init__(
        self, *, mirror: Mirror, fleet: FleetWatch, wall: Callable[[], float] = time.time
    ) -> None:
        self._mirror = mirror
        self._fleet = fleet
        self._wall = wall

    def wish_of(self, call: Call, *also: str) -> Wish:
        """Read the parameters of a change; ``also`` names others that it may have."""
        call.only(*PARAMETERS, *also)
        if call.flag("force"):
            call.access.require_all_tenants()  # what is held may be everybody's
        return Wish(
            dry_run=call.flag("dry_run"),
            waits=call.one_of("wait", "none", ("none", "all")) == "all",
            timeout=call.timeout(),
            signature=transaction.Signature(
                author=call.access.operator.subject,
                comment=call.text("comment", most=2000) or None,
                force=call.flag("force"),
                is_verified=True,
            ),
            began=self._wall(),
        )

    async def recorded(
        self, call: Call, what: str, change: Callable[[], Deferred[T]], after: Any
    ) -> T:
        """Make a change with a record of it in the audit trail."""
        record = call.access.began(what, None)
        outcome = "failed"
        try:
            made = await change()
            outcome = "done"
            return made
        except transaction.UncertainError:
            outcome = "uncertain"
            raise
        finally:
            call.access.ended(record, outcome, after if outcome == "done" else None)

    async def outcome(
        self, wish: Wish, committed: transaction.Committed, told: dict[str, Any]
    ) -> dict[str, Any]:
        """
        Return what to answer, once it is served if that is wished for.

        Raises:
            ProblemError: it is written, and not served by all in time.
        """
        value = {**told, "revision": committed.revision, "held": committed.held}
        if committed.revision is None or committed.held or not wish.waits:
            return value
        found = await self.served(committed.revision, wish.timeout)
        took = round((self._wall() - wish.began) * 1000, 1)
        value["convergence"] = {**found.shown(), "took_ms": took}
        if not found.is_reached:
            detail = f"revision {committed.revision} is written, and not served by all yet"
            raise ProblemError("not_converged", detail, **value)
        return value

    def served(self, revision: int, timeout: float) -> Deferred[Convergence]:
        """Wait until every live worker serves a revision of this database."""
        position = self._mirror.position
        if position is None:
            # (What goes back asks the database alone.) Which database workers serve, nobody can tell.
            why = self._mirror.problem or "the configuration has not been read yet"
            return succeed(Convergence((), (), complete=False, reason=why))
        return self._fleet.reached(Position(position.epoch, revision, ""), timeout)
