"""What whoever probes knows and needs: of one instance, of the configuration, of the world."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred

from fengling_gateway.health.outcomes import Outcome
from fengling_gateway.health.targets import LiveBodies, Target
from fengling_gateway.health.verdicts import UNKNOWN, Report, Standing
from fengling_gateway.health.writing import Finding
from fengling_gateway.model.entity import Key


class LiveConfiguration(Protocol):
    """
    The effective configuration, followed as it changes.

    Attributes:
        bodies: canonical bodies as they are now, by kind and id.
    """

    @property
    def bodies(self) -> LiveBodies: ...

    def when_changed(self, told: Callable[[Collection[Key] | None], None]) -> Callable[[], None]:
        """
        Have `told` called after each change, with what may be another (None: anything).

        Returns:
            what ends that.
        """


class Verdicts(Protocol):
    """Where verdicts go; see `fengling_gateway.health.writing.Writer`."""

    def put(self, finding: Finding) -> None: ...

    def __contains__(self, instance_id: str) -> bool: ...


class StartedProbe(Protocol):
    """See `fengling_gateway.health.probing.Probe`."""

    def start(self) -> None: ...

    def cancel(self) -> None: ...


class Prober(Protocol):
    """Makes probes; see `fengling_gateway.health.probing.Probing`."""

    def new(self, target: Target, done: Callable[[Outcome], None]) -> StartedProbe: ...

    def release(self, target: Target) -> None: ...


class World(NamedTuple):
    """Time and chance: a clock with calls, seconds since the epoch, randomness."""

    clock: Any
    wall: Callable[[], float]
    rng: Random


@dataclass
class WatchCounts:
    """How often what happened."""

    passed: int = 0
    failed: int = 0
    unjudged: int = 0
    flips: int = 0
    adopted: int = 0
    reports: int = 0
    reports_ignored: int = 0


@dataclass(slots=True, eq=False)
class Watched:
    """
    One instance that is probed.

    Attributes:
        since: from when on its verdict is what it is, by the calendar; None: not known.
        seen_at: when `outcome` was, by the calendar.
        heard_at: when a gateway told of it last, by the clock; then ``report`` is what.
        ours_until: what the configuration says of it until then may be older than our own word.
        is_doubted: whether the configuration has said something since that we don't.
        asked: who waits for the next outcome.
    """

    target: Target
    standing: Standing
    since: float | None
    heard_at: float
    probe: StartedProbe | None = None
    outcome: Outcome | None = None
    seen_at: float | None = None
    report: tuple[str, Report] | None = None
    ours_until: float = float("-inf")
    is_doubted: bool = False
    asked: list[Deferred[Outcome]] = field(default_factory=list)

    def stop(self, outcome: Outcome) -> None:
        """Give up the probe that is under way, if there is one, and tell who waits for it."""
        probe, self.probe = self.probe, None
        if probe is not None:
            probe.cancel()
        self.tell(outcome)

    def tell(self, outcome: Outcome) -> None:
        asked, self.asked = self.asked, []
        for one in asked:
            if not one.called:
                one.callback(outcome)


class Resting(NamedTuple):
    """What is kept of an instance that is not probed for a while."""

    address: str
    standing: Standing
    since: float | None


def reported(bodies: LiveBodies, instance_id: str) -> tuple[str, str | None]:
    """Return what the configuration says of an instance, and why."""
    body = bodies["instance_health"].get(instance_id)
    if body is None:
        return UNKNOWN, None
    fields = json.loads(body)
    return fields["health"], fields["reason"]
