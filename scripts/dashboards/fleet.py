"""Gateways, their workers, and what these take of a host."""

from __future__ import annotations

from panels import dashboard, graph, number, quantile, rate, table

_REQUESTS = "fengling_http_requests_total"
_DURATION = "fengling_http_request_duration_seconds"
_LAG = "fengling_worker_reactor_lag_seconds"

FLEET = dashboard(
    "fengling-fleet",
    "Fengling: gateways and processes",
    {
        "Now": [
            number("Gateways", "count (fengling_build_info{<gateway>})"),
            number("Workers serving", 'sum (fengling_workers{<gateway>, state="serving"})'),
            number(
                "Deaths of workers, 24 h",
                "sum (increase(fengling_worker_deaths_total{<gateway>}[24h]))",
                red=1,
            ),
            number("Drained", "sum (fengling_node_drained{<gateway>})", red=1),
            number("Lag, p99", quantile(0.99, _LAG, "gateway"), "s", red=0.1),
            number(
                "Memory, the fullest worker",
                "max (fengling_worker_memory_bytes{<gateway>} "
                "/ (fengling_worker_memory_limit_bytes{<gateway>} > 0))",
                "percentunit",
                red=0.85,
            ),
        ],
        "Gateways": [
            graph("Answers scrapes", {"{{instance}}": 'up{job="fengling", <gateway>}'}, "none"),
            graph(
                "Workers",
                {
                    "{{instance}} {{state}}": "sum by (instance, state) (fengling_workers{<gateway>})"
                },
                "none",
            ),
            table(
                "Versions",
                "count by (cluster, version) (fengling_build_info{<gateway>})",
                width=8,
            ),
            graph("Requests", {"{{instance}}": rate(_REQUESTS, by="instance")}, "reqps"),
            graph(
                "Duration, p99",
                {"{{instance}}": quantile(0.99, _DURATION, "gateway", "instance")},
                "s",
            ),
            graph(
                "Duration of a scrape",
                {"{{instance}}": 'scrape_duration_seconds{job="fengling", <gateway>}'},
                "s",
            ),
        ],
        "How workers share the load": [
            graph(
                "Requests",
                {
                    "{{instance}} {{worker}}": rate(
                        "fengling_worker_requests_total", by="instance, worker"
                    )
                },
                "reqps",
            ),
            graph(
                "In flight",
                {"{{instance}} {{worker}}": "fengling_http_requests_in_flight{<gateway>}"},
            ),
            graph("Clients", {"{{instance}} {{worker}}": "fengling_http_connections{<gateway>}"}),
        ],
        "Processes": [
            graph(
                "CPU",
                {
                    "{{instance}} {{process}}": rate(
                        "fengling_process_cpu_seconds_total", by="instance, process"
                    )
                },
                "percentunit",
                about="Of one core: a worker has no use for more.",
            ),
            graph(
                "Resident memory",
                {"{{instance}} {{process}}": "fengling_process_resident_memory_bytes{<gateway>}"},
                "bytes",
            ),
            graph(
                "Memory, of what a worker may use",
                {
                    "{{instance}} {{worker}}": "fengling_worker_memory_bytes{<gateway>} "
                    "/ (fengling_worker_memory_limit_bytes{<gateway>} > 0)"
                },
                "percentunit",
                about="From 85 % new requests are refused, from 95 % connections.",
            ),
            graph(
                "Reactor lag, p99",
                {"{{instance}}": quantile(0.99, _LAG, "gateway", "instance")},
                "s",
                about="How late what was due ran, of all workers of a gateway.",
            ),
            graph(
                "Reactor lag, newest",
                {"{{instance}} {{worker}}": "fengling_worker_lag_seconds{<gateway>}"},
                "s",
            ),
            graph(
                "Descriptors, of all",
                {
                    "{{instance}} {{process}}": "fengling_process_open_fds{<gateway>} "
                    "/ fengling_process_max_fds{<gateway>}"
                },
                "percentunit",
            ),
            graph(
                "Garbage collections",
                {
                    "{{process}} generation {{generation}}": rate(
                        "fengling_process_gc_collections_total", by="process, generation"
                    )
                },
                "ops",
            ),
            graph(
                "Time in garbage collections",
                {
                    "{{instance}} {{process}}": rate(
                        "fengling_process_gc_pause_seconds_total", by="instance, process"
                    )
                },
                "percentunit",
            ),
            graph(
                "Without what workers do, for want of memory",
                {"{{instance}} {{worker}}": "fengling_worker_overload_level{<gateway>}"},
                "none",
                about="0 nothing, 1 new requests and idle connections, 2 new connections, too.",
            ),
        ],
        "What they tell": [
            graph(
                "Lines that were lost",
                {
                    "log {{instance}}": rate("fengling_log_dropped_lines_total", by="instance"),
                    "access log {{instance}}": rate(
                        "fengling_access_log_dropped_lines_total", by="instance"
                    ),
                },
                "ops",
            ),
            graph(
                "Lines of the access log",
                {"{{instance}}": rate("fengling_access_log_lines_total", by="instance")},
                "ops",
            ),
            graph(
                "Spans",
                {
                    "sent": rate("fengling_tracing_spans_sent_total"),
                    "waiting": "sum (fengling_tracing_spans_waiting{<gateway>})",
                    "dropped: {{reason}}": rate(
                        "fengling_tracing_spans_dropped_total", by="reason"
                    ),
                },
            ),
            graph(
                "Refused by the management API",
                {"{{code}}": rate("fengling_management_refusals_total", by="code")},
                "ops",
            ),
            graph(
                "Counting together in Redis",
                {
                    "calls": rate("fengling_limit_redis_calls_total"),
                    "failed": rate("fengling_limit_redis_calls_failed_total"),
                    "workers that count alone": "sum (fengling_limit_alone{<gateway>})",
                },
            ),
            graph(
                "Names of instances",
                {
                    "looked up": rate("fengling_dns_lookups_total"),
                    "not resolved": rate("fengling_dns_lookups_failed_total"),
                    "old addresses used": rate("fengling_dns_stale_uses_total"),
                },
                "ops",
            ),
        ],
    },
)
