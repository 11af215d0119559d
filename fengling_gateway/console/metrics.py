"""The console's own metrics, as text for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry


def render(mirror: Any, store: Any, fleet: Any, events: Any, refusals: Mapping[str, int]) -> str:
    """Return all metrics."""
    registry = CollectorRegistry()
    registry.register(_Collected([*_metrics(mirror, store, fleet, events, refusals)]))
    return generate_latest(registry).decode()


class _Collected(Collector):
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics


def _metrics(
    mirror: Any, store: Any, fleet: Any, events: Any, refusals: Mapping[str, int]
) -> Iterator[Metric]:
    position = mirror.position
    yield GaugeMetricFamily(
        "fengling_console_config_revision",
        "The newest revision that is known here.",
        0 if position is None else position.revision,
    )
    yield GaugeMetricFamily(
        "fengling_console_config_readable",
        "Whether the database can be read.",
        float(not mirror.problem),
    )
    yield GaugeMetricFamily(
        "fengling_console_config_rejected_entities",
        "Entities whose newest version is rejected.",
        len(mirror.config.rejected),
    )
    yield CounterMetricFamily(
        "fengling_console_store_questions", "Questions to the database.", store.questions
    )
    yield CounterMetricFamily(
        "fengling_console_store_failures",
        "Questions that the database did not answer, or connections that could not be had.",
        store.failures,
    )
    yield GaugeMetricFamily(
        "fengling_console_live_nodes",
        "Gateways seen of late.",
        sum(1 for one in fleet.states.values() if one.get("live")),
    )
    yield GaugeMetricFamily(
        "fengling_console_event_streams", "Pages that are told what happens.", len(events)
    )
    yield CounterMetricFamily("fengling_console_events", "Events told.", events.told)
    refused = CounterMetricFamily(
        "fengling_console_refusals", "Requests that were refused, by problem.", labels=("code",)
    )
    for code, count in sorted(refusals.items()):
        refused.add_metric((code,), count)
    yield refused
