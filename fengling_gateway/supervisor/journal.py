"""Feeds the last-known-good file from the reactor thread, one write at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from fengling_gateway.model.delta import Delta, Position
from fengling_gateway.model.entity import Key

_log = Logger(namespace="fengling.config")

MAX_QUEUED_DELTAS = 100
"""Deltas that wait for the disk; above it one rewrite of everything takes their place."""


class FileJournal:
    """
    The last-known-good file, written in a thread.

    A write that fails is logged and counted, and the next one rewrites
    everything: serving goes on.

    Args:
        file: a `fengling_gateway.configsource.last_known_good.LastKnownGood`.
        in_thread: runs a function in a thread; one at a time is asked for.
    """

    def __init__(
        self,
        *,
        file: Any,
        in_thread: Callable[..., Deferred[Any]],
        stop_threads: Callable[[], None],
    ) -> None:
        self._file = file
        self._in_thread = in_thread
        self._stop_threads = stop_threads
        self._queue: deque[Delta] = deque()
        self._bodies: Callable[[], dict[Key, bytes]] = dict
        self._rebase = True
        self._writing: Deferred[None] | None = None
        self.failures = 0

    def load(self) -> Deferred[tuple[Position, dict[Key, bytes]] | None]:
        return self._in_thread(self._file.load)

    def append(self, delta: Delta, bodies: Callable[[], dict[Key, bytes]]) -> None:
        """Write a delta, soon; `bodies` gives everything should that have to be written anew."""
        self._bodies = bodies
        self._queue.append(delta)
        if len(self._queue) > MAX_QUEUED_DELTAS or delta.is_full:
            self._rebase = True
        if self._writing is None:
            self._writing = Deferred.fromCoroutine(self._write())

    def stop(self) -> Deferred[None]:
        """Finish the write under way and end the threads."""
        writing = self._writing or succeed(None)
        return writing.addBoth(lambda _: self._stop_threads())

    async def _write(self) -> None:
        while self._queue:
            try:
                await self._write_next()
            except Exception:
                self.failures += 1
                self._rebase = True
                self._queue.clear()
                _log.failure(
                    "the last-known-good file could not be written; serving goes on",
                    failure=Failure(),
                    log_id="config.file_failed",
                )
        self._writing = None

    async def _write_next(self) -> None:
        if self._rebase or self._file.wants_rebase:
            newest = self._queue[-1]
            self._queue.clear()
            await self._in_thread(self._file.rebase, newest.after, dict(self._bodies()))
            self._rebase = False
        else:
            deltas = list(self._queue)
            self._queue.clear()
            await self._in_thread(self._file.append_all, deltas)
