"""Gauges of connections and instances, made of what each worker tells of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from heapq import nsmallest
from typing import Any, Final

from prometheus_client.core import Metric

from fengling_gateway.observability import metrics
from fengling_gateway.observability.families import by_label, parts
from fengling_gateway.observability.places import OTHER

Values = Mapping[str, Any]
Workers = Mapping[str, Values]

MAX_SERVICES: Final = 200
"""With series of their own, of which each has six: each worker names fewer, mostly the same ones."""


def connection_metrics(workers: Workers) -> Iterator[Metric]:
    """Yield them, those with many samples in parts."""
    yield by_label(metrics.CONNECTIONS_BY_STATE, _by_state(workers.values()))
    pools = _pools(workers.values())
    yield from parts(metrics.POOL_CONNECTIONS.gauge, _pool_states(pools))
    waiting = (([name], one[-1]) for name, one in pools.items())
    yield from parts(metrics.POOL_WAITING.gauge, waiting)
    standings = _worst_standings(workers)
    configured = (([name], one[0]) for name, one in standings.items())
    available = (([name], one[1]) for name, one in standings.items())
    yield from parts(metrics.INSTANCES.gauge, configured)
    yield from parts(metrics.INSTANCES_AVAILABLE.gauge, available)


def _by_state(all_values: Iterable[Values]) -> dict[str, int]:
    """Return how many clients' connections are in each state: of which one has one request at most."""
    found = dict.fromkeys(metrics.CONNECTION_STATES, 0)
    for values in all_values:
        under_way = values.get("in_flight_now", 0)
        tunnels, opening = values.get("tunnels_now", 0), values.get("opening_now", 0)
        found["tunnel"] += tunnels
        found["handshake"] += opening
        found["serving"] += under_way - tunnels
        found["idle"] += values.get("connections_now", 0) - opening - under_way
    return found


def _pools(all_values: Iterable[Values]) -> dict[str, list[int]]:
    """Return what the pools of each service have, of all workers together."""
    found: dict[str, list[int]] = {}
    for values in all_values:
        for name, counts in values.get("pools_now", {}).items():
            sums = found.setdefault(name, [0] * len(counts))
            for index, number in enumerate(counts):
                sums[index] += number
    for name in [one for one in found if one != OTHER][MAX_SERVICES:]:
        sums = found.setdefault(OTHER, [0] * len(found[name]))
        for index, number in enumerate(found.pop(name)):
            sums[index] += number
    return found


def _pool_states(pools: Mapping[str, list[int]]) -> Iterator[tuple[list[str], int]]:
    for name, counts in pools.items():
        for state, number in zip(metrics.POOL_STATES, counts[:-1], strict=True):
            yield [name, state], number


def _worst_standings(workers: Workers) -> dict[str, list[int]]:
    """
    Return how many instances each service has, and how many of them get requests.

    Workers see the latter each for itself. Both numbers are those of the worker by which
    the fewest do, so that one can be divided by the other.
    """
    worst: dict[str, list[int]] = {}
    for values in workers.values():
        for name, standing in values.get("instances_now", {}).items():
            other = worst.get(name)
            if other is None or _share(standing) < _share(other):
                worst[name] = standing
    if len(worst) <= MAX_SERVICES:
        return worst
    # The others are whole, or nearly so; who does not name them counts them among its others.
    others = worst.pop(OTHER, None)
    kept = nsmallest(MAX_SERVICES, worst.items(), key=lambda one: _share(one[1]))
    return dict(kept) if others is None else {**dict(kept), OTHER: others}


def _share(standing: list[int]) -> float:
    configured, available = standing
    return available / configured if configured else 0.0
