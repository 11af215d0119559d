"""
A real Prometheus scrapes a real gateway under load, and is asked all that we ship for it.

Each recording rule, each query of a dashboard and each of its variables has to answer, and with
at least one number that is one. An alert says nothing while all is well: of it, each selector has to
answer by itself, and the whole with comparisons that are 0 or 1 (`answering`): that shows that
the labels of both sides of its operators fit, and those are there that its annotations name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.embedded.valkey import ValkeyServer
from tests.integration.cluster import followed_cluster
from tests.integration.monitored import Monitored
from tests.monitoring.queries import (
    PROMETHEUS,
    Query,
    alerts,
    answering,
    dashboard_queries,
    rule_queries,
    rules,
    selectors,
    variable_queries,
)
from tests.support.forge import rsa_jwk
from tests.support.issuer_server import IssuerServer
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.prometheus import Prometheus, program
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(300)

CHOSEN: Final = {
    "$cluster": ".*",
    "$instance": ".*",
    "$service": ".*",
    "$__rate_interval": "1m",
}
"""Grafana's variables, as it puts them in where nobody has chosen anything."""


@pytest.fixture(scope="module")
def place(
    postgres: PostgresServer,
    _migrated_template: str,
    valkey: ValkeyServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Monitored]:
    program("prometheus")
    directory = tmp_path_factory.mktemp("monitored")
    issuer, traces = IssuerServer(), OtlpReceiver()
    issuer.publish(rsa_jwk())
    try:
        with followed_cluster(postgres, _migrated_template, directory, valkey.url) as fleet:
            place = Monitored(fleet, valkey.url, issuer, traces)
            try:
                place.start()
                yield place
            finally:
                place.close()
    finally:
        issuer.stop()
        traces.stop()


@contextmanager
def scraping(directory: Path, port: int, console_port: int) -> Iterator[Prometheus]:
    """Lend one with the shipped configuration, for a gateway and a console elsewhere, once a second."""
    config = (PROMETHEUS / "prometheus.yml").read_text()
    for old, new in (
        ("127.0.0.1:8001", f"127.0.0.1:{port}"),
        ("127.0.0.1:8002", f"127.0.0.1:{console_port}"),
        (": 15s", ": 1s"),
        (": 10s", ": 1s"),
    ):
        assert old in config
        config = config.replace(old, new)
    for path in PROMETHEUS.glob("fengling-*.yml"):
        (directory / path.name).write_text(path.read_text())
    prometheus = Prometheus(directory, config)
    try:
        wait_until(prometheus.is_ready, timeout=60)
        wait_until(lambda: prometheus.series('up{job="fengling"} == 1'), timeout=60)
        yield prometheus
    finally:
        prometheus.stop()


def told(prometheus: Prometheus) -> dict[str, dict[str, Any]]:
    """Return the alerts that fire, or will if it goes on, by name; one of each."""
    return {one["labels"]["alertname"]: one for one in prometheus.ask("alerts")["alerts"]}


@pytest.fixture(scope="module")
def prometheus(place: Monitored, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    directory = tmp_path_factory.mktemp("prometheus")
    with scraping(directory, place.gateway.management_port, place.console.port) as prometheus:
        yield prometheus


def numbers(prometheus: Prometheus, expr: str) -> list[dict[str, Any]]:
    """Return the series whose values are numbers."""
    return [one for one in prometheus.series(expr) if one["value"][1] != "NaN"]


def chosen(expr: str) -> str:
    for name, instead in CHOSEN.items():
        expr = expr.replace(name, instead)
    return expr


def unanswered(prometheus: Prometheus, queries: list[Query]) -> list[tuple[str, str]]:
    """Return where a query stands that has no answer, and the part that has none."""
    found = []
    for one in queries:
        parts = [one.expr]
        if one.is_alert:
            parts = [*selectors(one.expr), answering(one.expr)]
        found += [(one.where, part) for part in parts if not numbers(prometheus, chosen(part))]
    return found


def wait_for_answers(prometheus: Prometheus, queries: list[Query]) -> None:
    """Wait until all queries have answers: what is a rate needs two scrapes."""
    left = queries

    def all_answer() -> bool:
        nonlocal left
        empty = unanswered(prometheus, left)
        left = [one for one in left if one.where in {where for where, _ in empty}]
        assert not empty, "\n".join(": ".join(one) for one in empty)
        return True

    wait_until(all_answer, timeout=60, interval=0.5)


def test_every_rule_answers(prometheus: Prometheus) -> None:
    """Those that record, and those that alert."""
    wait_for_answers(prometheus, list(rule_queries()))


def test_every_rule_is_evaluated(prometheus: Prometheus) -> None:
    """By Prometheus itself, without an error."""

    def evaluated() -> dict[str, str]:
        groups = prometheus.ask("rules")["groups"]
        return {one["name"]: one["health"] for group in groups for one in group["rules"]}

    expected = {rule.get("alert") or rule["record"]: "ok" for rule in rules()}
    wait_until(lambda: evaluated() == expected, timeout=60)


def test_every_query_of_the_dashboards_answers(prometheus: Prometheus) -> None:
    """With all clusters, gateways and services chosen."""
    wait_for_answers(prometheus, list(dashboard_queries()))


def test_every_variable_of_the_dashboards_has_values(prometheus: Prometheus) -> None:
    """What Grafana asks for when it opens one."""
    for where, series, label in variable_queries():
        query = {"match[]": chosen(series)}
        wait_until(lambda: prometheus.ask(f"label/{label}/values", **query), timeout=30)  # noqa: B023
        assert prometheus.ask(f"label/{label}/values", **query), where


def test_annotations_name_labels_that_there_are(prometheus: Prometheus) -> None:
    """Whoever is woken reads which host it is."""

    def unnamed(alert: dict[str, Any]) -> set[str]:
        named = set(re.findall(r"\$labels\.(\w+)", str(alert["annotations"])))
        found = [set(one["metric"]) for one in prometheus.series(answering(alert["expr"]))]
        return min((named - labels for labels in found), key=len, default=named)

    def all_are_there() -> bool:
        missing = {name: left for name, alert in alerts().items() if (left := unnamed(alert))}
        assert not missing, missing
        return True

    wait_until(all_are_there, timeout=60, interval=0.5)


def test_what_is_wrong_is_told_and_what_is_right_is_not(prometheus: Prometheus) -> None:
    """A route is rejected; nobody is away or behind."""

    wait_until(
        lambda: {"FenglingEntityRejected", "FenglingErrors"} <= set(told(prometheus)), timeout=60
    )
    rejected = told(prometheus)["FenglingEntityRejected"]
    assert rejected["annotations"]["summary"].startswith("1 of kind route rejected on 127.0.0.1:")
    wrong = {
        *("FenglingGatewayDown", "FenglingNoGateways", "FenglingWorkersDie", "FenglingSourceAway"),
        *("FenglingPolling", "FenglingServesFromFile", "FenglingRedisAway", "FenglingRevisionHeld"),
        *("FenglingPinForgotten", "FenglingLogLinesDropped", "FenglingCertificateExpires"),
        *("FenglingWorkerBehind", "FenglingGatewayBehind", "FenglingHealthStale"),
        *("FenglingConsoleDown", "FenglingKubernetesUnwatched", "FenglingKubernetesBlind"),
        *("FenglingKubernetesRefused", "FenglingKubernetesWithheld"),
    }
    assert not wrong & set(told(prometheus))


def test_gateway_that_is_gone_is_told(prometheus: Prometheus, place: Monitored) -> None:
    """The last of these tests: it stops the gateway."""
    place.rest()
    place.gateway.stop()
    down = wait_until(lambda: told(prometheus).get("FenglingGatewayDown"), timeout=60)
    assert down["labels"]["instance"] == f"127.0.0.1:{place.gateway.management_port}"
    assert down["labels"]["cluster"] == "default"
