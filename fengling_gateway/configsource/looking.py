"""When to look at a config source: one look at a time, and never too long none."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from fengling_gateway.configsource.reading import SourceError

_log = Logger()


class LookUser(Protocol):
    """Who is told how looks end."""

    def look_succeeded(self) -> None:
        """The source has answered, whether or not there was anything new."""

    def look_failed(self, error: BaseException) -> None:
        """The source could not answer; what was served stays."""


class Looking:
    """
    Looks now, once more for all who ask meanwhile, and at the latest when a poll is due.

    Args:
        look: one look; its argument is the reason.
        poll_interval: seconds; polls of many hosts drift apart, since each
            shortens it at random by up to a fifth.

    Attributes:
        asked: how often somebody has asked for a look, by the reason.
        count: how many looks have begun.
        last_reason: that of the newest.
        began_at: when that began, by the clock.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        rng: random.Random,
        look: Callable[[str], Coroutine[Any, Any, None]],
        user: LookUser,
        poll_interval: float,
    ) -> None:
        self._clock = clock
        self._rng = rng
        self._look = look
        self._user = user
        self._poll_interval = poll_interval
        self._running: Deferred[None] | None = None
        self._again: str | None = None
        self._waiting: list[Deferred[None]] = []
        self._waiting_for_next: list[Deferred[None]] = []
        self._poll: Any = None
        self._stopped = False
        self.asked: dict[str, int] = {}
        self.count = 0
        self.last_reason = ""
        self.began_at = 0.0

    def start(self) -> None:
        self._stopped = False
        self.request("started")

    def stop(self) -> None:
        """Stop looking; a look under way is cancelled."""
        self._stopped = True
        if self._poll is not None and self._poll.active():
            self._poll.cancel()
        if self._running is not None:
            self._running.cancel()

    def request(self, reason: str) -> Deferred[None]:
        """
        Look now, or once more when the look under way has ended.

        Returns what fires when a look that began after this call has ended,
        well or badly.
        """
        ended: Deferred[None] = Deferred()
        if self._stopped:
            ended.callback(None)
            return ended
        self.asked[reason] = self.asked.get(reason, 0) + 1
        if self._running is not None:
            self._again = reason
            self._waiting_for_next.append(ended)
        else:
            self._waiting.append(ended)
            self._begin(reason)
        return ended

    def _begin(self, reason: str) -> None:
        self.count += 1
        self.last_reason = reason
        self.began_at = self._clock.seconds()
        if self._poll is not None and self._poll.active():
            self._poll.cancel()
        self._running = Deferred.fromCoroutine(self._look(reason))
        self._running.addCallback(lambda _: self._user.look_succeeded())
        self._running.addErrback(self._failed)
        self._running.addErrback(
            lambda failure: _log.failure("reload", failure=failure, log_id="config.reload_failed")
        )
        self._running.addBoth(lambda _: self._ended())

    def _ended(self) -> None:
        self._running = None
        waiting, self._waiting = self._waiting, self._waiting_for_next
        self._waiting_for_next = []
        again, self._again = self._again, None
        if self._stopped:
            waiting += self._waiting
        elif again is not None:
            self._begin(again)
        else:
            delay = self._poll_interval * self._rng.uniform(0.8, 1.0)
            self._poll = self._clock.callLater(delay, self.request, "poll")
        # Last: who is told may ask for the next look at once.
        for one in waiting:
            one.callback(None)

    def _failed(self, failure: Failure) -> None:
        if self._stopped:
            return
        if not failure.check(SourceError, TimeoutError):
            _log.failure("reload: a look failed", failure=failure, log_id="config.look_failed")
        error = failure.value
        assert error is not None
        self._user.look_failed(error)
