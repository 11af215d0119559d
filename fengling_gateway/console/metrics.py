"""The console's own metrics, as text for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry


def render(
    mirror: Any,
    store: Any,
    fleet: Any,
    events: Any,
    refusals: Mapping[str, int],
    discovery: Any = None,
) -> str:
    """
    Return all metrics.

    Args:
        discovery: what follows a cluster (`kubernetes.discovery.Discovery`); None: nothing does.
    """
    registry = CollectorRegistry()
    found = [*_metrics(mirror, store, fleet, events, refusals)]
    if discovery is not None:
        found += _of_cluster(discovery.is_mine, discovery.status(), discovery.counts)
    registry.register(_Collected(found))
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


def _of_cluster(is_mine: bool, status: Mapping[str, Any], counts: Any) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "fengling_console_kubernetes_following",
        "Whether this console is the one that follows the cluster.",
        float(is_mine),
    )
    objects = GaugeMetricFamily(
        "fengling_console_kubernetes_objects", "Objects that are known.", labels=("resource",)
    )
    broken = GaugeMetricFamily(
        "fengling_console_kubernetes_resources_broken",
        "Whether a resource that the cluster has can't be watched now; what was known counts on.",
        labels=("resource",),
    )
    for resource, known, is_broken in _by_resource(status.get("resources", ())):
        objects.add_metric((resource,), known)
        broken.add_metric((resource,), is_broken)
    yield objects
    yield broken
    writing = status.get("writing", {})
    yield GaugeMetricFamily(
        "fengling_console_kubernetes_entities_waiting",
        "Entities that the cluster wants otherwise, and that are not written yet.",
        writing.get("waiting", 0),
    )
    yield GaugeMetricFamily(
        "fengling_console_kubernetes_entities_refused",
        "Entities that can't be written as the cluster wants them.",
        writing.get("refused", 0),
    )
    yield GaugeMetricFamily(
        "fengling_console_kubernetes_routes_withheld",
        "Routes that the cluster has no more, and that are kept until somebody confirms it.",
        (writing.get("removal") or {}).get("routes", 0),
    )
    yield CounterMetricFamily(
        "fengling_console_kubernetes_revisions", "Revisions that were made.", counts.revisions
    )
    yield CounterMetricFamily(
        "fengling_console_kubernetes_write_failures",
        "Transactions that failed, those included that are tried again at once.",
        counts.failures,
    )


def _by_resource(resources: Any) -> Iterator[tuple[str, int, int]]:
    """Yield each resource once, however many namespaces it is watched in."""
    names = sorted({one["resource"] for one in resources})
    for name in names:
        mine = [one for one in resources if one["resource"] == name]
        broken = any(
            one["problem"] and not (one["state"] == "absent" and one.get("is_optional"))
            for one in mine
        )
        yield name, sum(one["objects"] for one in mine), int(broken)
