"""Workers that a former supervisor has left behind, and their sockets."""

from __future__ import annotations

from pathlib import Path

from twisted.logger import Logger

from fengling_gateway.supervisor.sockets import ListenerSockets
from fengling_gateway.worker.handoff import Legacy, collect_legacies

_log = Logger()


class Legacies:
    """Those that still serve; true while there are any."""

    def __init__(self) -> None:
        self._legacies: list[Legacy] = []

    def __bool__(self) -> bool:
        return bool(self._legacies)

    def collect(self, runtime_dir: Path, sockets: ListenerSockets) -> None:
        """Have them hand over their sockets; what is not of our listeners is closed."""
        adopted = False
        for legacy in collect_legacies(runtime_dir):
            self._legacies.append(legacy)
            taken = [sockets.adopt(name, by_slot) for name, by_slot in legacy.sockets.items()]
            adopted |= any(taken)
            if not all(taken):
                legacy.close_sockets_except(sockets.by_listener)
        count = sum(1 for legacy in self._legacies if legacy.sockets)
        if adopted:
            _log.info(
                "adopted the sockets of {count} workers without a supervisor",
                count=count,
                log_id="worker.adopted",
            )

    def retire(self) -> None:
        """Have them drain: ours serve."""
        legacies, self._legacies = self._legacies, []
        for legacy in legacies:
            legacy.drain()
