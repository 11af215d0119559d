"""What this node tells the others about itself, and when."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.interfaces import IReactorTime

from fengling_gateway import __version__
from fengling_gateway.supervisor.traffic import together
from fengling_gateway.supervisor.values import position_values, worker_values

if TYPE_CHECKING:
    from fengling_gateway.supervisor.supervisor import Supervisor

TELL_SECONDS: Final = 0.01
"""How long other nodes are not told of a change; the acknowledgements of all workers fit in."""


TRAFFIC_SECONDS: Final = 1.0
"""How often the other nodes are told in any case, for what there is to tell of traffic."""


class Telling:
    """Tells the other nodes soon, and each second: what happens together is told together."""

    def __init__(self, *, clock: IReactorTime, tell: Callable[[], None]) -> None:
        self._clock = clock
        self._tell = tell
        self._timer: Any = None
        self._again: Any = None
        self._stopped = False

    def start(self) -> None:
        """Tell each second from now on."""
        self._again = self._clock.callLater(TRAFFIC_SECONDS, self.start)
        self.soon()

    def soon(self) -> None:
        if self._timer is None and not self._stopped:
            self._timer = self._clock.callLater(TELL_SECONDS, self.now)

    def now(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        self._tell()

    def stop(self) -> None:
        """Tell for the last time."""
        self.now()
        self._stopped = True
        if self._again is not None:
            self._again.cancel()
            self._again = None


def node_values(supervisor: Supervisor, *, now: float) -> dict[str, Any]:
    """Return what this node tells the others, and consoles, about itself; ``now`` is monotonic."""
    loop, config, links = supervisor.loop, supervisor.config, supervisor.workers.links()
    return {
        "node": supervisor.settings.node,
        "version": __version__,
        "started_at": supervisor.started_on,
        "state": supervisor.state,
        "draining": supervisor.overrides.is_drained or supervisor.state == "draining",
        "health": supervisor.overrides.probing.health.state,
        "switches": [one.field for one in supervisor.overrides.switches.off],
        "position": position_values(supervisor.position),
        "pinned": supervisor.pinning.values(),
        "content_hash": f"{config.content_hash:032x}",
        "rejected": len(loop.config.rejected),
        "held": loop.held.revision if loop.held else None,
        "held_position": position_values(loop.held_position),
        "served_from": supervisor.served_from,
        "applied_ms": supervisor.narration.last_propagation_ms,
        "host": supervisor.bus.local_host,
        "listeners": [
            {"name": name, "address": where, "tls": tls}
            for name, where, tls in supervisor.listening()
        ],
        "traffic": together((link.traffic for link in links), now=now),
        "workers": [worker_values(link, now=now) for link in links],
    }
