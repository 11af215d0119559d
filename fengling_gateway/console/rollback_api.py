"""The API's operations that go back: behind one revision, or to one; and how far back is known."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from fengling_gateway.access.parameters import is_revision, text_up_to
from fengling_gateway.access.problems import ProblemError
from fengling_gateway.console.call import Answer, Call
from fengling_gateway.console.committing import Committing
from fengling_gateway.console.showing import changes_shown
from fengling_gateway.console.store import Store
from fengling_gateway.editing import transaction
from fengling_gateway.editing.planning import ChangePlan
from fengling_gateway.editing.retention import read_retention, set_retention
from fengling_gateway.editing.rollback import Rollback, make_rollback
from fengling_gateway.model.management_tokens import ADMIN

MAX_UNDONE: Final = 100
"""Revisions that are undone at once; of more, going back to one is what is meant."""


class RollbackApi:
    """Takes changes back, as changes of their own."""

    def __init__(
        self, *, store: Store, committing: Committing, wall: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._committing = committing
        self._wall = wall

    async def undo(self, call: Call) -> Answer:
        """Make the opposite changes of one revision."""
        return await self._go_back(call, to=None, of=(int(call.path["revision"]),))

    async def rollback(self, call: Call) -> Answer:
        """Have everything as it was at a revision, or make the opposite changes of some."""
        call.access.require(ADMIN)  # before anything of the body is looked at
        fields = call.fields({"to": is_revision, "of": _are_revisions, "plan": text_up_to(100)})
        if ("to" in fields) == ("of" in fields):
            detail = "to must be the number of a revision, or of must be a list of such numbers"
            raise ProblemError("invalid_parameter", detail)
        to = fields.get("to")
        return await self._go_back(
            call,
            to=None if to is None else int(to),
            of=tuple(map(int, fields.get("of", ()))),
            seen=fields.get("plan"),
        )

    async def _go_back(
        self, call: Call, *, to: int | None, of: tuple[int, ...], seen: str | None = None
    ) -> Answer:
        # What comes back may be anything, tokens included.
        call.access.require(ADMIN)
        call.access.require_all_tenants()
        wish = self._committing.wish_of(call)
        planned, plan, told = await self._store.run(self._planned, to, of)
        if wish.dry_run:
            return Answer({"dry_run": True, **told})
        if seen is not None and seen != told["plan"]:
            detail = "it would not change any more what has been shown: look again"
            raise ProblemError("precondition_failed", detail)
        signature = replace(wish.signature, comment=planned.comment(wish.signature.comment))
        committed = await self._committing.recorded(
            call,
            planned.what,
            lambda: self._store.run(_write, plan, signature),
            told["changes"],
        )
        return Answer(await self._committing.outcome(wish, committed, told))

    def _planned(
        self, connection: Any, to: int | None, of: tuple[int, ...]
    ) -> tuple[Rollback, ChangePlan, dict[str, Any]]:
        """Plan it, and say what is odd about it: in the thread, as all routes are looked at."""
        planned, plan = make_rollback(connection, to=to, of=of)
        return planned, plan, self._told(planned, plan)

    def _told(self, planned: Rollback, plan: ChangePlan) -> dict[str, Any]:
        return {
            "what": planned.what,
            "plan": _digest(planned),
            "changes": changes_shown(planned.changes),
            "left": [
                {"entity": str(one.key), "code": one.code, "message": one.message}
                for one in planned.left
            ],
            "dropped": [one._asdict() for one in planned.dropped],
            "warnings": [one._asdict() for one in plan.warnings(self._wall())],
            "public": plan.public(),
        }

    async def retention(self, call: Call) -> Answer:
        """Return for how long history is kept, and from when on it is known."""
        call.access.require_all_tenants()
        call.only()
        return Answer((await self._store.run(read_retention)).document())

    async def keep(self, call: Call) -> Answer:
        """Say for how long history is to be kept."""
        call.access.require(ADMIN)
        call.access.require_all_tenants()
        call.only()
        times = call.fields({"keep": _is_time, "keep_health": _is_time})
        if not times:
            raise ProblemError("invalid_parameter", "say keep, keep_health or both")
        found = await self._committing.recorded(
            call,
            "retention",
            lambda: self._store.run(lambda connection: set_retention(connection, **times)),
            times,
        )
        return Answer(found.document())


def _write(
    connection: Any, plan: ChangePlan, signature: transaction.Signature
) -> transaction.Committed:
    if not plan.changes:
        return transaction.Committed(None, None)
    return transaction.write(connection, plan.changes, signature, plan.refers_to)


def _digest(planned: Rollback) -> str:
    """Return what tells this plan from one that would do something else."""
    changes = [(one.key, one.action, one.version, one.values) for one in planned.changes]
    text = json.dumps(changes, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _are_revisions(value: Any) -> bool:
    return type(value) is list and 1 <= len(value) <= MAX_UNDONE and all(map(is_revision, value))


def _is_time(value: Any) -> bool:
    return value is None or (isinstance(value, str) and len(value) <= 50)
