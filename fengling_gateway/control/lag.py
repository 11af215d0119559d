"""How late the reactor runs what is due."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.interfaces import IReactorTime

_INTERVAL_SECONDS: Final = 0.05


class LagProbe:
    """Measures, by a timer that should fire every 50 ms, the longest delay of the reactor."""

    def __init__(self, *, clock: IReactorTime) -> None:
        self._clock = clock
        self._timer: Any = None
        self._due = 0.0
        self._longest = 0.0
        self.longest_ever_ms = 0.0

    def start(self) -> None:
        self._due = self._clock.seconds() + _INTERVAL_SECONDS
        self._timer = self._clock.callLater(_INTERVAL_SECONDS, self._fire)

    def stop(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def take_longest_ms(self) -> float:
        """Return the longest delay since the last call, in milliseconds."""
        longest, self._longest = self._longest, 0.0
        return longest

    def _fire(self) -> None:
        late_ms = max(0.0, self._clock.seconds() - self._due) * 1000
        self._longest = max(self._longest, late_ms)
        self.longest_ever_ms = max(self.longest_ever_ms, late_ms)
        self.start()
