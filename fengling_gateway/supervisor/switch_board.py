"""What is switched off, as this node knows it: read from Redis, and kept while that is away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from fengling_gateway.model.problems import label
from fengling_gateway.syncbus.switches import TOMBSTONE_SECONDS, Switch, newest

_log = Logger(namespace="fengling.switches")

READ_SECONDS: Final = 10.0
"""How often to read without a reason: a command may be lost."""

Words = dict[str, Switch]


class SwitchBoard:
    """
    Knows the newest word on each thing.

    Args:
        wall: epoch seconds.
        read: asks Redis for what is on record; fails in time.
        changed: told when something else is off than before.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        wall: Callable[[], float],
        read: Callable[[], Deferred[Words]],
        changed: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._read = read
        self._changed = changed
        self._words: Words = {}
        self._reading: Deferred[Any] | None = None
        self._again = False
        self._timer: Any = None
        self.off: tuple[Switch, ...] = ()
        """What is off, by kind and id."""

    def ids(self, kind: str) -> list[str]:
        """Return the ids of what is off of one kind."""
        return [one.id for one in self.off if one.kind == kind]

    def start(self) -> None:
        """Read every now and then from now on; the first time is when Redis can be used."""
        self._timer = self._clock.callLater(READ_SECONDS, self._tick)

    def _tick(self) -> None:
        self.start()
        self.look()

    def stop(self) -> None:
        """Leaves no timer."""
        self._again = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._reading is not None:
            self._reading.cancel()

    def look(self) -> None:
        """Read now, and once more for whoever asks meanwhile."""
        if self._reading is not None:
            self._again = True
            return
        reading = self._reading = self._read()
        reading.addCallbacks(self._found, self._failed)
        reading.addErrback(
            lambda failure: _log.failure("switches", failure=failure, log_id="switch.failed")
        )
        reading.addBoth(lambda _: self._ended())

    def _ended(self) -> None:
        self._reading = None
        if self._again:
            self._again = False
            self.look()

    def _failed(self, _: Failure) -> None:
        """What was known stays; the bus counts it, and says why."""

    def _found(self, found: Words) -> None:
        until = self._wall() - TOMBSTONE_SECONDS
        self._words = newest(self._words, found.values(), until=until)
        off = tuple(sorted((one for one in self._words.values() if one.off), key=_order))
        before, self.off = self.off, off
        if off != before:
            self._tell(before)
            self._changed()

    def _tell(self, before: tuple[Switch, ...]) -> None:
        was, now = {one.field for one in before}, {one.field for one in self.off}
        for switch in self.off:
            if switch.field not in was:
                _say(switch)
        for name in sorted(was - now):
            # (By a word of its own: what has vanished is still off.)
            _say(self._words[name])


def _say(switch: Switch) -> None:
    _log.warn(
        "{kind} {id} is switched {how} by {by}{comment}",
        log_id="switch.off" if switch.off else "switch.on",
        kind=switch.kind,
        id=label(switch.id),
        how="off" if switch.off else "on again",
        by=switch.by,
        comment=f' "{switch.comment}"' if switch.comment else "",
    )


def _order(switch: Switch) -> tuple[str, str]:
    return switch.kind, switch.id
