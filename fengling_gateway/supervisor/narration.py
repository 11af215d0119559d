"""What the supervisor tells the log: every operator-visible line about configuration."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from fengling_gateway.configsource.reading import (
    Held,
    Reading,
    RevisionInfo,
    SourceError,
    UnfitSourceError,
)
from fengling_gateway.model.delta import Change, Delta, Position
from fengling_gateway.model.effective import Rejection, StagedResult
from fengling_gateway.model.entity import Key
from fengling_gateway.model.problems import label

_log = Logger(namespace="fengling.config")

CONFIRM: Final = "release it with: fenglingctl confirm {revision}"

_NAMED_CHANGES: Final = 3
"""Changes that a line names; it counts the others."""

_NAMED_REJECTIONS: Final = 100
"""Lines about what a revision rejects; a whole table gone wrong must not stop the reactor."""

_REPEAT_ERROR_SECONDS: Final = 60.0
_MAX_AWAITED: Final = 100


class Narration:
    """
    One line for each thing that has happened; the same failure at most once a minute.

    Args:
        release: what to do about a revision that is held; ``{revision}`` is its number.
    """

    def __init__(self, *, clock: IReactorTime, release: str = CONFIRM) -> None:
        self._clock = clock
        self._release = release
        self._last_error = ("", 0.0)
        self._deaf = False
        self._deaf_said_at: float | None = None
        # When what is not yet served everywhere was committed; None: it was held meanwhile.
        self._committed: OrderedDict[int, float | None] = OrderedDict()
        self._last_applied = 0.0
        self._released = False
        self._held: Held | None = None
        self.failed_looks = 0
        self.last_propagation_ms: float | None = None

    def read(
        self,
        delta: Delta,
        reading: Reading,
        result: StagedResult,
        rejected: Mapping[Key, Rejection],
    ) -> None:
        self.look_succeeded()
        newest = reading.revisions[-1] if reading.revisions else None
        released, self._released = self._released, False
        if delta.committed_at is not None and reading.before is not None:
            self._committed[delta.after.revision] = None if released else delta.committed_at
            while len(self._committed) > _MAX_AWAITED:
                self._committed.popitem(last=False)
        changes = describe_changes(delta.changes, full=reading.before is None)
        rows = f"{reading.rows_read} row{'' if reading.rows_read == 1 else 's'}"
        if delta.before == delta.after:
            # Found by comparing; whoever made the newest revision has not done this.
            _log.warn(
                "changed without a revision, after revision {revision}: {changes} ({rows} read)",
                log_id="config.unseen",
                revision=delta.after.revision,
                changes=changes,
                rows=rows,
            )
        else:
            _log.info(
                "revision {revision}{who}: {changes}{comment} ({rows} read)",
                log_id="config.revision",
                revision=delta.after.revision,
                who=_who(newest),
                changes=changes,
                comment=f' "{newest.comment}"' if newest is not None and newest.comment else "",
                rows=rows,
            )
        self._rejected({key: rejected[key] for key in result.newly_rejected})
        self._recovered(result.recovered)

    def _rejected(self, rejections: Mapping[Key, Rejection]) -> None:
        found = (
            (key, problem, rejection.serving)
            for key, rejection in rejections.items()
            for problem in rejection.problems
        )
        for key, problem, serving in islice(found, _NAMED_REJECTIONS):
            _log.error(
                # (The path begins with the kind and the id.)
                "rejected {path}: {message} ({code}); serving {serving}",
                log_id="config.rejected",
                kind=key.kind,
                id=label(key.id),
                path=problem.path,
                message=problem.message,
                code=problem.code,
                serving=serving,
            )
        more = sum(1 for _ in found)
        if more:
            _log.error(
                "{count} entities are newly rejected; {more} more of their problems are in the status",
                log_id="config.rejected_more",
                count=len(rejections),
                more=more,
            )

    def _recovered(self, recovered: Sequence[Key]) -> None:
        for key in recovered[:_NAMED_REJECTIONS]:
            _log.info(
                "no longer rejected: {kind} {id}",
                log_id="config.recovered",
                kind=key.kind,
                id=label(key.id),
            )
        more = len(recovered) - _NAMED_REJECTIONS
        if more > 0:
            _log.info(
                "{more} more entities are no longer rejected",
                log_id="config.recovered_more",
                more=more,
            )

    def applied(self, worker: str, position: Position | None, applied_at: float | None) -> None:
        del worker
        if position is not None and applied_at is not None:
            self._last_applied = max(self._last_applied, applied_at)

    def converged(self, position: Position | None, workers: int) -> None:
        """Every worker serves the position; said once for each revision."""
        if position is None or position.revision not in self._committed:
            return  # said already, or older than this process
        committed_at = self._committed.pop(position.revision)
        took = ""
        if committed_at is not None:
            self.last_propagation_ms = (self._last_applied - committed_at) * 1000
            took = f", {self.last_propagation_ms:.1f} ms after its commit"
        _log.info(
            "revision {revision} is served by {workers}/{workers} workers{took}",
            log_id="config.served",
            revision=position.revision,
            workers=workers,
            took=took,
        )

    def look_succeeded(self) -> None:
        said, _ = self._last_error
        self._last_error = ("", 0.0)
        if said:
            _log.info("the config source can be read again", log_id="config.source_answers")

    def look_failed(self, error: BaseException, *, serving: bool) -> None:
        """A look has failed; `serving`: while there is something to serve."""
        self.failed_looks += 1
        text = str(error) or type(error).__name__
        said, at = self._last_error
        if text == said and self._clock.seconds() - at < _REPEAT_ERROR_SECONDS:
            return
        self._last_error = (text, self._clock.seconds())
        may_pass = isinstance(error, (SourceError, TimeoutError))
        level = _log.warn if may_pass and not isinstance(error, UnfitSourceError) else _log.error
        level(
            "the config source can't be read: {error}; {meanwhile}",
            log_id="config.source_failed",
            error=text,
            meanwhile="what is served stays" if serving else "nothing is served yet",
        )

    def heard(self, trouble: str | None) -> None:
        """Notifications arrive, or don't because of some trouble; told over and over."""
        now = self._clock.seconds()
        if trouble is None:
            if self._deaf:
                _log.info("notifications arrive again", log_id="config.source_notifies")
            self._deaf = False
            return
        said_at = self._deaf_said_at
        if self._deaf or (said_at is not None and now - said_at < _REPEAT_ERROR_SECONDS):
            return
        self._deaf, self._deaf_said_at = True, now
        _log.warn(
            "notifications don't arrive, and changes are found by polling: {error}",
            log_id="config.source_silent",
            error=trouble,
        )

    def held(self, held: Held | None) -> None:
        self.look_succeeded()
        before, self._held = self._held, held
        if held is None:
            self._released = True
            _log.info(
                "nothing is held any more{what}",
                log_id="config.released",
                what="" if before is None else f"; until now it was {before.what}",
                revision=None if before is None else before.revision,
            )
            return
        _log.error(
            "{held}; what was before keeps serving; {release}",
            log_id="config.held",
            held=held.describe(),
            release=self._release.format(revision=held.revision),
            revision=held.revision,
        )

    def restored(self, position: Position, entities: int) -> None:
        _log.warn(
            "serving revision {revision} ({entities} entities) from the last-known-good file",
            log_id="config.restored",
            revision=position.revision,
            entities=entities,
        )


def _who(revision: RevisionInfo | None) -> str:
    if revision is None:
        return ""
    by = f" by {revision.author}"
    age = time.time() - revision.committed_at
    via = f" via {revision.application}" if revision.application else ""
    return f"{by}{via}" + (f", committed {age:.0f} s ago" if age > 60 else "")


def describe_changes(changes: Collection[Change], *, full: bool) -> str:
    """Say in words what a delta changes: the first few by name."""
    if not changes:
        return "no change in what is served"
    if full and len(changes) > _NAMED_CHANGES:
        return f"{len(changes)} entities"
    first = islice(changes, _NAMED_CHANGES)
    named = [f"{'removes ' if body is None else ''}{key}" for key, body in first]
    others = len(changes) - len(named)
    return ", ".join(named) + (f" and {others} more" if others else "")
