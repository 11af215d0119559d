"""Waiting for conditions instead of for time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


def wait_until(condition: Callable[[], T], *, timeout: float = 15.0, interval: float = 0.01) -> T:
    """
    Call `condition` until what it returns is true, and return that.

    An AssertionError or OSError that it raises counts as "not yet" and is what
    is reported when time is up. It blocks: for tests of real processes, not for
    code that runs in this process's reactor.
    """
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while True:
        problem: Exception | None = None
        try:
            result = condition()
            if result:
                return result
        except (AssertionError, OSError) as error:
            problem = error
        if time.monotonic() >= deadline:
            raise AssertionError(f"not so within {timeout:g} s: {problem or result!r}")
        pause.wait(interval)


def eventually(
    reactor: Any, condition: Callable[[], T], *, timeout: float = 15.0, interval: float = 0.01
) -> Deferred[T]:
    """
    Like `wait_until`, in a running reactor: fire with the condition's result once it is true.

    Fails with AssertionError when time is up.
    """
    done: Deferred[T] = Deferred()
    deadline = reactor.seconds() + timeout

    def look() -> None:
        problem: Exception | None = None
        try:
            result = condition()
        except (AssertionError, OSError) as error:
            problem, result = error, None
        if result:
            done.callback(result)
        elif reactor.seconds() >= deadline:
            done.errback(AssertionError(f"not so within {timeout:g} s: {problem or result!r}"))
        else:
            reactor.callLater(interval, look)

    look()
    return done
