"""How long changes of the configuration take: to be read, and from their commit to each worker."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

from fengling_gateway.configsource.reading import Reading
from fengling_gateway.control.histogram import Histogram
from fengling_gateway.model.delta import Delta, Position
from fengling_gateway.supervisor.link import WorkerLink

MAX_COMMITS: Final = 1000
"""Revisions of which the commits are known; a worker that is further behind is counted less."""


class ConfigTimes:
    """
    Those of this host.

    A revision counts once for each worker that has served one before it. What was held, or
    had happened before this host read the source for the first time, waited for other
    reasons than us, and counts for none.
    """

    def __init__(self) -> None:
        self._reload = Histogram()
        self._propagation = Histogram()
        self._commits: OrderedDict[tuple[str, int], float] = OrderedDict()
        self._served: dict[WorkerLink, Position] = {}
        self._was_held = False

    def __repr__(self) -> str:
        return f"<ConfigTimes {self._propagation!r}>"

    def published(self, delta: Delta, reading: Reading, *, seconds: float) -> None:
        """
        What a look has found has been published to workers.

        Args:
            seconds: since that look began.
        """
        self._reload.add(seconds)
        was_held, self._was_held = self._was_held, False
        follows = reading.before is not None or reading.continues
        if delta.before is None or not follows:
            self._commits.clear()  # they may have been another past's
            return
        if was_held:
            return
        for one in reading.revisions:
            if delta.before.revision < one.revision <= delta.after.revision:
                self._commits[delta.after.epoch, one.revision] = one.committed_at
        while len(self._commits) > MAX_COMMITS:
            self._commits.popitem(last=False)

    def held(self, what: object) -> None:
        """A revision is held from now on, or (None) none is any more."""
        self._was_held = what is None

    def applied(self, link: WorkerLink) -> None:
        """A worker serves another position than before."""
        position, applied_at = link.served.position, link.served.applied_at
        if position is None or applied_at is None:
            return
        before = self._served.get(link)
        self._served[link] = position
        if before is None or before.epoch != position.epoch:
            return
        for (epoch, revision), committed_at in reversed(self._commits.items()):
            if revision <= before.revision:
                break
            if epoch == position.epoch and revision <= position.revision:
                # Clocks differ, and nothing is served before its commit.
                self._propagation.add(max(0.0, applied_at - committed_at))

    def gone(self, link: WorkerLink) -> None:
        """A worker has ended."""
        self._served.pop(link, None)

    def to_json(self) -> dict[str, Any]:
        """Return the histograms, by what they are of."""
        return {"reload": self._reload.to_json(), "propagation": self._propagation.to_json()}
