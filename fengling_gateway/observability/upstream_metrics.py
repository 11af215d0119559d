"""Gauges of services, made of what each worker tells of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.core import Metric

from fengling_gateway.observability import metrics
from fengling_gateway.observability.families import parts

Workers = Mapping[str, Mapping[str, Any]]


def upstream_metrics(workers: Workers) -> Iterator[Metric]:
    """Yield them, those with many samples in parts."""
    standings = _worst_standings(workers)
    configured = (([name], one[0]) for name, one in standings.items())
    available = (([name], one[1]) for name, one in standings.items())
    yield from parts(metrics.INSTANCES.gauge, configured)
    yield from parts(metrics.INSTANCES_AVAILABLE.gauge, available)


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
    return worst


def _share(standing: list[int]) -> float:
    configured, available = standing
    return available / configured if configured else 0.0
