"""A real gateway process, and small clients for it."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from fengling_gateway.auth.tokens import TokenRing
from fengling_gateway.balancing.upstream_networks import LOOPBACK
from fengling_gateway.embedded.guarded import shared_guard
from fengling_gateway.embedded.ports import free_port
from tests.support.wait import wait_until

TOKEN_KEY = f"k1:{secrets.token_hex(32)}"
SYNC_KEY = f"s1:{secrets.token_hex(32)}"
_GRACE_SECONDS = 10.0
"""Of a gateway whose tests were killed; longer than the drain it is given."""


@dataclass
class GatewayProcess:
    """
    ``fengling-gateway`` with real workers, on free ports, in a directory of its own.

    Its output goes to ``gateway.log`` there. It ends when the tests are killed.
    """

    directory: Path
    database: str | None = None
    redis: str | None = None
    worker_count: int = 2
    node: str = "n1"
    cluster: str = f"test-{os.getpid()}"
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    source: str = "database"
    listener: Sequence[str] = ()
    """More lines of its listener, as TOML."""
    port: int = field(default_factory=free_port)
    management_port: int = field(default_factory=free_port)
    program: Sequence[str] = (sys.executable, "-m", "fengling_gateway.tap.gateway")
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        assert self.directory.is_absolute()  # tests empty it

    @property
    def log(self) -> str:
        return (self.directory / "gateway.log").read_text(errors="replace")

    def start(self, stdout: int | None = None) -> None:
        """Start it; `stdout`: a descriptor for its output instead of ``gateway.log``."""
        self.directory.mkdir(parents=True, exist_ok=True)
        config = self.directory / "gateway.toml"
        config.write_text(self._toml())
        with open(self.directory / "gateway.log", "ab") as out:
            self.process = shared_guard().start(
                [*self.program, "--config", str(config)],
                signal.SIGTERM,
                _GRACE_SECONDS,
                stdout=out if stdout is None else stdout,
                stderr=out,
            )

    def wait_ready(self, timeout: float = 30.0) -> None:
        def ready() -> bool:
            assert self.process is not None
            if self.process.poll() is not None:
                raise RuntimeError(f"exited:\n{self.log}")
            status, _ = self.get("/readyz", port=self.management_port)
            return status == 200

        try:
            wait_until(ready, timeout=timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log}") from None

    def stop(self, timeout: float = 20.0) -> int:
        """TERM, and the exit status."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not stop:\n{self.log}") from None
        shared_guard().forget(self.process)
        return status

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def get(
        self, path: str, *, port: int | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """GET on a new connection: status and body."""
        status, _, body = self.fetch(path, port=port, headers=headers)
        return status, body

    def fetch(
        self,
        path: str,
        *,
        port: int | None = None,
        headers: dict[str, str] | None = None,
        method: str = "GET",
        body: bytes | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request on a new connection: status, headers in lower case, body."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=10)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            content = response.read()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, content
        finally:
            connection.close()

    def manage(self, path: str, *, method: str = "GET", body: Any = None) -> Any:
        """Ask the management API as an administrator; returns the JSON of a 200."""
        status, _, content = self.fetch(
            f"/api/gateway/{path}",
            port=self.management_port,
            method=method,
            headers={
                "Authorization": f"Bearer {admin_token()}",
                "Content-Type": "application/json",
            },
            body=None if body is None else json.dumps(body).encode(),
        )
        assert status == 200, (status, content)
        return json.loads(content)

    def workers(self) -> list[dict[str, Any]]:
        answer = self.manage("workers?node=self")
        return list(answer["workers"])

    def worker_pids(self) -> list[int]:
        return [one["pid"] for one in self.workers() if one["state"] != "draining"]

    def served_by_every_worker(self, revision: int) -> bool:
        """Whether as many workers as there should be serve this revision or a later one."""
        serving = [one for one in self.workers() if one["state"] == "serving"]
        return len(serving) >= self.worker_count and all(
            (one["revision"] or 0) >= revision for one in serving
        )

    def _toml(self) -> str:
        tables: dict[str, dict[str, Any]] = {
            "management": {
                "address": f"127.0.0.1:{self.management_port}",
                "token_keys": [TOKEN_KEY],
            },
            "sync": {"keys": [SYNC_KEY]},
            "drain": {"deadline": "5s"},
            "debug": {"worker_header": True},
            "upstream": {"allow": list(LOOPBACK)},
        }
        if self.database is not None:
            tables["database"] = {"url": self.database, "poll_interval": "5s"}
        if self.redis is not None:
            tables["redis"] = {"url": self.redis}
        for name, values in self.settings.items():
            tables.setdefault(name, {}).update(values)
        lines = [
            f"cluster = {json.dumps(self.cluster)}",
            f"node = {json.dumps(self.node)}",
            f"workers = {self.worker_count}",
            f"source = {json.dumps(self.source)}",
            f'runtime_dir = "{self.directory}/run"',
            f'state_dir = "{self.directory}/state"',
            "[[listeners]]",
            'name = "http"',
            f'address = "127.0.0.1:{self.port}"',
            *self.listener,
        ]
        for name, values in tables.items():
            lines.append(f"[{name}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        return "\n".join(lines) + "\n"


def admin_token() -> str:
    return TokenRing([TOKEN_KEY]).issue(
        subject="test",
        scopes=["gateway:admin"],
        now=time.time(),
        lifetime_seconds=3600,
        token_id=secrets.token_hex(8),
    )


def an_upload(gateway: GatewayProcess) -> socket.socket:
    """Begin a request to /hello that keeps a worker draining until "done" is sent."""
    client = socket.create_connection(("127.0.0.1", gateway.port), 10)
    client.sendall(b"POST /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nbegun")
    return client


class Upstream:
    """A small HTTP/1.1 server that answers with its name, and counts what it was asked."""

    def __init__(self, name: str, port: int = 0) -> None:
        self.name = name
        self.requests: Counter[str] = Counter()
        self.posts: Counter[str] = Counter()
        self.begun: Counter[str] = Counter()
        """POSTs whose head has arrived."""
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                upstream.requests[self.path] += 1
                self._answer(json.dumps({"name": upstream.name, "path": self.path}).encode())

            def do_POST(self) -> None:
                upstream.begun[self.path] += 1
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                upstream.posts[body.decode()] += 1
                self._answer(body)

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 512

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass
class Load:
    """
    Requests in threads until stopped: half on kept connections, half on new ones.

    ``refused`` counts connections that were not accepted; ``failed`` everything
    that was sent and not answered as it should be. A request on a kept
    connection that the gateway closed before any byte of an answer is sent once
    more on a new one, as every HTTP client does for GET (RFC 9110 section 9.2.2).
    """

    port: int
    path: str
    threads: int = 4
    answered: int = 0
    refused: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    resent: int = 0

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number % 2 == 0,), daemon=True)
            for number in range(self.threads)
        ]

    @contextmanager
    def running(self) -> Iterator[Load]:
        for thread in self._threads:
            thread.start()
        wait_until(lambda: self.answered > 10)
        try:
            yield self
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()

    def wait_for(self, more: int) -> None:
        """Wait until this many more requests have been answered."""
        goal = self.answered + more
        wait_until(lambda: self.answered >= goal, timeout=60)

    def _run(self, keep: bool) -> None:
        connection: socket.socket | None = None
        pause = threading.Event()
        while not self._stop.is_set():
            fresh = connection is None
            try:
                connection = connection or socket.create_connection(("127.0.0.1", self.port), 10)
            except OSError as error:
                self.refused.append(str(error))
                continue
            outcome, stays = self._once(connection, keep)
            if outcome == "answered":
                self.answered += 1
            elif outcome == "closed" and not fresh:
                self.resent += 1
            else:
                self.failed.append(f"{time.time():.3f} {outcome} fresh={fresh}")
            if not stays or not keep:
                connection.close()
                connection = None
            pause.wait(0.001)
        if connection is not None:
            connection.close()

    def _once(self, connection: socket.socket, keep: bool) -> tuple[str, bool]:
        head = f"GET {self.path} HTTP/1.1\r\nHost: test\r\n"
        try:
            connection.sendall((head + ("" if keep else "Connection: close\r\n") + "\r\n").encode())
            response = http.client.HTTPResponse(connection)
            response.begin()
            response.read()
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            return "closed", False
        except (OSError, http.client.HTTPException) as error:
            return f"{type(error).__name__}: {error}", False
        if response.status != 200:
            return f"status {response.status} {response.headers.get('X-Gateway-Error')}", False
        return "answered", not response.will_close
