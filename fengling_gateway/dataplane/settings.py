"""Limits and deadlines of a data plane: what a host decides, not a route."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, Self

from fengling_gateway.balancing.upstream_networks import UpstreamNetworks
from fengling_gateway.dataplane.own_addresses import is_here
from fengling_gateway.http.head import HeadLimits


@dataclass(frozen=True, slots=True)
class DataPlaneSettings:
    """
    Settings of one worker's data plane. Times are in seconds, sizes in bytes.

    Attributes:
        max_head_bytes: of a request or response head; more is answered with 431.
        max_header_line_bytes: of one header line; more is answered with 431.
        max_target_bytes: of a request target; more is answered with 414.
        max_headers: lines in a head; more is answered with 431.
        header_deadline: from a request's first byte (for a connection's first
            request: from accept) to the end of its head, however its bytes
            trickle in; then 408.
        keepalive_idle: how long a client may think between two requests.
        keepalive_requests: how many it may send on one connection, give or take a
            tenth, lest all clients come back at the same time.
        keepalive_age: how old a connection may be to carry another request, give or
            take a tenth.
        min_body_rate: bytes a second that a request's body must arrive at, while
            it is waited for; 0 = any.
        body_grace: over so many seconds that is judged.
        high_water_bytes: what may be buffered towards a peer before the other
            side is no longer read.
        low_water_bytes: what is left of that when reading goes on.
        upstream_max_connections: open at a time to one instance.
        upstream_idle_timeout: how long one is kept unused. Common servers hang
            up after 5 to 75 seconds; less than that spares retries.
        upstream_max_idle: unused connections kept to one instance.
        upstream_queue: requests that may wait for one of those connections.
        upstream_queue_timeout: how long they wait.
        max_connections: from clients; None = what the descriptor limit allows, which
            more never is.
        max_memory: what this worker may use, see `overload`; None = its share of what
            there is, see `memory.share_of_worker`.
        max_limit_keys: whose rates and requests at a time are known at once, roughly.
        workers: how many share it, and the limits of routes.
        max_metric_pairs: of a route and a service that have series of their own
            in /metrics; later ones are counted together, see `counters`.
        count_requests: whether exchanges are counted by route and service.
        access_log: ``path`` (``stdout`` or of a file), ``format``, ``fields``, ``statuses``
            (pairs, lowest and highest), ``slower_than``, ``sample``, ``routes``,
            ``redact_query``, ``redact_headers``; None, or an empty path: there is none.
        worker_header: whether answers name the worker and the revision it
            serves, for debugging and benchmarks.
        transports: "fast" sends at once and buffers the rest; "stock" are
            Twisted's own.
        via: what this gateway calls itself in Via headers.
        tls_transport: "fast" is by the standard library, "stock" Twisted's.
        dns_servers: addresses and ports of whom to ask for names of instances, in
            place of those in resolv.conf.
        dns_timeout: how long looking a name up may take.
        dns_min_ttl, dns_max_ttl: bounds of how long an answer is kept.
        dns_max_stale: for how long beyond that it is used while there is no other.
        dns_resolv_conf, dns_hosts: paths of the files that say how names are resolved.
        upstream_allow: networks that instances may be in although they are refused by default.
        upstream_own: hosts and ports that this gateway listens on.
        proxy_protocol: networks whose connections begin with a PROXY header.
        tls: of a listener, as `TlsSettings.from_json` takes it; None for plain HTTP.
        listeners: by a listener's name, what holds there instead.
    """

    max_head_bytes: int = 32 * 1024
    max_header_line_bytes: int = 8 * 1024
    max_target_bytes: int = 8 * 1024
    max_headers: int = 100
    header_deadline: float = 10.0
    keepalive_idle: float = 75.0
    keepalive_requests: int = 1000
    keepalive_age: float = 3600.0
    min_body_rate: int = 1000
    body_grace: float = 10.0
    high_water_bytes: int = 64 * 1024
    low_water_bytes: int = 32 * 1024
    upstream_max_connections: int = 256
    upstream_idle_timeout: float = 8.0
    upstream_max_idle: int = 64
    upstream_queue: int = 1024
    upstream_queue_timeout: float = 3.0
    max_connections: int | None = None
    max_memory: int | None = None
    max_limit_keys: int = 100_000
    workers: int = 1
    max_metric_pairs: int = 2000
    count_requests: bool = True
    access_log: Mapping[str, Any] | None = None
    worker_header: bool = False
    transports: Literal["fast", "stock"] = "fast"
    via: str = "fengling"
    tls_transport: Literal["fast", "stock"] = "fast"
    dns_servers: Sequence[Sequence[Any]] = ()
    dns_timeout: float = 2.0
    dns_min_ttl: float = 1.0
    dns_max_ttl: float = 300.0
    dns_max_stale: float = 86400.0
    dns_resolv_conf: str = "/etc/resolv.conf"
    dns_hosts: str = "/etc/hosts"
    upstream_allow: Sequence[str] = ()
    upstream_own: Sequence[Sequence[Any]] = ()
    proxy_protocol: Sequence[str] = ()
    tls: Mapping[str, Any] | None = None
    listeners: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def of_listener(self, name: str) -> Self:
        """Return what holds for the connections of a listener."""
        return replace(self, **self.listeners.get(name, {}), listeners={})

    def head_limits(self) -> HeadLimits:
        """Return the limits of a head."""
        return HeadLimits(
            head_bytes=self.max_head_bytes,
            line_bytes=min(self.max_header_line_bytes, self.max_head_bytes),
            target_bytes=self.max_target_bytes,
            headers=self.max_headers,
        )

    def upstream_networks(self) -> UpstreamNetworks:
        """Return which addresses of instances may be connected to."""
        own = ((host, port) for host, port in self.upstream_own)
        return UpstreamNetworks(self.upstream_allow, own, is_here)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return settings from what `to_json` gave; unknown names, of a newer version, are ignored."""
        known = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})
