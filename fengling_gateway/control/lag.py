"""How late the reactor runs what is due, and how much of that is its own doing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime

from fengling_gateway.control.histogram import Histogram

_INTERVAL_SECONDS: Final = 0.05
_SCHEDSTAT: Final = Path("/proc/thread-self/schedstat")


def seconds_without_cpu() -> float:
    """
    Return how long this thread has been ready to run and waited for a CPU, ever.

    0.0 on systems that don't tell.
    """
    try:
        return int(_SCHEDSTAT.read_bytes().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


class LagProbe:
    """
    Measures, by a timer that should fire every 50 ms, the longest delay of the reactor.

    *Lag* is the whole delay. *Blocked* is lag less the time in which the thread
    waited for a CPU: what is left is what the reactor itself was doing, or was
    waiting for in a system call.

    Attributes:
        lags: the lag each time that the timer has fired.
    """

    def __init__(
        self, *, clock: IReactorTime, waited: Callable[[], float] = seconds_without_cpu
    ) -> None:
        self._clock = clock
        self._waited = waited
        self._timer: Any = None
        self._due = 0.0
        self._waited_before = 0.0
        self._longest = (0.0, 0.0)
        self.lags = Histogram()
        self.longest_ever_ms = 0.0
        self.longest_blocked_ms = 0.0

    def start(self) -> None:
        self._waited_before = self._waited()
        self._due = self._clock.seconds() + _INTERVAL_SECONDS
        self._timer = self._clock.callLater(_INTERVAL_SECONDS, self._fire)

    def stop(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def take_longest_ms(self) -> tuple[float, float]:
        """Return the longest lag and the longest blocking since the last call, in milliseconds."""
        longest, self._longest = self._longest, (0.0, 0.0)
        return longest

    def _fire(self) -> None:
        late = max(0.0, self._clock.seconds() - self._due)
        self.lags.add(late)
        blocked = max(0.0, late - (self._waited() - self._waited_before))
        longest_lag, longest_blocked = self._longest
        self._longest = max(longest_lag, late * 1000), max(longest_blocked, blocked * 1000)
        self.longest_ever_ms = max(self.longest_ever_ms, late * 1000)
        self.longest_blocked_ms = max(self.longest_blocked_ms, blocked * 1000)
        self.start()
