"""Every metric of the gateway, and how the text for Prometheus is made of plain counters.

Counting is done where things happen, in plain integers; nothing there knows
this module. Names: ``fengling_<subsystem>_<noun>_<unit>[_total]``. Counters of
workers carry the label ``worker``: a replaced worker begins again at zero, and
a sum over workers would fall with it, which no reader of counters expects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from prometheus_client import generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from fengling_gateway.model.problems import label

STATUS_CLASSES: Final = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
"""Label values by index of a worker's ``by_class``; ``none``: it ended without an answer."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A metric as it is declared: what it counts, and by what."""

    name: str
    help: str
    labels: tuple[str, ...] = ()

    def counter(self) -> CounterMetricFamily:
        return CounterMetricFamily(self.name, self.help, labels=self.labels)

    def gauge(self) -> GaugeMetricFamily:
        return GaugeMetricFamily(self.name, self.help, labels=self.labels)

    def histogram(self) -> HistogramMetricFamily:
        return HistogramMetricFamily(self.name, self.help, labels=self.labels)


_WORKER: Final = ("worker",)

BUILD: Final = Declared("fengling_build_info", "The running version.", ("version",))

REQUESTS: Final = Declared(
    "fengling_http_requests_total",
    "Exchanges that have ended, by route, service and class of the answer's status.",
    ("worker", "route", "service", "status"),
)
REQUEST_ERRORS: Final = Declared(
    "fengling_http_request_errors_total",
    "Exchanges that failed, by the failure's name (docs/errors.md).",
    ("worker", "route", "service", "error"),
)
REQUEST_SECONDS: Final = Declared(
    "fengling_http_request_duration_seconds",
    "From the end of a request's head to the end of its answer.",
    ("worker", "service"),
)

WORKER_COUNTERS: Final = {
    "connections_accepted": Declared(
        "fengling_http_connections_accepted_total", "Client connections accepted.", _WORKER
    ),
    "connections_refused": Declared(
        "fengling_http_connections_refused_total",
        "Client connections closed at once because there were too many.",
        _WORKER,
    ),
    "bytes_received": Declared(
        "fengling_http_received_bytes_total", "Bytes received from clients.", _WORKER
    ),
    "bytes_sent": Declared("fengling_http_sent_bytes_total", "Bytes sent to clients.", _WORKER),
    "retries": Declared(
        "fengling_upstream_retries_total", "Attempts after the first of an exchange.", _WORKER
    ),
    "upstream_connects": Declared(
        "fengling_upstream_connects_total", "Connections made to instances.", _WORKER
    ),
    "upstream_connects_failed": Declared(
        "fengling_upstream_connects_failed_total",
        "Connections to instances that could not be made.",
        _WORKER,
    ),
    "upstream_reused": Declared(
        "fengling_upstream_reused_total", "Attempts over a kept connection.", _WORKER
    ),
    "upstream_discarded": Declared(
        "fengling_upstream_discarded_total",
        "Connections to instances not kept because of what came over them.",
        _WORKER,
    ),
    "upstream_bytes_received": Declared(
        "fengling_upstream_received_bytes_total", "Bytes received from instances.", _WORKER
    ),
    "upstream_bytes_sent": Declared(
        "fengling_upstream_sent_bytes_total", "Bytes sent to instances.", _WORKER
    ),
}

WORKER_GAUGES: Final = {
    "folded_now": Declared(
        "fengling_http_folded_pairs",
        "Pairs of route and service that count as the route other (limits.max_metric_pairs).",
        _WORKER,
    ),
    "connections_now": Declared("fengling_http_connections", "Client connections open.", _WORKER),
    "in_flight_now": Declared("fengling_http_requests_in_flight", "Exchanges under way.", _WORKER),
    "upstream_connections_now": Declared(
        "fengling_upstream_connections", "Connections to instances, kept ones included.", _WORKER
    ),
    "upstream_queued_now": Declared(
        "fengling_upstream_queued_requests", "Exchanges waiting for a connection.", _WORKER
    ),
}

WORKERS: Final = Declared("fengling_workers", "Worker processes by state.", ("state",))
WORKER_DEATHS: Final = Declared(
    "fengling_worker_deaths_total", "Worker processes that ended without being told to."
)
WORKER_REVISION: Final = Declared(
    "fengling_config_worker_revision", "The revision that a worker serves.", _WORKER
)
WORKER_LAG: Final = Declared(
    "fengling_worker_lag_seconds", "How late a worker's reactor ran what was due.", _WORKER
)

REVISION: Final = Declared("fengling_config_revision", "The revision this node has read.")
ENTITIES: Final = Declared("fengling_config_entities", "Entities served, by kind.", ("kind",))
REJECTED: Final = Declared(
    "fengling_config_rejected_entities", "Entities whose newest version is rejected.", ("kind",)
)
REJECTED_ENTITY: Final = Declared(
    "fengling_config_rejected_entity",
    "1 for each entity whose newest version is rejected and each code of a problem with it; "
    "of the first 100.",
    ("kind", "id", "code", "serving"),
)
HELD: Final = Declared(
    "fengling_config_held", "1 while a revision is held until somebody confirms it."
)
AGE: Final = Declared(
    "fengling_config_age_seconds", "Time since the config source was last read successfully."
)
FILE_FAILURES: Final = Declared(
    "fengling_config_file_failures_total",
    "Writes of the last-known-good file that failed; a later one makes up for them.",
)
LOG_DROPPED: Final = Declared(
    "fengling_log_dropped_lines_total",
    "Lines of the supervisor's log that could not be written, or not as fast as they came.",
)
SOURCE_CONNECTED: Final = Declared(
    "fengling_config_source_connected", "1 while the config source answers."
)
SOURCE_LISTENING: Final = Declared(
    "fengling_config_source_listening", "1 while notifications are known to arrive."
)
SOURCE_COUNTERS: Final = {
    "reads": Declared("fengling_config_source_reads_total", "Reads of the config source."),
    "reads_ahead": Declared(
        "fengling_config_source_reads_ahead_total",
        "Changes that were read by the listening thread itself.",
    ),
    "full_reads": Declared("fengling_config_source_full_reads_total", "Reads of everything."),
    "rows_read": Declared("fengling_config_source_rows_total", "Rows read."),
    "reconnects": Declared("fengling_config_source_reconnects_total", "Connections made anew."),
}

BUS_CONNECTED: Final = Declared("fengling_bus_connected", "1 while Redis is used both ways.")
BUS_EVENTS: Final = Declared(
    "fengling_bus_events_total", "What happened on the bus, by kind.", ("event",)
)
BUS_DROPPED: Final = Declared(
    "fengling_bus_messages_dropped_total", "Messages that were not believed.", ("reason",)
)

REFUSALS: Final = Declared(
    "fengling_management_refusals_total",
    "Requests to the management API refused at its gate, by problem code, and connections dropped.",
    ("code",),
)

_DROPPED_PREFIX: Final = "messages_dropped:"

_PIECE_SAMPLES: Final = 500
"""Samples rendered in one go: 3 to 4 ms. Eight workers may have 60,000."""

Counters = Mapping[str, Mapping[str, Any]]

_Family = TypeVar("_Family", CounterMetricFamily, HistogramMetricFamily)


def render_metrics(
    status: Mapping[str, Any], counters: Counters, refusals: Mapping[str, int]
) -> Iterator[bytes]:
    """
    Yield the exposition text in pieces, each the work of a few milliseconds at most.

    Args:
        status: of this node, as the management API shows it.
        counters: of each worker that answered, by ``name/pid``.
        refusals: at the gate of the management API, by problem code.
    """
    begun = ""
    for metric in _Metrics(status, counters, refusals).collect():
        text = generate_latest(_Only(metric))
        if metric.name == begun:
            _help, _type, text = text.split(b"\n", 2)
        begun = metric.name
        yield text


class _Only(Collector):
    """Collects one metric."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> list[Metric]:
        return [self._metric]


class _Metrics:
    """All metrics in their order; those with many samples in several parts, one after the other."""

    def __init__(
        self, status: Mapping[str, Any], counters: Counters, refusals: Mapping[str, int]
    ) -> None:
        self._status = status
        self._workers = {name.partition("/")[0]: values for name, values in counters.items()}
        self._refusals = refusals

    def collect(self) -> Iterator[Metric]:
        build = BUILD.gauge()
        build.add_metric([str(self._status.get("version", ""))], 1)
        yield build
        yield from _parts(REQUESTS.counter, self._requests())
        yield from _parts(REQUEST_ERRORS.counter, self._request_errors())
        yield from _parts(REQUEST_SECONDS.histogram, self._request_seconds())
        yield from self._plain_worker_values()
        yield from self._worker_states()
        yield from self._config()
        yield from self._source()
        yield from self._bus()
        refusals = REFUSALS.counter()
        for code, count in sorted(self._refusals.items()):
            refusals.add_metric([code], count)
        yield refusals

    def _requests(self) -> Iterator[tuple[list[str], int]]:
        for worker, values in self._workers.items():
            for route, service, by_class, _ in values.get("requests", ()):
                for status, count in zip(STATUS_CLASSES, by_class, strict=True):
                    if count:
                        yield [worker, route, service, status], count

    def _request_errors(self) -> Iterator[tuple[list[str], int]]:
        for worker, values in self._workers.items():
            for route, service, _, failures in values.get("requests", ()):
                for error, count in failures.items():
                    yield [worker, route, service, error], count

    def _request_seconds(self) -> Iterator[tuple[list[str], list[tuple[str, float]], float]]:
        for worker, values in self._workers.items():
            bounds = values.get("latency_bounds", ())
            for service, latency in values.get("latency", {}).items():
                yield [worker, service], _cumulated(bounds, latency["buckets"]), latency["sum"]

    def _plain_worker_values(self) -> Iterator[Metric]:
        for name, declared in WORKER_COUNTERS.items():
            counter = declared.counter()
            for worker, values in self._workers.items():
                counter.add_metric([worker], values.get(name, 0))
            yield counter
        for name, declared in WORKER_GAUGES.items():
            gauge = declared.gauge()
            for worker, values in self._workers.items():
                gauge.add_metric([worker], values.get(name, 0))
            yield gauge

    def _worker_states(self) -> Iterator[Metric]:
        states: dict[str, int] = {}
        # By name: during a rolling restart there are two of one, and the newer one counts.
        revision: dict[str, int] = {}
        lag: dict[str, float] = {}
        for worker in self._status.get("workers", ()):
            state = str(worker.get("state"))
            states[state] = states.get(state, 0) + 1
            if worker.get("revision") is not None:
                revision[worker["worker"]] = worker["revision"]
            if worker.get("lag_ms") is not None:
                lag[worker["worker"]] = worker["lag_ms"] / 1000
        workers = WORKERS.gauge()
        for state, count in sorted(states.items()):
            workers.add_metric([state], count)
        yield workers
        yield _by_label(WORKER_REVISION, revision)
        yield _by_label(WORKER_LAG, lag)
        deaths = WORKER_DEATHS.counter()
        deaths.add_metric([], self._status.get("deaths", 0))
        yield deaths

    def _config(self) -> Iterator[Metric]:
        position = self._status.get("position")
        yield _single(REVISION, None if position is None else position["revision"])
        yield _by_label(ENTITIES, self._status.get("entities", {}))
        rejected = dict.fromkeys(self._status.get("entities", {}), 0)
        rejected.update(self._status.get("rejected_by_kind", {}))
        yield _by_label(REJECTED, rejected)
        yield self._rejected_entities()
        yield _single(HELD, int(self._status.get("held") is not None))
        yield _single(AGE, self._status.get("config_age_s"))
        failures = FILE_FAILURES.counter()
        failures.add_metric([], self._status.get("last_known_good", {}).get("failures", 0))
        yield failures
        dropped = LOG_DROPPED.counter()
        dropped.add_metric([], self._status.get("log", {}).get("dropped_lines", 0))
        yield dropped

    def _rejected_entities(self) -> Metric:
        gauge = REJECTED_ENTITY.gauge()
        for rejection in self._status.get("rejected", ()):
            for code in sorted({problem["code"] for problem in rejection["problems"]}):
                labels = [rejection["kind"], label(rejection["id"]), code, rejection["serving"]]
                gauge.add_metric(labels, 1)
        return gauge

    def _source(self) -> Iterator[Metric]:
        source = self._status.get("source", {})
        yield _single(SOURCE_CONNECTED, int(bool(source.get("connected"))))
        yield _single(SOURCE_LISTENING, int(bool(source.get("listening"))))
        for name, declared in SOURCE_COUNTERS.items():
            counter = declared.counter()
            counter.add_metric([], source.get(name, 0))
            yield counter

    def _bus(self) -> Iterator[Metric]:
        redis = self._status.get("redis", {})
        yield _single(BUS_CONNECTED, int(bool(redis.get("connected"))))
        events, dropped = BUS_EVENTS.counter(), BUS_DROPPED.counter()
        for name, count in sorted(redis.get("counters", {}).items()):
            if name.startswith(_DROPPED_PREFIX):
                dropped.add_metric([name.removeprefix(_DROPPED_PREFIX)], count)
            elif name != "messages_dropped":
                events.add_metric([name], count)
        yield events
        yield dropped


def _parts(begin: Callable[[], _Family], samples: Iterable[tuple[Any, ...]]) -> Iterator[_Family]:
    """Yield a metric in parts of some `_PIECE_SAMPLES`; one part where it has none."""
    family = begin()
    for sample in samples:
        family.add_metric(*sample)
        if len(family.samples) >= _PIECE_SAMPLES:
            yield family
            family = begin()
    yield family


def _cumulated(bounds: list[float], buckets: list[int]) -> list[tuple[str, float]]:
    total, cumulated = 0, []
    for bound, count in zip([*bounds, float("inf")], buckets, strict=True):
        total += count
        cumulated.append(("+Inf" if bound == float("inf") else str(bound), float(total)))
    return cumulated


def _single(declared: Declared, value: float | None) -> Metric:
    gauge = declared.gauge()
    if value is not None:
        gauge.add_metric([], value)
    return gauge


def _by_label(declared: Declared, values: Mapping[str, float]) -> Metric:
    gauge = declared.gauge()
    for name, value in values.items():
        gauge.add_metric([name], value)
    return gauge
