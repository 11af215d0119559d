"""What a data plane counts: plain integers in slots, rendered by others.

Counting is on the path of every request: one look-up per exchange finds its
`RouteCounts`, and everything else is an addition.

A host may have 100,000 routes, and whoever reads a metric can't use as many
series. So the first pairs of a route and a service that are asked for count by
themselves, and later ones together, as the route `OTHER`. A pair keeps its
place until its route or service is deleted: a counter never goes backwards.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection
from math import ceil
from typing import Any, Final

from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.observability.places import MAX_PAIRS, OTHER, PAIRS_PER_SERVICE

LATENCY_BOUNDS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""Upper bounds, in seconds, of the buckets of histograms of times; one more is unbounded."""

SIZE_BOUNDS: Final = tuple(float(1 << bits) for bits in range(8, 28, 2))
"""Of the histograms of sizes, in bytes: 256 to 64 MiB."""

HISTOGRAMS: Final = ("latency", "first_byte", "received", "sent")
"""Those of a service, as they are told."""

MAX_FOLDED: Final = 10_000
"""Pairs without a place of their own that are told apart, to say how many there are."""


class Histogram:
    """
    Numbers of values by some bounds, and their sum.

    Attributes:
        buckets: each has those up to its bound and above the one before; the last has
            those beyond all bounds.
    """

    __slots__ = ("bounds", "buckets", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        self.buckets[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def to_json(self) -> list[Any]:
        """Return the buckets, and then the sum."""
        return [*self.buckets, self.sum]


class PoolCounts:
    """
    The connections of one service's pools, kept up by these: nobody goes through them to count.

    Attributes:
        connecting, idle: that are being opened, and that carry no exchange.
        size: all, as of `pool.UpstreamPool`.
        waiting: exchanges that wait for one.
        is_used: whether there has ever been one.
    """

    __slots__ = ("connecting", "idle", "is_used", "size", "waiting")

    def __init__(self) -> None:
        self.connecting = 0
        self.idle = 0
        self.size = 0
        self.waiting = 0
        self.is_used = False

    def to_json(self) -> list[int]:
        """Return how many are idle, busy and being opened, and how many exchanges wait."""
        busy = self.size - self.idle - self.connecting
        return [self.idle, busy, self.connecting, self.waiting]


class ServiceCounts:
    """
    The exchanges of one service, and its connections.

    Attributes:
        latency: from head read to answer sent, in seconds.
        first_byte: from the beginning of the last attempt, which may have had to wait for
            a connection, to the first byte of the answer's head, in seconds.
        received, sent: bytes of bodies, from and to clients.
        pools: its connections.
    """

    __slots__ = ("first_byte", "latency", "pools", "received", "sent")

    def __init__(self) -> None:
        self.pools = PoolCounts()
        self.latency = Histogram(LATENCY_BOUNDS)
        self.first_byte = Histogram(LATENCY_BOUNDS)
        self.received = Histogram(SIZE_BOUNDS)
        self.sent = Histogram(SIZE_BOUNDS)

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name).to_json() for name in HISTOGRAMS}


class RouteCounts:
    """
    The exchanges of one route with one service.

    Attributes:
        by_class: their number by the first digit of the answer's status; 0 for
            those that ended without one. From 600 on they count as 5 (RFC 9110, 15).
        service: shared by all routes of a service.
    """

    __slots__ = ("by_class", "errors", "service")

    def __init__(self, service: ServiceCounts) -> None:
        self.by_class = [0] * 6
        self.errors: dict[ForwardError, int] = {}
        self.service = service

    def errors_by_code(self) -> dict[str, int]:
        return {error.code: number for error, number in self.errors.items()}


def _row(key: tuple[str, str], counts: RouteCounts) -> list[Any]:
    return [*key, list(counts.by_class), counts.errors_by_code()]


class Counters:
    """
    Everything a data plane counts. Names ending in ``_now`` are gauges.

    Attributes:
        access_log_lines, access_log_dropped: that there were, and of those, that came to nothing.
        accept_pauses: how often nothing was accepted for a while.
        connections_shed: idle ones closed because memory was short.
        debugged, debug_headers_refused: requests with a debug header, by whether it was good.
        ejected_now: instances that get nothing because of their failures.
        ejections, reactivations: how often one began to be that, and ceased to.
        descriptors_short: how often a client could not be accepted for want of a descriptor.
        health_stale_now: 1 while what is reported of instances counts no more.
        opening_now: client connections that have not come to HTTP yet; see `opening`.
        memory_limit_now: bytes that may be used; 0: any number.
        overload_now: the `overload.Level`.
        routes_off_now, instances_off_now: how many somebody has switched off.
        tls_handshakes_failed: by `tls_failures.KINDS`.
        upstream_addresses_refused: of names, where this host must not connect to.
        routes: by ids of route and service, where they have a place of their own.
    """

    __slots__ = (
        "_folded",
        "_late",
        "_max_pairs",
        "_max_services",
        "_others",
        "_services",
        "accept_pauses",
        "access_log_dropped",
        "access_log_lines",
        "bytes_received",
        "bytes_sent",
        "connections_accepted",
        "connections_now",
        "connections_refused",
        "connections_shed",
        "debug_headers_refused",
        "debugged",
        "descriptors_short",
        "dns_lookups",
        "dns_lookups_failed",
        "dns_stale_uses",
        "ejected_now",
        "ejections",
        "health_stale_now",
        "in_flight_now",
        "instances_off_now",
        "memory_limit_now",
        "memory_now",
        "opening_now",
        "overload_now",
        "proxy_headers_refused",
        "reactivations",
        "retries",
        "routes",
        "routes_off_now",
        "tls_certificates_failed",
        "tls_handshakes",
        "tls_handshakes_failed",
        "upstream_addresses_refused",
        "upstream_bytes_received",
        "upstream_bytes_sent",
        "upstream_connections_now",
        "upstream_connects",
        "upstream_connects_failed",
        "upstream_discarded",
        "upstream_queued_now",
        "upstream_reused",
        "upstream_tls_failed",
    )

    def __init__(self, max_pairs: int = MAX_PAIRS) -> None:
        self.accept_pauses = 0
        self.access_log_dropped = 0
        self.access_log_lines = 0
        self.bytes_received = 0
        self.bytes_sent = 0
        self.connections_accepted = 0
        self.connections_now = 0
        self.connections_refused = 0
        self.connections_shed = 0
        self.debug_headers_refused = 0
        self.debugged = 0
        self.descriptors_short = 0
        self.dns_lookups = 0
        self.dns_lookups_failed = 0
        self.dns_stale_uses = 0
        self.ejected_now = 0
        self.ejections = 0
        self.health_stale_now = 0
        self.in_flight_now = 0
        self.instances_off_now = 0
        self.memory_limit_now = 0
        self.memory_now = 0
        self.opening_now = 0
        self.overload_now = 0
        self.proxy_headers_refused = 0
        self.reactivations = 0
        self.retries = 0
        self.routes_off_now = 0
        self.tls_certificates_failed = 0
        self.tls_handshakes = 0
        self.tls_handshakes_failed: dict[str, int] = {}
        self.upstream_addresses_refused = 0
        self.upstream_bytes_received = 0
        self.upstream_bytes_sent = 0
        self.upstream_connects = 0
        self.upstream_connects_failed = 0
        self.upstream_connections_now = 0
        self.upstream_discarded = 0
        self.upstream_queued_now = 0
        self.upstream_reused = 0
        self.upstream_tls_failed = 0
        self.routes: dict[tuple[str, str], RouteCounts] = {}
        self._max_pairs = max_pairs
        self._services = {"": ServiceCounts(), OTHER: ServiceCounts()}
        self._max_services = len(self._services) + ceil(max_pairs / PAIRS_PER_SERVICE)
        self._others: dict[str, RouteCounts] = {}
        self._folded: set[tuple[str, str]] = set()
        # Services with places for pairs and none for histograms. They stay among the others,
        # whatever gets free: half of a service's durations would be wrong ones.
        self._late: set[str] = set()

    def record(
        self,
        key: tuple[str, str],
        status: int,
        seconds: float,
        error: ForwardError | None,
        first_byte: float = -1.0,
        received: int = 0,
        sent: int = 0,
    ) -> None:
        """
        Count an exchange that has ended.

        Args:
            key: ids of its route and service; empty where it came to none.
            status: of the answer; 0 where none was begun.
            first_byte: seconds from the last attempt's beginning to its answer's; negative
                where no instance has answered.
            received, sent: bytes of bodies.
        """
        counts = self.routes.get(key)
        if counts is None:
            counts = self._new_counts(key)
        counts.by_class[status // 100 if status < 600 else 5] += 1
        service = counts.service
        service.latency.add(seconds)
        if first_byte >= 0:
            service.first_byte.add(first_byte)
        service.received.add(received)
        service.sent.add(sent)
        if error is not None:
            counts.errors[error] = counts.errors.get(error, 0) + 1

    def _new_counts(self, key: tuple[str, str]) -> RouteCounts:
        """Return where a pair counts that has no place of its own yet: a new one, or `OTHER`'s."""
        route, service = key
        # What came to no route is always told apart. A route whose id is "other" never is:
        # a scrape with two series of the same labels would fail.
        if route != OTHER and (not route or len(self.routes) < self._max_pairs):
            self._folded.discard(key)
            shared = self._service_counts(service)
            if service not in self._services:
                self._late.add(service)
            counts = self.routes[key] = RouteCounts(shared)
            return counts
        if route != OTHER and len(self._folded) < MAX_FOLDED:
            self._folded.add(key)
        shared = self._service_counts(service)
        if service not in self._services:
            service = OTHER
        others = self._others.get(service)
        if others is None:
            others = self._others[service] = RouteCounts(shared)
        return others

    def _service_counts(self, service: str) -> ServiceCounts:
        """Return what a service counts by; where there are too many, that of `OTHER`."""
        counts = self._services.get(service)
        if counts is None:
            if service in self._late or len(self._services) >= self._max_services:
                return self._services[OTHER]
            counts = self._services[service] = ServiceCounts()
        return counts

    @property
    def max_services(self) -> int:
        """How many services may have histograms of their own."""
        return self._max_services

    def measured(self) -> Collection[str]:
        """Return the ids of those that have some."""
        return self._services.keys()

    def pools_of(self, service: str) -> PoolCounts:
        """Return what the connections to a service's instances count by."""
        pools = self._service_counts(service).pools
        pools.is_used = True
        return pools

    def make_room(self, exists: Callable[[str, str], bool]) -> bool:
        """
        Forget pairs that are gone, where others want their places.

        For right after all have been shown. A pair that comes back begins at 0, as after a
        restart; what the one that gets its place has counted as `OTHER` stays there.

        Args:
            exists: whether a route names a service; of "", whether there is a service.

        Returns:
            whether that is all for now: later there may be more, of what is gone and in use yet.
        """
        if not self._folded:
            return False
        for key in [key for key in self.routes if key[0] and not exists(*key)]:
            del self.routes[key]
        self._folded = {key for key in self._folded if exists(*key)}
        in_use = {service for _, service in self.routes} | {"", OTHER}
        self._late &= in_use
        is_all = True
        for service in [one for one in self._services if one not in in_use]:
            if exists("", service):
                continue
            if self._services[service].pools.size:
                is_all = False
                continue
            del self._services[service]
            self._others.pop(service, None)
        return is_all

    def pairs(self) -> tuple[list[tuple[str, str]], list[RouteCounts]]:
        """Return the pairs that count by themselves, and those of `OTHER`; what each counts by."""
        others = [(OTHER, service) for service in self._others]
        return [*self.routes, *others], [*self.routes.values(), *self._others.values()]

    def to_json(self) -> dict[str, Any]:
        """
        Return all values: those of `without_rows`, and ``requests``.

        These have a row ``[route, service, [by class], {error code: number}]`` for each pair that
        counts by itself, and for `OTHER`.
        """
        rows = [_row(*one) for one in zip(*self.pairs(), strict=True)]
        return {**self.without_rows(), "requests": rows}

    def without_rows(self) -> dict[str, Any]:
        """
        Return all values but ``requests``.

        ``services`` has `HISTOGRAMS` of
        each service, each its buckets and its sum; ``bounds`` are those of the buckets, of
        times and of sizes; ``pools_now`` has `PoolCounts` of each service that has had
        connections; ``folded_now`` is how many pairs count as `OTHER`, up to `MAX_FOLDED`.
        """
        plain = {
            name: getattr(self, name)
            for name in self.__slots__
            if name != "routes" and not name.startswith("_")
        }
        services = {
            service: counts.to_json()
            for service, counts in self._services.items()
            if any(counts.latency.buckets)
        }
        pools = {
            service: counts.pools.to_json()
            for service, counts in self._services.items()
            if counts.pools.is_used
        }
        return {
            **plain,
            "folded_now": len(self._folded),
            "pools_now": pools,
            "bounds": {"seconds": LATENCY_BOUNDS, "bytes": SIZE_BOUNDS},
            "services": services,
        }

    def totals(self) -> dict[str, Any]:
        """
        Return what there was of all routes and services together; meant for each second.

        ``errors`` are failures that clients were told of as ours (5xx), ``instance_errors``
        the answers of instances with such a status; ``latency`` has the number of exchanges by
        `LATENCY_BOUNDS`.
        """
        requests = errors = server_errors = 0
        for counts in (*self.routes.values(), *self._others.values()):
            requests += sum(counts.by_class)
            server_errors += counts.by_class[5]
            for error, number in counts.errors.items():
                if error.status >= 500:
                    errors += number
        columns = zip(*(one.latency.buckets for one in self._services.values()), strict=True)
        return {
            "requests": requests,
            "errors": errors,
            # (One that failed after its head was not told by a status, and so is none of these.)
            "instance_errors": max(0, server_errors - errors),
            "connections": self.connections_now,
            "in_flight": self.in_flight_now,
            "latency": [sum(column) for column in columns],
        }
