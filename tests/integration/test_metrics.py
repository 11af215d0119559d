"""What the metrics of a running gateway say of what has just happened to it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from fengling_gateway.observability.catalogue import declarations, type_of
from tests.integration.conftest import Sql
from tests.integration.gateway import GatewayProcess, Upstream
from tests.integration.world import metrics
from tests.support.forge import AUDIENCE, ISSUER, claims, rsa_jwk, token
from tests.support.wait import wait_until

Gateways = Callable[..., GatewayProcess]
ROUTE = "INSERT INTO fengling.route (id, path, service_id, policies) VALUES (%s, %s, 'v', %s)"


def good_token() -> str:
    now = int(time.time())
    return token(claims(iat=now, exp=now + 300)).decode()


def of(gateway: GatewayProcess, name: str, **labels: str) -> float:
    """Return the sum of a metric's samples that have these labels; it must have one."""
    found = [
        value
        for sample, value in metrics(gateway).items()
        if sample.partition("{")[0] == name
        and all(f'{label}="{wanted}"' in sample for label, wanted in labels.items())
    ]
    assert found, (name, labels)
    return sum(found)


@pytest.fixture
def gateway(gateways: Gateways, sql: Sql, upstreams: Callable[[str], Upstream]) -> GatewayProcess:
    """Return a gateway of two workers with a service of two instances, one of them drained."""
    sql.add_service("v", upstreams("v1").address)
    sql.run(
        "INSERT INTO fengling.instance (id, service_id, address, state)"
        " VALUES ('v-2', 'v', 'http://127.0.0.1:9', 'drain')"
    )
    sql.run(
        "INSERT INTO fengling.issuer (id, issuer, audiences, keys) VALUES ('id', %s, %s, %s)",
        ISSUER,
        [AUDIENCE],
        json.dumps({"keys": [rsa_jwk()]}),
    )
    sql.add_route("hello", "/hello", "v")
    sql.run(ROUTE, "mine", "/mine", json.dumps({"auth": {"mode": "required"}}))
    sql.run(ROUTE, "few", "/few", json.dumps({"rate_limit": {"rate": "2/h"}}))
    gateway = gateways(database=sql.dsn)
    gateway.wait_ready()
    return gateway


@contextmanager
def client(gateway: GatewayProcess) -> Iterator[http.client.HTTPConnection]:
    """Lend a connection that is open, and between two requests."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    try:
        connection.request("GET", "/hello")
        response = connection.getresponse()
        response.read()
        assert response.status == 200
        yield connection
    finally:
        connection.close()


def test_instances_and_connections_are_shown(gateway: GatewayProcess) -> None:
    """From the beginning; and who asks leaves a connection of each kind."""
    wait_until(lambda: of(gateway, "fengling_upstream_instances", service="v") == 2)
    assert of(gateway, "fengling_upstream_instances_available", service="v") == 1
    states = "fengling_http_connections_by_state"
    assert of(gateway, states, state="tunnel") == of(gateway, states, state="handshake") == 0
    with client(gateway):
        wait_until(lambda: of(gateway, states, state="idle") == 1)
        assert of(gateway, states, state="serving") == 0
        pools = "fengling_upstream_pool_connections"
        wait_until(lambda: of(gateway, pools, service="v", state="idle") >= 1)
        assert of(gateway, pools, service="v", state="connecting") == 0
        assert of(gateway, "fengling_upstream_pool_waiting_requests", service="v") == 0
    wait_until(lambda: of(gateway, states, state="idle") == 0)


def test_credentials_and_limits_are_counted(gateway: GatewayProcess) -> None:
    """What was let in and what was not, of both workers."""
    headers = {"Authorization": f"Bearer {good_token()}"}
    assert gateway.get("/mine", headers=headers)[0] == 200
    assert gateway.get("/mine", headers={"Authorization": "Bearer x.y.z"})[0] == 401
    assert of(gateway, "fengling_http_credentials_accepted_total", method="jwt") == 1
    assert of(gateway, "fengling_http_credentials_accepted_total", method="api_key") == 0
    answers = [gateway.get("/few")[0] for _ in range(9)]
    for status, decision in ((200, "allowed"), (429, "refused")):
        told = of(gateway, "fengling_limit_requests_total", decision=decision, scope="local")
        assert told == answers.count(status) > 0
    assert of(gateway, "fengling_limit_requests_total", scope="global") == 0


def test_changes_and_reloads_are_timed(gateway: GatewayProcess, sql: Sql) -> None:
    """Each change once for each worker; who had it read is told."""
    propagated = "fengling_config_propagation_seconds_count"
    reloaded = "fengling_config_reload_seconds_count"
    assert of(gateway, propagated) == 0
    assert of(gateway, reloaded) >= 1
    applied = of(gateway, "fengling_config_applied_timestamp_seconds", worker="w0")
    assert abs(applied - time.time()) < 3600
    sql.add_route("more", "/more", "v")
    wait_until(lambda: gateway.served_by_every_worker(sql.revision))
    wait_until(lambda: of(gateway, propagated) == 2)
    assert 0 <= of(gateway, "fengling_config_propagation_seconds_sum") < 120
    assert of(gateway, reloaded) >= 2
    assert of(gateway, "fengling_config_applied_timestamp_seconds", worker="w0") > applied
    assert of(gateway, "fengling_config_epoch_info") == 1
    reasons = "fengling_config_reloads_total"
    assert of(gateway, reasons, reason="started") == 1
    assert of(gateway, reasons, reason="notification") >= 1
    before = of(gateway, reasons, reason="reload")
    gateway.manage("reload?wait=node", method="POST", body={})
    assert of(gateway, reasons, reason="reload") == before + 1
    gateway.signal(signal.SIGHUP)
    wait_until(lambda: of(gateway, reasons, reason="hangup") == 1)


def test_processes_tell_what_they_use(gateway: GatewayProcess) -> None:
    """The supervisor and each worker; a worker that is replaced begins anew, the host does not."""
    wait_until(lambda: of(gateway, "fengling_worker_reactor_lag_seconds_count") > 10)
    for process in ("supervisor", "w0", "w1"):
        assert of(gateway, "fengling_process_cpu_seconds_total", process=process) > 0
        assert of(gateway, "fengling_process_resident_memory_bytes", process=process) > 1e7
        opened = of(gateway, "fengling_process_open_fds", process=process)
        assert 5 < opened < of(gateway, "fengling_process_max_fds", process=process)
        assert of(gateway, "fengling_process_gc_collections_total", process=process) > 0
        assert of(gateway, "fengling_process_gc_pause_seconds_total", process=process) >= 0
    lags = of(gateway, "fengling_worker_reactor_lag_seconds_count")
    pid = gateway.workers()[0]["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: pid not in gateway.worker_pids() and len(gateway.worker_pids()) == 2)
    wait_until(lambda: of(gateway, "fengling_worker_reactor_lag_seconds_count") > lags)


def test_only_worker_is_no_process_of_its_own(
    gateways: Gateways, file_settings: dict[str, object]
) -> None:
    """Its costs are the supervisor's, and told once."""
    gateway = gateways(worker_count=1, **file_settings)
    gateway.wait_ready()
    wait_until(lambda: of(gateway, "fengling_worker_reactor_lag_seconds_count") > 0)
    names = {one for one in metrics(gateway) if one.startswith("fengling_process_cpu")}
    assert names == {'fengling_process_cpu_seconds_total{process="supervisor"}'}


def test_every_metric_is_of_the_type_that_is_documented(gateway: GatewayProcess) -> None:
    """All of them are there, also those without a sample."""
    _, body = gateway.get("/metrics", port=gateway.management_port)
    lines = [line.split() for line in body.decode().splitlines() if line.startswith("# TYPE ")]
    shown = {name: kind for _, _, name, kind in lines}
    assert shown == {one.name: type_of(one) for one in declarations()}
