"""
What happens, as a console tells it.

Its stream of events is a reason to look, as a notification of the database is. What is told has been
read from the log, over the console: so nothing is missed while it is away, and nothing told twice.
That somebody asks gateways to look is in no log, and told by the database only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from fengling_gateway.cli.api import AwayError, ConsoleApi, RefusedError
from fengling_gateway.cli.console_log import ConsoleLog
from fengling_gateway.cli.errors import CommandError
from fengling_gateway.cli.following import SHOWN_CHANGES, Following, Happened
from fengling_gateway.editing.history import EntityChange
from fengling_gateway.editing.revisions import Revision, Sought

MAX_MISSED: Final = 10_000
"""Revisions that are caught up with after the console was away; of more, the newest."""

_PAGE: Final = 200
_TOLD_OFTEN: Final = ("fleet",)
"""Events that are no reason to look: gateways tell of themselves each second."""

_GONE: Final = 410
_ANYTHING: Final = Sought(kind=None)


class ConsoleFollower(Following):
    """Follows a console."""

    _for_now = (AwayError, RefusedError)

    def __init__(self, api: ConsoleApi, *, lost: Callable[[str], None]) -> None:
        super().__init__(lost=lost)
        self._api = api
        self._log = ConsoleLog(api)
        self._mark: float | None = None

    def begin(self, back: int) -> int:
        newest = self._newest_one()
        if newest is None:
            return -1
        self._newest = max(-1, newest.id - back)
        self._mark = None if back else newest.committed_at
        return newest.id

    def _may_pass(self, error: CommandError) -> bool:
        """Whether it is the console or its database that is away; who may not listen never may."""
        return isinstance(error, AwayError) or (
            isinstance(error, RefusedError) and error.status >= 500
        )

    def _say(self, error: CommandError) -> None:
        if isinstance(error, AwayError):
            error = CommandError(f"the console at {self._api.url} is away ({error.reason})")
        elif isinstance(error, RefusedError):
            error = CommandError(f"{self._api.url}: {error.detail}")  # (the same each time)
        super()._say(error)

    def _listen(self) -> Iterator[Happened]:
        for name in self._api.listen():
            if name not in _TOLD_OFTEN:
                yield from self._look()

    def _look(self) -> Iterator[Happened]:
        newest = self._newest_one()
        if newest is not None and self._is_another(newest):
            self._held.clear()
            self._advance(newest)
            yield Happened("reset", newest)
        elif newest is not None and newest.id > self._newest:
            yield from self._new_ones()
        yield from self._released(self._held_now())

    def _held_now(self) -> dict[int, Revision]:
        """Return what became of the revisions that were held, as far as the log still has them."""
        found = {}
        for number in sorted(self._held):
            try:
                found[number] = self._log.read_revision(number, limit=1).revision
            except RefusedError as error:
                if error.status != _GONE:
                    raise
                self._held.discard(number)
        return found

    def _new_ones(self) -> Iterator[Happened]:
        found, known = self._after(self._newest)
        if known is not None and self._is_another(known):
            newest = found[0] if found else known
            self._held.clear()
            self._advance(newest)
            yield Happened("reset", newest)
            return
        for revision in reversed(found):
            yield self._tell(revision, self._changes(revision))
            self._advance(revision)

    def _after(self, number: int) -> tuple[list[Revision], Revision | None]:
        """Return the revisions after one, newest first, and that one if the log still has it."""
        found: list[Revision] = []
        before = None
        while len(found) < MAX_MISSED:
            page = self._log.list_revisions(_ANYTHING, limit=_PAGE, before=before)
            found += [one for one in page.revisions if one.id > number]
            older = [one for one in page.revisions if one.id <= number]
            if older or page.before is None:
                return found, older[0] if older and older[0].id == number else None
            before = page.before
        self._lost(f"more than {MAX_MISSED} revisions were missed: only the newest are told")
        return found, None

    def _changes(self, revision: Revision) -> Sequence[EntityChange]:
        try:
            return self._log.read_revision(revision.id, limit=SHOWN_CHANGES).changes
        except RefusedError as error:
            if error.status == _GONE:
                return []  # so old that it has just gone
            raise

    def _newest_one(self) -> Revision | None:
        found = self._log.list_revisions(_ANYTHING, limit=1, before=None).revisions
        return found[0] if found else None

    def _is_another(self, revision: Revision) -> bool:
        """Whether the log has not had the revision that we know: its database has been set back."""
        if revision.id < self._newest:
            return True
        is_ours = revision.id == self._newest
        return is_ours and self._mark is not None and revision.committed_at != self._mark

    def _advance(self, revision: Revision) -> None:
        self._newest, self._mark = revision.id, revision.committed_at
