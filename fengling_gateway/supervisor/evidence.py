"""What requests have shown of instances, gathered of all workers and told to consoles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime

from fengling_gateway.syncbus.messages import MAX_EVIDENCE_INSTANCES

TELL_SECONDS: Final = 1.0
"""Between two tellings. A worker tells as often, so nothing waits for much longer than this."""

MAX_WAITING: Final = 10_000
"""Instances that wait to be told of; those of a failed one go first."""

Seen = dict[str, Any]
"""Of one instance, as `Message.EVIDENCE` has it."""


class Evidence:
    """
    Gathers it, and tells it at most once a second; nothing where there is nothing.

    Args:
        publish: told by ids of instances; never raises.
    """

    def __init__(self, *, clock: IReactorTime, publish: Callable[[dict[str, Seen]], None]) -> None:
        self._clock = clock
        self._publish = publish
        self._waiting: dict[str, Seen] = {}
        self._told_at = float("-inf")
        self._timer: Any = None
        self.dropped = 0
        """Instances of which nothing was told, for want of room."""

    def seen(self, instances: dict[str, Seen]) -> None:
        """A worker has told."""
        for name, one in instances.items():
            known = self._waiting.get(name)
            if known is not None:
                self._waiting[name] = _both(known, one)
            elif len(self._waiting) < MAX_WAITING:
                self._waiting[name] = one
            else:
                self.dropped += 1
        if self._waiting and self._timer is None:
            wait = max(0.0, self._told_at + TELL_SECONDS - self._clock.seconds())
            self._timer = self._clock.callLater(wait, self._tell)

    def stop(self) -> None:
        """Leaves no timer; what waits is dropped."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell(self) -> None:
        self._timer = None
        self._told_at = self._clock.seconds()
        waiting, self._waiting = self._waiting, {}
        if len(waiting) > MAX_EVIDENCE_INSTANCES:
            failing = sorted(waiting.items(), key=_failures, reverse=True)
            self.dropped += len(waiting) - MAX_EVIDENCE_INSTANCES
            waiting = dict(failing[:MAX_EVIDENCE_INSTANCES])
        self._publish(waiting)


def _both(before: Seen, after: Seen) -> Seen:
    """Put together what two workers say, or one at two times: the later error, the longer absence."""
    ejected = [one for one in (before["ejected_for"], after["ejected_for"]) if one is not None]
    return {
        "failures": before["failures"] + after["failures"],
        "successes": before["successes"] + after["successes"],
        "error": after["error"] or before["error"],
        "ejected_for": max(ejected, default=None),
    }


def _failures(item: tuple[str, Seen]) -> tuple[int, bool]:
    _, seen = item
    return seen["failures"], seen["ejected_for"] is not None
