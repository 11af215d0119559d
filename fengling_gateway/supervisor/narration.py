"""What the supervisor tells the log: every operator-visible line about configuration."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from fengling_gateway.configsource.reading import Held, Reading, RevisionInfo, SourceError
from fengling_gateway.model.delta import Change, Delta, Position
from fengling_gateway.model.effective import Rejection, StagedResult
from fengling_gateway.model.entity import Key

_log = Logger(namespace="fengling.config")

_NAMED_CHANGES: Final = 3
"""Changes that a line names; it counts the others."""

_REPEAT_ERROR_SECONDS: Final = 60.0
_MAX_AWAITED: Final = 100


class Narration:
    """One line for each thing that has happened; the same failure at most once a minute."""

    def __init__(self, *, clock: IReactorTime) -> None:
        self._clock = clock
        self._last_error = ("", 0.0)
        self._committed: OrderedDict[int, float] = OrderedDict()
        self._last_applied = 0.0
        self.failed_looks = 0
        self.last_propagation_ms: float | None = None

    def read(
        self,
        delta: Delta,
        reading: Reading,
        result: StagedResult,
        rejected: Mapping[Key, Rejection],
    ) -> None:
        self._last_error = ("", 0.0)
        newest = reading.revisions[-1] if reading.revisions else None
        if delta.committed_at is not None and reading.before is not None:
            self._committed[delta.after.revision] = delta.committed_at
            while len(self._committed) > _MAX_AWAITED:
                self._committed.popitem(last=False)
        _log.info(
            "revision {revision}{who}: {changes}{comment} ({rows} rows read)",
            log_id="config.revision",
            revision=delta.after.revision,
            who=_who(newest),
            changes=describe_changes(delta.changes, full=reading.before is None),
            comment=f' "{newest.comment}"' if newest is not None and newest.comment else "",
            rows=reading.rows_read,
        )
        for key in result.newly_rejected:
            rejection = rejected[key]
            for problem in rejection.problems:
                _log.error(
                    "rejected {key}: {path}: {message} ({code}); serving {serving}",
                    log_id="config.rejected",
                    key=str(key),
                    path=problem.path,
                    message=problem.message,
                    code=problem.code,
                    serving=rejection.serving,
                )
        for key in result.recovered:
            _log.info("no longer rejected: {key}", log_id="config.recovered", key=str(key))

    def applied(self, worker: str, position: Position | None, applied_at: float | None) -> None:
        del worker
        if position is not None and applied_at is not None:
            self._last_applied = max(self._last_applied, applied_at)

    def converged(self, position: Position | None, workers: int) -> None:
        """Every worker serves the position; said once for each revision."""
        if position is None:
            return
        committed_at = self._committed.pop(position.revision, None)
        if committed_at is None:  # said already, or older than this process
            return
        self.last_propagation_ms = (self._last_applied - committed_at) * 1000
        _log.info(
            "revision {revision} is served by {workers}/{workers} workers, {ms} ms after its commit",
            log_id="config.served",
            revision=position.revision,
            workers=workers,
            ms=round(self.last_propagation_ms, 1),
        )

    def look_failed(self, error: BaseException) -> None:
        self.failed_looks += 1
        text = str(error) or type(error).__name__
        said, at = self._last_error
        if text == said and self._clock.seconds() - at < _REPEAT_ERROR_SECONDS:
            return
        self._last_error = (text, self._clock.seconds())
        level = _log.warn if isinstance(error, (SourceError, TimeoutError)) else _log.error
        level(
            "the config source does not answer: {error}; what is served stays",
            log_id="config.source_failed",
            error=text,
        )

    def held(self, held: Held | None) -> None:
        if held is None:
            _log.info("nothing is held any more", log_id="config.released")
            return
        _log.error(
            "{held}; what was before keeps serving; release it with: fenglingctl confirm {revision}",
            log_id="config.held",
            held=held.describe(),
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


def describe_changes(changes: tuple[Change, ...], *, full: bool) -> str:
    """Say in words what a delta changes: the first few by name."""
    if not changes:
        return "no change in what is served"
    if full and len(changes) > _NAMED_CHANGES:
        return f"{len(changes)} entities"
    named = [f"{'removes ' if body is None else ''}{key}" for key, body in changes[:_NAMED_CHANGES]]
    others = len(changes) - len(named)
    return ", ".join(named) + (f" and {others} more" if others else "")
