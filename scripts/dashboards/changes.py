"""The way of a change: from its commit to every worker, and what stands in it."""

from __future__ import annotations

from panels import dashboard, graph, heat, number, quantiles, rate, table

_NEWEST = "max by (cluster) (fengling_config_revision{<gateway>})"

CHANGES = dashboard(
    "fengling-changes",
    "Fengling: the way of changes",
    {
        "Now": [
            number("Newest revision", "max (fengling_config_revision{<gateway>})", "none"),
            number(
                "Workers behind",
                "count (fengling_config_worker_revision{<gateway>} "
                f"< on (cluster) group_left () {_NEWEST}) or vector(0)",
                red=1,
                about="Those of pinned gateways included.",
            ),
            number(
                "Rejected",
                "sum (max by (cluster, kind) (fengling_config_rejected_entities{<gateway>}))",
                red=1,
            ),
            number("Held", "max (fengling_config_held{<gateway>})", red=1),
            number("Pinned", "sum (fengling_config_pinned{<gateway>})", red=1),
            number(
                "From the last-known-good file",
                "sum (fengling_config_from_last_known_good{<gateway>})",
                red=1,
            ),
        ],
        "From commit to workers": [
            graph(
                "Commit to applied",
                quantiles("fengling_config_propagation_seconds", "gateway"),
                "s",
                about="One observation for each worker and revision; by the clocks of database and host.",
            ),
            heat(
                "Commit to applied, each",
                "sum by (le) (increase("
                "fengling_config_propagation_seconds_bucket{<gateway>}[$__rate_interval]))",
            ),
            graph(
                "Reads of the source, by what asked",
                {"{{reason}}": rate("fengling_config_reloads_total", by="reason")},
                "ops",
                stacked=True,
            ),
            graph(
                "Duration of a read",
                quantiles("fengling_config_reload_seconds", "gateway"),
                "s",
                about="Until what it found was told to the workers.",
            ),
            graph("Revisions", {"{{instance}}": "fengling_config_revision{<gateway>}"}, "none"),
            graph(
                "Revisions behind, by worker",
                {
                    "{{instance}} {{worker}}": f"{_NEWEST} - on (cluster) group_right () "
                    "fengling_config_worker_revision{<gateway>}"
                },
                "none",
            ),
            graph(
                "Time since a worker began to serve what it serves",
                {
                    "{{instance}} {{worker}}": "time() "
                    "- fengling_config_applied_timestamp_seconds{<gateway>}"
                },
                "s",
            ),
            table(
                "Where each gateway is",
                "fengling_config_revision{<gateway>} * on (instance) group_left (epoch) "
                "fengling_config_epoch_info{<gateway>}",
                "none",
                about="Revisions of one epoch compare; another epoch is another database, or file.",
                width=16,
            ),
        ],
        "Source and Redis": [
            graph(
                "Source",
                {
                    "connected {{instance}}": "fengling_config_source_connected{<gateway>}",
                    "listening {{instance}}": "fengling_config_source_listening{<gateway>}",
                },
                "none",
            ),
            graph(
                "Since the last read",
                {"{{instance}}": "fengling_config_age_seconds{<gateway>}"},
                "s",
            ),
            graph(
                "Work of the source",
                {
                    "reads": rate("fengling_config_source_reads_total"),
                    "read ahead": rate("fengling_config_source_reads_ahead_total"),
                    "of everything": rate("fengling_config_source_full_reads_total"),
                    "rows": rate("fengling_config_source_rows_total"),
                    "reconnects": rate("fengling_config_source_reconnects_total"),
                },
                "ops",
            ),
            graph("Redis", {"{{instance}}": "fengling_bus_connected{<gateway>}"}, "none"),
            graph(
                "What happens on the bus",
                {"{{event}}": rate("fengling_bus_events_total", by="event")},
                "ops",
            ),
            graph(
                "Messages that were not believed",
                {"{{reason}}": rate("fengling_bus_messages_dropped_total", by="reason")},
                "ops",
            ),
        ],
        "What is served": [
            graph(
                "Entities",
                {"{{kind}}": "max by (kind) (fengling_config_entities{<gateway>})"},
                "none",
            ),
            graph(
                "Rejected",
                {"{{kind}}": "max by (kind) (fengling_config_rejected_entities{<gateway>})"},
                "none",
            ),
            graph(
                "What workers can't use",
                {
                    "{{instance}} {{worker}}": "fengling_config_worker_failed_entities{<gateway>}",
                },
                "none",
            ),
            table(
                "Rejected, by name",
                "max by (cluster, kind, id, code, serving) "
                "(fengling_config_rejected_entity{<gateway>})",
            ),
            table(
                "Switched off",
                "max by (cluster, kind, id) (fengling_node_switched_off{<gateway>})",
            ),
        ],
        "Certificates, issuers, health": [
            table(
                "Certificates expire in",
                "min by (cluster, id) "
                "(fengling_config_certificate_expiry_timestamp_seconds{<gateway>}) - time()",
                "s",
                width=8,
            ),
            graph(
                "Age of issuers' keys",
                {
                    "{{issuer}} {{instance}}": "time() "
                    "- fengling_issuer_keys_fetched_timestamp_seconds{<gateway>}"
                },
                "s",
            ),
            graph(
                "Fetches of keys",
                {
                    "{{issuer}}": rate("fengling_issuer_fetches_total", by="issuer"),
                    "{{issuer}} failed: {{reason}}": rate(
                        "fengling_issuer_fetch_failures_total", by="issuer, reason"
                    ),
                },
                "ops",
            ),
            graph(
                "Since the last sign of a prober",
                {"{{instance}}": "fengling_health_prober_age_seconds{<gateway>}"},
                "s",
            ),
            graph("Health is stale", {"{{instance}}": "fengling_health_stale{<gateway>}"}, "none"),
            graph(
                "Files that could not be written",
                {
                    "last-known-good {{instance}}": rate(
                        "fengling_config_file_failures_total", by="instance"
                    ),
                    "keys of issuers {{instance}}": rate(
                        "fengling_issuer_file_failures_total", by="instance"
                    ),
                },
                "ops",
            ),
        ],
    },
)
