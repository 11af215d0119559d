"""
What happens in the database, as it does.

A notification is a reason to look, and so is that some seconds have passed without one: behind a
pooler none arrives. What is told has been read from the log, so nothing is missed and nothing told
twice, also when the connection breaks in between.
"""

from __future__ import annotations

import json
import select
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from fengling_gateway.cli import database
from fengling_gateway.cli.errors import CommandError
from fengling_gateway.cli.tries import tries
from fengling_gateway.configsource.postgres_listener import CHANNEL
from fengling_gateway.editing.history import EntityChange, read_revision
from fengling_gateway.editing.revisions import (
    ForgottenError,
    Revision,
    find_revisions,
    revisions_after,
)

POLL_SECONDS: Final = 5.0

SHOWN_CHANGES: Final = 100
"""Of a revision; who wants more reads it."""

_AWAY_SECONDS: Final = 3600.0
"""For how long the database, or the console, may be away until we give up."""

_HELD: Final = ("held", "waiting")

_LONGEST_PAYLOAD: Final = 8000


_SETTLED_SECONDS: Final = 10.0
"""A connection that has worked for so long was no try among others."""


class Happened(NamedTuple):
    """
    Something that has happened.

    ``what`` is revision, confirmed (a revision that was held), reload (somebody has asked gateways
    to look; nobody verifies who), or reset: the database is another one, or has been set back.
    """

    what: str
    revision: Revision | None = None
    changes: Sequence[EntityChange] = ()
    by: str | None = None
    comment: str | None = None

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        document: dict[str, Any] = {"event": self.what}
        if self.revision is not None:
            document |= self.revision.document()
            document["change_count"] = self.revision.changes
            document["changes"] = [one.document() for one in self.changes]
        if self.what == "reload":
            document |= {"by": self.by, "comment": self.comment}
        return document


class Following(ABC):
    """
    Follows the log of changes, from a revision on, for as long as it can be read or will be again.

    Args:
        lost: told of each time that it can't be read any more, and why.
    """

    _for_now: type[CommandError] | tuple[type[CommandError], ...] = CommandError
    """What may pass."""

    def __init__(self, *, lost: Callable[[str], None]) -> None:
        self._lost = lost
        self._newest = -1
        self._held: set[int] = set()
        self._attempts = tries(_AWAY_SECONDS)
        self._told = ""

    @abstractmethod
    def begin(self, back: int) -> int:
        """
        Begin so many revisions before the newest, and return what is the newest.

        Raises:
            CommandError: the log can't be reached, or read.
        """

    @abstractmethod
    def _listen(self) -> Iterator[Happened]:
        """Yield what happens until that can't be heard any more."""

    def follow(self) -> Generator[Happened, None, None]:
        """
        Yield what happens, for good. Blocks.

        Raises:
            CommandError: the log could not be read for an hour, or never will be.
        """
        while next(self._attempts, None) is not None:
            began = time.monotonic()
            try:
                yield from self._listen()
                self._settle(lasted=time.monotonic() - began)
            except self._for_now as error:
                if not self._may_pass(error):
                    raise
                self._settle(lasted=time.monotonic() - began)
                self._say(error)
        raise CommandError(f"{self._told or 'nothing is told for long'}; given up")

    def _may_pass(self, error: CommandError) -> bool:
        return True

    def _settle(self, lasted: float) -> None:
        if lasted > _SETTLED_SECONDS:
            self._attempts = tries(_AWAY_SECONDS)
            self._told = ""

    def _say(self, error: CommandError) -> None:
        if error.message != self._told:
            self._told = error.message
            self._lost(error.message)

    def _tell(self, revision: Revision, changes: Sequence[EntityChange]) -> Happened:
        """Return that there is a new revision, and remember if it is held."""
        if revision.state in _HELD:
            self._held.add(revision.id)
        return Happened("revision", revision, changes)

    def _released(self, found: Mapping[int, Revision]) -> Iterator[Happened]:
        """Yield which of the revisions that were held are confirmed, by what is known of them now."""
        for number, revision in sorted(found.items()):
            if revision.state not in _HELD:
                self._held.discard(number)
                if revision.state == "confirmed":
                    yield Happened("confirmed", revision)


class Follower(Following):
    """Follows a database."""

    def __init__(
        self, dsn: str, *, lost: Callable[[str], None], poll_seconds: float = POLL_SECONDS
    ) -> None:
        super().__init__(lost=lost)
        self._dsn = dsn
        self._poll_seconds = poll_seconds
        self._mark: str | None = None

    def begin(self, back: int) -> int:
        with database.connected(self._dsn) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT revision FROM fengling.head")
            [newest] = cursor.fetchone()
            self._advance(connection, max(-1, newest - back))
            return int(newest)

    def _listen(self) -> Iterator[Happened]:
        with database.connected(self._dsn) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
            while True:
                yield from self._look(connection)
                yield from self._requests(connection)
                self._wait(connection)

    def _wait(self, connection: Any) -> None:
        if connection.notifies:
            return  # (they may have come with an answer)
        select.select([connection], [], [], self._poll_seconds)
        with connection.step():
            connection.poll()

    def _look(self, connection: Any) -> Iterator[Happened]:
        if self._is_another(connection):
            self._held.clear()
            with connection.cursor() as cursor:
                cursor.execute("SELECT revision FROM fengling.head")
                [newest] = cursor.fetchone()
            self._advance(connection, newest)
            yield Happened("reset", find_revisions(connection, [newest]).get(newest))
        while found := revisions_after(connection, self._newest):
            for revision in found:
                yield self._tell(revision, _changes(connection, revision))
            self._advance(connection, found[-1].id)
        if self._held:
            yield from self._released(find_revisions(connection, self._held))

    def _is_another(self, connection: Any) -> bool:
        """Whether this database has not had the revision that we know: it has been set back."""
        return self._mark is not None and self._mark != _mark(connection, self._newest)

    def _advance(self, connection: Any, newest: int) -> None:
        self._newest = newest
        self._mark = _mark(connection, newest) if newest >= 0 else None

    def _requests(self, connection: Any) -> Iterator[Happened]:
        """Yield what there is in no table: that gateways have been asked to look."""
        payloads = [one.payload for one in connection.notifies]
        del connection.notifies[:]
        for payload in payloads:
            said = _said(payload)
            if said.get("action") == "reload":
                details = said.get("details")
                details = details if type(details) is dict else {}
                by, comment = (_text(details.get(name)) for name in ("by", "comment"))
                yield Happened("reload", by=by, comment=comment)


def _mark(connection: Any, number: int) -> str | None:
    """Return the token of a revision, by which it is told from another one of its number."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT token::text FROM fengling.revision WHERE id = %s", (number,))
        row = cursor.fetchone()
        return None if row is None else str(row[0])


def _changes(connection: Any, revision: Revision) -> list[EntityChange]:
    try:
        return read_revision(connection, revision.id, limit=SHOWN_CHANGES).changes
    except ForgottenError:
        return []  # so old that it has just gone


def _said(payload: str) -> dict[str, Any]:
    """Return what a notification says; anybody may send one."""
    try:
        said = json.loads(payload[:_LONGEST_PAYLOAD])
    except (ValueError, RecursionError):
        return {}
    return said if type(said) is dict else {}


def _text(value: Any) -> str | None:
    return value if type(value) is str and value else None
