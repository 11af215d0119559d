"""Questions to a worker, and their answers."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from fengling_gateway.control.channel import Channel
from fengling_gateway.control.frames import Message


class Questions:
    """
    Requests to a worker that wait for their `Message.ANSWER`.

    Each waits at most `timeout_seconds`; when the channel is lost all of them
    fail with `ConnectionError`.
    """

    def __init__(self, *, clock: IReactorTime, channel: Channel, timeout_seconds: float) -> None:
        self._clock = clock
        self._channel = channel
        self._timeout = timeout_seconds
        self._waiting: dict[int, Deferred[Any]] = {}
        self._last_id = 0

    def ask(self, ask: str, **arguments: Any) -> Deferred[Any]:
        """
        Ask, and return the answer.

        Fails with `TimeoutError` without an answer in time, with `RuntimeError`
        when the worker answered with an error.
        """
        self._last_id += 1
        number = self._last_id
        waiting: Deferred[Any] = Deferred()
        self._waiting[number] = waiting
        deadline = self._clock.callLater(self._timeout, self._expire, number, ask)

        def ended(result: Any) -> Any:
            if deadline.active():
                deadline.cancel()
            return result

        waiting.addBoth(ended)
        self._channel.send(Message.REQUEST, {"id": number, "ask": ask, **arguments})
        return waiting

    def answered(self, payload: bytes) -> None:
        """Take the payload of an `Message.ANSWER`; one that nobody waits for is dropped."""
        values = json.loads(payload)
        waiting = self._waiting.pop(values["id"], None)
        if waiting is None:
            return
        if "error" in values:
            waiting.errback(RuntimeError(values["error"]))
        else:
            waiting.callback(values["answer"])

    def fail_all(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for one in waiting.values():
            one.errback(ConnectionError("the worker is gone"))

    def _expire(self, number: int, ask: str) -> None:
        waiting = self._waiting.pop(number, None)
        if waiting is not None:
            waiting.errback(TimeoutError(f"no answer to {ask!r} in {self._timeout:g} s"))
