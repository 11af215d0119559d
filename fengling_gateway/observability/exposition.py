"""The text for Prometheus, made of the status of a node and the plain counters of its workers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any, Final

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from fengling_gateway.model.problems import label
from fengling_gateway.observability import metrics
from fengling_gateway.observability.connection_metrics import connection_metrics
from fengling_gateway.observability.families import by_label, cumulated, parts, single
from fengling_gateway.observability.places import Places
from fengling_gateway.observability.process_metrics import process_metrics
from fengling_gateway.observability.sums import NOTHING, Sums, Values

_DROPPED_PREFIX: Final = "messages_dropped:"

_SHOWN: Final = 100
"""Of what may be many."""

_CLASSES: Final = itemgetter(2)

_PIECE_ROWS: Final = 500
"""Looked at in one go: a millisecond."""

Counters = Mapping[str, Mapping[str, Any]]


def render_metrics(
    status: Mapping[str, Any],
    counters: Counters,
    refusals: Mapping[str, int],
    past: Values = NOTHING,
    own: Values = NOTHING,
    places: Places | None = None,
) -> Iterator[bytes]:
    """
    Yield the exposition text in pieces, some of them empty, each the work of a few milliseconds.

    Args:
        status: of this node, as the management API shows it.
        counters: of each worker that answered, by its name.
        refusals: at the gate of the management API, by problem code.
        past: what workers have counted that are gone, or are not among `counters`.
        own: what the supervisor has counted itself.
        places: of the host's series; None: there are as many as are needed.
    """
    begun = ""
    sums = Sums()
    for values in (past, own, *counters.values()):
        for _ in sums.add(values):
            yield b""
    host = sums.result()
    if places is not None:
        rows = []
        for number, row in enumerate(places.rows(host["requests"]), 1):
            rows.append(row)
            if number % _PIECE_ROWS == 0:
                yield b""
        host = {**host, "requests": rows, "services": places.services(host["services"])}
    for metric in _Metrics(status, counters, refusals, host, own).collect():
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
        self,
        status: Mapping[str, Any],
        counters: Counters,
        refusals: Mapping[str, int],
        host: Values,
        own: Values,
    ) -> None:
        self._status = status
        self._workers = counters
        self._host = host
        self._own = own
        self._refusals = refusals

    def collect(self) -> Iterator[Metric]:
        build = metrics.BUILD.gauge()
        build.add_metric([str(self._status.get("version", ""))], 1)
        yield build
        yield from parts(metrics.REQUESTS.counter, self._requests())
        yield from parts(metrics.REQUEST_ERRORS.counter, self._request_errors())
        for name, declared in metrics.SERVICE_HISTOGRAMS.items():
            yield from parts(declared.histogram, self._of_services(name))
        yield from self._plain_worker_values()
        yield from connection_metrics(self._workers)
        yield self._by_name(metrics.HANDSHAKES_FAILED, "tls_handshakes_failed")
        yield self._by_name(metrics.CREDENTIALS_ACCEPTED, "credentials_accepted")
        yield self._by_name(metrics.CREDENTIALS_REFUSED, "credentials_refused")
        yield self._limit_decisions()
        yield from self._worker_states()
        yield from self._config()
        yield from self._reloads()
        yield from self._overrides()
        yield from self._issuers()
        yield from self._source()
        yield from self._bus()
        yield from self._tracing()
        yield from self._failures()
        yield from process_metrics(self._own, self._workers)
        refusals = metrics.REFUSALS.counter()
        for code, count in sorted(self._refusals.items()):
            refusals.add_metric([code], count)
        yield refusals

    def _requests(self) -> Iterator[tuple[list[str], int]]:
        for route, service, by_class, _ in self._host["requests"]:
            for status, count in zip(metrics.STATUS_CLASSES, by_class, strict=True):
                if count:
                    yield [route, service, status], count

    def _request_errors(self) -> Iterator[tuple[list[str], int]]:
        for route, service, _, failures in self._host["requests"]:
            for error, count in failures.items():
                yield [route, service, error], count

    def _of_services(self, name: str) -> Iterator[tuple[list[str], list[tuple[str, float]], float]]:
        unit = "seconds" if name in metrics.TIMES else "bytes"
        for service, histograms in self._host["services"].items():
            *buckets, total = histograms[name]
            yield [service], cumulated(self._host["bounds"][unit], buckets), total

    def _by_name(self, declared: metrics.Declared, name: str) -> Metric:
        """Return a counter of something that is counted by kind."""
        counter = declared.counter()
        for kind, count in sorted(self._host.get(name, {}).items()):
            counter.add_metric([kind], count)
        return counter

    def _limit_decisions(self) -> Metric:
        counter = metrics.LIMIT_REQUESTS.counter()
        for name, count in self._host.get("limit_decisions", {}).items():
            scope, _, decision = name.partition(" ")
            counter.add_metric([decision, scope], count)
        return counter

    def _plain_worker_values(self) -> Iterator[Metric]:
        for name, declared in metrics.WORKER_COUNTERS.items():
            counter = declared.counter()
            counter.add_metric([], self._host.get(name, 0))
            yield counter
        served = metrics.WORKER_REQUESTS.counter()
        for worker, values in self._workers.items():
            served.add_metric([worker], sum(map(sum, map(_CLASSES, values["requests"]))))
        yield served
        for name, declared in metrics.WORKER_GAUGES.items():
            gauge = declared.gauge()
            for worker, values in self._workers.items():
                gauge.add_metric([worker], values.get(name, 0))
            yield gauge

    def _worker_states(self) -> Iterator[Metric]:
        states: dict[str, int] = {}
        # By name: during a rolling restart there are two of one, and the newer one counts.
        revision: dict[str, int] = {}
        applied: dict[str, float] = {}
        lag: dict[str, float] = {}
        failed: dict[str, float] = {}
        refused: dict[str, float] = {}
        for worker in self._status.get("workers", ()):
            state = str(worker.get("state"))
            states[state] = states.get(state, 0) + 1
            if worker.get("revision") is not None:
                revision[worker["worker"]] = worker["revision"]
            failed[worker["worker"]] = len(worker.get("failed") or ())
            refused[worker["worker"]] = worker.get("refused_instances", 0)
            if worker.get("applied_at") is not None:
                applied[worker["worker"]] = worker["applied_at"]
            if worker.get("lag_ms") is not None:
                lag[worker["worker"]] = worker["lag_ms"] / 1000
        workers = metrics.WORKERS.gauge()
        for state, count in sorted(states.items()):
            workers.add_metric([state], count)
        yield workers
        yield by_label(metrics.WORKER_REVISION, revision)
        yield by_label(metrics.WORKER_APPLIED, applied)
        yield by_label(metrics.WORKER_LAG, lag)
        yield by_label(metrics.WORKER_FAILED, failed)
        yield by_label(metrics.WORKER_REFUSED, refused)
        deaths = metrics.WORKER_DEATHS.counter()
        deaths.add_metric([], self._status.get("deaths", 0))
        yield deaths

    def _config(self) -> Iterator[Metric]:
        position = self._status.get("position")
        yield single(metrics.REVISION, None if position is None else position["revision"])
        yield by_label(metrics.EPOCH, {} if position is None else {position["epoch"]: 1})
        yield by_label(metrics.ENTITIES, self._status.get("entities", {}))
        rejected = dict.fromkeys(self._status.get("entities", {}), 0)
        rejected.update(self._status.get("rejected_by_kind", {}))
        yield by_label(metrics.REJECTED, rejected)
        yield self._rejected_entities()
        expiries = self._status.get("certificates_expire", {})
        yield by_label(metrics.CERTIFICATE_EXPIRY, expiries)
        yield single(metrics.HELD, int(self._status.get("held") is not None))
        pinned = self._status.get("pinned")
        yield single(metrics.PINNED, int(pinned is not None))
        yield single(metrics.PINNED_BEHIND, (pinned or {}).get("behind") or 0)
        from_file = self._status.get("served_from") == "last-known-good"
        yield single(metrics.FROM_FILE, int(from_file))
        yield single(metrics.AGE, self._status.get("config_age_s"))
        failures = metrics.FILE_FAILURES.counter()
        failures.add_metric([], self._status.get("last_known_good", {}).get("failures", 0))
        yield failures
        dropped = metrics.LOG_DROPPED.counter()
        dropped.add_metric([], self._status.get("log", {}).get("dropped_lines", 0))
        yield dropped

    def _reloads(self) -> Iterator[Metric]:
        reasons = {**dict.fromkeys(metrics.RELOAD_REASONS, 0), **self._host.get("reloads", {})}
        reloads = metrics.RELOADS.counter()
        for reason, count in reasons.items():
            reloads.add_metric([reason], count)
        yield reloads
        for name, declared in metrics.HISTOGRAMS.items():
            histogram = declared.histogram()
            found = self._host["histograms"].get(name)
            if found is not None:
                *buckets, total = found["values"]
                histogram.add_metric([], cumulated(found["bounds"], buckets), total)
            yield histogram

    def _overrides(self) -> Iterator[Metric]:
        yield single(metrics.DRAINED, int(bool(self._status.get("drained"))))
        off = metrics.SWITCHED_OFF.gauge()
        for switch in self._status.get("switched_off", ())[:_SHOWN]:
            off.add_metric([switch["kind"], label(switch["id"])], 1)
        yield off
        health = self._status.get("health", {})
        yield single(metrics.HEALTH_STALE, int(health.get("state") == "stale"))
        yield single(metrics.PROBER_AGE, health.get("age_s"))

    def _rejected_entities(self) -> Metric:
        gauge = metrics.REJECTED_ENTITY.gauge()
        for rejection in self._status.get("rejected", ()):
            for code in sorted({problem["code"] for problem in rejection["problems"]}):
                labels = [rejection["kind"], label(rejection["id"]), code, rejection["serving"]]
                gauge.add_metric(labels, 1)
        return gauge

    def _issuers(self) -> Iterator[Metric]:
        issuers = self._status.get("issuers", {})
        published = {name: one for name, one in issuers.items() if "fetches" in one}
        yield by_label(metrics.ISSUER_KEYS, _known(issuers, "keys"))
        yield by_label(metrics.ISSUER_FETCHED, _known(published, "fetched_at"))
        failing = {name: int(bool(one["failing_since"])) for name, one in published.items()}
        yield by_label(metrics.ISSUER_FAILING, failing)
        fetches, failures = (
            metrics.ISSUER_FETCHES.counter(),
            metrics.ISSUER_FETCH_FAILURES.counter(),
        )
        for name, one in published.items():
            fetches.add_metric([name], one["fetches"])
            for reason, count in sorted(one["failures"].items()):
                failures.add_metric([name, reason], count)
        yield fetches
        yield failures
        file_failures = metrics.KEY_FILE_FAILURES.counter()
        file_failures.add_metric([], self._status.get("key_set_file", {}).get("failures", 0))
        yield file_failures

    def _source(self) -> Iterator[Metric]:
        source = self._status.get("source", {})
        yield single(metrics.SOURCE_CONNECTED, int(bool(source.get("connected"))))
        yield single(metrics.SOURCE_LISTENING, int(bool(source.get("listening"))))
        for name, declared in metrics.SOURCE_COUNTERS.items():
            counter = declared.counter()
            counter.add_metric([], source.get(name, 0))
            yield counter

    def _bus(self) -> Iterator[Metric]:
        redis = self._status.get("redis", {})
        connected = int(bool(redis.get("connected"))) if redis.get("configured") else None
        yield single(metrics.BUS_CONNECTED, connected)
        events, dropped = metrics.BUS_EVENTS.counter(), metrics.BUS_DROPPED.counter()
        for name, count in sorted(redis.get("counters", {}).items()):
            if name.startswith(_DROPPED_PREFIX):
                dropped.add_metric([name.removeprefix(_DROPPED_PREFIX)], count)
            elif name != "messages_dropped":
                events.add_metric([name], count)
        yield events
        yield dropped

    def _tracing(self) -> Iterator[Metric]:
        tracing = self._status.get("tracing") or {}
        dropped = metrics.SPANS_DROPPED.counter()
        for reason, count in tracing.get("dropped", {}).items():
            dropped.add_metric([reason], count)
        yield dropped
        for declared, name in (
            (metrics.SPANS_SENT, "sent"),
            (metrics.SPAN_FAILURES, "failures"),
        ):
            counter = declared.counter()
            if tracing:
                counter.add_metric([], tracing[name])
            yield counter
        yield single(metrics.SPANS_WAITING, tracing.get("waiting"))

    def _failures(self) -> Iterator[Metric]:
        failures = self._status.get("failures") or {}
        yield single(metrics.FAILURES_KEPT, failures.get("kept"))
        yield single(metrics.FAILURES_KEPT_BYTES, failures.get("bytes"))
        for declared, name in (
            (metrics.FAILURES_PUSHED_OUT, "pushed_out"),
            (metrics.FAILURES_LEFT_OUT, "left_out"),
        ):
            counter = declared.counter()
            if failures:
                counter.add_metric([], failures[name])
            yield counter


def _known(issuers: Mapping[str, Any], what: str) -> dict[str, float]:
    return {name: one[what] for name, one in issuers.items() if one[what] is not None}
