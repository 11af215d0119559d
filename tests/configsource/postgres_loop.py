"""A reactor of one test: real time and real threads, turned by the test itself."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

T = TypeVar("T")


class ThreadLoop(Clock):
    """What a `PostgresSource` needs of a reactor."""

    def __init__(self) -> None:
        super().__init__()
        self.rightNow = time.time()
        self._calls: queue.SimpleQueue[tuple[Callable[..., Any], Any, Any]] = queue.SimpleQueue()
        self.crossings = 0

    def callFromThread(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self._calls.put((function, args, kwargs))

    def turn(self) -> None:
        """Do what is due, after waiting a moment for it."""
        try:
            function, args, kwargs = self._calls.get(timeout=0.01)
        except queue.Empty:
            pass
        else:
            self.crossings += 1
            function(*args, **kwargs)
        self.advance(max(0.0, time.time() - self.seconds()))

    def until(self, condition: Callable[[], T], *, timeout: float = 20.0) -> T:
        """Turn until what the condition returns is true, and return that."""
        deadline = time.monotonic() + timeout
        while not (result := condition()):
            assert time.monotonic() < deadline, "not so in time"
            self.turn()
        return result

    def result(self, answer: Deferred[T], *, timeout: float = 20.0) -> T:
        """Turn until the Deferred has fired; return or raise what it has fired with."""
        results: list[Any] = []
        answer.addBoth(results.append)
        self.until(lambda: results, timeout=timeout)
        if isinstance(results[0], Failure):
            results[0].raiseException()
        value: T = results[0]
        return value
