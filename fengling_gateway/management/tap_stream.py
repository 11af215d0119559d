"""
Requests as they end, for somebody who looks on: a line of JSON for each thing there is to say.

Each is an object whose ``event`` is one of:

- ``began``: ``seconds``, for which it goes on.
- ``request``: ``request``, as of `fengling_gateway.records.plain`.
- ``left_out``: ``count`` of requests that are not told, since the last time that was said.
- ``alive``: nothing is to be said for a while.
- ``ended``: ``why`` (``time``, ``limit``, ``stopped``, ``credential``, ``failed``), how many
  requests were ``told``, and how many ``left_out``.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

_log = Logger()

CONTENT_TYPE: Final = "application/x-ndjson"

MAX_UNTAKEN: Final = 1000
"""Requests that wait for a client that does not read: some 700 KiB, and 6 MiB at most."""

WRITTEN_AT_ONCE: Final = 64

KEEPALIVE_SECONDS: Final = 15.0

LOOK_SECONDS: Final = 2.0
"""How often is looked whether the credential still does."""


class TapStream:
    """
    One who looks on; a push producer that leaves out what its client does not take in time.

    Args:
        limit: requests, after which it ends.
        shown: returns what may be seen of a request.
        holds: whether the credential still does.

    Attributes:
        finished: fires when it has ended, with nothing more to write.
        told, left_out: requests.
    """

    def __init__(
        self,
        request: Any,
        *,
        clock: IReactorTime,
        limit: int | None,
        shown: Callable[[dict[str, Any]], dict[str, Any]],
        holds: Callable[[], bool],
    ) -> None:
        self._request = request
        self._limit = limit
        self._shown = shown
        self._holds = holds
        self._waiting: deque[bytes] = deque()
        self._is_paused = False
        self._unsaid = 0
        self._quiet = 0.0
        self._loop = LoopingCall(self._look)
        self._loop.clock = clock
        self.finished: Deferred[bytes] = Deferred()
        self.told = 0
        self.left_out = 0

    def __repr__(self) -> str:
        return f"<TapStream {self.told} told, {self.left_out} left out>"

    def begin(self, seconds: float) -> None:
        request = self._request
        request.setHeader(b"content-type", CONTENT_TYPE.encode())
        request.setHeader(b"x-accel-buffering", b"no")
        request.notifyFinish().addErrback(lambda _: self._finish())
        request.registerProducer(self, True)
        self._say(_line({"event": "began", "seconds": seconds}))
        self._loop.start(LOOK_SECONDS, now=False).addErrback(self._failed)

    # What is told

    def requests(self, requests: list[dict[str, Any]], left_out: int) -> None:
        for one in requests:
            if self._has_all():
                break
            self._take(one)
        self._leave_out(left_out)
        self._write()

    def over(self, why: str) -> None:
        """Say the last, and end."""
        if self.finished.called:
            return
        if self._waiting:  # its client does not read, and shall not have to before it is over
            self.told -= len(self._waiting)
            self._leave_out(len(self._waiting))
        last = {"event": "ended", "why": why, "told": self.told, "left_out": self.left_out}
        self._request.write(self._missing() + _line(last))
        self._request.unregisterProducer()
        self._finish()

    def _has_all(self) -> bool:
        return self.told == self._limit

    def _take(self, one: dict[str, Any]) -> None:
        if len(self._waiting) >= MAX_UNTAKEN:
            self._leave_out(1)
            return
        self.told += 1
        self._waiting.append(_line({"event": "request", "request": self._shown(one)}))

    def _leave_out(self, count: int) -> None:
        self.left_out += count
        self._unsaid += count

    def _missing(self) -> bytes:
        """Return the line about what was left out since the last one; empty for nothing."""
        count, self._unsaid = self._unsaid, 0
        return _line({"event": "left_out", "count": count}) if count else b""

    def _write(self) -> None:
        """Write what waits, and then how much is missing."""
        while self._waiting and not self._is_paused:
            some = min(WRITTEN_AT_ONCE, len(self._waiting))
            self._say(b"".join(self._waiting.popleft() for _ in range(some)))
        if self._has_all() and not self._waiting:
            self.over("limit")
        elif self._unsaid and not self._is_paused:
            self._say(self._missing())

    def _say(self, lines: bytes) -> None:
        self._quiet = 0.0
        self._request.write(lines)

    def _look(self) -> None:
        if not self._holds():
            self.over("credential")
            return
        self._quiet += LOOK_SECONDS
        if self._quiet >= KEEPALIVE_SECONDS and not self._is_paused:
            self._say(_line({"event": "alive"}))

    def _failed(self, failure: Failure) -> None:
        _log.failure("a tap is ended", failure, log_id="tap.failed")
        self.over("failed")

    def _finish(self) -> None:
        """It has ended, or the client has gone."""
        if self._loop.running:
            self._loop.stop()
        self._waiting.clear()
        if not self.finished.called:
            self.finished.callback(b"")

    # What the connection says

    def pauseProducing(self) -> None:
        self._is_paused = True

    def resumeProducing(self) -> None:
        self._is_paused = False
        self._write()

    def stopProducing(self) -> None:
        self._waiting.clear()


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, default=str, separators=(",", ":")).encode() + b"\n"
