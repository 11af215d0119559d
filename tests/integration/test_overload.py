"""Workers whose memory runs short, and their supervisor."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.gateway import GatewayProcess
from tests.integration.world import lines_with, metrics, wait_for_line
from tests.support.wait import wait_until

TOO_LITTLE = "32MiB"
"""Less than a worker has when it starts."""


@pytest.fixture
def out_of_memory(tmp_path: Path, gateways: Callable[..., GatewayProcess]) -> GatewayProcess:
    """Return a gateway whose two workers accept nobody."""
    path = tmp_path / "routes.yaml"
    path.write_text(
        "services: []\nroutes: [{id: hello, path: /hello, respond: {status: 200, body: hi}}]\n"
    )
    gateway = gateways(
        source="file", settings={"file": {"path": str(path)}, "limits": {"max_memory": TOO_LITTLE}}
    )
    gateway.wait_ready()
    wait_until(lambda: [one["overload"] for one in gateway.workers()] == ["paused"] * 2)
    return gateway


def test_paused_worker_keeps_its_sockets_and_its_clients(out_of_memory: GatewayProcess) -> None:
    """It lives, it is ready, its slot is its own; its clients are served when somebody has memory."""
    gateway = out_of_memory
    clients = [socket.create_connection(("127.0.0.1", gateway.port), 10) for _ in range(20)]
    for client in clients:
        client.settimeout(30)
        client.sendall(b"GET /hello HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
    before = gateway.worker_pids()
    beats = metrics(gateway)
    assert beats['fengling_worker_overload_level{worker="w0"}'] == 2
    assert beats['fengling_worker_memory_limit_bytes{worker="w1"}'] == 32 << 20
    assert beats["fengling_http_connections_accepted_total"] == 0
    assert gateway.get("/readyz", port=gateway.management_port)[0] == 200
    workers = gateway.workers()
    assert [(one["state"], one["reads_slots"]) for one in workers] == [
        ("serving", [0]),
        ("serving", [1]),
    ]
    assert gateway.worker_pids() == before
    assert len(lines_with(gateway, "MiB", "no connections are accepted")) == 2

    toml = gateway.directory / "gateway.toml"
    toml.write_text(toml.read_text().replace(TOO_LITTLE, "1GiB"))
    gateway.signal(signal.SIGHUP)
    wait_for_line(gateway, "settings: limits.max_memory changed; a rolling restart (USR2) takes")
    gateway.signal(signal.SIGUSR2)
    for client in clients:
        with client:
            assert b"200 OK" in client.recv(65536)
    wait_for_line(gateway, "rolling restart is complete")
    wait_until(lambda: {one["overload"] for one in gateway.workers()} == {"none"})
