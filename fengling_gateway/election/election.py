"""An election as the reactor thread sees it: which term this console is in, and until when for certain."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Generic, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall
from twisted.python.threadpool import ThreadPool

from fengling_gateway.election.candidate import LEASE_SECONDS, CandidateEvents
from fengling_gateway.election.seat import Beat, Holder, Seat, TermT, TermT_contra

WATCH_SECONDS: Final = 0.2


class CandidateLike(Protocol):
    """What is needed of a `fengling_gateway.election.candidate.Candidate`."""

    def run(self) -> None: ...

    def stop(self) -> None: ...

    def abort(self) -> None: ...

    def abort_overdue(self) -> None: ...


class ElectionUser(Protocol[TermT_contra]):
    """Who is told, on the reactor thread."""

    def elected(self, term: TermT_contra) -> None:
        """Do what the seat is for, in this term."""

    def beaten(self, term: int, note: int) -> None:
        """The term goes on; `note` is what the seat's table tells (`seat.Beat`)."""

    def term_lost(self, reason: str) -> None:
        """Stop that, at once. Not called without `elected` before."""


class Election(Generic[TermT]):
    """
    The side of the reactor; every method is for its thread.

    Args:
        seat: what it is about; of it only its words are used here.
        stand: makes the candidate, given whom to tell.
        monotonic: the clock of the thread's.

    Attributes:
        holder: who else was seen to hold the seat last.
        problem: why this console can't stand for election; None if it can.
    """

    def __init__(
        self,
        *,
        reactor: Any,
        seat: Seat[TermT],
        stand: Callable[[CandidateEvents[TermT]], CandidateLike],
        user: ElectionUser[TermT],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reactor = reactor
        self._seat = seat
        self._user = user
        self._monotonic = monotonic
        self._term: int | None = None
        self._until = 0.0
        self._started = self._stopped = False
        self.holder: Holder | None = None
        self.problem: str | None = None
        tell = reactor.callFromThread
        self._candidate = stand(
            CandidateEvents(
                waiting=partial(tell, self._waiting),
                elected=partial(tell, self._elected),
                beaten=partial(tell, self._beaten),
                lost=partial(tell, self._lost),
            )
        )
        self._thread = ThreadPool(1, 1, name=f"{seat.name} election")
        # Whoever does not stop it must still be able to exit.
        self._thread.threadFactory = partial(threading.Thread, daemon=True)  # type: ignore[assignment]
        self._ended: Deferred[None] = Deferred()
        self._watchdog = LoopingCall(self._watch)
        self._watchdog.clock = reactor

    def __repr__(self) -> str:
        return f"<Election {'waiting' if self._term is None else f'won, term {self._term}'}>"

    @property
    def term(self) -> int | None:
        """The term in which this console holds the seat; None when it does not, or may be too late."""
        return self._term if self._monotonic() < self._until else None

    def start(self) -> None:
        self._started = True
        self._thread.start()
        self._thread.callInThreadWithCallback(
            lambda *_: self._reactor.callFromThread(self._ended.callback, None),
            self._candidate.run,
        )
        self._watchdog.start(WATCH_SECONDS, now=False)

    def stop(self) -> Deferred[None]:
        """Stop, and let somebody else; fires when the thread has ended."""
        if not self._started or self._stopped:
            return succeed(None)
        self._stopped = True
        self._term = None
        self._candidate.stop()
        return self._ended.addCallback(lambda _: self._end())

    def resign(self, reason: str) -> None:
        """Give the term up: somebody has learnt that it is over."""
        self._candidate.abort()
        self._lost(reason)

    def _end(self) -> None:
        if self._watchdog.running:
            self._watchdog.stop()
        self._thread.stop()

    def _watch(self) -> None:
        self._candidate.abort_overdue()
        if self._term is not None and self.term is None:
            # The thread may still believe in it; it begins anew, too.
            self.resign(f"no heartbeat for {LEASE_SECONDS:g} s")

    # What the thread tells

    def _waiting(self, holder: Holder) -> None:
        self.holder, self.problem = holder, None

    def _elected(self, term: TermT, first: Beat, asked_at: float) -> None:
        if self._stopped:
            return
        self._until = asked_at + LEASE_SECONDS
        if self._monotonic() >= self._until:
            self._candidate.abort()
            return
        self._term, self.problem, self.holder = term.number, None, None
        self._seat.log_elected(term.number)
        self._user.elected(term)
        self._beaten(term.number, first, asked_at)  # unless it has been given up again

    def _beaten(self, term: int, beat: Beat, asked_at: float) -> None:
        if term == self._term:
            self._until = asked_at + LEASE_SECONDS
            self._user.beaten(term, beat.note)

    def _lost(self, reason: str) -> None:
        if self._stopped:
            return
        term, self._term = self._term, None
        if self.problem is None:
            self._seat.log_lost(was_elected=term is not None, reason=reason)
        self.problem = reason
        if term is not None:
            self._user.term_lost(reason)
