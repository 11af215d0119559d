"""
When what is seen of an instance changes what is said of it. Pure.

- An instance of which nothing is known is *unknown*. Its first pass makes it healthy.
- ``fall`` failures in a row make it unhealthy, ``rise`` passes in a row healthy again.
- What gateways report of their requests counts with the failures, by `reported`, but never alone:
  the failure that completes ``fall`` is a probe's, and no report is ever a pass.
- Who becomes unhealthy too often is *held down*: it stays so for `hold_of` seconds at least,
  twice as long each time, whatever its probes say meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

UNKNOWN: Final = "unknown"
HEALTHY: Final = "healthy"
UNHEALTHY: Final = "unhealthy"

FLAP_WINDOW_SECONDS: Final = 300.0
FREE_FALLS: Final = 4
"""
So often within the window an instance may become unhealthy without being held down.

Whoever deploys twice and has to go back twice is not flapping.
"""
FIRST_HOLD_SECONDS: Final = 10.0
MAX_HOLD_SECONDS: Final = 300.0

_FALLS_KEPT: Final = FREE_FALLS + 8
"""More would not hold for longer."""


class Thresholds(NamedTuple):
    """How many in a row change a verdict."""

    rise: int
    fall: int


class Flip(NamedTuple):
    """A verdict that is another than before, and why."""

    health: str
    reason: str


class Report(NamedTuple):
    """What a worker has seen of an instance since its last report; ``error``: its newest failure."""

    failures: int
    successes: int
    error: str | None = None
    is_ejected: bool = False

    @property
    def is_failing(self) -> bool:
        """Whether it counts: most of its requests failed, or so many in a row that it is ejected."""
        return self.is_ejected or self.failures > self.successes


@dataclass(slots=True)
class Standing:
    """
    What is known of one instance.

    Attributes:
        passes, failures: in a row; one of them is 0.
        reported: how many of the failures gateways have reported.
        error: the newest that was reported, while `reported` counts.
        falls: when it became unhealthy, the newest last.
        held_until: it stays unhealthy until then.
    """

    health: str = UNKNOWN
    reason: str | None = None
    passes: int = 0
    failures: int = 0
    reported: int = 0
    error: str | None = None
    falls: deque[float] = field(default_factory=lambda: deque(maxlen=_FALLS_KEPT))
    held_until: float = 0.0

    @property
    def is_settled(self) -> bool:
        """Whether nothing that was seen last speaks against the verdict."""
        if self.health == UNHEALTHY:
            return self.passes == 0
        return self.health == HEALTHY and self.failures == 0

    def adopt(self, health: str, reason: str | None) -> None:
        """Take over what somebody else says of it; what was counted so far counts no more."""
        self.health, self.reason = health, reason
        self.passes = self.held_until = 0
        self._forget_failures()

    def _forget_failures(self) -> None:
        self.failures = self.reported = 0
        self.error = None

    def passed(self, thresholds: Thresholds, now: float) -> Flip | None:
        """Count a probe that passed."""
        self.passes += 1
        self._forget_failures()
        if self.health == UNKNOWN:
            return self._flip(HEALTHY, "its first probe passed")
        if self.health == UNHEALTHY and self.passes >= thresholds.rise and now >= self.held_until:
            return self._flip(HEALTHY, f"{_many(self.passes, 'probe')} passed in a row")
        return None

    def failed(self, thresholds: Thresholds, now: float, why: str) -> Flip | None:
        """Count a probe that failed."""
        self.failures += 1
        self.passes = 0
        if self.health == UNHEALTHY or self.failures < thresholds.fall:
            return None
        self.falls.append(now)
        hold = hold_of(self.falls, now)
        self.held_until = now + hold
        return self._flip(UNHEALTHY, f"{why} ({self._counted()}){_held(hold)}")

    def reported_by(self, report: Report, thresholds: Thresholds) -> bool:
        """
        Count what a worker has seen; whether to probe at once.

        A failing report is one failure, and ``fall`` - 1 if the worker has ejected the instance;
        never more than ``fall`` - 1 in a row, so that the last word has a probe. Of one that is
        unhealthy none counts: a gateway that can't reach it would keep it from all others.
        """
        if self.health == UNHEALTHY:
            return False
        if report.is_failing:
            self.passes = 0
            most = thresholds.fall - 1 - self.failures
            counts = max(0, min(most, thresholds.fall - 1 if report.is_ejected else 1))
            self.failures += counts
            self.reported += counts
            self.error = report.error if self.reported else None
        return report.failures > 0

    def _flip(self, health: str, reason: str) -> Flip:
        self.health, self.reason = health, reason
        return Flip(health, reason)

    def _counted(self) -> str:
        counted = f"{_many(self.failures, 'failure')} in a row"
        if not self.reported:
            return counted
        named = f": {self.error}" if self.error else ""
        return f"{counted}, {self.reported} of them by what gateways report{named}"


def hold_of(falls: Iterable[float], now: float) -> float:
    """Return for how many seconds to hold down who has become unhealthy at these times."""
    recent = sum(1 for at in falls if at > now - FLAP_WINDOW_SECONDS)
    if recent <= FREE_FALLS:
        return 0.0
    hold: float = FIRST_HOLD_SECONDS * 2.0 ** (recent - FREE_FALLS - 1)
    return min(hold, MAX_HOLD_SECONDS)


def _held(hold: float) -> str:
    return f"; held down for {hold:g} s at least, for it comes and goes" if hold else ""


def _many(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")
