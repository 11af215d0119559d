"""The API's operations on what has been: revisions, what they changed, and going back."""

from __future__ import annotations

from typing import Any, Final

from fengling_gateway.access.parameters import is_id, is_revision
from fengling_gateway.access.problems import ProblemError
from fengling_gateway.configsource.file_entities import SECTIONS
from fengling_gateway.console.call import Answer, Call
from fengling_gateway.console.mirror import Mirror
from fengling_gateway.console.ownership import entry_shown, is_theirs
from fengling_gateway.console.store import Store
from fengling_gateway.editing.history import (
    MAX_CHANGES,
    EntityChange,
    difference,
    entity_history,
    read_revision,
)
from fengling_gateway.editing.revisions import Sought, list_revisions, read_reach
from fengling_gateway.editing.rows import snapshot
from fengling_gateway.model.entity import Key
from fengling_gateway.model.management_tokens import ADMIN, WRITE
from fengling_gateway.model.problems import Report
from fengling_gateway.model.times import instant

_KINDS: Final = ("config", "health", "all")


class HistoryApi:
    """Reads the log of changes, and confirms what is held."""

    def __init__(self, *, store: Store, mirror: Mirror) -> None:
        self._store = store
        self._mirror = mirror

    async def revisions(self, call: Call) -> Answer:
        """Return a page of revisions, newest first."""
        call.access.require_all_tenants()
        call.only(
            *("kind", "author", "without", "db_user", "entity", "text"),
            *("since", "until", "limit", "before"),
        )
        kind = call.one_of("kind", "config", _KINDS)
        entity, _, entity_id = call.text("entity").partition("/")
        if entity and entity not in (*SECTIONS.values(), "instance_health"):
            raise ProblemError("invalid_parameter", "entity must be like route or route/orders")
        sought = Sought(
            kind=None if kind == "all" else kind,  # type: ignore[arg-type]  # one of _KINDS
            author=call.text("author") or None,
            without=call.text("without") or None,
            db_user=call.text("db_user") or None,
            entity=entity or None,
            entity_id=entity_id or None,
            text=call.text("text") or None,
            since=_instant(call, "since"),
            until=_instant(call, "until"),
        )
        page = await self._store.run(
            list_revisions, sought, limit=call.limit(), before=call.whole("before")
        )
        return Answer(
            {
                "items": [one.document() for one in page.revisions],
                "next": page.before,
                "is_shortened": page.is_shortened,
                "newest": page.reach.newest,
            }
        )

    async def revision(self, call: Call) -> Answer:
        """Return one revision with what it changed."""
        call.access.require_all_tenants()
        call.only("limit", "after")
        found = await self._store.run(
            read_revision,
            _number(str(call.path["revision"])),
            limit=call.limit(),
            after=call.whole("after", 0) or 0,
        )
        return Answer(
            {
                **found.revision.document(),
                "changes": _documents(found.changes, call),
                "change_count": found.revision.changes,
                "next": found.after,
            }
        )

    async def diff(self, call: Call) -> Answer:
        """Return what lies between two revisions."""
        call.access.require_all_tenants()
        call.only("from", "to")
        start = call.whole("from")
        if start is None:
            raise ProblemError("invalid_parameter", "from must be the number of a revision")
        end, found = await self._store.run(_difference, start, call.whole("to"))
        return Answer(
            {
                "from": start,
                "to": end,
                "changes": _documents(found[:MAX_CHANGES], call),
                "change_count": len(found),
            }
        )

    async def entity(self, call: Call) -> Answer:
        """Return who changed one entity, and how."""
        kind = SECTIONS.get(call.path["kind"])
        if kind is None:
            raise ProblemError("not_found")
        if kind == "management_token":
            call.access.require(ADMIN)
        call.only("limit", "before")
        if not is_id(call.path["id"]):
            raise ProblemError("not_found")
        key = Key(kind, call.path["id"])
        found = await self._store.run(
            entity_history, key, limit=call.limit(), before=call.whole("before")
        )
        tenants = call.access.operator.tenants
        entries = [
            entry_shown(revision, change, tenants)
            for revision, change in found.entries
            if tenants is None or _is_visible(change, tenants)
        ]
        return Answer({"items": entries, "next": found.before, "is_shortened": found.is_shortened})

    async def confirm(self, call: Call) -> Answer:
        """Serve a held revision after all."""
        call.access.require(WRITE)
        call.access.require_all_tenants()
        call.only()
        number = _number(str(call.path["revision"]))
        record = call.access.began(f"confirm {number}", None)
        outcome = "failed"
        try:
            await self._store.run(_confirm, number, call.access.operator.subject)
            outcome = "done"
        finally:
            call.access.ended(record, outcome, None)
        await self._mirror.look("confirmed")
        return Answer({"confirmed": number})


def _difference(connection: Any, start: int, end: int | None) -> tuple[int, list[EntityChange]]:
    """Return what lies between a revision and another, or the newest, and which that is."""
    with snapshot(connection):
        last = read_reach(connection).newest if end is None else end
        return last, difference(connection, start, last)


def _confirm(connection: Any, revision: int, author: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT fengling.confirm(%s, %s)", (revision, author))
    connection.commit()


def _documents(changes: list[EntityChange], call: Call) -> list[dict[str, Any]]:
    """Return changes; of management tokens only that they have changed, but for who may see those."""
    hidden: dict[str, Any] = {"fields": {}, "before": None, "after": None}
    if call.access.operator.may(ADMIN):
        hidden = {}
    return [
        {**one.document(), **hidden} if one.key.kind == "management_token" else one.document()
        for one in changes
    ]


def _is_visible(change: EntityChange, tenants: frozenset[str]) -> bool:
    """Whether all that an entry shows is of these tenants."""
    images = [one for one in (change.before, change.after) if one is not None]
    return all(is_theirs(change.key.kind, one, tenants, _nobody) for one in images)


def _nobody(_: str) -> None:
    return None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18 and is_revision(int(text))):
        raise ProblemError("not_found", "a revision is a number")
    return int(text)


def _instant(call: Call, name: str) -> float | None:
    text, report = call.text(name), Report()
    if not text:
        return None
    at: float = instant(text, report)
    if report.found:
        raise ProblemError("invalid_parameter", f"{name} must be a time like 2026-11-22T10:00:00Z")
    return at
