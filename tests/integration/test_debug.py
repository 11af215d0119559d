"""``/api/gateway/debug`` of a running gateway."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from tests.integration.gateway import GatewayProcess


def test_every_process_says_what_it_is_doing(gateway: GatewayProcess) -> None:
    """The supervisor, and each worker."""
    shown = gateway.manage("debug")
    assert shown["node"] == gateway.node
    assert {one["pid"] for one in shown["workers"]} == set(gateway.worker_pids())
    for process in (shown["supervisor"], *shown["workers"]):
        [main] = [one for one in process["threads"] if one["name"] == "MainThread"]
        assert any("inspect_process" in line for line in main["stack"])
        assert process["delayed_calls"]["total"] > 0
        assert process["selectables"]["readers"]
        assert process["descriptors"]["kinds"]["socket"] > 0
    assert all(one["state"] == "serving" for one in shown["workers"])


def test_worker_that_hangs_is_seen_from_outside(
    gateways: Callable[..., GatewayProcess], file_settings: dict[str, Any]
) -> None:
    """It is told what the kernel knows; the others answer as ever."""
    settings = {**file_settings["settings"], "supervision": {"heartbeat_timeout": "60s"}}
    gateway = gateways(**{**file_settings, "settings": settings})
    gateway.wait_ready()
    stopped, other = gateway.worker_pids()
    os.kill(stopped, signal.SIGSTOP)
    try:
        workers = {one["pid"]: one for one in gateway.manage("debug")["workers"]}
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert "no answer" in workers[stopped]["error"]
    assert workers[stopped]["kernel"]["State"].startswith("T")
    assert "threads" in workers[other]
