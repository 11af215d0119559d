"""Looking on at the requests of a running gateway."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.ctl import Ctl
from tests.integration.gateway import GatewayProcess, Load, Upstream, admin_token
from tests.support.wait import wait_until


@pytest.fixture
def gateway(
    gateways: Callable[..., GatewayProcess], upstreams: Callable[[str], Upstream], tmp_path: Path
) -> GatewayProcess:
    """Return a gateway of two workers: one route that answers, and one whose instance is away."""
    path = tmp_path / "routes.yaml"
    path.write_text(
        "services:\n"
        f'  - {{id: v1, instances: [{{id: v1-1, address: "{upstreams("v1").address}"}}]}}\n'
        '  - {id: gone, instances: [{id: gone-1, address: "http://127.0.0.1:9"}]}\n'
        "routes:\n"
        "  - {id: hello, path: /hello, service_id: v1}\n"
        "  - {id: gone, path: /gone, service_id: gone}\n"
    )
    gateway = gateways(source="file", settings={"file": {"path": str(path)}})
    gateway.wait_ready()
    return gateway


class Tap:
    """Somebody who looks on, by a thread that reads."""

    def __init__(self, gateway: GatewayProcess, **body: Any) -> None:
        self.events: list[dict[str, Any]] = []
        self._connection = http.client.HTTPConnection("127.0.0.1", gateway.management_port, 60)
        self._connection.request(
            "POST",
            "/api/gateway/tap",
            body=json.dumps({"seconds": 60, **body}),
            headers={
                "Authorization": f"Bearer {admin_token()}",
                "Content-Type": "application/json",
            },
        )
        self._socket = self._connection.sock
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200, self._answer.read()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        wait_until(lambda: self.events)

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException, AttributeError):
            while line := self._answer.readline():
                self.events.append(json.loads(line))

    @property
    def requests(self) -> list[dict[str, Any]]:
        return [one["request"] for one in self.events if one["event"] == "request"]

    @property
    def targets(self) -> list[str]:
        return [one["target"] for one in self.requests]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()


@pytest.fixture
def looks_on(gateway: GatewayProcess) -> Iterator[Callable[..., Tap]]:
    """Return a function that begins to look on; all end with the test."""
    begun: list[Tap] = []

    def begin(**body: Any) -> Tap:
        begun.append(Tap(gateway, **body))
        return begun[-1]

    yield begin
    for one in begun:
        one.close()


def seen_by(gateway: GatewayProcess, tap: Tap, target: str) -> None:
    """
    Ask for something until a tap shows it: workers are told of a tap a moment after it has begun.
    """

    def shows() -> bool:
        gateway.get(target)
        return any(one.startswith(target) for one in tap.targets)

    wait_until(shows)


def by_every_worker(gateway: GatewayProcess, target: str) -> set[str]:
    """Ask for something until each worker has answered it, and return their names."""
    names: set[str] = set()

    def asked() -> bool:
        names.add(gateway.fetch(target)[1]["x-gateway-worker"])
        return len(names) == gateway.worker_count

    wait_until(asked)
    return names


def test_requests_of_all_workers_are_seen(
    gateway: GatewayProcess, looks_on: Callable[..., Tap]
) -> None:
    """Each once, with what became of it, redacted; and two who look on see what each wants."""
    everything, failures = looks_on(), looks_on(statuses=["5xx"], clients=["127.0.0.0/8"])
    assert gateway.manage("status")["taps"] == {"on": 2, "begun": 2}
    by_every_worker(gateway, "/hello?token=secret")
    seen_by(gateway, failures, "/gone")
    ids = {f"asked-{number}" for number in range(40)}
    for one in ids:
        gateway.get("/hello?n=1", headers={"X-Request-Id": one})
    wait_until(lambda: len([one for one in everything.targets if one == "/hello?n=1"]) == 40)
    told = {one["request_id"]: one for one in everything.requests}
    assert len(told) == len(everything.requests)
    hello = next(one for one in everything.requests if one["target"].startswith("/hello?token"))
    assert hello["target"] == "/hello?token=REDACTED"
    assert (hello["status"], hello["route"], hello["client"]) == (200, "hello", "127.0.0.1")
    assert hello["attempts"][-1]["instance"] == "v1-1"
    assert {one["error"] for one in failures.requests} == {"connect_failed"}
    assert set(failures.targets) == {"/gone"}
    assert not any(one["event"] == "left_out" for one in everything.events)
    everything.close()
    wait_until(lambda: gateway.manage("status")["taps"] == {"on": 1, "begun": 2})


def test_worker_that_is_replaced_goes_on_being_seen(
    gateway: GatewayProcess, looks_on: Callable[..., Tap]
) -> None:
    """Killed or restarted: its successor is told of who looks on."""
    tap = looks_on(routes=["hello"])
    by_every_worker(gateway, "/hello")
    victims = gateway.worker_pids()
    os.kill(victims[0], signal.SIGKILL)
    wait_until(lambda: set(victims[:1]).isdisjoint(gateway.worker_pids()))
    wait_until(lambda: gateway.served_by_every_worker(1))
    by_every_worker(gateway, "/hello?killed")
    gateway.manage("restart", method="POST", body={})
    wait_until(lambda: set(victims).isdisjoint(gateway.worker_pids()))
    wait_until(lambda: gateway.served_by_every_worker(1))
    asked = 0

    def every_worker_has_answered() -> bool:
        nonlocal asked
        asked += 1
        names.add(gateway.fetch("/hello?restarted")[1]["x-gateway-worker"])
        return len(names) == 2

    names: set[str] = set()
    wait_until(every_worker_has_answered)
    wait_until(lambda: tap.targets.count("/hello?restarted") == asked)
    assert "/hello?killed" in tap.targets


def test_who_does_not_read_stops_nothing(gateway: GatewayProcess) -> None:
    """Requests are answered as ever, the gateway stays as large as it was, and others see them."""
    content = json.dumps({"seconds": 60}).encode()
    with socket.socket() as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        silent.connect(("127.0.0.1", gateway.management_port))
        silent.sendall(
            b"POST /api/gateway/tap HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s"
            % (admin_token().encode(), len(content), content)
        )
        assert silent.recv(12) == b"HTTP/1.1 200"
        reader = Tap(gateway, limit=100)
        with Load(gateway.port, "/hello?" + "x" * 900).running() as load:
            wait_until(lambda: reader.events[-1]["event"] == "ended", timeout=60)
            load.wait_for(2000)
        assert (load.failed, load.refused) == ([], [])
        assert reader.events[-1]["why"] == "limit"
        assert len(reader.requests) == 100
        reader.close()
        assert gateway.get("/readyz", port=gateway.management_port)[0] == 200


def test_gateway_that_stops_says_so(gateway: GatewayProcess, looks_on: Callable[..., Tap]) -> None:
    """After its last requests."""
    tap = looks_on()
    seen_by(gateway, tap, "/hello")
    assert gateway.stop() == 0
    wait_until(lambda: tap.events[-1]["event"] == "ended")
    assert tap.events[-1]["why"] == "stopped"


def test_fenglingctl_shows_them(gateway: GatewayProcess) -> None:
    """Until Ctrl-C, which sums up; and it is on record."""
    ctl = Ctl(
        {
            "FENGLING_MANAGEMENT": f"http://127.0.0.1:{gateway.management_port}",
            "FENGLING_TOKEN": admin_token(),
        }
    )
    with ctl.running("tap", "--status", "5xx", "--route", "gone") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "Ctrl-C ends it" in process.stderr.readline()
        stop = threading.Event()

        def ask() -> None:
            while not stop.wait(0.05):
                gateway.get("/gone")

        asking = threading.Thread(target=ask)
        asking.start()
        line = process.stdout.readline()
        stop.set()
        asking.join()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert line.split()[1:3] == ["502", "GET"]
    assert "gone → gone-1" in line
    assert line.split()[-1] == "connect_failed"
    assert process.returncode == 0
    assert "0 left out" in said

    def ended() -> dict[str, Any]:
        [record] = [one for one in gateway.manage("audit")["items"] if "tap" in one["what"]]
        assert record["outcome"] == "done"
        return dict(record)

    record = wait_until(ended)
    assert record["what"] == "tap for 600 s; routes gone; statuses 5xx"
    assert record["after"]["told"] > 0
