"""
A YAML file as the config source: without a database.

The file is looked at four times a second, and read in a thread. Write it
beside and rename it over: what is read while it is being written may be half
of it (which the hold rule then keeps from being served).
"""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredLock, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from fengling_gateway.configsource.file_entities import (
    MAX_FILE_BYTES,
    Entities,
    FileError,
    parse_entities,
)
from fengling_gateway.configsource.file_versions import FileVersions
from fengling_gateway.configsource.reading import (
    NotHeldError,
    OnHint,
    Reading,
    SourceError,
    SourceState,
)
from fengling_gateway.model.delta import Position
from fengling_gateway.model.entity import Key

__all__ = ["Entities", "FileError", "FileSource", "parse_entities"]

_log = Logger(namespace="fengling.config")
_T = TypeVar("_T")

WATCH_SECONDS: Final = 0.25
"""How often the file's identity, size and time of change are looked at."""

STATE_FILE: Final = "file-source.state"

_ATTEMPTS: Final = 5

Signature = tuple[int, int, int, int] | None


class FileSource:
    """
    A `ConfigSource` that reads a YAML file; see `fengling_gateway.configsource.reading`.

    Args:
        path: The file.
        on_hint: Told ``changed`` when the file is not the one last read.
        state_dir: Where versions are kept across restarts; None: nowhere.
        in_thread: Runs a function in a thread, one at a time. Without it the
            source has a thread of its own.
        wall: Seconds since the epoch, for its state: the reactor's may begin anywhere.
    """

    def __init__(
        self,
        *,
        reactor: Any,
        path: Path | str,
        on_hint: OnHint,
        state_dir: Path | None = None,
        in_thread: Callable[..., Deferred[Any]] | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.state = SourceState()
        self._wall = wall
        self._reactor = reactor
        self._path = Path(path)
        self._on_hint = on_hint
        self._versions = FileVersions(
            self._path, None if state_dir is None else state_dir / STATE_FILE
        )
        self._pool = ThreadPool(0, 1, name="file source") if in_thread is None else None
        self._in_thread = in_thread or self._in_own_thread
        self._lock = DeferredLock()
        self._restored = False
        self._read_signature: Signature = None
        self._hinted: Signature = None
        self._watch: Any = None
        self._stopped = False

    def __repr__(self) -> str:
        return f"<FileSource {self._path}>"

    def start(self) -> None:
        if self._pool is not None and not self._pool.started:
            self._pool.start()
        self._stopped = False
        self.state.listening = True
        self._watch = self._reactor.callLater(WATCH_SECONDS, self._look)

    def stop(self) -> Deferred[None]:
        self._stopped = True
        self.state.listening = False
        if self._watch is not None and self._watch.active():
            self._watch.cancel()
        return self._lock.run(self._stop_pool)

    def read(self, after: Position | None) -> Deferred[Reading]:
        return self._ask(self._read, after)

    def read_all(self) -> Deferred[Reading]:
        return self._ask(self._read, None)

    def history(self, keys: list[Key], up_to: int) -> Deferred[dict[Key, list[dict[str, Any]]]]:
        return self._ask(self._versions.history, list(keys), up_to)

    def confirm(self, revision: int, author: str) -> Deferred[None]:
        """Release a held revision; it is the file as it was when that was read."""

        def confirmed(_: None) -> None:
            _log.info(
                "revision {revision} is confirmed by {author}",
                revision=revision,
                author=author,
                log_id="config.confirmed",
            )
            self._on_hint("confirmed", {"revision": revision})

        return self._ask(self._versions.confirm, revision).addCallback(confirmed)

    # Watching, in the reactor's thread

    def _look(self) -> None:
        looked = self._lock.run(self._in_thread, _signature, self._path)
        looked.addCallback(self._compare)
        looked.addErrback(
            lambda failure: _log.failure(
                "watching failed", failure=failure, log_id="config.watch_failed"
            )
        )
        looked.addBoth(lambda _: self._look_again())

    def _compare(self, signature: Signature) -> None:
        if signature not in {self._read_signature, self._hinted}:
            self._hinted = signature
            if not self._stopped:
                self._on_hint("changed", {"path": str(self._path)})

    def _look_again(self) -> None:
        if not self._stopped:
            self._watch = self._reactor.callLater(WATCH_SECONDS, self._look)

    def _ask(self, function: Callable[..., _T], *args: Any) -> Deferred[_T]:
        if self._pool is not None and not self._pool.started:
            self._pool.start()
        answer: Deferred[Any] = self._lock.run(self._in_thread, function, *args)
        return answer.addCallbacks(self._answered, self._failed)

    def _answered(self, answer: _T) -> _T:
        if isinstance(answer, Reading):
            self.state.connected = True
            self.state.last_read_at = self._wall()
            self.state.last_error = None
            self.state.reads += 1
            self.state.full_reads += answer.before is None
            self.state.rows_read += answer.rows_read
        return answer

    def _failed(self, failure: Failure) -> Failure:
        if failure.check(CancelledError, NotHeldError):
            # A wrong number in a confirmation says nothing about the file.
            return failure
        if not failure.check(SourceError):
            _log.failure(
                "reading {path} failed",
                failure=failure,
                path=str(self._path),
                log_id="config.read_failed",
            )
            failure = Failure(SourceError(f"{self._path}: {failure.getErrorMessage()}"))
        self.state.connected = False
        self.state.last_error = str(failure.value)
        self.state.last_error_at = self._wall()
        return failure

    def _in_own_thread(self, function: Callable[..., _T], *args: Any) -> Deferred[_T]:
        assert self._pool is not None
        return deferToThreadPool(self._reactor, self._pool, function, *args)

    def _stop_pool(self) -> Deferred[None]:
        if self._pool is not None and self._pool.started:
            self._pool.stop()
        return succeed(None)

    # Reading, in the thread

    def _read(self, after: Position | None) -> Reading:
        if not self._restored:
            self._versions.restore()
            self._restored = True
        content, signature, status = self._content()
        self._read_signature = signature
        try:
            self._versions.take(content, status.st_mtime, _owner(status.st_uid))
        except FileError as error:
            raise FileError([f"{self._path}: {problem}" for problem in error.problems]) from error
        return self._versions.reading(after)

    def _content(self) -> tuple[bytes, Signature, os.stat_result]:
        """Return what the file holds; read again where it changed meanwhile."""
        try:
            for _ in range(_ATTEMPTS):
                with self._path.open("rb") as file:
                    content = file.read(MAX_FILE_BYTES + 1)
                    status = os.fstat(file.fileno())
                signature = _signature_of(status)
                if signature == _signature(self._path):
                    return content, signature, status
        except OSError as error:
            raise SourceError(f"{self._path} can't be read: {error.strerror}") from error
        raise SourceError(f"{self._path} keeps changing while it is read")


def _signature(path: Path) -> Signature:
    try:
        return _signature_of(path.stat())
    except OSError:
        return None


def _signature_of(status: os.stat_result) -> Signature:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _owner(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
