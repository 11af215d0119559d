"""Every metric of the gateway; `exposition` makes the text for Prometheus of plain counters.

Counting is done where things happen, in plain integers; nothing there knows
this module. Names: ``fengling_<subsystem>_<noun>_<unit>[_total]``. Counters are
those of the host: what its workers have counted together, those that are gone
included (`sums`). What is of a worker has the label ``worker``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)

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

BUILD: Final = Declared(
    "fengling_build_info", "1, with the running version as a label.", ("version",)
)

REQUESTS: Final = Declared(
    "fengling_http_requests_total",
    "Requests that have ended, by route, service and class of the answer's status; none: "
    "there was no answer, the client had left. Routes without a series of their own count as "
    "the route other.",
    ("route", "service", "status"),
)
REQUEST_ERRORS: Final = Declared(
    "fengling_http_request_errors_total",
    "Requests that the gateway could not serve as they should be, by the name of the "
    "failure: docs/errors.md says what each means, and whose fault it is.",
    ("route", "service", "error"),
)
SERVICE_HISTOGRAMS: Final = {
    "latency": Declared(
        "fengling_http_request_duration_seconds",
        "How long requests took: from the end of a request's headers to the end of its answer.",
        ("service",),
    ),
    "first_byte": Declared(
        "fengling_upstream_first_byte_seconds",
        "How long instances took to begin their answers: from the beginning of the last attempt, "
        "which may have had to wait for a connection, to the first byte. Requests that no "
        "instance has answered are left out.",
        ("service",),
    ),
    "received": Declared(
        "fengling_http_request_body_bytes",
        "Sizes of the bodies of requests, in bytes; what clients send through tunnels "
        "(WebSockets) is one body, too.",
        ("service",),
    ),
    "sent": Declared(
        "fengling_http_response_body_bytes",
        "Sizes of the bodies of answers, in bytes; what clients are sent through tunnels "
        "(WebSockets) is one body, too.",
        ("service",),
    ),
}
"""By the name of a data plane's histogram."""

TIMES: Final = ("latency", "first_byte")
"""Those that count seconds; the others count bytes."""

CREDENTIALS_ACCEPTED: Final = Declared(
    "fengling_http_credentials_accepted_total",
    "Requests whose credentials were good, by method: jwt (a token) or api_key. Whoever sent them "
    "may still have been refused for what they asked.",
    ("method",),
)
CREDENTIALS_REFUSED: Final = Declared(
    "fengling_http_credentials_refused_total",
    "Requests whose token or API key was not good, by reason: malformed, unknown_issuer, "
    "unknown_key, wrong_algorithm, wrong_signature, wrong_claims (audience, lifetime, what is "
    "required), expired, not_yet_valid, revoked, other_issuer, other_method (than the route takes).",
    ("reason",),
)

LIMIT_REQUESTS: Final = Declared(
    "fengling_limit_requests_total",
    "What rate limits have decided: allowed or refused (429, or 503 where Redis is away and the "
    "limit says deny); by scope: local (the limit of this host) or global (all hosts count "
    "together, over Redis). A request with several limits counts once for each that let it in, "
    "or refused it.",
    ("decision", "scope"),
)

HANDSHAKES_FAILED: Final = Declared(
    "fengling_tls_handshakes_failed_total",
    "Handshakes with clients that failed, by kind: left (the client closed), timeout, "
    "certificate (the client's), alert (the client refused), not_tls, nothing_in_common "
    "(no version, cipher or certificate), other.",
    ("kind",),
)

WORKER_REQUESTS: Final = Declared(
    "fengling_worker_requests_total",
    "Requests that have ended, by the worker that served them: how workers share the load.",
    _WORKER,
)

WORKER_COUNTERS: Final = {
    "connections_accepted": Declared(
        "fengling_http_connections_accepted_total", "Client connections accepted."
    ),
    "connections_refused": Declared(
        "fengling_http_connections_refused_total",
        "Client connections closed at once because there were too many.",
    ),
    "connections_shed": Declared(
        "fengling_http_connections_shed_total",
        "Idle client connections closed because memory was short.",
    ),
    "descriptors_short": Declared(
        "fengling_http_accepts_failed_total",
        "How often a client could not be accepted for want of a descriptor or memory.",
    ),
    "accept_pauses": Declared(
        "fengling_http_accept_pauses_total",
        "How often accepting was paused because memory was short.",
    ),
    "access_log_lines": Declared("fengling_access_log_lines_total", "Lines of the access log."),
    "access_log_dropped": Declared(
        "fengling_access_log_dropped_lines_total",
        "Lines of the access log that could not be written, or not as fast as they came.",
    ),
    "bytes_received": Declared(
        "fengling_http_received_bytes_total", "Bytes received from clients."
    ),
    "bytes_sent": Declared("fengling_http_sent_bytes_total", "Bytes sent to clients."),
    "proxy_headers_refused": Declared(
        "fengling_http_proxy_headers_refused_total",
        "Connections closed because a balancer sent no PROXY header, or a malformed one.",
    ),
    "tls_handshakes": Declared(
        "fengling_tls_handshakes_total", "Handshakes with clients completed."
    ),
    "tls_certificates_failed": Declared(
        "fengling_tls_certificates_failed_total",
        "Certificates that could not be read or used; the log says which.",
    ),
    "dns_lookups": Declared("fengling_dns_lookups_total", "Names of instances looked up."),
    "dns_lookups_failed": Declared(
        "fengling_dns_lookups_failed_total",
        "Names of instances that could not be resolved; the log says which.",
    ),
    "dns_stale_uses": Declared(
        "fengling_dns_stale_uses_total",
        "Connections to the last known address of a name that could not be resolved again in time.",
    ),
    "limit_keys_forgotten": Declared(
        "fengling_limit_keys_forgotten_total",
        "Clients that begin anew at a rate limit because there were more than "
        "limits.max_limit_keys.",
    ),
    "limit_requests_told": Declared(
        "fengling_limit_told_requests_total",
        "Requests let in by global rate limits that the other workers of the cluster were told of.",
    ),
    "limit_requests_untold": Declared(
        "fengling_limit_untold_requests_total",
        "Requests let in by global rate limits that the other workers of the cluster were never "
        "told of: they came while Redis was away, or were too many.",
    ),
    "limit_calls": Declared(
        "fengling_limit_redis_calls_total",
        "Calls to Redis by which workers count global rate limits together.",
    ),
    "limit_calls_failed": Declared(
        "fengling_limit_redis_calls_failed_total",
        "Such calls that failed; they are repeated for a while.",
    ),
    "limit_outages": Declared(
        "fengling_limit_redis_outages_total",
        "How often Redis has not answered for redis.limit_deadline: then on_redis_failure decides.",
    ),
    "retries": Declared(
        "fengling_upstream_retries_total",
        "Attempts after the first one of a request: an instance was asked because the attempt "
        "before had failed.",
    ),
    "debugged": Declared(
        "fengling_http_debugged_requests_total",
        "Requests whose answers said how they were served, to a console that asked.",
    ),
    "debug_headers_refused": Declared(
        "fengling_http_debug_headers_refused_total",
        "X-Gateway-Debug headers that were not good, and were taken off and ignored.",
    ),
    "ejections": Declared(
        "fengling_upstream_ejections_total",
        "How often a worker has stopped sending to an instance because requests to it failed one "
        "after the other.",
    ),
    "reactivations": Declared(
        "fengling_upstream_reactivations_total",
        "How often an ejected instance was tried again, or has left the configuration.",
    ),
    "upstream_connects": Declared(
        "fengling_upstream_connects_total",
        "Connections to instances that were begun, whether or not they came about.",
    ),
    "upstream_connects_failed": Declared(
        "fengling_upstream_connects_failed_total",
        "Connections to instances that could not be made.",
    ),
    "upstream_reused": Declared(
        "fengling_upstream_reused_total", "Attempts over a connection that was open already."
    ),
    "upstream_discarded": Declared(
        "fengling_upstream_discarded_total",
        "Connections to instances that were closed, rather than kept for the next request, "
        "because of what had happened on them.",
    ),
    "upstream_tls_failed": Declared(
        "fengling_upstream_tls_failed_total",
        "TLS connections to instances that failed, in the handshake or later.",
    ),
    "upstream_addresses_refused": Declared(
        "fengling_upstream_addresses_refused_total",
        "Addresses that the name of an instance stands for, and that this host must not connect "
        "to ([upstream] allow); the log says which.",
    ),
    "upstream_bytes_received": Declared(
        "fengling_upstream_received_bytes_total", "Bytes received from instances."
    ),
    "upstream_bytes_sent": Declared(
        "fengling_upstream_sent_bytes_total", "Bytes sent to instances."
    ),
}

WORKER_GAUGES: Final = {
    "folded_now": Declared(
        "fengling_http_folded_pairs",
        "Pairs of a route and a service that have no series of their own, and count as the route "
        "other; limits.max_metric_pairs says how many have.",
        _WORKER,
    ),
    "limit_keys_now": Declared(
        "fengling_limit_keys",
        "Clients, or whatever else rate limits count by, that a worker knows at present.",
        _WORKER,
    ),
    "limits_alone_now": Declared(
        "fengling_limit_alone",
        "1 while Redis is away, and a worker's global rate limits do what their on_redis_failure "
        "says.",
        _WORKER,
    ),
    "overload_now": Declared(
        "fengling_worker_overload_level",
        "What a worker does because memory is short: 0 nothing; 1 it refuses requests and closes "
        "idle connections; 2 it accepts no connections, either.",
        _WORKER,
    ),
    "memory_now": Declared(
        "fengling_worker_memory_bytes", "Resident memory of a worker's process.", _WORKER
    ),
    "memory_limit_now": Declared(
        "fengling_worker_memory_limit_bytes",
        "What a worker may use before it is short of memory; 0: any number.",
        _WORKER,
    ),
    "connections_now": Declared("fengling_http_connections", "Client connections open.", _WORKER),
    "in_flight_now": Declared(
        "fengling_http_requests_in_flight",
        "Requests under way, tunnels (WebSockets) among them.",
        _WORKER,
    ),
    "routes_off_now": Declared(
        "fengling_http_routes_switched_off", "Routes that somebody has switched off.", _WORKER
    ),
    "instances_off_now": Declared(
        "fengling_upstream_switched_off_instances",
        "Instances that somebody has switched off.",
        _WORKER,
    ),
    "health_stale_now": Declared(
        "fengling_upstream_health_stale",
        "1 while a worker ignores what is reported of instances, because nobody has probed them "
        "for too long: an unhealthy one counts as unknown.",
        _WORKER,
    ),
    "ejected_now": Declared(
        "fengling_upstream_ejected_instances",
        "Instances that a worker sends nothing to because of their failures in a row.",
        _WORKER,
    ),
    "upstream_connections_now": Declared(
        "fengling_upstream_connections",
        "Open connections to instances, idle ones and tunnels included.",
        _WORKER,
    ),
    "upstream_queued_now": Declared(
        "fengling_upstream_queued_requests",
        "Requests that wait for a connection to an instance.",
        _WORKER,
    ),
}

WORKER_REFUSED: Final = Declared(
    "fengling_upstream_refused_instances",
    "Instances that a worker sends nothing to because it must not connect to their address "
    "([upstream] allow).",
    _WORKER,
)

CONNECTION_STATES: Final = ("idle", "serving", "tunnel", "handshake")
CONNECTIONS_BY_STATE: Final = Declared(
    "fengling_http_connections_by_state",
    "Client connections of this host by what they do: idle (between requests, in the midst of a "
    "head, or closing), serving (a request is under way), tunnel (WebSockets and other "
    "upgrades), handshake (TLS or a PROXY header is under way).",
    ("state",),
)
POOL_STATES: Final = ("idle", "busy", "connecting")
POOL_CONNECTIONS: Final = Declared(
    "fengling_upstream_pool_connections",
    "Connections from this host to the instances of a service: idle (kept for the next request), "
    "busy (a request is under way), connecting. Tunnels are left out: they take no place in a "
    "pool. Services without a name of their own here count as the service other.",
    ("service", "state"),
)
POOL_WAITING: Final = Declared(
    "fengling_upstream_pool_waiting_requests",
    "Requests that wait for a connection to an instance, because all that it may have are busy.",
    ("service",),
)
INSTANCES: Final = Declared(
    "fengling_upstream_instances",
    "Instances that a service has in the configuration. Services that are switched off there "
    "are left out; those without a name of their own here count as the service other.",
    ("service",),
)
INSTANCES_AVAILABLE: Final = Declared(
    "fengling_upstream_instances_available",
    "Instances of a service that get requests: they are ready (not drained, in maintenance, of "
    "weight 0, switched off or at a refused address), not reported unhealthy, and not ejected. "
    "As the worker sees it that has the fewest. Below half of those that are ready, a service "
    "ignores health and sends to all of them.",
    ("service",),
)

WORKERS: Final = Declared(
    "fengling_workers",
    "Worker processes by state: starting, serving, stalled (silent for too long), draining.",
    ("state",),
)
WORKER_DEATHS: Final = Declared(
    "fengling_worker_deaths_total", "Worker processes that ended without being told to."
)
WORKER_REVISION: Final = Declared(
    "fengling_config_worker_revision", "The revision that a worker serves.", _WORKER
)
WORKER_APPLIED: Final = Declared(
    "fengling_config_applied_timestamp_seconds",
    "When a worker began to serve the revision that it serves, in seconds since 1970.",
    _WORKER,
)
WORKER_LAG: Final = Declared(
    "fengling_worker_lag_seconds",
    "How late a worker ran what was due, at worst in the second before its newest heartbeat.",
    _WORKER,
)
WORKER_FAILED: Final = Declared(
    "fengling_config_worker_failed_entities",
    "Valid entities that a worker can't use, such as a certificate whose key is missing; up "
    "to 100. The status names them.",
    _WORKER,
)

REVISION: Final = Declared(
    "fengling_config_revision",
    "The revision of the configuration that this node serves; "
    "fengling_config_worker_revision has each worker's.",
)
EPOCH: Final = Declared(
    "fengling_config_epoch_info",
    "1, with the epoch of the config source as a label. Another epoch is another database: it "
    "was made anew, or another one is in its place.",
    ("epoch",),
)
ENTITIES: Final = Declared(
    "fengling_config_entities",
    "Entities of the configuration that are served, by kind: route, service, instance and so on.",
    ("kind",),
)
REJECTED: Final = Declared(
    "fengling_config_rejected_entities",
    "Entities whose newest version is not valid, by kind. The last good version is served, "
    "if there is one.",
    ("kind",),
)
REJECTED_ENTITY: Final = Declared(
    "fengling_config_rejected_entity",
    "1 for each entity whose newest version is not valid and each code of what is wrong with "
    "it; serving says what is served instead. Of the first 100.",
    ("kind", "id", "code", "serving"),
)
CERTIFICATE_EXPIRY: Final = Declared(
    "fengling_config_certificate_expiry_timestamp_seconds",
    "When a certificate that is served expires, in seconds since 1970; of the 100 that "
    "expire first.",
    ("id",),
)
_ISSUER: Final = ("issuer",)

ISSUER_KEYS: Final = Declared(
    "fengling_issuer_keys",
    "Keys by which an issuer's tokens can be verified now; issuers with a shared secret are "
    "left out. Of the first 100 issuers, as all metrics of issuers.",
    _ISSUER,
)
ISSUER_FETCHED: Final = Declared(
    "fengling_issuer_keys_fetched_timestamp_seconds",
    "When the keys that an issuer publishes were last fetched, in seconds since 1970.",
    _ISSUER,
)
ISSUER_FAILING: Final = Declared(
    "fengling_issuer_failing",
    "1 while the keys of an issuer can't be fetched; those from before are still used.",
    _ISSUER,
)
ISSUER_FETCHES: Final = Declared(
    "fengling_issuer_fetches_total", "How often fetching an issuer's keys was begun.", _ISSUER
)
ISSUER_FETCH_FAILURES: Final = Declared(
    "fengling_issuer_fetch_failures_total",
    "How often fetching an issuer's keys has failed, by what went wrong.",
    ("issuer", "reason"),
)
KEY_FILE_FAILURES: Final = Declared(
    "fengling_issuer_file_failures_total",
    "How often the file could not be written by which this host knows issuers' keys when it "
    "starts while they are down.",
)

RELOAD_REASONS: Final = (
    "started",
    "poll",
    "notification",
    "connected",
    "lost",
    "changed",
    "announcement",
    "worker",
    "subscribed",
    "reload",
    "command",
    "confirmed",
    "hangup",
)
RELOADS: Final = Declared(
    "fengling_config_reloads_total",
    "How often a look at the config source was asked for, by what asked: started, poll (nothing "
    "else had for a while), notification (PostgreSQL has a new revision), connected and lost (the "
    "connection that hears notifications was made, or broke), changed (the file was), "
    "announcement (of another host, on Redis), worker (one of ours has heard that), subscribed "
    "(Redis can be heard again), reload (somebody asked the management API), command (the same, "
    "of another node), confirmed (a held revision was), hangup (a signal). Those who ask during a "
    "look are answered by one more.",
    ("reason",),
)
HISTOGRAMS: Final = {
    "reload": Declared(
        "fengling_config_reload_seconds",
        "From the beginning of a look that found something new to its being sent to the workers: "
        "reading the config source, and judging what was read.",
    ),
    "propagation": Declared(
        "fengling_config_propagation_seconds",
        "From the commit of a revision until a worker serves it, once for each worker and "
        "revision. The commit is by the database's clock: where clocks differ, so do these. What "
        "was held or pinned, and what a worker starts with, is left out.",
    ),
    "reactor_lag": Declared(
        "fengling_worker_reactor_lag_seconds",
        "How late workers ran what was due, looked at 20 times a second in each: so long "
        "requests wait for a worker that is busy, or has no CPU.",
    ),
}
"""By their names in what is told."""

HELD: Final = Declared(
    "fengling_config_held",
    "1 while a revision is held back, because it removes too much, until somebody confirms it.",
)
PINNED: Final = Declared(
    "fengling_config_pinned",
    "1 while this node serves a pinned revision, whatever is newer, until somebody unpins it.",
)
PINNED_BEHIND: Final = Declared(
    "fengling_config_pinned_behind",
    "Revisions that are newer than the pinned one; 0 without a pin.",
)
FROM_FILE: Final = Declared(
    "fengling_config_from_last_known_good",
    "1 while the last-known-good file is served: the source has not been read since the start.",
)
AGE: Final = Declared(
    "fengling_config_age_seconds", "Seconds since the config source was last read successfully."
)
FILE_FAILURES: Final = Declared(
    "fengling_config_file_failures_total",
    "Writes of the last-known-good file that failed; a later one makes up for them.",
)
LOG_DROPPED: Final = Declared(
    "fengling_log_dropped_lines_total",
    "Lines of the supervisor's log that could not be written, or not as fast as they came.",
)
DRAINED: Final = Declared(
    "fengling_node_drained", "1 while somebody has drained this node: it sends clients elsewhere."
)
SWITCHED_OFF: Final = Declared(
    "fengling_node_switched_off",
    "1 for each route and instance that somebody has switched off; of the first 100.",
    ("kind", "id"),
)
HEALTH_STALE: Final = Declared(
    "fengling_health_stale",
    "1 while no console has probed instances for [health] stale_after: what was reported of "
    "them is ignored.",
)
PROBER_AGE: Final = Declared(
    "fengling_health_prober_age_seconds",
    "Seconds since the last sign of a console that probes instances.",
)

SOURCE_CONNECTED: Final = Declared(
    "fengling_config_source_connected", "1 while the config source answers."
)
SOURCE_LISTENING: Final = Declared(
    "fengling_config_source_listening",
    "1 while notifications of changes arrive from PostgreSQL; else changes are found by "
    "polling only.",
)
SOURCE_COUNTERS: Final = {
    "reads": Declared(
        "fengling_config_source_reads_total", "How often the config source was read."
    ),
    "reads_ahead": Declared(
        "fengling_config_source_reads_ahead_total",
        "Changes that the thread which hears notifications has read itself, at once.",
    ),
    "full_reads": Declared(
        "fengling_config_source_full_reads_total",
        "How often the whole configuration was read, and not only what had changed.",
    ),
    "rows_read": Declared("fengling_config_source_rows_total", "Rows read from the config source."),
    "reconnects": Declared(
        "fengling_config_source_reconnects_total",
        "How often the connection that hears notifications was made anew.",
    ),
}

BUS_CONNECTED: Final = Declared(
    "fengling_bus_connected", "1 while Redis is used both ways; missing without [redis]."
)
BUS_EVENTS: Final = Declared(
    "fengling_bus_events_total",
    "What has happened between this node and Redis, by kind: messages sent and heard, "
    "connections made and lost.",
    ("event",),
)
BUS_DROPPED: Final = Declared(
    "fengling_bus_messages_dropped_total",
    "Messages from Redis that were ignored, by why: of a wrong signature, of another "
    "cluster, too old and so on.",
    ("reason",),
)

SPANS_SENT: Final = Declared(
    "fengling_tracing_spans_sent_total", "Spans that the collector has taken ([tracing])."
)
SPANS_DROPPED: Final = Declared(
    "fengling_tracing_spans_dropped_total",
    "Spans that nobody will see, by why: worker (not told in time), queue_full, refused (for good), "
    "rejected (of a batch that was taken), unavailable (the collector, for too long), stopped (this "
    "gateway), failed (a fault of ours).",
    ("reason",),
)
SPANS_WAITING: Final = Declared("fengling_tracing_spans_waiting", "Spans that wait to be sent.")
SPAN_FAILURES: Final = Declared(
    "fengling_tracing_send_failures_total",
    "Tries to send spans that failed, also if a later one did not.",
)

FAILURES_KEPT: Final = Declared(
    "fengling_failures_kept",
    "Requests that failed or were slow and are kept for fenglingctl errors ([failures]).",
)
FAILURES_KEPT_BYTES: Final = Declared(
    "fengling_failures_kept_bytes", "What they take of the supervisor's memory, about."
)
FAILURES_PUSHED_OUT: Final = Declared(
    "fengling_failures_pushed_out_total", "Such requests that newer ones have pushed out."
)
FAILURES_LEFT_OUT: Final = Declared(
    "fengling_failures_left_out_total",
    "Such requests that were only counted, one of a flood, or because the supervisor was too busy.",
)

_PROCESS: Final = ("process",)

PROCESS_COUNTERS: Final = {
    "cpu_seconds": Declared(
        "fengling_process_cpu_seconds_total",
        "CPU time used by a process (supervisor, w0, w1 ...), in itself and in the kernel. It "
        "begins anew with a new process of that name, as all metrics of processes do.",
        _PROCESS,
    ),
    "pause_seconds": Declared(
        "fengling_process_gc_pause_seconds_total",
        "Time that a process has spent looking for garbage, and did nothing else.",
        _PROCESS,
    ),
}
PROCESS_GAUGES: Final = {
    "resident_bytes": Declared(
        "fengling_process_resident_memory_bytes", "Resident memory of a process.", _PROCESS
    ),
    "open_fds": Declared(
        "fengling_process_open_fds",
        "Descriptors that a process has open: connections, files, sockets. Before Linux 6.2, "
        "numbers above 1000 are some scrapes old.",
        _PROCESS,
    ),
    "max_fds": Declared(
        "fengling_process_max_fds", "Descriptors that a process may have open.", _PROCESS
    ),
}
COLLECTIONS: Final = Declared(
    "fengling_process_gc_collections_total",
    "How often a process has looked for garbage, by Python's generation: 2 looks at everything.",
    ("process", "generation"),
)

REFUSALS: Final = Declared(
    "fengling_management_refusals_total",
    "Requests to the management API refused at its gate, by problem code, and connections dropped.",
    ("code",),
)
