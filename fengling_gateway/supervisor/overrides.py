"""What holds on this node beside the configuration, and what workers are told of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from fengling_gateway.configsource.reading import ProberRow
from fengling_gateway.supervisor.link import WorkerLink
from fengling_gateway.supervisor.probing import Probing
from fengling_gateway.supervisor.switch_board import SwitchBoard, Words

_log = Logger()


class Overrides:
    """
    What is switched off, whether verdicts on instances are stale, and whether the node is drained.

    Args:
        links: the workers there are.
        read_switches: asks Redis for what is switched off.
        read_prober: asks the database who probes; None where there is none.
        stale_after: seconds after which nobody does.
        changed: told when other nodes should hear of it.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        links: Callable[[], Iterable[WorkerLink]],
        read_switches: Callable[[], Deferred[Words]],
        read_prober: Callable[[], Deferred[ProberRow | None]] | None,
        stale_after: float,
        changed: Callable[[], None],
    ) -> None:
        self._links = links
        self._told_of_change = changed
        self.is_drained = False
        """Whether clients are sent elsewhere: not ready, and no connection is kept."""
        self.switches = SwitchBoard(
            clock=clock, wall=time.time, read=read_switches, changed=self._changed
        )
        self.probing = Probing(
            clock=clock, read=read_prober, stale_after=stale_after, changed=self._changed
        )

    def start(self) -> None:
        self.switches.start()
        self.probing.start()

    def stop(self) -> None:
        """Leaves no timer."""
        self.switches.stop()
        self.probing.stop()

    def drain(self, on: bool, *, by: str) -> None:
        """Send clients elsewhere, or no longer; who comes all the same is served."""
        if on == self.is_drained:
            return
        self.is_drained = on
        how = "drained: not ready, and connections end with their next answer" if on else "back"
        _log.info(
            "this node is {how}, as {by} asks",
            log_id="node.drained" if on else "node.back",
            how=how,
            by=by,
        )
        self._changed()

    def tell(self, link: WorkerLink) -> None:
        """Tell a worker; each is told before its first configuration."""
        link.override(self.values())

    def values(self) -> dict[str, Any]:
        """Return what workers are told; see `Message.OVERRIDES`."""
        return {
            "routes": self.switches.ids("route"),
            "instances": self.switches.ids("instance"),
            "health_is_stale": self.probing.is_stale,
            "is_draining": self.is_drained,
        }

    def status(self) -> dict[str, Any]:
        """Return all of it, for the status of this node."""
        return {
            "drained": self.is_drained,
            "health": {**self.probing.health.values(), "failed_reads": self.probing.failures},
            "switched_off": [asdict(one) for one in self.switches.off],
        }

    def _changed(self) -> None:
        for link in self._links():
            self.tell(link)
        self._told_of_change()
