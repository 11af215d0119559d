"""What a gateway says of what it has done: its metrics and its access log."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from prometheus_client.core import Sample
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.gateway import GatewayProcess
from tests.integration.numbers.clients import Clients, Outcome
from tests.integration.numbers.kinds import Planned
from tests.support.wait import wait_until

Line = dict[str, Any]

FIELDS = (
    *("header:X-Test-Id", "method", "target", "status", "error", "route", "service", "address"),
    *("attempts", "tried", "received", "sent", "duration_ms", "first_byte_ms"),
)
CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
UNCONNECTED = frozenset({"connect_failed", "connect_timeout", "upstream_busy"})
"""What attempts fail by that reach no instance."""

REQUESTS = "fengling_http_requests_total"
ERRORS = "fengling_http_request_errors_total"
SENT = "fengling_http_response_body_bytes"
RECEIVED = "fengling_http_request_body_bytes"
DURATIONS = "fengling_http_request_duration_seconds"
FIRST_BYTES = "fengling_upstream_first_byte_seconds"
RETRIES = "fengling_upstream_retries_total"
LINES = "fengling_access_log_lines_total"
DROPPED = "fengling_access_log_dropped_lines_total"
ACCEPTED = "fengling_http_connections_accepted_total"
IN_FLIGHT = "fengling_http_requests_in_flight"
CONNECTS_FAILED = "fengling_upstream_connects_failed_total"
CREDENTIALS = "fengling_http_credentials_refused_total"
DRAINING = "fengling_workers"

LAST = Planned("last", "/hello")


def class_of(status: int) -> str:
    return CLASSES[min(status // 100, 5)]


def name_of(line: Line) -> str:
    name: str = line["header:X-Test-Id"]
    return name


def attempts_of(line: Line) -> list[tuple[str, str | None]]:
    """Return address and error of each attempt that has reached one."""
    every = [(one["address"], one["error"]) for one in line["tried"] or ()]
    if line["address"] is not None:
        every.append((line["address"], line["error"]))
    return [(address, error) for address, error in every if error not in UNCONNECTED]


class Metrics:
    """A scrape."""

    def __init__(self, gateway: GatewayProcess) -> None:
        status, text = gateway.get("/metrics", port=gateway.management_port)
        assert status == 200
        self._samples: dict[str, list[Sample]] = {}
        for family in text_string_to_metric_families(text.decode()):
            for sample in family.samples:
                self._samples.setdefault(sample.name, []).append(sample)

    def by(self, name: str, *labels: str) -> Counter[tuple[str, ...]]:
        """Return a metric's values by those of its labels."""
        counts: Counter[tuple[str, ...]] = Counter()
        for one in self._samples.get(name, ()):
            counts[tuple(one.labels[label] for label in labels)] += int(one.value)
        return +counts

    def total(self, name: str) -> int:
        return self.by(name)[()]


def read_log(path: Path) -> list[Line]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def settled(gateway: GatewayProcess, path: Path, clients: Clients) -> tuple[Metrics, list[Line]]:
    """
    Return metrics and log, when nothing is in flight and all lines are written.

    Lines of a worker are written in their order: one that is asked for now, of each, is the last.
    """

    def at_rest() -> bool:
        metrics = Metrics(gateway)
        return not metrics.total(IN_FLIGHT) and not metrics.by(DRAINING, "state")["draining",]

    wait_until(at_rest, timeout=60)
    names: set[str] = set()
    workers: set[str] = set()
    while len(workers) < gateway.worker_count:
        names.add(name := f"last{len(names)}")
        headers = {"X-Test-Id": name, "Connection": "close"}
        status, said, body = gateway.fetch("/hello", headers=headers)
        workers.add(said["x-gateway-worker"])
        clients.outcomes[name] = Outcome(LAST, status, None, len(body), True, 0)
        clients.connections += 1
    wait_until(lambda: names <= {name_of(one) for one in read_log(path)}, timeout=60, interval=0.5)
    wait_until(at_rest)
    return Metrics(gateway), read_log(path)
