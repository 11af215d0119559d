"""An instance dies while nobody probes, and how a request was served is told to who may know."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from fengling_gateway.embedded.ports import free_port
from fengling_gateway.embedded.valkey import ValkeyServer
from fengling_gateway.syncbus.debug import debug_value
from fengling_gateway.syncbus.signing import Keyring
from tests.integration.conftest import Sql
from tests.integration.gateway import SYNC_KEY, GatewayProcess, Upstream
from tests.integration.world import fenglingctl, lines_with, metrics, wait_for_line
from tests.support.wait import wait_until

Gateways = Callable[..., GatewayProcess]


def total(gateway: GatewayProcess, name: str) -> float:
    """Return a metric of the host: itself, or the sum over its workers."""
    return sum(value for key, value in metrics(gateway).items() if key.partition("{")[0] == name)


def names(gateway: GatewayProcess) -> set[str]:
    """Return who answers a dozen clients, all of whom have to be answered."""
    answers = [gateway.get("/hello") for _ in range(12)]
    assert {status for status, _ in answers} == {200}
    return {json.loads(body)["name"] for _, body in answers}


def test_dead_instance_is_left_alone_until_it_answers_again(
    gateways: Gateways, sql: Sql, upstreams: Callable[[str], Upstream]
) -> None:
    """By each worker, without a client noticing and without anybody who probes."""
    sql.add_service("v", upstreams("v1").address)
    port = free_port()
    second = "INSERT INTO fengling.instance (id, service_id, address) VALUES ('v-2', 'v', %s)"
    sql.run(second, f"http://127.0.0.1:{port}")
    sql.run("UPDATE fengling.service SET policies = %s", json.dumps({"ejection": {"base": "2s"}}))
    sql.add_route("hello", "/hello", "v")
    gateway = gateways(database=sql.dsn)
    gateway.wait_ready()

    def is_ejected() -> bool:
        assert names(gateway) == {"v1"}
        return total(gateway, "fengling_upstream_ejected_instances") == 2

    wait_until(is_ejected)
    wait_for_line(gateway, "instance v-2", "5 failures in a row, the last one connect_failed")

    def is_explained() -> bool:
        names(gateway)
        shown = fenglingctl("explain", "http://h.example/hello", gateway=gateway).stdout
        return "instance v-2 is sent nothing: ejected for" in shown

    wait_until(is_explained)
    failed = total(gateway, "fengling_upstream_connects_failed_total")
    assert failed < 40
    back = Upstream("v2", port)
    try:
        wait_until(lambda: names(gateway) == {"v1", "v2"})
        wait_until(
            lambda: (
                names(gateway)
                and total(gateway, "fengling_upstream_ejected_instances") == 0
                and total(gateway, "fengling_upstream_reactivations_total") >= 2
            )
        )
    finally:
        back.close()
    assert lines_with(gateway, "instance v-2", "is tried again")


def test_answer_says_how_it_came_about_to_who_has_a_key_of_the_bus(
    gateways: Gateways, own_valkey: ValkeyServer, file_settings: dict[str, Any]
) -> None:
    """To nobody else; the instance sees nothing of it."""
    gateway = gateways(redis=own_valkey.url, **file_settings)
    gateway.wait_ready()
    good = Keyring([SYNC_KEY], cluster=gateway.cluster)
    bad = Keyring([SYNC_KEY], cluster="another")

    def ask(ring: Keyring) -> str | None:
        headers = {"X-Gateway-Debug": debug_value(ring, b"id", now=time.time())}
        status, found, _ = gateway.fetch("/hello", headers=headers)
        assert status == 200
        return found.get("x-gateway-debug")

    assert ask(bad) is None
    said = json.loads(ask(good) or "null")
    assert (said["id"], said["route"]) == ("id", "hello")
    assert said["attempts"] == 1
    assert said["worker"] in {"w0", "w1"}
    assert said["phases"]["total_ms"] > 0
    assert total(gateway, "fengling_http_debug_headers_refused_total") == 1
    assert total(gateway, "fengling_http_debugged_requests_total") == 1
