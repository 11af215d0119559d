"""The log of changes as commands read it: in a database, or over a console, which say the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from fengling_gateway.cli import database
from fengling_gateway.cli.api import ConsoleApi
from fengling_gateway.cli.console_log import ConsoleLog
from fengling_gateway.cli.errors import CommandError
from fengling_gateway.cli.place import Place
from fengling_gateway.editing import history, revisions
from fengling_gateway.editing.history import EntityChange, EntityHistory, RevisionChanges
from fengling_gateway.editing.revisions import ForgottenError, NoRevisionError, Page, Sought
from fengling_gateway.editing.rows import snapshot
from fengling_gateway.model.entity import Key


class Log(Protocol):
    """Methods are as the functions of the same names in `fengling_gateway.editing`."""

    def list_revisions(self, sought: Sought, *, limit: int, before: int | None) -> Page: ...

    def read_revision(self, number: int, *, after: int = 0) -> RevisionChanges: ...

    def difference(self, start: int, end: int) -> tuple[list[EntityChange], int]:
        """Return also how many there are: not all of them may be told."""

    def entity_history(self, key: Key, *, limit: int, before: int | None) -> EntityHistory: ...

    def entity_at(self, key: Key, revision: int) -> dict[str, Any] | None: ...


class DatabaseLog(NamedTuple):
    """Reads in the current transaction of a connection."""

    connection: Any

    def list_revisions(self, sought: Sought, *, limit: int, before: int | None) -> Page:
        return revisions.list_revisions(self.connection, sought, limit=limit, before=before)

    def read_revision(self, number: int, *, after: int = 0) -> RevisionChanges:
        return history.read_revision(self.connection, number, after=after)

    def difference(self, start: int, end: int) -> tuple[list[EntityChange], int]:
        found = history.difference(self.connection, start, end)
        return found, len(found)

    def entity_history(self, key: Key, *, limit: int, before: int | None) -> EntityHistory:
        return history.entity_history(self.connection, key, limit=limit, before=before)

    def entity_at(self, key: Key, revision: int) -> dict[str, Any] | None:
        return history.entity_at(self.connection, key, revision)


@contextmanager
def reading(place: Place) -> Iterator[Log]:
    """Lend the log, in a database as it is at one moment; what it has not ends the command."""
    try:
        if isinstance(place, ConsoleApi):
            yield ConsoleLog(place)
            return
        with database.connected(place) as connection, snapshot(connection):
            yield DatabaseLog(connection)
    except (ForgottenError, NoRevisionError) as error:
        raise CommandError(str(error)) from error
