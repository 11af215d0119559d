"""Feeds the last-known-good file from the reactor thread, one write at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from fengling_gateway.model.delta import Delta, Position
from fengling_gateway.model.entity import Key

_log = Logger(namespace="fengling.config")

MAX_QUEUED_DELTAS: Final = 100
"""Deltas that wait for the disk; above it one rewrite of everything takes their place."""

LARGE_CHANGES: Final = 500
LARGE_DELAY_SECONDS: Final = 1.0
"""
How long a large delta waits for its place in the file.

The thread that encodes it would compete for the interpreter with the reactor,
which is just sending the same delta to the workers.
"""


class FileJournal:
    """
    The last-known-good file, written in a thread.

    A write that fails is logged, once for all failures in a row, and counted;
    the next one, or `retry`, rewrites everything: serving goes on.

    Args:
        file: a `fengling_gateway.configsource.last_known_good.LastKnownGood`.
        in_thread: runs a function in a thread; one at a time is asked for.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        file: Any,
        in_thread: Callable[..., Deferred[Any]],
        stop_threads: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._file = file
        self._in_thread = in_thread
        self._stop_threads = stop_threads
        self._queue: deque[Delta] = deque()
        self._newest: Delta | None = None
        self._bodies: Callable[[], dict[Key, bytes]] = dict
        self._rebase = True
        self._is_writing = False
        self._written: Deferred[None] = succeed(None)
        self.failures = 0
        self.is_failing = False

    def __repr__(self) -> str:
        return f"<FileJournal {len(self._queue)} queued{', failing' if self.is_failing else ''}>"

    def load(self) -> Deferred[tuple[Position, dict[Key, bytes]] | None]:
        return self._in_thread(self._file.load)

    def find(self, epoch: str, revision: int) -> Deferred[tuple[Position, dict[Key, bytes]] | None]:
        return self._in_thread(self._file.find, epoch, revision)

    def append(self, delta: Delta, bodies: Callable[[], dict[Key, bytes]]) -> None:
        """Write a delta, soon; `bodies` gives everything should that have to be written anew."""
        self._bodies, self._newest = bodies, delta
        if delta.is_full or len(self._queue) >= MAX_QUEUED_DELTAS:
            self._rebase = True
            self._queue.clear()
        self._queue.append(delta)
        self._start()

    def retry(self) -> None:
        """Write again what could not be written, if that is so; once in a while is enough."""
        if self.is_failing and self._newest is not None and not self._queue:
            self._queue.append(self._newest)
            self._start()

    def stop(self) -> Deferred[None]:
        """Finish the write under way and end the threads."""
        return self._written.addBoth(lambda _: self._stop_threads())

    def _start(self) -> None:
        if not self._is_writing:
            self._is_writing = True
            self._written = Deferred.fromCoroutine(self._write())

    async def _write(self) -> None:
        while self._queue:
            if sum(len(delta.changes) for delta in self._queue) > LARGE_CHANGES:
                await deferLater(self._clock, LARGE_DELAY_SECONDS)
            try:
                await self._write_next()
            except Exception as error:
                self._failed(error)
            else:
                self._succeeded()
        self._is_writing = False

    async def _write_next(self) -> None:
        if self._rebase or self._file.wants_rebase:
            newest = self._queue[-1]
            self._queue.clear()
            self._rebase = False
            await self._in_thread(self._file.rebase, newest.after, dict(self._bodies()))
        else:
            deltas = list(self._queue)
            self._queue.clear()
            await self._in_thread(self._file.append_all, deltas)

    def _succeeded(self) -> None:
        if self.is_failing:
            _log.info("the last-known-good file is written again", log_id="config.file_written")
        self.is_failing = False

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        self._rebase = True
        if self.is_failing:
            return
        self.is_failing = True
        if isinstance(error, OSError):  # full, read-only, somebody else's: no fault of ours
            _log.error(
                "the last-known-good file can't be written: {error}; serving goes on",
                error=str(error),
                log_id="config.file_failed",
            )
        else:
            _log.failure(
                "the last-known-good file could not be written; serving goes on",
                failure=Failure(),
                log_id="config.file_failed",
            )
