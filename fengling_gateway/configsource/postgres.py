"""
PostgreSQL as the source of the configuration: the side of the reactor.

Two threads of its own do the work: one listens, one reads. They get plain
values, and what they find comes back by ``callFromThread``. A watchdog in the
reactor breaks the connection of a thread that has been waiting for too long.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from fengling_gateway.configsource.postgres_ahead import Offer
from fengling_gateway.configsource.postgres_listener import Listener, ListenerEvents, merged
from fengling_gateway.configsource.postgres_pruning import Pruning
from fengling_gateway.configsource.postgres_reader import Reader
from fengling_gateway.configsource.reading import (
    OnHint,
    ProberRow,
    Reading,
    SourceError,
    SourceState,
)
from fengling_gateway.model.delta import Position
from fengling_gateway.model.entity import Key

_T = TypeVar("_T")

WATCH_SECONDS: Final = 0.5
"""How often to look for a thread that waits for too long."""


class DatabaseSettings(Protocol):
    """What of the settings is used here; timeouts in seconds."""

    @property
    def url(self) -> str | None: ...
    @property
    def listen_url(self) -> str | None: ...
    @property
    def listen(self) -> bool: ...
    @property
    def connect_timeout(self) -> float: ...
    @property
    def statement_timeout(self) -> float: ...


class PostgresSource:
    """
    A `fengling_gateway.configsource.reading.ConfigSource`.

    Every method is for the reactor thread. Deferreds fail with `SourceError`;
    cancelling one breaks the connection under it, so that the next question
    does not queue behind a server that does not answer.

    Args:
        on_hint: told about notifications, every (re)connection and its loss.
        rng: for the pauses between attempts to connect.
        wall: seconds since the epoch, for its state: the reactor's may begin anywhere.

    Raises:
        ValueError: the settings name no database.
    """

    def __init__(
        self,
        *,
        reactor: Any,
        settings: DatabaseSettings,
        on_hint: OnHint,
        rng: random.Random,
        wall: Callable[[], float] = time.time,
    ) -> None:
        if settings.url is None:
            raise ValueError("database.url is not set")
        self._wall = wall
        self._reactor = reactor
        self._on_hint = on_hint
        self.state = SourceState()
        self._reader = Reader(
            settings.url,
            connect_timeout=settings.connect_timeout,
            statement_timeout=settings.statement_timeout,
        )
        self._reading = _thread("reading")
        self._asked: set[Deferred[Any]] = set()
        self._ahead = Offer()
        self._listener: Listener | None = None
        self._listening: ThreadPool | None = None
        if settings.listen:
            self._listener = Listener(
                settings.listen_url or settings.url,
                connect_timeout=settings.connect_timeout,
                events=ListenerEvents(
                    connected=partial(reactor.callFromThread, self._connected),
                    position=self._ahead.position,
                    expected=self._expected_in_thread,
                    notified=self._notified_in_thread,
                    not_ahead=partial(reactor.callFromThread, self._not_ahead),
                    lost=partial(reactor.callFromThread, self._lost),
                ),
                jitter=lambda: rng.uniform(0.5, 1.0),
            )
            self._listening = _thread("listening")
        self._untold: dict[str, Any] = {}
        self._untold_reading: Reading | None = None
        self._lock = threading.Lock()
        self._pruning = Pruning(clock=reactor, step=self._prune_step, told=self._pruned, rng=rng)
        self._watchdog = LoopingCall(self._watch)
        self._watchdog.clock = reactor
        self._started = self._stopped = self._has_listened = False
        self._listener_ended: Deferred[None] = Deferred()

    def __repr__(self) -> str:
        state = self.state
        listening = "listening" if state.listening else "polling"
        return f"<PostgresSource {'connected' if state.connected else 'down'}, {listening}>"

    def start(self) -> None:
        self._started = True
        self._reading.start()
        self._watchdog.start(WATCH_SECONDS, now=False)
        self._pruning.start()
        if self._listener is None or self._listening is None:
            self._listener_ended.callback(None)
            return
        self._listening.start()
        self._listening.callInThreadWithCallback(
            partial(self._reactor.callFromThread, self._end_listening), self._listener.run
        )

    def stop(self) -> Deferred[None]:
        """Stop; fires when both threads have ended, at worst after a connect timeout."""
        if self._stopped or not self._started:
            self._stopped = True
            return _fired()
        self._stopped = True
        self._pruning.stop()
        if self._listener is not None:
            self._listener.stop()
        self._reader.abort()
        last: Deferred[None] = Deferred()
        self._reading.callInThreadWithCallback(
            lambda *_: self._reactor.callFromThread(last.callback, None),
            self._reader.close,
        )
        ended = DeferredList([self._listener_ended, last])
        return ended.addCallback(lambda _: self._end())

    def read(self, after: Position | None) -> Deferred[Reading]:
        reading = self._ahead.take(after)
        if reading is not None:
            self._healed()
            self.state.reads_ahead += 1
            return succeed(self._count(reading))
        return self._ask(partial(self._reader.read, after)).addCallback(self._count)

    def read_all(self) -> Deferred[Reading]:
        return self._ask(self._reader.read_all).addCallback(self._count)

    def read_at(self, revision: int) -> Deferred[Reading]:
        """
        Read everything as it was at a revision; `SourceError` where that is no longer known.

        What comes of it is nothing of the source's state.
        """
        return self._ask(partial(self._reader.read_at, revision), notes=False)

    def history(self, keys: list[Key], up_to: int) -> Deferred[dict[Key, list[dict[str, Any]]]]:
        return self._ask(partial(self._reader.history, keys, up_to))

    def confirm(self, revision: int, author: str) -> Deferred[None]:
        # An error of whoever asked is none of the source.
        return self._ask(partial(self._reader.confirm, revision, author), notes=False)

    def prober(self) -> Deferred[ProberRow | None]:
        """Say who probes instances. What comes of it is nothing of the configuration's."""
        return self._ask(self._reader.prober, notes=False)

    def _prune_step(self) -> Deferred[bool]:
        return self._ask(self._reader.prune_step, notes=False)

    def _pruned(self, problem: str | None) -> None:
        if problem is None:
            self.state.notes.pop("prune", None)
        else:
            self.state.notes["prune"] = problem

    # Questions

    def _ask(self, question: Callable[[], _T], *, notes: bool = True) -> Deferred[_T]:
        waiting = threading.Event()
        answer: Deferred[_T] = Deferred(lambda _: self._give_up(waiting))
        if self._stopped or not self._started:
            answer.errback(SourceError("the source is not running"))
            return answer
        self._asked.add(answer)

        def ask() -> _T:
            if self._stopped or answer.called:
                raise SourceError("given up")
            waiting.set()
            try:
                return question()
            finally:
                waiting.clear()

        def answered(success: bool, result: Any) -> None:
            self._reactor.callFromThread(self._answered, answer, success, result, notes)

        self._reading.callInThreadWithCallback(answered, ask)
        return answer

    def _give_up(self, waiting: threading.Event) -> None:
        if waiting.is_set():
            self._reader.abort()

    def _answered(self, answer: Deferred[Any], success: bool, result: Any, notes: bool) -> None:
        self._asked.discard(answer)
        if success and notes:
            self._healed()
        elif success:
            self.state.connected = True
        elif not answer.called and not self._stopped:
            self.state.connected = self._reader.is_connected
            if notes:
                self._note(result.getErrorMessage())
        if answer.called:
            return
        if success:
            answer.callback(result)
        elif result.check(SourceError):
            answer.errback(result)
        else:
            answer.errback(Failure(SourceError(f"unexpected: {result.getErrorMessage()}")))

    def _healed(self) -> None:
        self.state.connected = True
        self.state.last_read_at = self._wall()
        # (Whether notifications arrive is in the notes.)
        self.state.last_error = None

    def _count(self, reading: Reading) -> Reading:
        self.state.reads += 1
        self.state.full_reads += reading.before is None
        self.state.rows_read += reading.rows_read
        self._ahead.expect(reading.target)
        return reading

    # What the listening thread reports

    def _expected_in_thread(self, position: Position) -> None:
        with self._lock:
            is_overtaken = bool(self._untold)
        # The notification joins one that is still to be told: then nothing would come behind this.
        if not is_overtaken:
            self._reactor.callFromThread(self._expected, position)

    def _notified_in_thread(self, payloads: list[str], reading: Reading | None) -> None:
        with self._lock:
            is_under_way = bool(self._untold)
            self._untold = merged(self._untold, payloads)
            self._untold_reading = reading
        if not is_under_way:  # a burst must not fill the reactor's queue
            self._reactor.callFromThread(self._notified)

    def _notified(self) -> None:
        with self._lock:
            hint, self._untold = self._untold, {}
            reading, self._untold_reading = self._untold_reading, None
        self.state.notifications += hint["count"]
        with self._ahead.offering(reading):
            self._hint("notification", hint)

    def _expected(self, position: Position) -> None:
        self._hint("expected", {"position": position})

    def _not_ahead(self, reason: str) -> None:
        self.state.notes["read ahead"] = reason

    def _connected(self) -> None:
        self.state.reconnects += self._has_listened
        self._has_listened = True
        self.state.connected = self.state.listening = True
        self.state.notes.pop("listen", None)
        self.state.notes.pop("read ahead", None)
        self._hint("connected", {})

    def _lost(self, reason: str) -> None:
        was_listening = self.state.listening
        self.state.connected = self.state.listening = False
        self.state.notes["listen"] = reason
        self._note(reason)
        if was_listening:
            self._hint("lost", {})

    def _hint(self, reason: str, details: dict[str, Any]) -> None:
        if not self._stopped:
            self._on_hint(reason, details)

    def _note(self, error: str) -> None:
        self.state.last_error = error
        self.state.last_error_at = self._wall()

    # Watching and ending

    def _watch(self) -> None:
        self._reader.abort_overdue()
        if self._listener is not None:
            self._listener.abort_overdue()

    def _end_listening(self, success: bool, result: Any) -> None:
        self.state.listening = False
        if not success:
            self._note(result.getErrorMessage())
        self._listener_ended.callback(None)

    def _end(self) -> None:
        self._watchdog.stop()
        self.state.connected = False
        self._reading.stop()  # idle by now, so this does not block
        if self._listening is not None:
            self._listening.stop()


def _thread(name: str) -> ThreadPool:
    pool = ThreadPool(1, 1, name=f"configsource {name}")
    # Whoever does not stop the source must still be able to exit.
    pool.threadFactory = partial(threading.Thread, daemon=True)  # type: ignore[assignment]
    return pool


def _fired() -> Deferred[None]:
    fired: Deferred[None] = Deferred()
    fired.callback(None)
    return fired
