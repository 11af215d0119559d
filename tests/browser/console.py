"""A real console process, and what it needs around it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fengling_gateway.auth.operators import ROLES, Operator
from fengling_gateway.auth.tokens import TokenRing
from fengling_gateway.embedded.guarded import shared_guard
from fengling_gateway.embedded.ports import free_port
from fengling_gateway.signin.links import link_url, make_link
from tests.integration.gateway import SYNC_KEY, TOKEN_KEY, GatewayProcess, Upstream, admin_token
from tests.support.wait import wait_until

_GRACE_SECONDS = 10.0


@dataclass
class ConsoleProcess:
    """``fengling-console`` on a free port; its output goes to ``console.log``."""

    directory: Path
    database: str
    redis: str
    gateway_url: str
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.directory / "console.log").read_text(errors="replace")

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        config = self.directory / "console.toml"
        config.write_text(self._toml())
        with open(self.directory / "console.log", "ab") as out:
            self.process = shared_guard().start(
                [sys.executable, "-m", "fengling_gateway.tap.console", "--config", str(config)],
                signal.SIGTERM,
                _GRACE_SECONDS,
                stdout=out,
                stderr=out,
            )

    def wait_ready(self) -> None:
        def ready() -> bool:
            assert self.process is not None
            if self.process.poll() is not None:
                raise RuntimeError(f"exited:\n{self.log}")
            try:
                return self.ask("GET", "/readyz")[0] == 200
            except OSError:
                return False

        try:
            wait_until(ready, timeout=30)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log}") from None

    def stop(self) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"did not stop:\n{self.log}") from None
        shared_guard().forget(self.process)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Ask as an administrator who has a token: status, and JSON if it is that."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            sent = {"Authorization": f"Bearer {admin_token()}", "Content-Type": "application/json"}
            text = None if body is None else json.dumps(body)
            connection.request(method, path, body=text, headers={**sent, **headers})
            answer = connection.getresponse()
            content = answer.read()
            is_json = "json" in (answer.getheader("Content-Type") or "")
            return answer.status, json.loads(content) if is_json else content.decode()
        finally:
            connection.close()

    def api(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Ask the API; returns what a success answers."""
        status, value = self.ask(method, f"/api/console{path}", body, **headers)
        assert 200 <= status < 300, (status, value)
        return value

    def login_link(
        self, subject: str = "jane", role: str = "admin", tenants: frozenset[str] | None = None
    ) -> str:
        """Return what `fenglingctl login-link` prints."""
        now = time.time()
        person = Operator(
            subject=subject,
            scopes=frozenset((ROLES[role],)),
            source="",
            token_id="",
            expires_at=now + 3600,
            tenants=tenants,
        )
        return link_url(self.url, make_link(TokenRing([TOKEN_KEY]), person, now=now))

    def _toml(self) -> str:
        tables: dict[str, dict[str, Any]] = {
            "http": {"address": f"127.0.0.1:{self.port}", "gateway_url": self.gateway_url},
            "database": {"url": self.database},
            "redis": {"url": self.redis},
            "sync": {"keys": [SYNC_KEY]},
            "management": {"token_keys": [TOKEN_KEY]},
            "upstream": {"allow": ["127.0.0.0/8"]},
        }
        lines = [f'cluster = "test-{os.getpid()}"', 'name = "c1"']
        for name, values in tables.items():
            lines.append(f"[{name}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        return "\n".join(lines) + "\n"


@dataclass
class Place:
    """A console, a gateway that serves what it writes, and two upstreams."""

    console: ConsoleProcess
    gateway: GatewayProcess
    upstreams: tuple[Upstream, ...]


@contextmanager
def running_place(directory: Path, database: str, redis: str) -> Iterator[Place]:
    """Lend a console and a gateway with two workers, both ready, and nothing configured."""
    gateway = GatewayProcess(directory=directory / "gateway", database=database, redis=redis)
    console = ConsoleProcess(
        directory=directory / "console",
        database=database,
        redis=redis,
        gateway_url=f"http://127.0.0.1:{gateway.port}",
    )
    upstreams = (Upstream("one"), Upstream("two"))
    try:
        gateway.start()
        console.start()
        gateway.wait_ready()
        console.wait_ready()
        wait_until(lambda: len(console.api("GET", "/fleet")["nodes"]) == 1, timeout=20)
        yield Place(console, gateway, upstreams)
    finally:
        try:
            console.stop()
        finally:
            gateway.stop()
            for one in upstreams:
                one.close()
