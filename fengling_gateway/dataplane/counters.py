"""What a data plane counts: plain integers in slots, rendered by others.

Counting is on the path of every request: one look-up per exchange finds its
`RouteCounts`, and everything else is an addition.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, Final

from fengling_gateway.http.forward_error import ForwardError

LATENCY_BOUNDS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""Upper bounds, in seconds, of the buckets of the latency histogram; one more is unbounded."""


class Latency:
    """A histogram of the durations of exchanges, from head read to answer sent."""

    __slots__ = ("buckets", "total_seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(LATENCY_BOUNDS) + 1)
        self.total_seconds = 0.0

    def to_json(self) -> dict[str, Any]:
        return {"buckets": list(self.buckets), "sum": self.total_seconds}


class RouteCounts:
    """
    The exchanges of one route with one service.

    Attributes:
        by_class: their number by the first digit of the answer's status; 0 for
            those that ended without one.
        latency: shared by all routes of a service.
    """

    __slots__ = ("by_class", "errors", "latency")

    def __init__(self, latency: Latency) -> None:
        self.by_class = [0] * 6
        self.errors: dict[ForwardError, int] = {}
        self.latency = latency


class Counters:
    """Everything a data plane counts. Names ending in ``_now`` are gauges."""

    __slots__ = (
        "_latencies",
        "bytes_received",
        "bytes_sent",
        "connections_accepted",
        "connections_now",
        "connections_refused",
        "in_flight_now",
        "retries",
        "routes",
        "upstream_bytes_received",
        "upstream_bytes_sent",
        "upstream_connections_now",
        "upstream_connects",
        "upstream_connects_failed",
        "upstream_discarded",
        "upstream_queued_now",
        "upstream_reused",
    )

    def __init__(self) -> None:
        self.bytes_received = 0
        self.bytes_sent = 0
        self.connections_accepted = 0
        self.connections_now = 0
        self.connections_refused = 0
        self.in_flight_now = 0
        self.retries = 0
        self.upstream_bytes_received = 0
        self.upstream_bytes_sent = 0
        self.upstream_connects = 0
        self.upstream_connects_failed = 0
        self.upstream_connections_now = 0
        self.upstream_discarded = 0
        self.upstream_queued_now = 0
        self.upstream_reused = 0
        self.routes: dict[tuple[str, str], RouteCounts] = {}
        self._latencies: dict[str, Latency] = {}

    def record(
        self, key: tuple[str, str], status: int, seconds: float, error: ForwardError | None
    ) -> None:
        """
        Count an exchange that has ended.

        Args:
            key: ids of its route and service; empty where it came to none.
            status: of the answer; 0 where none was begun.
        """
        counts = self.routes.get(key)
        if counts is None:
            counts = self._new_counts(key)
        counts.by_class[status // 100] += 1
        latency = counts.latency
        latency.buckets[bisect_left(LATENCY_BOUNDS, seconds)] += 1
        latency.total_seconds += seconds
        if error is not None:
            counts.errors[error] = counts.errors.get(error, 0) + 1

    def _new_counts(self, key: tuple[str, str]) -> RouteCounts:
        latency = self._latencies.setdefault(key[1], Latency())
        counts = self.routes[key] = RouteCounts(latency)
        return counts

    def to_json(self) -> dict[str, Any]:
        """
        Return all values.

        ``requests`` has a row ``[route, service, [by class], {error code: number}]``
        for each pair that was ever asked for; ``latency`` a histogram per service.
        """
        plain = {
            name: getattr(self, name)
            for name in self.__slots__
            if name not in {"_latencies", "routes"}
        }
        requests = [
            [
                *key,
                list(counts.by_class),
                {error.code: number for error, number in counts.errors.items()},
            ]
            for key, counts in self.routes.items()
        ]
        latency = {service: value.to_json() for service, value in self._latencies.items()}
        return {
            **plain,
            "requests": requests,
            "latency_bounds": list(LATENCY_BOUNDS),
            "latency": latency,
        }
