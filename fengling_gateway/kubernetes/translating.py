"""
When the Gateway API's objects are translated: shortly after a change, beside the reactor.

What changes meanwhile is translated together, afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from fengling_gateway.kubernetes.gateway_api.memory import Memory
from fengling_gateway.kubernetes.gateway_api.translation import translate
from fengling_gateway.kubernetes.gateway_api.world import Translation
from fengling_gateway.kubernetes.gathered import Gathered

_log = Logger()

Beside = Callable[[Callable[[], Translation]], Deferred[Any]]

SETTLE_SECONDS: Final = 0.03
"""What changes together (`kubectl apply` of some files) is translated together."""

MAX_PAUSE_SECONDS: Final = 10.0

_SHARE: Final = 2
"""So many times as long as a translation took is the pause: it has a third of the time at most."""


class Translating:
    """
    Translates what has been gathered, once at a time.

    Args:
        beside: runs something in a thread: of thousands of routes a translation takes a second.
        translated: is given what came of it.
        ended: called after that, or where it failed, if nothing has changed since it began.

    Attributes:
        problem: why what was translated before counts on; None if nothing is wrong.
    """

    def __init__(
        self,
        gathered: Gathered,
        *,
        clock: IReactorTime,
        beside: Beside,
        translated: Callable[[Translation], None],
        ended: Callable[[], None],
    ) -> None:
        self._gathered = gathered
        self._clock = clock
        self._beside = beside
        self._tell_translated = translated
        self._tell_ended = ended
        self._memory = Memory()
        self._is_begun = False
        self._is_doubtful = False
        self._pause = SETTLE_SECONDS
        self._call: Any = None
        self._running: Deferred[Any] | None = None
        # Who waits for the next translation, and for the one that is under way.
        self._waiting: list[Deferred[None]] = []
        self._awaited: list[Deferred[None]] = []
        self.problem: str | None = None

    def __repr__(self) -> str:
        return f"<Translating{'' if self.is_open else ': nothing'}>"

    @property
    def is_open(self) -> bool:
        """Whether something has changed that is not translated yet."""
        return self._call is not None or self._running is not None

    def begin(self) -> None:
        """Translate what there is now, and after this whatever changes."""
        self._is_begun = True
        self._translate()

    def stop(self) -> None:
        """Give up what is under way; nobody is told."""
        self._is_begun = False
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._running is not None:
            self._running.cancel()
        _fire(self._waiting)

    def when_translated(self) -> Deferred[None]:
        """Return what fires when all that has been gathered by now is translated, or will not be."""
        if not self.is_open:
            return succeed(None)
        is_next = self._running is None or self._is_doubtful
        asked: Deferred[None] = Deferred()
        (self._waiting if is_next else self._awaited).append(asked)
        return asked

    def changed(self) -> None:
        """Note that something else has been gathered."""
        if self._running is not None:
            self._is_doubtful = True
        elif self._is_begun and self._call is None:
            self._call = self._clock.callLater(self._pause, self._translate)

    def _translate(self) -> None:
        self._call = None
        self._is_doubtful = False
        self._awaited, self._waiting = self._waiting, []
        known, world = self._gathered.objects(), self._gathered.world()
        began = self._clock.seconds()
        self._running = self._beside(lambda: translate(known, world, self._memory))
        self._running.addCallback(self._translated).addErrback(self._failed)
        self._running.addBoth(self._ended, began)

    def _translated(self, now: Translation) -> None:
        self.problem = None
        self._tell_translated(now)

    def _failed(self, failure: Failure) -> None:
        """What was before counts on; also where it is who was told that has failed."""
        if failure.check(CancelledError):
            return
        self.problem = f"a fault of this program, which is in its log: {failure.getErrorMessage()}"
        _log.failure("translating the Gateway API", failure, log_id="kubernetes.untranslated")

    def _ended(self, _: object, began: float) -> None:
        self._running = None
        _fire(self._awaited)
        took = self._clock.seconds() - began
        self._pause = min(max(SETTLE_SECONDS, _SHARE * took), MAX_PAUSE_SECONDS)
        if self._is_doubtful:
            self.changed()
        elif self._is_begun:
            self._tell_ended()


def _fire(waiting: list[Deferred[None]]) -> None:
    fired, waiting[:] = list(waiting), []
    for one in fired:
        one.callback(None)
