"""What the processes of a gateway use of their host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from prometheus_client.core import Metric

from fengling_gateway.observability import metrics
from fengling_gateway.observability.families import by_label

SUPERVISOR: Final = "supervisor"


def process_metrics(
    own: Mapping[str, Any], workers: Mapping[str, Mapping[str, Any]]
) -> Iterator[Metric]:
    """
    Yield the metrics of each process; with one worker, that is the supervisor's too.

    Args:
        own: what the supervisor tells.
        workers: what workers tell, by their names.
    """
    told = {SUPERVISOR: own, **workers}
    processes = {name: one["process_now"] for name, one in told.items() if "process_now" in one}
    for key, declared in metrics.PROCESS_COUNTERS.items():
        counter = declared.counter()
        for name, value in _known(processes, key):
            counter.add_metric([name], value)
        yield counter
    for key, declared in metrics.PROCESS_GAUGES.items():
        yield by_label(declared, dict(_known(processes, key)))
    collections = metrics.COLLECTIONS.counter()
    for name, process in processes.items():
        for generation, count in enumerate(process["collections"]):
            collections.add_metric([name, str(generation)], count)
    yield collections


def _known(processes: Mapping[str, Mapping[str, Any]], key: str) -> Iterator[tuple[str, float]]:
    """Yield a value of each process, where the system tells it."""
    for name, process in processes.items():
        if process[key] is not None:
            yield name, process[key]
