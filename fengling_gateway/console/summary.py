"""How everything is, in one answer: what the home page says in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from fengling_gateway.console.call import Answer, Call
from fengling_gateway.console.deserted import deserted_services
from fengling_gateway.console.fleet import FleetWatch
from fengling_gateway.console.mirror import Mirror
from fengling_gateway.console.sentence import sentences
from fengling_gateway.model.entity import Key

NAMED: Final = 5
"""Entities that are named; of more, how many."""

_TRAFFIC: Final = ("requests_per_s", "errors_per_s", "connections", "in_flight")


class Health(Protocol):
    """Who probes instances; `fengling_gateway.health` does."""

    def prober_status(self) -> dict[str, Any]: ...


class Summary:
    """
    Sums up.

    Args:
        health: None where this console does not probe.
        wall: seconds since the epoch.
    """

    def __init__(
        self,
        *,
        mirror: Mirror,
        fleet: FleetWatch,
        health: Health | None,
        wall: Callable[[], float],
    ) -> None:
        self._mirror = mirror
        self._fleet = fleet
        self._health = health
        self._wall = wall

    def summary(self, call: Call) -> Answer:
        call.access.require_all_tenants()
        call.only()
        return Answer(self.value())

    def value(self) -> dict[str, Any]:
        """Return it as JSON."""
        mirror = self._mirror
        position, settled, held = mirror.position, mirror.settled, mirror.is_held
        convergence = None if position is None else self._fleet.convergence(position).shown()
        live = [state for state in self._fleet.states.values() if state.get("live")]
        switches = _switched_off(live)
        deserted = deserted_services(mirror.snapshot, frozenset(switches), now=self._wall())
        value = {
            "position": None if position is None else position._asdict(),
            "late": [] if settled is None else self._fleet.convergence(settled).shown()["behind"],
            "listening": mirror.listening,
            "problem": mirror.problem,
            "held": None if held is None else held.describe(),
            "rejected": _named(mirror.config.rejected),
            "counts": dict(mirror.config.counts),
            "convergence": convergence,
            "fleet_problem": self._fleet.problem,
            "nodes": {"live": len(live), "known": len(self._fleet.states)},
            "draining": sorted(one["node"] for one in live if one.get("draining")),
            "pinned": sorted(
                f"{one['node']} ({one['pinned']['message']})" for one in live if one.get("pinned")
            ),
            "stale": sorted(one["node"] for one in live if one.get("health") == "stale"),
            "switches": switches,
            "deserted": _named(deserted),
            "health": self._health_of_instances(),
            "prober": None if self._health is None else self._health.prober_status(),
            "traffic": _traffic(live),
        }
        return {"sentences": [one._asdict() for one in sentences(value)], **value}

    def _health_of_instances(self) -> dict[str, Any]:
        """Count instances by what is known of them, and name those that are not healthy."""
        bodies = self._mirror.snapshot.bodies
        counts: Counter[str] = Counter()
        unhealthy = []
        for instance_id in bodies["instance"]:
            body = bodies["instance_health"].get(instance_id)
            health = "unknown" if body is None else _health(body)
            counts[health] += 1
            if health == "unhealthy":
                unhealthy.append(instance_id)
        return {
            **{name: counts[name] for name in ("healthy", "unhealthy", "unknown")},
            "named": sorted(unhealthy)[:NAMED],
        }


def _health(body: bytes) -> str:
    # (Canonical bodies have one spelling.)
    for name in ("unhealthy", "healthy"):
        if b'"health":"%s"' % name.encode() in body:
            return name
    return "unknown"


def _named(keys: Iterable[Key | str]) -> dict[str, Any]:
    found = [str(key) for key in keys]
    return {"count": len(found), "named": sorted(found)[:NAMED]}


def _switched_off(live: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted({name for state in live for name in state.get("switches") or ()})


def _traffic(live: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Add up what nodes tell; of latencies, the worst."""
    told = [state["traffic"] for state in live if state.get("traffic")]
    value: dict[str, Any] = {
        name: round(sum(one.get(name) or 0 for one in told), 1) for name in _TRAFFIC
    }
    for name in ("p50_ms", "p99_ms"):
        found = [one[name] for one in told if one.get(name) is not None]
        value[name] = max(found) if found else None
    return value
