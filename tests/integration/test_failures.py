"""Who failed, and whose fault it was: asked of a real gateway, by a real ``fenglingctl``."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fengling_gateway.auth.tokens import TokenRing
from fengling_gateway.embedded.ports import free_port
from tests.integration.ctl import Ctl
from tests.integration.gateway import TOKEN_KEY, GatewayProcess, admin_token
from tests.support.wait import wait_until

SLOW_MS = 200
Gateways = Callable[..., GatewayProcess]


class Instance:
    """A server for which a function does everything with a connection of which the head is read."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(30)
            head = b""
            while b"\r\n\r\n" not in head:
                some = connection.recv(65536)
                if not some:
                    return
                head += some
            self._serve(connection)

    def close(self) -> None:
        self._listener.close()


def wait_longer() -> None:
    """Let so much time pass that what waits for it is slow."""
    threading.Event().wait(2 * SLOW_MS / 1000)


def break_off(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")


def be_slow(connection: socket.socket) -> None:
    wait_longer()
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")


def be_broken(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 503 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")


def stream(connection: socket.socket) -> None:
    """Begin at once, and go on for longer than anything that is not slow."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\no")
    wait_longer()
    connection.sendall(b"k")


def tunnel(connection: socket.socket) -> None:
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    )
    wait_longer()
    connection.sendall(b"bye")


SERVED = {
    "cut": break_off,
    "slow": be_slow,
    "broken": be_broken,
    "stream": stream,
    "tunnel": tunnel,
}


@pytest.fixture
def routes(tmp_path: Path) -> Iterator[Path]:
    """Return a configuration in which each route fails in its own way."""
    instances = {name: Instance(serve) for name, serve in SERVED.items()}
    lines = ["tenants:", "- {id: acme, hosts: [acme.test]}", "- {id: brix, hosts: [brix.test]}"]
    lines += ["services:", "- id: gone", "  instances:"]
    lines += [
        f'  - {{id: gone-{number}, address: "http://127.0.0.1:{free_port()}"}}' for number in (1, 2)
    ]
    for name, instance in instances.items():
        lines += [
            f"- id: {name}",
            f'  instances: [{{id: {name}-1, address: "{instance.address}"}}]',
        ]
    lines += ["routes:"]
    any_protocol = ', policies: {upgrade: {protocols: ["*"]}}'
    lines += [
        f"- {{id: {name}, path: /{name}, service_id: {name}{any_protocol}}}"
        for name in (*SERVED, "gone")
    ]
    lines += [
        f"- {{id: {tenant}-gone, path: /mine, service_id: gone, tenant_id: {tenant}}}"
        for tenant in ("acme", "brix")
    ]
    path = tmp_path / "routes.yaml"
    path.write_text("\n".join(lines) + "\n")
    yield path
    for one in instances.values():
        one.close()


def started(gateways: Gateways, routes: Path, **settings: Any) -> GatewayProcess:
    failures = {"slower_than": f"{SLOW_MS}ms", **settings.pop("failures", {})}
    gateway = gateways(
        source="file",
        settings={"file": {"path": str(routes)}, "failures": failures},
        **settings,
    )
    gateway.wait_ready()
    return gateway


@pytest.fixture
def gateway(gateways: Gateways, routes: Path) -> GatewayProcess:
    return started(gateways, routes)


def ctl(gateway: GatewayProcess, token: str | None = None) -> Ctl:
    return Ctl(
        {
            "FENGLING_MANAGEMENT": f"http://127.0.0.1:{gateway.management_port}",
            "FENGLING_TOKEN": token or admin_token(),
        }
    )


def kept(gateway: GatewayProcess, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = gateway.manage(f"errors?limit=1000{query}")["items"]
    return found


def wait_for(gateway: GatewayProcess, request_id: str) -> None:
    wait_until(lambda: any(one["request_id"] == request_id for one in kept(gateway)))


def fail(gateway: GatewayProcess, path: str, host: str = "x.test") -> str:
    """Send a request that fails; return the id that the client is told."""
    _, headers, _ = gateway.fetch(path, headers={"Host": host})
    return headers["x-request-id"]


def test_the_id_that_a_client_is_told_leads_to_the_story(gateway: GatewayProcess) -> None:
    """Of the request, both attempts, whose fault it was and what to do; and no secret."""
    request_id = fail(gateway, "/gone?token=s3cret&page=2")
    wait_for(gateway, request_id)
    story = ctl(gateway)("why", request_id)
    assert (story.status, story.err) == (0, "")
    first = "GET /gone?token=REDACTED&page=2 of x.test failed: connect_failed (502)\n"
    assert story.out.startswith(first)
    for words in ("gone-1", "gone-2", "instance's fault", "gone → service gone", "revision 1"):
        assert words in story.out
    assert "s3cret" not in story.out
    [one] = ctl(gateway)("why", request_id, "-o", "json").json
    assert {it["error"] for it in one["attempts"]} == {"connect_failed"}
    assert {it["instance"] for it in one["attempts"]} == {"gone-1", "gone-2"}


def test_errors_are_summed_up_by_whose_fault_they_were(gateway: GatewayProcess) -> None:
    """Refused, cut off, a bad answer, a slow one, a wrong path: each is told apart."""
    told = [fail(gateway, path) for path in ("/gone", "/gone", "/nowhere")]
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        gateway.get("/cut")
    assert [gateway.get(path)[0] for path in ("/broken", "/slow")] == [503, 200]
    wait_until(lambda: len(kept(gateway)) == 6)
    assert set(told) <= {one["request_id"] for one in kept(gateway)}
    summary = ctl(gateway)("errors", "--since", "1h", "--json").json["summary"]
    found = {(one["kind"], one["error"], one["service"], one["fault"]) for one in summary}
    assert found == {
        ("failed", "connect_failed", "gone", "instance"),
        ("failed", "no_route", None, "client"),
        ("failed", "response_too_short", "cut", "instance"),
        ("answered", None, "broken", "instance"),
        ("slow", None, "slow", "instance"),
    }
    table = ctl(gateway)("errors", "--fault", "instance", "--route", "cut")
    assert table.status == 0
    assert "response_too_short" in table.out
    assert "no_route" not in table.out


def test_slow_requests_are_logged_and_streams_and_tunnels_are_not(
    gateway: GatewayProcess,
) -> None:
    """What counts is when the answer begins, not how long it is wanted."""
    assert gateway.get("/stream")[1] == b"ok"
    with socket.create_connection(("127.0.0.1", gateway.port), 30) as client:
        client.sendall(
            b"GET /tunnel HTTP/1.1\r\nHost: x.test\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
        )
        said = b""
        while not said.endswith(b"bye"):
            some = client.recv(65536)
            assert some, said
            said += some
    assert gateway.get("/slow")[1] == b"ok"
    wait_until(lambda: kept(gateway))
    assert [(one["kind"], one["route"]) for one in kept(gateway)] == [("slow", "slow")]
    wait_until(lambda: "slow: GET /slow" in gateway.log)
    assert gateway.log.count("slow: GET ") == 1
    assert ctl(gateway)("why", kept(gateway)[0]["request_id"]).status == 0


def test_what_is_known_survives_the_workers(gateway: GatewayProcess) -> None:
    """One is killed, all are replaced: it is the supervisor's."""
    request_id = fail(gateway, "/gone")
    wait_for(gateway, request_id)
    pids = gateway.worker_pids()
    os.kill(pids[0], signal.SIGKILL)
    wait_until(lambda: len(gateway.worker_pids()) == 2 and pids[0] not in gateway.worker_pids())
    last = fail(gateway, "/gone")  # told of by a worker that may have to go before its second ends
    gateway.manage("restart", method="POST", body={})
    wait_until(lambda: not set(pids) & set(gateway.worker_pids()), timeout=60)
    wait_for(gateway, last)
    assert ctl(gateway)("why", request_id).status == 0


def test_flood_is_counted_and_hides_nothing_else(gateways: Gateways, routes: Path) -> None:
    """Of one error no more is kept than there is room for; others are kept all the same."""
    gateway = started(gateways, routes, failures={"per_second": 1.0})
    with socket.create_connection(("127.0.0.1", gateway.port), 30) as client:
        for _ in range(100):
            client.sendall(b"GET /nowhere HTTP/1.1\r\nHost: x.test\r\n\r\n")
            answer = b""
            while not answer.endswith(b"}"):
                answer += client.recv(65536)
    request_id = fail(gateway, "/gone")
    wait_for(gateway, request_id)

    def counted() -> int:
        answer = gateway.manage("errors?limit=1000&error=no_route")
        return int(answer["count"]) + int(answer["left_out"].get("no_route", 0))

    wait_until(lambda: counted() == 100)
    assert len(kept(gateway, "&error=no_route")) < 50
    told = ctl(gateway)("errors", "--error", "connect_failed")
    assert "no_route" in told.err
    nothing = ctl(gateway)("why", "nobody-has-this-id")
    assert nothing.status == 1
    assert "flood" in nothing.err


def test_a_tenants_token_sees_nothing_of_others(gateway: GatewayProcess) -> None:
    """Neither in the list nor by an id that somebody gave away, nor what is behind the gateway."""
    mine, others = (fail(gateway, "/mine", host) for host in ("acme.test", "brix.test"))
    nobodys = fail(gateway, "/nowhere")
    for request_id in (mine, others, nobodys):
        wait_for(gateway, request_id)
    token = TokenRing([TOKEN_KEY]).issue(
        subject="acme's",
        scopes=["gateway:read"],
        now=time.time(),
        lifetime_seconds=3600,
        token_id="acme-1",
        tenants=["acme"],
    )
    limited = ctl(gateway, token)
    told = limited("errors", "--json").json
    assert [one["request_id"] for one in told["items"]] == [mine]
    assert [one["count"] for one in told["summary"]] == [1]
    assert "127.0.0.1:" not in json.dumps(told["items"][0]["attempts"])
    assert [one["instance"] for one in told["items"][0]["attempts"]] == [None, None]
    assert limited("why", mine).status == 0
    assert [limited("why", request_id).status for request_id in (others, nobodys)] == [1, 1]


def test_a_gateway_of_one_process_keeps_them_too(gateways: Gateways, routes: Path) -> None:
    """Its worker is the supervisor."""
    gateway = started(gateways, routes, worker_count=1)
    request_id = fail(gateway, "/gone")
    wait_for(gateway, request_id)
    assert ctl(gateway)("why", request_id).status == 0
