"""What a worker tells its supervisor about what it serves, and what it misses."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime

from fengling_gateway.control.encoding import position_to_json
from fengling_gateway.control.frames import Message
from fengling_gateway.control.lag import LagProbe
from fengling_gateway.model.delta import Position
from fengling_gateway.worker.applier import Applied, Applier

HEARTBEAT_SECONDS: Final = 1.0


class Reports:
    """
    Says it, and each second from `start` on a heartbeat, and what there is to tell of instances.

    Args:
        applier: has what is served.
        send: sends a message with its values.
        overload: the name of what is done without for want of memory.
        totals: what has been served until now; see `Counters.totals`.
        evidence: what requests have shown of instances since it was last asked; None:
            nothing that is worth telling.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        applier: Applier,
        send: Callable[[Message, dict[str, Any]], None],
        overload: Callable[[], str],
        totals: Callable[[], dict[str, Any]],
        evidence: Callable[[], dict[str, Any] | None],
    ) -> None:
        self._clock = clock
        self._totals = totals
        self._evidence = evidence
        self._overload = overload
        self._applier = applier
        self._send = send
        self._lag = LagProbe(clock=clock)
        self._heartbeat: Any = None

    def start(self) -> None:
        self._lag.start()
        self._beat()

    def stop(self) -> None:
        self._lag.stop()
        if self._heartbeat is not None and self._heartbeat.active():
            self._heartbeat.cancel()

    def applied(self, applied: Applied) -> None:
        """Acknowledge a delta."""
        self._send(
            Message.APPLIED,
            {
                "position": position_to_json(self._applier.position),
                "content_hash": f"{self._applier.content_hash:032x}",
                "applied_at": time.time(),
                "committed_at": applied.delta.committed_at,
                "received_bytes": applied.received_bytes,
                "compiled": applied.compiled,
                "failed": applied.failed,
                "refused": applied.refused,
                "refused_total": applied.refused_total,
            },
        )

    def lags(self) -> dict[str, Any]:
        """Return how late the reactor has been, fit for JSON; see `Histogram.to_json`."""
        return self._lag.lags.to_json()

    def catch_up(self, reason: str, wanted: Position | None, *, from_nothing: bool = False) -> None:
        """Ask for what is missing: what follows what is served, or everything."""
        position = None if from_nothing else self._applier.position
        content_hash = 0 if from_nothing else self._applier.content_hash
        self._send(
            Message.CATCH_UP,
            {
                "reason": reason,
                "position": position_to_json(position),
                "content_hash": f"{content_hash:032x}",
                "wanted": position_to_json(wanted),
            },
        )

    def _beat(self) -> None:
        self._heartbeat = self._clock.callLater(HEARTBEAT_SECONDS, self._beat)
        position = self._applier.position
        lag, blocked = self._lag.take_longest_ms()
        self._send(
            Message.HEARTBEAT,
            {
                "lag_ms": round(lag, 1),
                "blocked_ms": round(blocked, 1),
                "revision": position.revision if position else None,
                "overload": self._overload(),
                "totals": self._totals(),
            },
        )
        evidence = self._evidence()
        if evidence is not None:
            self._send(Message.EVIDENCE, evidence)
