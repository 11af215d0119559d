"""What clients ask for, what they get, and what it takes of instances."""

from __future__ import annotations

from panels import dashboard, graph, heat, number, quantile, quantiles, rate

_REQUESTS = "fengling_http_requests_total"
_FAILED = f'{_REQUESTS}{{<service>, status="5xx"}}'
_DURATION = "fengling_http_request_duration_seconds"


def _error_ratio(by: str = "") -> str:
    grouped = f"sum by ({by})" if by else "sum"
    failed = f"{grouped} (rate({_FAILED}[$__rate_interval]))"
    all_of_them = rate(_REQUESTS, "service", by)
    return f"({failed} or 0 * {all_of_them}) / {all_of_them}"


TRAFFIC = dashboard(
    "fengling-traffic",
    "Fengling: traffic",
    {
        "Now": [
            number("Requests", rate(_REQUESTS, "service"), "reqps"),
            number(
                "Errors",
                _error_ratio(),
                "percentunit",
                red=0.05,
                about="Answers with a status of 500 or more, whoever made them.",
            ),
            number("p99", quantile(0.99, _DURATION, "service"), "s"),
            number("In flight", "sum (fengling_http_requests_in_flight{<gateway>})"),
            number("Clients", "sum (fengling_http_connections{<gateway>})"),
            number(
                "Instances that are out",
                "sum (max by (service) (fengling_upstream_instances{<service>} "
                "- fengling_upstream_instances_available{<service>}))",
                red=1,
                about="Unhealthy, ejected, switched off or in maintenance, on the gateway with most.",
            ),
        ],
        "Requests": [
            graph(
                "By status",
                {"{{status}}": rate(_REQUESTS, "service", "status")},
                "reqps",
                stacked=True,
                about="none: it ended without an answer.",
            ),
            graph("By service", {"{{service}}": rate(_REQUESTS, "service", "service")}, "reqps"),
            graph("Errors, of all", {"{{service}}": _error_ratio("service")}, "percentunit"),
            graph(
                "Failures by name",
                {"{{error}}": rate("fengling_http_request_errors_total", "service", "error")},
                "reqps",
                about="docs/errors.md has each: whose failure it is, and what to look at.",
            ),
            graph(
                "Busiest routes",
                {"{{route}}": f"topk(10, {rate(_REQUESTS, 'service', 'route')})"},
                "reqps",
            ),
            graph(
                "Routes with most errors",
                {"{{route}}": f"topk(10, sum by (route) (rate({_FAILED}[$__rate_interval])))"},
                "reqps",
            ),
        ],
        "Times": [
            graph(
                "Duration",
                quantiles(_DURATION, "service"),
                "s",
                about="From the end of a request's head to the end of its answer.",
            ),
            graph(
                "Duration, p99",
                {"{{service}}": quantile(0.99, _DURATION, "service", "service")},
                "s",
            ),
            graph(
                "First byte, p99",
                {
                    "{{service}}": quantile(
                        0.99, "fengling_upstream_first_byte_seconds", "service", "service"
                    )
                },
                "s",
                about="From the beginning of the last attempt: what of the duration is the instance's.",
            ),
            heat(
                "Durations",
                f"sum by (le) (increase({_DURATION}_bucket{{<service>}}[$__rate_interval]))",
                width=24,
            ),
        ],
        "Instances": [
            graph(
                "Available, of all",
                {
                    "{{service}}": "min by (service) "
                    "(fengling_upstream_instances_available{<service>} "
                    "/ (fengling_upstream_instances{<service>} > 0))"
                },
                "percentunit",
            ),
            graph(
                "Connections to instances",
                {
                    "{{service}} {{state}}": "sum by (service, state) "
                    "(fengling_upstream_pool_connections{<service>})"
                },
            ),
            graph(
                "Requests that wait for a connection",
                {
                    "{{service}}": "sum by (service) "
                    "(fengling_upstream_pool_waiting_requests{<service>})"
                },
            ),
            graph(
                "Attempts",
                {
                    "retries": rate("fengling_upstream_retries_total"),
                    "over a kept connection": rate("fengling_upstream_reused_total"),
                    "new connections": rate("fengling_upstream_connects_total"),
                    "that could not be made": rate("fengling_upstream_connects_failed_total"),
                },
                "ops",
            ),
            graph(
                "Ejections",
                {
                    "ejected": rate("fengling_upstream_ejections_total"),
                    "tried again": rate("fengling_upstream_reactivations_total"),
                },
                "ops",
            ),
            graph(
                "Ejected now",
                {
                    "{{instance}}": "max by (instance) (fengling_upstream_ejected_instances{<gateway>})"
                },
            ),
        ],
        "Clients": [
            graph(
                "Connections",
                {"{{state}}": "sum by (state) (fengling_http_connections_by_state{<gateway>})"},
                stacked=True,
            ),
            graph(
                "Connections accepted and refused",
                {
                    "accepted": rate("fengling_http_connections_accepted_total"),
                    "refused": rate("fengling_http_connections_refused_total"),
                    "shed": rate("fengling_http_connections_shed_total"),
                },
                "ops",
            ),
            graph(
                "Bytes",
                {
                    "from clients": rate("fengling_http_received_bytes_total"),
                    "to clients": rate("fengling_http_sent_bytes_total"),
                },
                "Bps",
            ),
            graph(
                "Bodies, p95",
                {
                    "requests": quantile(0.95, "fengling_http_request_body_bytes", "service"),
                    "answers": quantile(0.95, "fengling_http_response_body_bytes", "service"),
                },
                "bytes",
            ),
            graph(
                "Handshakes",
                {
                    "completed": rate("fengling_tls_handshakes_total"),
                    "failed: {{kind}}": rate("fengling_tls_handshakes_failed_total", by="kind"),
                },
                "ops",
            ),
            graph(
                "Credentials",
                {
                    "accepted: {{method}}": rate(
                        "fengling_http_credentials_accepted_total", by="method"
                    ),
                    "refused: {{reason}}": rate(
                        "fengling_http_credentials_refused_total", by="reason"
                    ),
                },
                "ops",
            ),
            graph(
                "Rate limits",
                {
                    "{{decision}}, {{scope}}": rate(
                        "fengling_limit_requests_total", by="decision, scope"
                    )
                },
                "ops",
            ),
        ],
    },
    services=True,
)
