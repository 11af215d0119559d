"""The log of changes as a console tells it, in the terms of a database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime
from typing import Any, Final

from fengling_gateway.cli.api import ConsoleApi
from fengling_gateway.cli.errors import CommandError
from fengling_gateway.configsource.file_entities import SECTIONS
from fengling_gateway.editing.changes import FieldChange
from fengling_gateway.editing.history import (
    MAX_CHANGES,
    EntityChange,
    EntityHistory,
    RevisionChanges,
)
from fengling_gateway.editing.revisions import (
    Changed,
    ForgottenError,
    NoRevisionError,
    Page,
    Reach,
    Revision,
    Sought,
    iso,
)
from fengling_gateway.model.entity import Key

_SECTION_OF: Final = {kind: section for section, kind in SECTIONS.items()}
_LONGEST_PAGE: Final = 1000

Document = dict[str, Any]


class ConsoleLog:
    """A `fengling_gateway.cli.log.Log` over the API of a console."""

    def __init__(self, api: ConsoleApi) -> None:
        self._api = api

    def list_revisions(self, sought: Sought, *, limit: int, before: int | None) -> Page:
        asked = {
            "kind": sought.kind or "all",
            "author": sought.author,
            "without": sought.without,
            "db_user": sought.db_user,
            "entity": sought.entity,
            "text": sought.text,
            "since": iso(sought.since),
            "until": iso(sought.until),
            "limit": limit,
            "before": before,
        }
        with self._as_told():
            page = self._get("revisions", **asked)
            found = [revision_of(one) for one in page["items"]]
            reach = self._reach() if page["is_shortened"] else Reach(page["newest"], 0, 0)
            return Page(found, page["next"], page["is_shortened"], reach)

    def read_revision(
        self, number: int, *, limit: int = MAX_CHANGES, after: int = 0
    ) -> RevisionChanges:
        """
        Raises:
            RefusedError: there is none (404), or none any more (410).
        """
        with self._as_told():
            told = self._get(f"revisions/{number}", limit=limit, after=after)
            changes = [change_of(one) for one in told["changes"]]
            revision = revision_of({**told, "changes": told["change_count"]})
            return RevisionChanges(revision, changes, told["next"])

    def difference(self, start: int, end: int) -> tuple[list[EntityChange], int]:
        """Return the first thousand changes, and how many there are."""
        with self._as_told():
            told = self._get("revisions/diff", **{"from": start, "to": end})
            return [change_of(one) for one in told["changes"]], told["change_count"]

    def entity_history(self, key: Key, *, limit: int, before: int | None) -> EntityHistory:
        with self._as_told():
            if key.kind == "instance_health":
                return self._health(key, limit, before)
            told = self._get(
                f"{_SECTION_OF[key.kind]}/{key.id}/history", limit=limit, before=before
            )
            entries = [_entry(one) for one in told["items"]]
            return EntityHistory(entries, told["next"], told["is_shortened"])

    def entity_at(self, key: Key, revision: int) -> dict[str, Any] | None:
        """
        Return what there was of an entity, by what has changed it before or, if nothing has, after.

        Raises:
            NoRevisionError, ForgottenError: as in a database.
        """
        if key.kind == "instance_health":
            raise CommandError(f"a console does not tell what {key} was: ask the database")
        with self._as_told():
            newest = self._get("revisions", limit=1)["newest"]
            if not 0 <= revision <= newest:
                raise NoRevisionError(revision, newest)
            found = self.entity_history(key, limit=1, before=revision + 1).entries
            if found:
                return found[0][1].after
            reach = self._reach()
            if revision < reach.known_from:
                raise ForgottenError(f"what {key} was at revision {revision}", reach)
            images = [change.before for _, change in self._entries(key)]
            return images[-1] if images else None

    def _entries(self, key: Key) -> Iterator[tuple[Revision, EntityChange]]:
        before = None
        while True:
            page = self.entity_history(key, limit=_LONGEST_PAGE, before=before)
            yield from page.entries
            before = page.before
            if before is None:
                return

    def _health(self, key: Key, limit: int, before: int | None) -> EntityHistory:
        if before is not None:
            raise CommandError("of health a console tells only the newest: ask the database")
        told = self._get(f"instances/{key.id}/health", limit=limit)
        return EntityHistory([_entry(one) for one in told["history"]], None, is_shortened=False)

    def _reach(self) -> Reach:
        told = self._get("retention")
        newest = self._get("revisions", limit=1)["newest"]
        return Reach(newest, told["known_from"], told["pruned_to"])

    def _get(self, path: str, **query: Any) -> Any:
        return self._api.get(path, **{n: it for n, it in query.items() if it is not None})

    @contextmanager
    def _as_told(self) -> Iterator[None]:
        """Say of what is not as we know it that it is of another version."""
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CommandError(
                f"{self._api.url} answers, but not as a console of this version does"
            ) from error


def revision_of(told: Document) -> Revision:
    """Return a revision from its document."""
    values = {one.name: told[one.name] for one in fields(Revision)}
    for name in ("committed_at", "confirmed_at"):
        if values[name] is not None:
            values[name] = datetime.fromisoformat(values[name]).timestamp()
    first = [Changed(one["action"], Key(one["kind"], one["id"])) for one in told["first"]]
    return Revision(**{**values, "first": tuple(first)})


def change_of(told: Document) -> EntityChange:
    """Return what became of an entity from its document."""
    return EntityChange(
        Key(told["kind"], told["id"]),
        told["action"],
        told["revision"],
        told["before"],
        told["after"],
        tuple(FieldChange(name, *sides) for name, sides in told["fields"].items()),
    )


def _entry(told: Document) -> tuple[Revision, EntityChange]:
    return revision_of(told), change_of(told["change"])
