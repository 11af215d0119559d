"""A gateway whose configuration leads where its host does not let it go."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dataplane.dns_server import DnsServer
from tests.integration.gateway import GatewayProcess, Upstream
from tests.integration.world import metrics
from tests.support.wait import wait_until

HIDDEN = "127.0.0.2"


def configuration(instances: dict[str, str]) -> str:
    """A service and a route ``/<name>`` for each instance, as a file."""
    return json.dumps(
        {
            "services": [
                {"id": name, "instances": [{"id": name, "address": address}]}
                for name, address in instances.items()
            ],
            "routes": [{"id": name, "path": f"/{name}", "service_id": name} for name in instances],
        }
    )


@pytest.fixture
def names() -> Iterator[DnsServer]:
    with DnsServer({"me.example": {"A": ["127.0.0.1"]}}) as server:
        yield server


@pytest.fixture
def guarded(
    tmp_path: Path,
    gateways: Callable[..., GatewayProcess],
    upstreams: Callable[[str], Upstream],
    names: DnsServer,
) -> GatewayProcess:
    """A gateway that allows one address, with instances at that one, at others, and at itself."""
    path = tmp_path / "routes.yaml"
    path.write_text("{}")
    host, port = names.address
    settings = {
        "file": {"path": str(path)},
        "upstream": {"allow": ["127.0.0.1"]},
        "dns": {"servers": [f"{host}:{port}"]},
    }
    gateway = gateways(source="file", settings=settings)
    address = upstreams("v1").address
    path.write_text(
        configuration(
            {
                "good": address,
                "hidden": address.replace("127.0.0.1", HIDDEN),
                "metadata": "http://169.254.169.254",
                "itself": f"http://127.0.0.1:{gateway.port}",
                "mapped-itself": f"http://[::ffff:127.0.0.1]:{gateway.port}",
                "management": f"http://127.0.0.1:{gateway.management_port}",
                "localhost": f"http://localhost:{gateway.port}",
                "named-itself": f"http://me.example:{gateway.port}",
            }
        )
    )
    gateway.wait_ready()
    wait_until(lambda: gateway.get("/good")[0] == 200)
    return gateway


REASONS = {
    "hidden": f"{HIDDEN} is loopback",
    "metadata": "169.254.169.254 is a cloud's metadata",
    "itself": "this gateway itself",
    "mapped-itself": "this gateway itself",
    "localhost": "localhost is this host: 127.0.0.1 with port",
    "management": "this gateway itself",
}


def test_refused_instances_are_sent_nothing_and_named_everywhere(guarded: GatewayProcess) -> None:
    """In status, lists, explanations, metrics and the log, each with the reason."""
    for name in REASONS:
        status, headers, body = guarded.fetch(f"/{name}")
        assert (status, headers["x-gateway-error"]) == (503, "no_instance")
        assert b"127.0.0" not in body
    assert guarded.get("/good")[0] == 200

    wait_until(lambda: len(guarded.manage("status")["warnings"]) >= len(REASONS))
    warnings = {one["id"]: one for one in guarded.manage("status")["warnings"]}
    assert warnings.keys() == REASONS.keys()
    for name, reason in REASONS.items():
        assert warnings[name]["kind"] == "instance"
        assert reason in warnings[name]["message"]
        assert reason in guarded.manage(f"instances/{name}")["refused"]
        assert re.search(rf"nothing is sent to instance {name}: .*{re.escape(reason)}", guarded.log)
    listed = {one["id"]: one["refused"] for one in guarded.manage("instances")["items"]}
    assert {name for name, refused in listed.items() if refused is not None} == {*REASONS}

    answer = guarded.manage("explain", method="POST", body={"path": "/hidden"})
    [service] = answer["action"]["services"]
    assert service["candidates"] == []
    assert [one["instance"] for one in service["refused"]] == ["hidden"]

    values = metrics(guarded)
    counted = [v for k, v in values.items() if k.startswith("fengling_upstream_refused_instances")]
    assert counted == [len(REASONS)] * guarded.worker_count


def test_loop_by_a_name_is_refused_when_it_is_resolved(guarded: GatewayProcess) -> None:
    """Nobody gets to go round and round, whoever answers for the name."""
    status, headers, _ = guarded.fetch("/named-itself")
    assert (status, headers["x-gateway-error"]) == (502, "address_refused")
    shown = [
        name
        for worker in guarded.manage("names")["workers"]
        for name in worker["names"]
        if name["name"] == "me.example"
    ]
    assert shown
    assert all(one["refused"] == {} for one in shown), "the address is allowed; the port is ours"


def test_what_is_allowed_now_takes_a_rolling_restart(guarded: GatewayProcess) -> None:
    """As other settings of workers do; nothing is refused any more but what nothing allows."""
    toml = guarded.directory / "gateway.toml"
    text = toml.read_text()
    toml.write_text(text.replace('allow = ["127.0.0.1"]', 'allow = ["127.0.0.0/8"]'))
    guarded.signal(signal.SIGHUP)
    wait_until(lambda: "a rolling restart (USR2) takes" in guarded.log)
    assert guarded.get("/hidden")[0] == 503
    guarded.signal(signal.SIGUSR2)

    def is_allowed() -> bool:
        return "hidden" not in {one["id"] for one in guarded.manage("status")["warnings"]}

    wait_until(is_allowed, timeout=60)
    assert guarded.get("/hidden")[0] == 502  # where nobody listens: it is connected to
    assert guarded.get("/metadata")[0] == guarded.get("/itself")[0] == 503


def test_validate_says_it_before(guarded: GatewayProcess, tmp_path: Path) -> None:
    """With the settings of the gateway, in the same words, for every instance that is no name."""
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "fengling_gateway.cli.main", "validate"),
            *(str(tmp_path / "routes.yaml"), "-o", "json", "--strict"),
            *("--config", str(guarded.directory / "gateway.toml")),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 1, ran.stderr
    found: list[dict[str, Any]] = json.loads(ran.stdout)["warnings"]
    said = {one["instance"]: one["message"] for one in found}
    assert said.keys() == REASONS.keys()
    for name, reason in REASONS.items():
        assert reason in said[name]


def test_management_api_reflects_nothing(guarded: GatewayProcess) -> None:
    """Neither of a path nor of a host; what it answers is no page to a browser."""
    for head in (
        b"GET /<script>alert(1)</script> HTTP/1.1\r\nHost: a\r\n",
        b"GET /api/gateway/routes/<script> HTTP/1.1\r\nHost: a\r\n",
        b"GET /livez HTTP/1.1\r\nHost: <script>\r\n",
        b"POST /%3Cscript%3E HTTP/1.1\r\nHost: a\r\nX-Request-Id: <script>\r\nContent-Length: 0\r\n",
    ):
        with socket.create_connection(("127.0.0.1", guarded.management_port), 10) as client:
            client.sendall(head + b"Connection: close\r\n\r\n")
            answer = b"".join(iter(lambda: client.recv(65536), b""))
        assert b"script" not in answer.lower(), answer
        if not answer.startswith(b"HTTP/1.1 200"):
            assert b"nosniff" in answer.lower(), answer
            assert b"application/problem+json" in answer.lower(), answer
