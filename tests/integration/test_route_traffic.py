"""What routes of a running gateway have served of late."""

from __future__ import annotations

import os
import signal
from typing import Any

from tests.integration.ctl import Ctl
from tests.integration.gateway import GatewayProcess, admin_token
from tests.support.wait import wait_until


def of_routes(gateway: GatewayProcess, sort: str = "rate") -> dict[str | None, dict[str, Any]]:
    items = gateway.manage(f"traffic/routes?sort={sort}")["items"]
    return {one["route"]: one["last_60s"]["by_class"] for one in items}


def test_routes_are_told_by_what_they_serve(gateway: GatewayProcess) -> None:
    """All of it, whichever worker served it, and after one has died."""
    for _ in range(30):
        gateway.get("/hello")
    for _ in range(4):
        gateway.get("/nowhere")

    def told() -> bool:
        found = of_routes(gateway)
        return found["hello"]["2xx"] == 30 and found[None]["4xx"] == 4

    wait_until(lambda: "hello" in of_routes(gateway))
    wait_until(told)
    answer = gateway.manage("traffic/routes?limit=1")
    assert (answer["node"], len(answer["items"]), answer["routes"]) == (gateway.node, 1, 2)
    [first] = answer["items"]
    assert (first["route"], first["service"]) == ("hello", "v1")
    assert 0 < first["last_60s"]["p50_ms"] <= first["last_60s"]["p99_ms"]
    os.kill(gateway.worker_pids()[0], signal.SIGKILL)
    wait_until(lambda: gateway.served_by_every_worker(1))
    gateway.get("/hello")
    wait_until(lambda: of_routes(gateway)["hello"]["2xx"] == 31)


def test_fenglingctl_shows_them(gateway: GatewayProcess) -> None:
    """As a table, or for programs."""
    ctl = Ctl(
        {
            "FENGLING_MANAGEMENT": f"http://127.0.0.1:{gateway.management_port}",
            "FENGLING_TOKEN": admin_token(),
        }
    )
    gateway.get("/hello")
    wait_until(lambda: "hello" in of_routes(gateway))
    shown = ctl("top", "--routes", "--once", "--sort", "latency")
    assert (shown.status, shown.err) == (0, "")
    assert any(line.split()[:2] == ["hello", "v1"] for line in shown.out.splitlines())
    assert ctl("top", "--routes", "--json").json["items"][0]["route"] == "hello"
