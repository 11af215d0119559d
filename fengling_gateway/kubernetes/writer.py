"""
What the cluster wants, on its way to the database: batched, retried, in order.

What comes after a quiet time is written at once, with all that comes in the
same turn. From then on there is a transaction each `BATCH_SECONDS` at most: each
makes a revision, and wakes every gateway.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from fengling_gateway.configsource.postgres_connection import problem
from fengling_gateway.editing.transaction import BusyError, ConflictError, UncertainError
from fengling_gateway.election.seat import TermOverError
from fengling_gateway.kubernetes.awaited import Awaited
from fengling_gateway.kubernetes.removing import TooManyGoError
from fengling_gateway.kubernetes.wants import Want, Wants
from fengling_gateway.kubernetes.writing import RefusedError, Written
from fengling_gateway.model.entity import Key

_log = Logger()

BATCH_SECONDS: Final = 0.22
"""So that gateways see fewer than five revisions a second, whatever happens in the cluster."""

MAX_BATCH: Final = 1000
"""Entities in one transaction, which takes some 100 ms; others who write wait for part of that."""

MAX_PAUSE_SECONDS: Final = 30.0
"""How long it is waited for what may belong to what is known already."""

FIRST_BACKOFF_SECONDS: Final = 0.2
MAX_BACKOFF_SECONDS: Final = 5.0
AGAIN_SECONDS: Final = 10.0
"""When what could not be written is tried again: what it needs may be there by then."""


@dataclass
class WriterCounts:
    """How much has been written, and how often that failed."""

    transactions: int = 0
    revisions: int = 0
    written: int = 0
    failures: int = 0
    conflicts: int = 0


class Writer:
    """
    Args:
        write: writes a batch in a term; fails as `writing.write` does.
        told: hears what became of each batch.
        term_over: called when the database says that somebody else watches the cluster.

    Attributes:
        problem: why the last attempt failed; None if it did not.
        awaited: what somebody has to confirm, in this term.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        rng: Random,
        write: Callable[[int, Mapping[Key, Want]], Deferred[Written]],
        told: Callable[[Mapping[Key, Want], Written], None],
        term_over: Callable[[str], None],
    ) -> None:
        self._clock = clock
        self._rng = rng
        self._write_batch = write
        self._told = told
        self._term_over = term_over
        self._term: int | None = None
        self._is_writing = False
        self._call: Any = None
        self._pauses: set[object] = set()
        self._again: Any = None
        self._not_before = float("-inf")
        self._backoff = FIRST_BACKOFF_SECONDS
        self._most = MAX_BATCH
        self._idle: list[Deferred[None]] = []
        self._wants: Wants | None = None
        self.counts = WriterCounts()
        self.problem: str | None = None
        self.awaited = Awaited()

    def __repr__(self) -> str:
        return f"<Writer of {len(self)}{', writing' if self._is_writing else ''}>"

    def __len__(self) -> int:
        """How many entities are yet to be written."""
        return 0 if self._wants is None else len(self._wants)

    @property
    def is_idle(self) -> bool:
        """Whether all is written that can be."""
        return not self._is_writing and not len(self)

    @property
    def lately(self) -> int:
        """How many routes have gone shortly before, unasked."""
        return self.awaited.lately(self._clock.seconds())

    def remember(self, lost: int) -> None:
        """Hear how many routes had gone shortly before, unasked, in the last term."""
        self.awaited.lost(self._clock.seconds(), lost)

    def begin(self, term: int, wants: Wants) -> None:
        """Write what is wanted, in a term."""
        self._term, self._wants = term, wants
        self.wake()

    def end(self) -> None:
        """Write nothing more."""
        self._term = self._wants = self.problem = None
        self._pauses.clear()
        self.awaited = Awaited()
        self._backoff, self._most = FIRST_BACKOFF_SECONDS, MAX_BATCH
        for call in (self._call, self._again):
            if call is not None:
                call.cancel()
        self._call = self._again = None
        self._tell_idle()

    def when_idle(self) -> Deferred[None]:
        """Return what fires when all is written that can be, or nothing is any more."""
        if self.is_idle:
            return succeed(None)
        idle: Deferred[None] = Deferred()
        self._idle.append(idle)
        return idle

    def pause(self, until: Deferred[None]) -> None:
        """Write nothing until something fires, for a while: more is to be known soon of the same."""
        pause = object()
        self._pauses.add(pause)
        if self._call is not None:
            self._call.cancel()
            self._call = None
        until.addTimeout(MAX_PAUSE_SECONDS, self._clock)
        until.addBoth(self._resume, pause)

    def _resume(self, result: object, pause: object) -> None:
        if pause in self._pauses:
            self._pauses.remove(pause)
            self.wake()

    def wake(self) -> None:
        """Write what there is to be written, if that may be now; else soon."""
        if self._is_writing or self._call is not None or self._pauses or not len(self):
            return
        delay = max(0.0, self._not_before - self._clock.seconds())
        self._call = self._clock.callLater(delay, self._write)

    def _write(self) -> None:
        self._call = None
        term, wants = self._term, self._wants
        assert term is not None, "or the call would have been cancelled"
        assert wants is not None, "as there is a term"
        batch = wants.take(self._most)
        if not batch:  # all of it is kept for now
            self._tell({}, Written())
            return
        began = self._clock.seconds()
        self._is_writing = True
        asked = self._write_batch(term, batch)
        asked.addCallbacks(
            self._written,
            self._failed,
            callbackArgs=(term, batch, began),
            errbackArgs=(term, batch),
        )
        asked.addErrback(self._surprised)

    def _written(
        self, written: Written, term: int, batch: Mapping[Key, Want], began: float
    ) -> None:
        self._is_writing = False
        self.counts.transactions += 1
        self.counts.written += len(batch) - len(written.refused)
        self._recover()
        self._most = min(2 * self._most, MAX_BATCH)
        if written.revision is not None:
            self.counts.revisions += 1
            self._not_before = began + BATCH_SECONDS
        wants = self._wants
        if term != self._term or wants is None:
            self._go_on()
            return
        if written.revision is not None:
            self.awaited.written(written.revision, written.held)
            self.awaited.lost(self._clock.seconds(), written.lost)
        self._settle(wants, batch, written)
        self.awaited.look(wants.is_going)
        self._tell(batch, written)

    def _settle(self, wants: Wants, batch: Mapping[Key, Want], written: Written) -> None:
        """Leave what is written, and what is refused, but for what that may be good for."""
        wants.written({key: one for key, one in batch.items() if key not in written.refused})
        if any(want.row is None for want in batch.values()):
            # (What has gone may have had the addresses of instances that were refused.)
            wants.try_again("instance")
        for key, why in written.refused.items():
            # (What has changed meanwhile is tried again anyway.)
            if key not in wants:
                self._refuse(wants, key, why, batch[key])

    def _failed(self, failure: Failure, term: int, batch: Mapping[Key, Want]) -> None:
        self._is_writing = False
        error = failure.value
        assert error is not None, "or nothing would have failed"
        # (That too many go is no failure: it is what was asked.)
        self.counts.failures += not isinstance(error, TooManyGoError)
        wants = self._wants
        if term != self._term or wants is None:
            self._go_on()
        elif isinstance(error, TermOverError):
            self._term_over(str(error))
        elif isinstance(error, RefusedError) and len(batch) == 1:
            self._refuse_one(wants, batch, problem(error))
        else:
            if isinstance(error, UncertainError):
                # (What has been written is not lost again: rather ask once too often than never.)
                self.awaited.lost(self._clock.seconds(), wants.count_unconfirmed(batch))
            wants.give_back(batch)
            self._unwritten(wants, term, len(batch), error)

    def _unwritten(self, wants: Wants, term: int, size: int, error: BaseException) -> None:
        """Try again what is given back: at once, smaller, without some of it, or later."""
        if isinstance(error, ConflictError):
            # Somebody wrote the same in between: what there is now is looked at at once.
            self.counts.conflicts += 1
            self._wait(0.02)
        elif isinstance(error, TooManyGoError):
            self._withhold(wants, term, error)
        elif isinstance(error, RefusedError):
            # One of them is to blame: smaller and smaller batches, until it is alone.
            self._most = max(1, size // 2)
            self._go_on()
        else:
            self._complain(error)
            self._wait(self._backoff)
            self._backoff = min(2 * self._backoff, MAX_BACKOFF_SECONDS)

    def _refuse_one(self, wants: Wants, batch: Mapping[Key, Want], why: str) -> None:
        [(key, want)] = batch.items()
        self._recover()
        if key not in wants:
            self._refuse(wants, key, why, want)
        self._tell(batch, Written(refused={key: why}))

    def _tell(self, batch: Mapping[Key, Want], written: Written) -> None:
        try:
            self._told(batch, written)
        finally:
            self._go_on()

    def _recover(self) -> None:
        self.problem = None
        self._backoff = FIRST_BACKOFF_SECONDS

    def _withhold(self, wants: Wants, term: int, error: TooManyGoError) -> None:
        """Keep what goes until somebody confirms it, or it is less; the rest is written meanwhile."""
        self._recover()
        kept = wants.withhold(error.routes, error.services)
        if kept:  # (else somebody has let them go, or they are back, while it was asked)
            error = TooManyGoError(kept, error.of, error.services, error.lately)
            self.awaited.too_many(self._clock.seconds(), term, error)
        self._tell({}, Written())

    def _complain(self, error: BaseException) -> None:
        reason = problem(error)
        if self.problem is None and not isinstance(error, BusyError):
            _log.warn(
                "what the cluster wants can't be written: {reason}",
                reason=reason,
                log_id="kubernetes.unwritten",
            )
        self.problem = reason

    def _refuse(self, wants: Wants, key: Key, why: str, want: Want) -> None:
        wants.refuse(key, why, want)
        self._later()

    def _later(self) -> None:
        if self._again is None:
            self._again = self._clock.callLater(AGAIN_SECONDS, self._try_again)

    def _try_again(self) -> None:
        self._again = None
        assert self._wants is not None, "or the call would have been cancelled"
        self._wants.try_again()
        self._wants.ask_again()

    def _wait(self, seconds: float) -> None:
        self._not_before = self._clock.seconds() + seconds * self._rng.uniform(0.5, 1.0)
        self._go_on()

    def _go_on(self) -> None:
        if self._wants is not None and self._wants.withheld:
            self._later()
        self.wake()
        self._tell_idle()

    def _tell_idle(self) -> None:
        if self.is_idle:
            idle, self._idle = self._idle, []
            for one in idle:
                one.callback(None)

    def _surprised(self, failure: Failure) -> None:
        _log.failure("writing what the cluster wants", failure, log_id="kubernetes.writer_failed")
