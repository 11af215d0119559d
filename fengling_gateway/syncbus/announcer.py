"""One announcement per position in a cluster, and none lost with its announcer.

1. Whoever sets the key of a position first publishes, in the same round trip.
2. The others wait for it; when it stays silent (Redis failed over, say), they
   publish it themselves.
3. Announcements are only hints to look: of several waiting, the newest counts.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from fengling_gateway.model.delta import Position
from fengling_gateway.syncbus.errors import BusError
from fengling_gateway.syncbus.names import Names

WON_SECONDS: Final = 10
"""How long a position stays taken; its announcement takes a millisecond."""

SILENCE_SECONDS: Final = 0.2
"""After this long without the winner's announcement, and up to as much again, we repeat it."""

_PUBLISH_FIRST: Final = """\
if redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[3]) then
  return redis.call('PUBLISH', ARGV[1], ARGV[2])
end
return false
"""
"""One round trip instead of two: hosts that hear of a change by Redis only wait for it."""


class Announcer:
    """
    Args:
        call: runs one command on Redis; fails with `BusError`, in time.
        sign: makes the message of a position.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        rng: random.Random,
        names: Names,
        call: Callable[..., Deferred[Any]],
        sign: Callable[[Position], bytes],
        counters: Counter[str],
    ) -> None:
        self._clock = clock
        self._rng = rng
        self._names = names
        self._call = call
        self._sign = sign
        self._counters = counters
        self._next: Position | None = None
        self._latest: Position | None = None
        self._heard: Position | None = None
        self._said: Position | None = None
        self._under_way = False
        self._silence: IDelayedCall | None = None

    def announce(self, position: Position) -> None:
        """Make it known, once, now or when Redis is back. Never raises."""
        if position == self._latest and (self._under_way or position == self._said):
            return
        self._next = self._latest = position
        self._start()

    def resume(self) -> None:
        """Redis is usable again: announce what nobody may have heard."""
        if self._latest is not None and self._latest != self._heard:
            self._next = self._latest
            self._start()

    def heard(self, position: Position) -> None:
        """An announcement was received, ours or another's."""
        self._heard = position

    def stop(self) -> None:
        """Forget what waits; leaves no timer."""
        self._next = self._latest = None
        self._cancel_silence()

    def _start(self) -> None:
        if self._next is not None and not self._under_way:
            self._under_way = True
            Deferred.fromCoroutine(self._drain())

    async def _drain(self) -> None:
        try:
            while self._next is not None:
                position = self._next
                self._next = None
                await self._announce(position)
        finally:
            self._under_way = False

    async def _announce(self, position: Position) -> None:
        if position == self._heard:
            self._counters["announcements_suppressed"] += 1
            return
        self._cancel_silence()
        if not await self._publish_first(position) and position != self._heard:
            wait = SILENCE_SECONDS * (1 + self._rng.random())
            self._silence = self._clock.callLater(wait, self._still_silent, position)

    async def _publish_first(self, position: Position) -> bool:
        """Publish it unless another has; whether we did, or tried to."""
        key, channel = self._names.announced(position), self._names.announcements
        message = self._sign(position)
        try:
            reply = await self._call("EVAL", _PUBLISH_FIRST, 1, key, channel, message, WON_SECONDS)
        except BusError:
            # A Redis that refuses writes or scripts may still publish.
            await self._publish(position)
            return True
        self._said = position  # by us, or by who was first
        if reply is None:
            return False
        self._counters["announcements_sent"] += 1
        return True

    async def _publish(self, position: Position) -> None:
        try:
            await self._call("PUBLISH", self._names.announcements, self._sign(position))
        except BusError:
            self._counters["announcements_failed"] += 1
            return
        self._counters["announcements_sent"] += 1

    def _still_silent(self, position: Position) -> None:
        self._silence = None
        if position != self._heard and not self._under_way:
            self._counters["announcements_repeated"] += 1
            Deferred.fromCoroutine(self._publish(position))

    def _cancel_silence(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
