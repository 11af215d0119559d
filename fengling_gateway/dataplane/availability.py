"""How many instances services have, and how many of them get requests: for whoever watches.

A host may have more services than anybody wants series of. So only some are told of by
name; of the others, what they have together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice
from typing import Final

from fengling_gateway.balancing.service import Service
from fengling_gateway.observability.places import OTHER
from fengling_gateway.routing.snapshot import Snapshot

SERVICES_AT_ONCE: Final = 100
"""Services looked at in one sweep: 80 µs. All 10,000 of a large host take ten seconds."""

MAX_SHORT: Final = 100
"""Services told of by name because some of their instances get nothing, whatever else is told."""

Standing = list[int]
"""How many instances there are, and how many of them get requests."""


class Availability:
    """
    Looks at a worker's services, some at each sweep.

    By name it tells of those that have histograms; of those that lack instances; and of
    others, as long as there are no more than could have histograms. Services that are
    switched off in the configuration are not told of: nobody misses their instances.

    Attributes:
        standings: what the last whole look has found, by id of the service; of `OTHER`
            what those have together that are not named.
    """

    __slots__ = ("_ahead", "_found", "_most", "_rest", "_short", "_unmeasured", "standings")

    def __init__(self, most: int) -> None:
        """
        Args:
            most: how many services can have histograms.
        """
        self._most = most
        self._ahead: Iterator[Service] | None = None
        self._found: dict[str, Standing] = {}
        self._rest: Standing = [0, 0]
        self._short = self._unmeasured = 0
        self.standings: dict[str, Standing] = {}

    def __repr__(self) -> str:
        return f"<Availability of {len(self.standings)} services>"

    def look(self, snapshot: Snapshot, measured: Collection[str]) -> None:
        """
        Look at some more services.

        Args:
            measured: the ids of those that have histograms.
        """
        if self._ahead is None:
            # Services are never replaced in what is iterated: a snapshot stays as it is.
            self._ahead = iter(snapshot.services.values())
        some = list(islice(self._ahead, SERVICES_AT_ONCE))
        for service in some:
            if service.enabled:
                self._note(service, measured)
        if len(some) < SERVICES_AT_ONCE:
            self._end()

    def _note(self, service: Service, measured: Collection[str]) -> None:
        standing = [len(service.states), service.available]
        name = service.id
        if name == OTHER:
            is_named = False  # it would be a second series of these labels
        elif name in measured:
            is_named = True
        elif self._unmeasured < self._most - len(measured):
            is_named = True
            self._unmeasured += 1
        else:
            is_named = standing[0] > standing[1] and self._short < MAX_SHORT
            self._short += is_named
        if is_named:
            self._found[name] = standing
        else:
            self._rest[0] += standing[0]
            self._rest[1] += standing[1]

    def _end(self) -> None:
        if self._rest[0]:
            self._found[OTHER] = self._rest
        self.standings = self._found
        self._ahead = None
        self._found, self._rest = {}, [0, 0]
        self._short = self._unmeasured = 0
