"""The exposition: every metric declared, every value where it belongs."""

from __future__ import annotations

import re
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from fengling_gateway.dataplane.counters import Counters
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.limiting.table import LimitTable
from fengling_gateway.observability import metrics
from fengling_gateway.observability.catalogue import declarations
from fengling_gateway.observability.exposition import render_metrics
from fengling_gateway.observability.sums import NOTHING, together

STATUS: dict[str, Any] = {
    "version": "1.2.3",
    "position": {"epoch": "e", "revision": 412, "token": "t"},
    "held": {"revision": 413, "message": "held"},
    "pinned": {"revision": 412, "behind": 3, "message": "pinned at 412, 3 revisions behind"},
    "rejected": [
        {"kind": "route", "id": "bad", "serving": "nothing", "problems": [{"code": "bad_path"}]}
    ],
    "rejected_by_kind": {"route": 250},
    "entities": {"route": 10, "service": 2},
    "workers": [
        {"worker": "w0", "state": "serving", "revision": 412, "lag_ms": 2.0, "applied_at": 1.5e9},
        {"worker": "w1", "state": "starting", "revision": None, "lag_ms": None, "applied_at": None},
    ],
    "source": {"connected": True, "listening": False, "reads": 7, "rows_read": 100},
    "redis": {
        "configured": True,
        "connected": False,
        "counters": {
            "announcements_sent": 3,
            "messages_dropped": 2,
            "messages_dropped:unsigned": 2,
        },
    },
    "failures": {"kept": 3, "bytes": 4000, "pushed_out": 7, "left_out": 11},
    "tracing": {
        "sent": 5,
        "waiting": 2,
        "failures": 1,
        "dropped": {"queue_full": 3, "worker": 0},
        "last_trouble": None,
    },
    "config_age_s": 1.5,
    "deaths": 4,
    "last_known_good": {"failures": 2, "failing": True},
    "log": {"dropped_lines": 4},
}


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def rendered(
    counters: dict[str, Any] | None = None, status: dict[str, Any] | None = None
) -> dict[Any, float]:
    return samples(text_of(STATUS if status is None else status, counters or {}))


def text_of(status: dict[str, Any], counters: dict[str, Any]) -> bytes:
    return b"".join(render_metrics(status, counters, {}))


def worker_counters() -> dict[str, Any]:
    """Return what a data plane that has served a little counts."""
    counters = Counters()
    counters.bytes_received = 1000
    counters.in_flight_now = 3
    counters.record(("orders", "v1"), 200, 0.003, None)
    counters.record(("orders", "v1"), 502, 0.2, next(iter(ForwardError)))
    counters.record(("", ""), 404, 99.0, None)
    return counters.to_json()


def test_exchanges_are_counted_by_route_service_and_class() -> None:
    """Of all workers together, and of each how many."""
    found = rendered({"w0": worker_counters(), "w1": worker_counters()})
    labels = (("route", "orders"), ("service", "v1"), ("status", "2xx"))
    assert found["fengling_http_requests_total", labels] == 2
    assert found["fengling_worker_requests_total", (("worker", "w1"),)] == 3
    error = (
        ("error", next(iter(ForwardError)).code),
        ("route", "orders"),
        ("service", "v1"),
    )
    assert found["fengling_http_request_errors_total", error] == 2
    assert found["fengling_http_received_bytes_total", ()] == 2000
    assert found["fengling_http_requests_in_flight", (("worker", "w0"),)] == 3


def test_what_workers_had_counted_that_are_gone_is_counted() -> None:
    """A host's counters never go back; what is of a worker is of those that live."""
    values = worker_counters()
    found = samples(b"".join(render_metrics(STATUS, {"w0": values}, {}, together([values] * 2))))
    assert found["fengling_http_received_bytes_total", ()] == 3000
    assert found["fengling_worker_requests_total", (("worker", "w0"),)] == 3
    assert found["fengling_http_requests_in_flight", (("worker", "w0"),)] == 3


def test_durations_are_a_cumulated_histogram() -> None:
    """Each bucket holds the ones below, the last one all."""
    found = rendered({"w0": worker_counters()})

    def bucket(service: str, bound: str) -> float:
        labels = (("le", bound), ("service", service))
        return found["fengling_http_request_duration_seconds_bucket", labels]

    assert [bucket("v1", bound) for bound in ("0.0025", "0.005", "0.25", "+Inf")] == [0, 1, 2, 2]
    assert [bucket("", bound) for bound in ("60.0", "+Inf")] == [0, 1]
    total = found["fengling_http_request_duration_seconds_sum", (("service", "v1"),)]
    assert round(total, 3) == 0.203


def test_the_state_of_the_configuration_is_shown() -> None:
    """Revision, rejections, held, source, bus."""
    found = rendered()
    assert found["fengling_config_revision", ()] == 412
    assert found["fengling_config_held", ()] == 1
    assert found["fengling_config_pinned", ()] == 1
    assert found["fengling_config_pinned_behind", ()] == 3
    assert found["fengling_config_rejected_entities", (("kind", "route"),)] == 250
    assert found["fengling_config_rejected_entities", (("kind", "service"),)] == 0
    rejected = (("code", "bad_path"), ("id", "bad"), ("kind", "route"), ("serving", "nothing"))
    assert found["fengling_config_rejected_entity", rejected] == 1
    assert found["fengling_config_source_listening", ()] == 0
    assert found["fengling_config_worker_revision", (("worker", "w0"),)] == 412
    assert found["fengling_config_applied_timestamp_seconds", (("worker", "w0"),)] == 1.5e9
    assert ("fengling_config_applied_timestamp_seconds", (("worker", "w1"),)) not in found
    assert found["fengling_config_epoch_info", (("epoch", "e"),)] == 1
    assert found["fengling_workers", (("state", "starting"),)] == 1
    assert found["fengling_worker_deaths_total", ()] == 4
    assert found["fengling_config_file_failures_total", ()] == 2
    assert found["fengling_log_dropped_lines_total", ()] == 4
    assert found["fengling_bus_messages_dropped_total", (("reason", "unsigned"),)] == 2
    assert found["fengling_bus_events_total", (("event", "announcements_sent"),)] == 3
    assert found["fengling_build_info", (("version", "1.2.3"),)] == 1


def test_serving_from_the_file_is_shown() -> None:
    """For an alert: what was committed since is not served."""
    name = "fengling_config_from_last_known_good", ()
    served = {"last-known-good": 1, "database": 0, "file": 0, "nothing": 0}
    for served_from, expected in served.items():
        assert rendered(status={**STATUS, "served_from": served_from})[name] == expected


def test_bus_is_shown_where_there_is_one() -> None:
    """Who has no Redis has not lost it."""
    assert rendered()["fengling_bus_connected", ()] == 0
    without = {**STATUS, "redis": {"configured": False, "connected": False, "counters": {}}}
    assert ("fengling_bus_connected", ()) not in rendered(status=without)


def test_certificates_are_shown_with_their_end_and_what_lacks_its_key() -> None:
    """For an alert some days before, and for one at once."""
    status = {
        **STATUS,
        "certificates_expire": {"shop": 2398291200},
        "workers": [{"worker": "w0", "failed": {"certificate shop": "no key"}}, {"worker": "w1"}],
    }
    found = rendered(status=status)
    name = "fengling_config_certificate_expiry_timestamp_seconds"
    assert found[name, (("id", "shop"),)] == 2398291200
    assert found["fengling_config_worker_failed_entities", (("worker", "w0"),)] == 1
    assert found["fengling_config_worker_failed_entities", (("worker", "w1"),)] == 0


def test_what_holds_beside_the_configuration_is_shown() -> None:
    """By name, for whoever wonders why a route answers with 503."""
    health = {"state": "stale", "age_s": 71.5, "term": 4, "holder": "c1"}
    switches = [{"kind": "route", "id": "all"}, {"kind": "instance", "id": "i1"}]
    status = {**STATUS, "drained": True, "health": health, "switched_off": switches}
    found = rendered(status=status)
    assert found["fengling_node_drained", ()] == 1
    assert found["fengling_node_switched_off", (("id", "all"), ("kind", "route"))] == 1
    assert found["fengling_node_switched_off", (("id", "i1"), ("kind", "instance"))] == 1
    assert found["fengling_health_stale", ()] == 1
    assert found["fengling_health_prober_age_seconds", ()] == 71.5
    assert rendered(status=STATUS)["fengling_health_stale", ()] == 0


def test_issuers_are_shown_with_their_keys_and_what_fails() -> None:
    """For an alert while the keys from before still go on."""
    published = {
        "keys": 2,
        "fetched_at": 1700000000.5,
        "failing_since": 1700000600.0,
        "fetches": 7,
        "failures": {"tls": 1, "connect": 2},
    }
    issuers = {
        "corp": published,
        "new": {**published, "keys": 0, "fetched_at": None, "failing_since": None, "failures": {}},
        "inline": {"keys": 3},
        "shared": {"keys": None},
    }
    found = rendered(status={**STATUS, "issuers": issuers, "key_set_file": {"failures": 4}})

    def of(name: str) -> dict[str, float]:
        return {
            dict(labels)["issuer"]: value for (one, labels), value in found.items() if one == name
        }

    assert of("fengling_issuer_keys") == {"corp": 2, "new": 0, "inline": 3}
    assert of("fengling_issuer_keys_fetched_timestamp_seconds") == {"corp": 1700000000.5}
    assert of("fengling_issuer_failing") == {"corp": 1, "new": 0}
    assert of("fengling_issuer_fetches_total") == {"corp": 7, "new": 7}
    name, labels = (
        "fengling_issuer_fetch_failures_total",
        (("issuer", "corp"), ("reason", "connect")),
    )
    assert found[name, labels] == 2
    assert found["fengling_issuer_file_failures_total", ()] == 4


def test_replaced_worker_that_drains_makes_no_second_series() -> None:
    """Two processes have one name then; a scrape with a sample twice is refused."""
    workers = [
        {"worker": "w0", "state": "draining", "revision": 411, "lag_ms": 9.0},
        {"worker": "w0", "state": "serving", "revision": 412, "lag_ms": 2.0},
    ]
    text = text_of({**STATUS, "workers": workers}, {}).decode()
    revisions = [line for line in text.splitlines() if line.startswith("fengling_config_worker_r")]
    assert revisions == ['fengling_config_worker_revision{worker="w0"} 412.0']
    assert text.count("fengling_worker_lag_seconds{") == 1


def test_a_gateway_that_knows_nothing_yet_is_rendered() -> None:
    """Before the first configuration: no revision rather than a wrong one."""
    found = rendered(status={"position": None, "workers": []})
    assert ("fengling_config_revision", ()) not in found


def test_many_samples_come_in_pieces_of_one_metric() -> None:
    """So that whoever sends them can do something else in between; no header comes twice."""
    counters = Counters(max_pairs=1500)
    for number in range(1500):
        counters.record((f"r{number}", f"s{number}"), 502, 0.2, ForwardError.CONNECT_FAILED)
    pieces = list(render_metrics(STATUS, {"w0": counters.to_json()}, {}))
    assert max(piece.count(b"\n") for piece in pieces) < 600
    found = samples(b"".join(pieces))
    for name in ("requests", "request_errors"):
        total = sum(
            value for key, value in found.items() if key[0] == f"fengling_http_{name}_total"
        )
        assert total == 1500
    headers = [line for line in b"".join(pieces).splitlines() if line.startswith(b"# ")]
    assert len(set(headers)) == len(headers)


def test_connections_of_clients_are_told_by_state() -> None:
    """Of the host: each is in one state, and all states are shown."""
    values = {"connections_now": 20, "in_flight_now": 9, "tunnels_now": 4, "opening_now": 3}
    found = rendered({"w0": {**worker_counters(), **values}, "w1": {**Counters().to_json()}})
    name = "fengling_http_connections_by_state"
    states = {dict(labels)["state"]: value for (one, labels), value in found.items() if one == name}
    assert states == {"idle": 8, "serving": 5, "tunnel": 4, "handshake": 3}


def test_connections_to_instances_are_told_by_service() -> None:
    """Those of all workers."""
    found = rendered(
        {
            "w0": {**worker_counters(), "pools_now": {"a": [5, 2, 1, 7], "other": [1, 0, 0, 0]}},
            "w1": {**worker_counters(), "pools_now": {"a": [1, 1, 1, 1]}},
        }
    )
    name = "fengling_upstream_pool_connections"
    of_a = [found[name, (("service", "a"), ("state", one))] for one in metrics.POOL_STATES]
    assert of_a == [6, 3, 2]
    assert found[name, (("service", "other"), ("state", "idle"))] == 1
    assert found["fengling_upstream_pool_waiting_requests", (("service", "a"),)] == 8


def test_available_instances_are_those_of_the_worker_that_has_the_fewest() -> None:
    """Both numbers are of the same worker: while a change spreads, they differ."""
    found = rendered(
        {
            "w0": {
                **worker_counters(),
                "instances_now": {"v1": [4, 2], "v2": [1, 1], "v3": [0, 0]},
            },
            "w1": {**worker_counters(), "instances_now": {"v1": [3, 1], "v2": [1, 1]}},
            "w2": worker_counters(),
        }
    )

    def of(service: str) -> tuple[float, float]:
        labels = (("service", service),)
        name = "fengling_upstream_instances"
        return found[name, labels], found[f"{name}_available", labels]

    assert [of(service) for service in ("v1", "v2", "v3")] == [(3, 1), (1, 1), (0, 0)]


def test_services_of_many_workers_that_differ_are_bounded() -> None:
    """What connections they have is never lost, and whoever lacks instances is named."""
    counters = {
        f"w{worker}": {
            **Counters().to_json(),
            "pools_now": {f"s{worker}-{one}": [1, 0, 0, 0] for one in range(200)},
            "instances_now": {
                **{f"s{worker}-{one}": [2, 2] for one in range(200)},
                f"short-{worker}": [2, 1],
                "other": [600, 600],
            },
        }
        for worker in range(3)
    }
    found = rendered(counters)

    def of(name: str) -> dict[str, float]:
        return {
            dict(labels)["service"]: value
            for (one, labels), value in found.items()
            if one == name and dict(labels).get("state", "idle") == "idle"
        }

    idle = of("fengling_upstream_pool_connections")
    assert (len(idle), sum(idle.values()), idle["other"]) == (201, 600, 400)
    available = of("fengling_upstream_instances_available")
    assert len(available) == 201
    assert [available[f"short-{worker}"] for worker in range(3)] == [1, 1, 1]
    assert available["other"] == of("fengling_upstream_instances")["other"] == 600


def test_failed_handshakes_are_told_apart() -> None:
    """A refused certificate is another matter than a port scan."""
    counters = Counters()
    counters.tls_handshakes_failed = {"not_tls": 3, "certificate": 1}
    found = rendered({"w0": counters.to_json()})
    name = "fengling_tls_handshakes_failed_total"
    assert found[name, (("kind", "not_tls"),)] == 3
    assert found[name, (("kind", "certificate"),)] == 1


def test_refused_credentials_are_told_apart() -> None:
    """An attack is another matter than a client whose clock is wrong."""
    values = {**Counters().to_json(), "credentials_refused": {"expired": 2}}
    found = rendered({"w0": values})
    labels = (("reason", "expired"),)
    assert found["fengling_http_credentials_refused_total", labels] == 2


def test_accepted_credentials_and_decisions_of_limits_are_told() -> None:
    """What has been let in is what makes refusals many or few."""
    values = {
        **Counters().to_json(),
        "credentials_accepted": {"jwt": 2, "api_key": 0},
        "limit_decisions": LimitTable().decisions() | {"global refused": 3},
    }
    found = rendered({"w0": values, "w1": values})
    name = "fengling_http_credentials_accepted_total"
    assert (found[name, (("method", "jwt"),)], found[name, (("method", "api_key"),)]) == (4, 0)
    name = "fengling_limit_requests_total"
    decided = {
        (dict(labels)["scope"], dict(labels)["decision"]): value
        for (one, labels), value in found.items()
        if one == name
    }
    assert decided == {
        ("local", "allowed"): 0,
        ("local", "refused"): 0,
        ("global", "allowed"): 0,
        ("global", "refused"): 6,
    }


def test_reloads_and_how_long_things_take_are_told() -> None:
    """What has not happened yet is 0, so that its first time is seen."""
    own = {
        **NOTHING,
        "reloads": {"poll": 3},
        "histograms": {"reload": {"bounds": [0.1, 1.0], "values": [2, 1, 0, 0.7]}},
    }
    lag = {"histograms": {"reactor_lag": {"bounds": [0.1], "values": [5, 1, 0.9]}}}
    counters = {name: {**worker_counters(), **lag} for name in ("w0", "w1")}
    found = samples(b"".join(render_metrics(STATUS, counters, {}, own=own)))
    name = "fengling_config_reloads_total"
    assert found[name, (("reason", "poll"),)] == 3
    assert found[name, (("reason", "hangup"),)] == 0
    name = "fengling_config_reload_seconds"
    buckets = [found[f"{name}_bucket", (("le", one),)] for one in ("0.1", "1.0", "+Inf")]
    assert (buckets, found[f"{name}_sum", ()]) == ([2, 3, 3], 0.7)
    assert found["fengling_worker_reactor_lag_seconds_count", ()] == 12
    assert ("fengling_config_propagation_seconds_count", ()) not in found


def test_processes_tell_what_they_use() -> None:
    """By name; of what the system does not tell there is nothing."""

    def process(**given: Any) -> dict[str, Any]:
        costs = {"cpu_seconds": 1.5, "pause_seconds": 0.25, "resident_bytes": 100}
        return {**costs, "open_fds": 7, "max_fds": 1024, "collections": [9, 3, 1], **given}

    own = {**NOTHING, "process_now": process()}
    counters = {
        "w0": {**worker_counters(), "process_now": process(cpu_seconds=2.0, max_fds=None)},
        "w1": worker_counters(),
    }
    found = samples(b"".join(render_metrics(STATUS, counters, {}, own=own)))

    def of(what: str) -> dict[str, float]:
        return {
            dict(labels)["process"]: value
            for (one, labels), value in found.items()
            if one == f"fengling_process_{what}"
        }

    assert of("cpu_seconds_total") == {"supervisor": 1.5, "w0": 2.0}
    assert of("gc_pause_seconds_total") == {"supervisor": 0.25, "w0": 0.25}
    assert of("resident_memory_bytes") == {"supervisor": 100, "w0": 100}
    assert of("open_fds") == {"supervisor": 7, "w0": 7}
    assert of("max_fds") == {"supervisor": 1024}
    name, labels = "fengling_process_gc_collections_total", {"process": "w0", "generation": "1"}
    assert found[name, tuple(sorted(labels.items()))] == 3


def test_pairs_without_series_of_their_own_are_told() -> None:
    """By how many there are, beside what they have counted together."""
    counters = Counters(max_pairs=1)
    for route in ("a", "b", "c"):
        counters.record((route, "s"), 200, 0.2, None)
    found = rendered({"w0": counters.to_json()})
    labels = (("route", "other"), ("service", "s"), ("status", "2xx"))
    assert found["fengling_http_requests_total", labels] == 2
    assert found["fengling_http_folded_pairs", (("worker", "w0"),)] == 2


def test_labels_are_escaped() -> None:
    """An id can't end a line."""
    counters = worker_counters()
    counters["requests"] = [['a"\n\\', "s", [0, 0, 1, 0, 0, 0], {}]]
    found = rendered({"w0": counters})
    assert any(("route", 'a"\n\\') in labels for _, labels in found)


def test_every_metric_is_named_and_described_by_the_rules() -> None:
    """Prefix, subsystem, a sentence of help, no metric twice."""
    declared = declarations()
    assert len({one.name for one in declared}) == len(declared)
    for one in declared:
        assert re.fullmatch(
            r"fengling_(access_log|build|failures|http|limit|tls|dns|upstream|workers?|node|health|config|issuer|bus|management|log|tracing|process)[a-z_]*",
            one.name,
        ), one
        assert one.help.endswith("."), one


def test_every_plain_counter_of_a_data_plane_is_a_metric() -> None:
    """What is counted and never shown was counted for nothing."""
    plain = {*Counters().to_json(), *LimitTable().counters()} - {
        "requests",
        "bounds",
        "services",
    }
    # Metrics of their own, by kind, by service and by state.
    plain -= {"tls_handshakes_failed", "pools_now", "opening_now"}
    assert plain == metrics.WORKER_COUNTERS.keys() | metrics.WORKER_GAUGES.keys()


def test_spans_are_counted() -> None:
    """Also those that nobody will see; without tracing there is nothing to count."""
    found = rendered()
    assert found["fengling_tracing_spans_sent_total", ()] == 5
    assert found["fengling_tracing_send_failures_total", ()] == 1
    assert found["fengling_tracing_spans_waiting", ()] == 2
    assert found["fengling_tracing_spans_dropped_total", (("reason", "queue_full"),)] == 3
    without = rendered(status={**STATUS, "tracing": None})
    assert not [name for name, _ in without if name.startswith("fengling_tracing_")]


def test_what_is_kept_of_failures_is_counted() -> None:
    """And what is not."""
    found = rendered()
    assert found["fengling_failures_kept", ()] == 3
    assert found["fengling_failures_kept_bytes", ()] == 4000
    assert found["fengling_failures_pushed_out_total", ()] == 7
    assert found["fengling_failures_left_out_total", ()] == 11
