"""Watches whether somebody probes instances, and tells when that changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from fengling_gateway.configsource.reading import ProberRow
from fengling_gateway.supervisor.freshness import Freshness, Health
from fengling_gateway.syncbus.messages import ProberBeat

_log = Logger(namespace="fengling.health")

TICK_SECONDS: Final = 1.0
READ_GAP_SECONDS: Final = 2.0
"""Between two readings of the prober's row at most, however often the source is looked at."""

READ_TIMEOUT_SECONDS: Final = 5.0


class Probing:
    """
    Knows how fresh what is reported of instances is.

    Args:
        read: asks the database; None where there is none, and so nobody who probes.
        stale_after: seconds without a sign after which nobody does.
        changed: told when verdicts begin to count no more, or count again.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        read: Callable[[], Deferred[ProberRow | None]] | None,
        stale_after: float,
        changed: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._read = read
        self._changed = changed
        self._freshness = Freshness(stale_after=stale_after, now=clock.seconds())
        if read is None:
            self._freshness.read(None, now=clock.seconds())
        self._gap = min(READ_GAP_SECONDS, stale_after / 4)
        self._state = "none"
        self._reading: Deferred[Any] | None = None
        self._read_at = float("-inf")
        self._timer: Any = None
        self._due = 0.0
        self.failures = 0
        """Readings of the row that have failed."""

    @property
    def health(self) -> Health:
        return self._freshness.health(now=self._clock.seconds())

    @property
    def is_stale(self) -> bool:
        return self._state == "stale"

    def start(self) -> None:
        self._due = self._clock.seconds() + TICK_SECONDS
        self._timer = self._clock.callLater(TICK_SECONDS, self._tick)

    def stop(self) -> None:
        """Leaves no timer and no question."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._reading is not None:
            self._reading.cancel()

    def look(self) -> None:
        """The source answers: ask it who probes, unless it has told just now."""
        now = self._clock.seconds()
        if self._read is None or self._reading or now - self._read_at < self._gap:
            return
        self._read_at = now
        reading = self._reading = self._read()
        reading.addTimeout(READ_TIMEOUT_SECONDS, self._clock)
        reading.addCallbacks(self._found, self._failed)
        reading.addBoth(lambda _: self._ended())

    def heard(self, beat: ProberBeat) -> None:
        """A heartbeat has arrived on Redis."""
        if self._read is not None:
            self._freshness.heard(beat, now=self._clock.seconds())
            self._judge()

    def _found(self, row: ProberRow | None) -> None:
        self._freshness.read(row, now=self._clock.seconds())
        self._judge()

    def _failed(self, _: Failure) -> None:
        self.failures += 1  # the source says why

    def _ended(self) -> None:
        self._reading = None

    def _tick(self) -> None:
        late = self._clock.seconds() - self._due
        self.start()
        if late > TICK_SECONDS:
            # We were stopped, or the clock was set: what was said is still to be read.
            self._freshness.excuse(late)
        self._judge()

    def _judge(self) -> None:
        health = self.health
        before, self._state = self._state, health.state
        if health.state == before:
            return
        if health.state == "stale":
            _log.warn(
                "health: stale: nobody has probed instances {since}; "
                "those reported unhealthy are tried again",
                log_id="health.stale",
                since="since the start" if health.age_s is None else f"for {health.age_s:.0f} s",
                term=health.term,
            )
        elif health.state == "fresh":
            _log.info(
                "health: fresh: {holder} probes instances (term {term})",
                log_id="health.fresh",
                holder=health.holder,
                term=health.term,
            )
        else:
            _log.info("health: nobody has ever probed instances", log_id="health.none")
        if "stale" in (before, health.state):
            self._changed()
