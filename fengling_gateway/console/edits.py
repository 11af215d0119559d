"""
Edits: what somebody wants, planned on what there is, tried out, and written.

Each entity is written only in the version that was read, so that whoever was
faster is not overwritten unseen.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fengling_gateway.balancing.upstream_networks import UpstreamNetworks
from fengling_gateway.configsource.reading import SourceError
from fengling_gateway.console.mirror import Mirror, Trial
from fengling_gateway.console.store import Store
from fengling_gateway.editing import transaction
from fengling_gateway.editing.changes import (
    Ownership,
    Planned,
    TakenError,
    deletion,
    plan,
    with_kept_values,
)
from fengling_gateway.editing.credentials import find_expired, find_let_in_again
from fengling_gateway.editing.refusals import Warned, find_refused
from fengling_gateway.editing.rows import deleted_once, read_managed, read_some, snapshot
from fengling_gateway.model.effective import Rejection
from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Accepted, refs_of, validate
from fengling_gateway.model.who_may_ask import WhoMayAsk
from fengling_gateway.routing.auth_linter import lint_auth

Row = dict[str, Any]

_CALLERS: Final = ("issuer", "client", "api_key")
"""Whose changes may leave routes with nobody who can ask them."""


class StaleError(Exception):
    """Entities are not in the version that somebody expects; ``keys`` names them."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self.keys = tuple(keys)
        super().__init__(", ".join(map(str, self.keys)))


class MissingError(Exception):
    """Entities that are to be changed or deleted do not exist."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self.keys = tuple(keys)
        super().__init__(", ".join(map(str, self.keys)))


class ExistsError(MissingError):
    """Entities that are to be created are there already."""


class NeededError(Exception):
    """Others refer to what is to go; ``keys`` names them."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self.keys = tuple(keys)
        named = ", ".join(map(str, self.keys[:5]))
        more = len(self.keys) - 5
        super().__init__(named + (f" and {more} more" if more > 0 else ""))


class InvalidEditError(Exception):
    """What is wanted has errors."""

    def __init__(self, rejected: Mapping[Key, Rejection]) -> None:
        super().__init__(", ".join(map(str, rejected)))
        self.rejected = dict(rejected)


@dataclass(frozen=True, slots=True)
class Edit:
    """
    What somebody wants.

    Attributes:
        wanted: rows as they are to be; fields that are left out have their defaults.
        deleted: what is to go.
        versions: in which what is named must be there; of what is not, any will do.
        new: those of ``wanted`` that must not be there yet.
        old: those that must be there.
        ownership: whose it is; with ``prune``, what else is theirs goes.
    """

    wanted: Mapping[Key, Row]
    deleted: frozenset[Key] = frozenset()
    versions: Mapping[Key, int] = field(default_factory=dict)
    new: frozenset[Key] = frozenset()
    old: frozenset[Key] = frozenset()
    ownership: Ownership = field(default_factory=Ownership)


@dataclass(frozen=True, slots=True)
class PlannedEdit:
    """
    What an edit comes down to.

    Attributes:
        changes: in the order of kinds and ids; none: all is as it is wanted.
        refers_to: what the changes depend on, with its version.
        trial: what would become of it.
        deleted_once: clients and API keys to be made that there were before.
        networks: where gateways may connect to.
    """

    changes: tuple[Planned, ...]
    refers_to: Mapping[Key, int]
    trial: Trial
    deleted_once: frozenset[Key]
    networks: UpstreamNetworks

    def warnings(self, now: float) -> list[Warned]:
        """Return what is odd about it; ``now`` is in seconds since the epoch."""
        bodies = self.trial.bodies
        written = [one.key for one in self.changes if one.action != "delete"]
        mine = {key: bodies[key] for key in written if key in bodies}
        found: list[Warned] = list(self.trial.findings)
        if any(one.key.kind in _CALLERS for one in self.changes):
            found += [one for one in lint_auth(bodies) if one not in found]
        found += find_refused(mine, self.networks)
        found += find_let_in_again(self.changes, self.deleted_once, now)
        found += find_expired(mine, now)
        return found

    def public(self) -> list[str]:
        """Return the routes among the changes that anybody may ask then."""
        bodies = self.trial.bodies
        asked = WhoMayAsk(bodies)
        routes = [one.key for one in self.changes if one.key.kind == "route" and one.key in bodies]
        return [key.id for key in routes if asked.openness(json.loads(bodies[key])) == "public"]


class Editor:
    """Plans edits."""

    def __init__(self, *, store: Store, mirror: Mirror) -> None:
        self._store = store
        self._mirror = mirror

    async def plan(self, edit: Edit) -> PlannedEdit:
        """
        Find out what an edit comes down to; nothing is written.

        Raises:
            MissingError, ExistsError, StaleError: it does not fit what there is.
            InvalidEditError: it would be rejected.
            NeededError: it would have others rejected.
            TakenError: it would change what somebody else manages.
            SourceError: what is served is not known.
        """
        found, wanted, changes = await self._store.run(_compared, edit)
        await self._catch_up(found.served)
        gone = [one.key for one in changes if one.action == "delete"]
        trial = await self._mirror.try_out({**dict.fromkeys(gone), **wanted})
        if trial.rejected:
            raise InvalidEditError(trial.rejected)
        if trial.broken:
            raise NeededError(sorted(trial.broken))
        changed = {one.key for one in changes}
        refers_to = {
            key: version for key, version in found.references(wanted).items() if key not in changed
        }
        return PlannedEdit(
            tuple(changes), refers_to, trial, found.deleted_once, self._mirror.networks
        )

    async def _catch_up(self, served: int) -> None:
        """Have the mirror know what was read: who has just made something refers to it at once."""
        mirror = self._mirror
        if self._is_behind(served):
            await mirror.look("edit")
        # (One that reads, and is behind all the same, holds what it has read.)
        if not mirror.is_judged or (mirror.problem and self._is_behind(served)):
            raise SourceError(mirror.problem or "the configuration has not been read yet")

    def _is_behind(self, served: int) -> bool:
        mirror = self._mirror
        known = mirror.position if mirror.is_judged else None
        return known is None or known.revision < served


def write(
    connection: Any, planned: PlannedEdit, signature: transaction.Signature, key: Key | None
) -> tuple[transaction.Committed, Row | None]:
    """
    Make the changes of a plan, if all is still as it was then; and read what one entity became.

    Raises:
        ConflictError, BusyError: nothing is written.
        UncertainError: nobody knows.
    """
    found: dict[Key, Row] = {}

    def read() -> None:
        found.update({} if key is None else read_some(connection, (key,)))

    committed = transaction.Committed(None, None)
    if planned.changes:
        # Before the commit: afterwards it may be somebody else's, whose version whoever has written
        # this one must not be given for his; or the database may be gone, and all is written.
        committed = transaction.write(
            connection, planned.changes, signature, planned.refers_to, read
        )
    else:
        read()
    return committed, None if key is None else found.get(key)


@dataclass(frozen=True, slots=True)
class _Found:
    """``served`` is the newest revision that is not held."""

    rows: dict[Key, Row]
    served: int
    refs: Mapping[Key, frozenset[Key]]
    deleted_once: frozenset[Key]

    def references(self, wanted: Iterable[Key]) -> dict[Key, int]:
        """Return what is referred to and there, with its version."""
        refs = {ref for key in wanted for ref in self.refs.get(key, ())}
        return {ref: self.rows[ref]["version"] for ref in refs if ref in self.rows}


def _read(connection: Any, edit: Edit) -> _Found:
    """Read all that an edit has to do with, of one moment."""
    refs = {}
    for key, row in edit.wanted.items():
        verdict = validate(key, dict(row))
        if isinstance(verdict, Accepted):
            refs[key] = refs_of(key, verdict.body)
    concerned = {*edit.wanted, *edit.deleted, *(ref for some in refs.values() for ref in some)}
    with snapshot(connection):
        rows = read_some(connection, concerned)
        if edit.ownership.prune and edit.ownership.managed_by is not None:
            rows.update(read_managed(connection, edit.ownership.managed_by))
        made = [key for key in edit.wanted if key not in rows]
        return _Found(rows, _served(connection), refs, deleted_once(connection, made))


def _compared(connection: Any, edit: Edit) -> tuple[_Found, dict[Key, Row], list[Planned]]:
    """
    Return what there is, what is wanted, and what separates them.

    (All of it in the thread: of ten thousand entities it takes a second.)
    """
    found = _read(connection, edit)
    _compare(edit, found.rows)
    wanted = with_kept_values(edit.wanted, found.rows)
    changes = plan(wanted, found.rows, edit.ownership)
    pruned = {one.key for one in changes if one.action == "delete"}
    changes += [deletion(key, found.rows[key]) for key in sorted(edit.deleted - pruned)]
    return found, wanted, changes


def _served(connection: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT baseline_revision FROM fengling.head")
        [(revision,)] = cursor.fetchall()
    return int(revision)


def _compare(edit: Edit, rows: Mapping[Key, Row]) -> None:
    """Refuse what does not fit what there is."""
    if there := [key for key in edit.new if key in rows]:
        raise ExistsError(there)
    if missing := [key for key in (*edit.old, *edit.deleted) if key not in rows]:
        raise MissingError(missing)
    stale = [
        key for key, version in edit.versions.items() if rows.get(key, {}).get("version") != version
    ]
    if stale:
        raise StaleError(stale)
    managers = {key: rows[key].get("managed_by") for key in sorted(edit.deleted)}
    foreign = [
        f"{key} (by {manager})"
        for key, manager in managers.items()
        if manager and manager != edit.ownership.managed_by and not edit.ownership.take_over
    ]
    if foreign:
        raise TakenError(f"managed by somebody else: {', '.join(foreign[:5])}")
