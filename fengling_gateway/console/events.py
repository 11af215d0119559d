"""
What happens, told as it does: server-sent events (HTML Living Standard, 9.2).

A stream says only that something is new, with as much as fits into a line; who
has missed something reads it by the other operations.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from fengling_gateway.access.problems import ProblemError
from fengling_gateway.auth.operators import Operator
from fengling_gateway.console.call import Answer, Call

CONTENT_TYPE: Final = "text/event-stream; charset=utf-8"

MAX_STREAMS: Final = 100
"""Pages that are open at a time: each has a connection, half of those that `access.site` takes."""

MAX_UNTAKEN: Final = 200
"""Events that wait for a client that does not read: more, and it is disconnected, to begin anew."""

KEEPALIVE_SECONDS: Final = 15.0

LOOK_SECONDS: Final = 2.0
"""How often is looked whose session has ended."""

LONGEST_SECONDS: Final = 3600.0
"""Then a page connects again, and shows its credentials."""


class _Stream:
    """
    One client; a push producer that drops nothing and waits for nobody.

    Attributes:
        over: fires when it has ended; whoever has let the client in finishes the request then.
        until: when it has to end, on the reactor's clock.
        operator: who listens.
    """

    def __init__(self, request: Any, until: float, operator: Operator) -> None:
        self.operator = operator
        self._request = request
        self._waiting: deque[bytes] = deque()
        self._paused = False
        self.over: Deferred[bytes] = Deferred()
        self.until = until

    def begin(self) -> None:
        request = self._request
        request.setHeader(b"content-type", CONTENT_TYPE.encode())
        request.setHeader(b"x-accel-buffering", b"no")
        request.notifyFinish().addErrback(lambda _: self._lost())
        request.registerProducer(self, True)
        self.send(b"retry: 2000\n\n")

    def send(self, event: bytes) -> None:
        if self.over.called:
            return
        if self._paused:
            self._waiting.append(event)
            if len(self._waiting) > MAX_UNTAKEN:
                self._request.loseConnection()
                self.end()
            return
        self._request.write(event)

    def end(self) -> None:
        """Say no more."""
        if not self.over.called:
            self._request.unregisterProducer()
            self._lost()

    def _lost(self) -> None:
        """The client has gone, and with it what could be told that there is no more."""
        if not self.over.called:
            self._waiting.clear()
            self.over.callback(b"")

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        while self._waiting and not self._paused:
            self._request.write(self._waiting.popleft())

    def stopProducing(self) -> None:
        self._waiting.clear()


class Events:
    """
    All streams.

    Attributes:
        told: events so far, each counted once.
        holds: says whether the credential still does with which somebody listens.
    """

    def __init__(self, *, clock: IReactorTime, wall: Callable[[], float]) -> None:
        self.holds: Callable[[Operator], bool] = lambda _: True
        self._clock = clock
        self._wall = wall
        self._streams: dict[_Stream, None] = {}
        self._keepalive = LoopingCall(self._keep_alive)
        self._look = LoopingCall(self._look_who_may)
        self._keepalive.clock = self._look.clock = clock
        self._newest: dict[str, bytes] = {}
        self.told = 0

    def __len__(self) -> int:
        return len(self._streams)

    def start(self) -> None:
        self._keepalive.start(KEEPALIVE_SECONDS, now=False)
        self._look.start(LOOK_SECONDS, now=False)

    def stop(self) -> None:
        """End all streams."""
        for loop in (self._keepalive, self._look):
            if loop.running:
                loop.stop()
        for stream in list(self._streams):
            stream.end()

    def tell(self, name: str, value: Any, *, changes_only: bool = False) -> None:
        """
        Tell all clients.

        Args:
            changes_only: not if it is just what was told last under that name.
        """
        data = json.dumps(value, default=str, separators=(",", ":"))
        event = f"event: {name}\ndata: {data}\n\n".encode()
        if changes_only and self._newest.get(name) == event:
            return
        if changes_only:
            self._newest[name] = event
        self.told += 1
        for stream in list(self._streams):
            stream.send(event)

    def listen(self, call: Call) -> Deferred[bytes] | Answer:
        """Serve a stream; it begins with the newest of what changes only seldom."""
        call.access.require_all_tenants()
        call.only()
        if call.request.method == b"HEAD":
            return Answer("", content_type=CONTENT_TYPE)
        if len(self._streams) >= MAX_STREAMS:
            raise ProblemError("busy", "too many pages are open")
        # No longer than its credential holds.
        operator = call.access.operator
        left = min(LONGEST_SECONDS, operator.expires_at - self._wall())
        stream = _Stream(call.request, self._clock.seconds() + left, operator)
        self._streams[stream] = None
        stream.begin()
        for event in self._newest.values():
            stream.send(event)
        return stream.over.addBoth(self._ended, stream)

    def _ended(self, said: Any, stream: _Stream) -> Any:
        self._streams.pop(stream, None)
        if not self._streams:
            self._newest.clear()  # it grows old while nobody is told
        return said

    def _keep_alive(self) -> None:
        for stream in list(self._streams):
            stream.send(b": \n\n")

    def _look_who_may(self) -> None:
        """End the streams of credentials that are over, by time or because somebody says so."""
        now = self._clock.seconds()
        for stream in list(self._streams):
            if now >= stream.until or not self.holds(stream.operator):
                stream.end()
