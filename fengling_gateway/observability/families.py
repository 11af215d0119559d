"""Makes metrics, as prometheus-client has them, of what is declared and plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from fengling_gateway.observability.metrics import Declared

_PIECE_SAMPLES: Final = 500
"""Samples rendered in one go: 3 to 4 ms. Eight workers may have 60,000."""

_Family = TypeVar("_Family", CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily)


def parts(begin: Callable[[], _Family], samples: Iterable[tuple[Any, ...]]) -> Iterator[_Family]:
    """Yield a metric in parts of some `_PIECE_SAMPLES`; one part where it has none."""
    family = begin()
    for sample in samples:
        family.add_metric(*sample)
        if len(family.samples) >= _PIECE_SAMPLES:
            yield family
            family = begin()
    yield family


def cumulated(bounds: list[float], buckets: list[int]) -> list[tuple[str, float]]:
    """Return the buckets of a histogram, each with those below it, by their upper bounds."""
    total, found = 0, []
    for bound, count in zip([*bounds, float("inf")], buckets, strict=True):
        total += count
        found.append(("+Inf" if bound == float("inf") else str(bound), float(total)))
    return found


def single(declared: Declared, value: float | None) -> Metric:
    """Return a gauge without labels; without a sample where there is no value."""
    gauge = declared.gauge()
    if value is not None:
        gauge.add_metric([], value)
    return gauge


def by_label(declared: Declared, values: Mapping[str, float]) -> Metric:
    """Return a gauge with one label."""
    gauge = declared.gauge()
    for name, value in values.items():
        gauge.add_metric([name], value)
    return gauge
