"""Bodies of answers: whole ones, and those that bring an event in each line."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss

from fengling_gateway.dataplane.failed_requests import why_failed
from fengling_gateway.kubernetes.errors import BROKEN, TOO_LARGE, ApiError
from fengling_gateway.kubernetes.lines import Lines, LineTooLongError

Event = dict[str, Any]

MAX_LINE_BYTES: Final = 4 * 1024 * 1024
"""Of an event: an object has at most 1.5 MB in the cluster's store; its JSON may be longer."""

TURN_SECONDS: Final = 0.005
"""How long events are read before others have a turn of the reactor."""


class _Body(Protocol):
    """A body whose `done` fires when there is nothing left to do with it."""

    transport: Any

    def __init__(self) -> None:
        self.done: Deferred[Any] = Deferred(lambda _: self.drop())

    def drop(self) -> None:
        """Break the connection: nobody wants the rest."""
        if self.transport is not None:
            self.transport.stopProducing()

    def _fail(self, error: BaseException) -> None:
        if not self.done.called:
            self.done.errback(Failure(error))
        self.drop()


class _Whole(_Body):
    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._content = bytearray()

    def dataReceived(self, data: bytes) -> None:
        self._content += data
        if len(self._content) > self._limit:
            self._content.clear()
            self._fail(ApiError(0, TOO_LARGE, f"it answers with more than {self._limit} bytes"))

    def connectionLost(self, reason: Failure = Failure(ResponseDone())) -> None:  # noqa: B008
        if self.done.called:
            return
        if _is_clean(reason):
            self.done.callback(bytes(self._content))
        else:
            self._fail(_broken(reason))


class _Events(_Body):
    """
    Reads a line after the other; those that wait for their turn keep more from coming.

    What arrives in one turn of the reactor is read together, in the next one.
    """

    def __init__(self, clock: IReactorTime, on_event: Callable[[Event], None]) -> None:
        super().__init__()
        self._clock = clock
        self._on_event = on_event
        self._lines = Lines(MAX_LINE_BYTES)
        self._turn: Any = None
        self._is_paused = False
        self._end: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        if not self.done.called:
            self._lines.feed(data)
            self._want_turn()

    def connectionLost(self, reason: Failure = Failure(ResponseDone())) -> None:  # noqa: B008
        self._end = reason
        if not self.done.called:
            self._want_turn()

    def drop(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        super().drop()

    def _want_turn(self) -> None:
        if self._turn is None:
            self._turn = self._clock.callLater(0, self._take_turn)

    def _take_turn(self) -> None:
        self._turn = None
        try:
            self._read(self._clock.seconds() + TURN_SECONDS)
        except LineTooLongError:
            self._fail(ApiError(0, TOO_LARGE, f"an event has more than {MAX_LINE_BYTES} bytes"))
        except Exception as error:
            self._fail(error)
        else:
            self._go_on()

    def _read(self, until: float) -> None:
        while not self.done.called and (line := self._lines.next()) is not None:
            self._on_event(_decoded(line))
            if self._clock.seconds() >= until:
                return

    def _go_on(self) -> None:
        if self.done.called:
            return
        if self._lines.has_more:
            self._is_paused = True
            self.transport.pauseProducing()
            self._want_turn()
        elif self._end is not None:
            self._finish(self._end)
        elif self._is_paused:
            self._is_paused = False
            self.transport.resumeProducing()

    def _finish(self, reason: Failure) -> None:
        if not _is_clean(reason):
            self._fail(_broken(reason))
        elif self._lines.has_rest:
            self._fail(ApiError(0, BROKEN, "the watch broke off in the middle of an event"))
        else:
            self.done.callback(None)


def read_whole(response: Any, limit: int) -> Deferred[bytes]:
    """
    Return a body of up to `limit` bytes.

    Fails with `ApiError`. The connection is broken when it is cancelled.
    """
    body = _Whole(limit)
    response.deliverBody(body)
    return body.done


def read_events(
    response: Any, *, clock: IReactorTime, on_event: Callable[[Event], None]
) -> Deferred[None]:
    """
    Call `on_event` with each event; fire at the end of the body.

    Fails with `ApiError`, or with what `on_event` raises, after which it is not called any more.
    The connection is broken when it is cancelled.
    """
    body = _Events(clock, on_event)
    response.deliverBody(body)
    return body.done


def decoded(content: bytes) -> dict[str, Any]:
    """
    Return the JSON object of a whole answer.

    Raises:
        ApiError: it is none.
    """
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ApiError(0, BROKEN, "it answers with something other than an object of JSON")
    return value


def _decoded(line: bytes) -> Event:
    try:
        return decoded(line)
    except ApiError:
        raise ApiError(0, BROKEN, "an event of the watch can't be read") from None


def _is_clean(reason: Failure) -> bool:
    # Without a length, and without chunks, the end of the connection is that of the body.
    return reason.check(ResponseDone, PotentialDataLoss) is not None


def _broken(reason: Failure) -> ApiError:
    error = reason.value
    return ApiError(0, BROKEN, "it broke off" if error is None else why_failed(error).words)
