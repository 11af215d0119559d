"""Replaces the workers of all slots, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from twisted.logger import Logger

from fengling_gateway.supervisor.link import WorkerLink
from fengling_gateway.supervisor.slot import Slot

_log = Logger()


class RollingRestart:
    """
    Goes from slot to slot, and gives up where a replacement does not come to serve.

    Args:
        launch: starts a worker; fails with `OSError`.
    """

    def __init__(self, *, slots: Sequence[Slot], launch: Callable[[Slot], WorkerLink]) -> None:
        self._slots = slots
        self._launch = launch
        self._remaining: Iterator[Slot] | None = None
        self._again = False
        self.begun = 0

    @property
    def is_under_way(self) -> bool:
        return self._remaining is not None

    def begin(self) -> None:
        """Replace every worker; a call during a restart adds one more."""
        if self._remaining is not None:
            self._again = True
            return
        self.begun += 1
        self._remaining = iter(self._slots)
        _log.info(
            "rolling restart begins: {count} workers, one after the other",
            count=len(self._slots),
            log_id="restart.begun",
        )
        self.proceed()

    def proceed(self) -> None:
        """Go on with the next slot, if a restart is under way: a replacement serves."""
        if self._remaining is None:
            return
        slot = next(self._remaining, None)
        if slot is None:
            self._remaining = None
            _log.info("rolling restart is complete", log_id="restart.done")
            if self._again:
                self._again = False
                self.begin()
        elif slot.current is None:
            self.proceed()  # it is being respawned, with new code, anyway
        else:
            self._replace(slot)

    def _replace(self, slot: Slot) -> None:
        try:
            slot.successor = self._launch(slot)
        except OSError as error:
            self.give_up(f"the replacement of w{slot.index} can't be started: {error}")

    def give_up(self, reason: str) -> None:
        """Leave the other workers as they are."""
        if self._remaining is not None:
            self.stop()
            _log.error(
                "rolling restart given up: {reason}; the old workers stay",
                reason=reason,
                log_id="restart.given_up",
            )

    def stop(self) -> None:
        self._remaining, self._again = None, False
