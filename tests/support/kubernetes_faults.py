"""What goes wrong in a pretended cluster, and how often."""

from __future__ import annotations

from threading import Lock
from typing import Any, NamedTuple

from fengling_gateway.kubernetes.resources import Resource


class Refusal(NamedTuple):
    """An answer in place of the right one; with `reason` empty, plain text."""

    status: int
    reason: str
    message: str
    retry_after: int | None = None


class _Fault:
    def __init__(
        self, kind: str, verb: str | None, resource: Resource | None, times: float, what: Any
    ) -> None:
        self.kind = kind
        self.verb = verb
        self.resource = resource
        self.left = times
        self.what = what

    def concerns(self, kind: str, verb: str, resource: Resource | None) -> bool:
        return (
            self.kind == kind
            and self.left > 0
            and self.verb in (None, verb)
            and self.resource in (None, resource)
        )


class Faults:
    """
    Faults that are switched on. Any thread may call.

    Each concerns a verb (``list``, ``watch``, ``get``, ``update``, …) and a resource, or all of
    them, so many times, or until they are healed.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._faults: list[_Fault] = []

    def refuse(
        self,
        status: int,
        *,
        verb: str | None = None,
        resource: Resource | None = None,
        times: float = float("inf"),
        reason: str = "",
        message: str = "out of order",
        retry_after: int | None = None,
    ) -> None:
        """Answer with a status."""
        refusal = Refusal(status, reason, message, retry_after)
        self._add("refuse", verb, resource, times, refusal)

    def stall(
        self,
        *,
        verb: str | None = None,
        resource: Resource | None = None,
        times: float = float("inf"),
    ) -> None:
        """Read the request, and never answer."""
        self._add("stall", verb, resource, times, None)

    def trickle(
        self,
        bytes_per_second: float,
        *,
        verb: str | None = None,
        resource: Resource | None = None,
        times: float = float("inf"),
    ) -> None:
        """Answer slowly."""
        self._add("trickle", verb, resource, times, bytes_per_second)

    def break_line(self, *, resource: Resource | None = None, times: float = 1) -> None:
        """Send half of the next event of a watch, and break the connection."""
        self._add("break", "watch", resource, times, None)

    def garble(self, line: bytes, *, resource: Resource | None = None, times: float = 1) -> None:
        """Say a line in place of the next events of a watch."""
        self._add("garble", "watch", resource, times, line)

    def mute(self, *, resource: Resource | None = None) -> None:
        """Let watches be open, and say nothing, not even their end."""
        self._add("mute", "watch", resource, float("inf"), None)

    def heal(self) -> None:
        """Let everything be right from now on; what hangs already does so until it is broken."""
        with self._lock:
            self._faults.clear()

    def take(self, kind: str, verb: str, resource: Resource | None) -> _Fault | None:
        """Return a fault that concerns this, which it then has done once more."""
        with self._lock:
            for one in self._faults:
                if one.concerns(kind, verb, resource):
                    one.left -= 1
                    return one
        return None

    def _add(
        self, kind: str, verb: str | None, resource: Resource | None, times: float, what: Any
    ) -> None:
        with self._lock:
            self._faults.append(_Fault(kind, verb, resource, times, what))
