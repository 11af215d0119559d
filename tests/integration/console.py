"""A real console process, and small clients for it."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from fengling_gateway.auth.tokens import TokenRing
from fengling_gateway.balancing.upstream_networks import LOOPBACK
from fengling_gateway.embedded.guarded import shared_guard
from fengling_gateway.embedded.ports import free_port
from fengling_gateway.embedded.postgres import PostgresServer
from tests.integration.conftest import Sql
from tests.integration.gateway import SYNC_KEY, TOKEN_KEY, GatewayProcess
from tests.integration.world import World
from tests.support.wait import wait_until

API = "/api/console"
_GRACE_SECONDS = 10.0
"""Of a console whose tests were killed."""


class Asked(NamedTuple):
    """What was answered; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def etag(self) -> str:
        return self.headers["etag"]


def a_token(*scopes: str, **terms: Any) -> str:
    """A token for an hour, of an administrator unless scopes are named."""
    return TokenRing([TOKEN_KEY]).issue(
        **{
            "subject": "ada",
            "scopes": scopes or ("gateway:admin",),
            "now": time.time(),
            "lifetime_seconds": 3600,
            "token_id": secrets.token_hex(8),
            **terms,
        }
    )


@dataclass
class ConsoleProcess:
    """
    ``fengling-console`` on a free port, in a directory of its own.

    Its output goes to ``console.log`` there. It ends when the tests are killed.
    """

    directory: Path
    database: str
    redis: str | None = None
    name: str = "c1"
    cluster: str = f"test-{os.getpid()}"
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    program: tuple[str, ...] = (sys.executable, "-m", "fengling_gateway.tap.console")
    process: subprocess.Popen[bytes] | None = None
    token: str = field(default_factory=a_token)
    """Whom requests are of that name nobody else."""

    def __post_init__(self) -> None:
        assert self.directory.is_absolute()  # tests empty it

    @property
    def log(self) -> str:
        return (self.directory / "console.log").read_text(errors="replace")

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        config = self.directory / "console.toml"
        config.write_text(self._toml())
        with open(self.directory / "console.log", "ab") as out:
            self.process = shared_guard().start(
                [*self.program, "--config", str(config)],
                signal.SIGTERM,
                _GRACE_SECONDS,
                stdout=out,
                stderr=out,
            )

    def wait_ready(self, timeout: float = 30.0) -> None:
        def ready() -> bool:
            assert self.process is not None
            if self.process.poll() is not None:
                raise RuntimeError(f"exited:\n{self.log}")
            return self.fetch("GET", "/readyz").status == 200

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

    def fetch(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Asked:
        """Send one request on a new connection, with nothing that is not said here."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=70)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Asked(response.status, names, response.read())
        finally:
            connection.close()

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        if_match: str | None = None,
        kind: str = "application/json",
        **headers: str,
    ) -> Asked:
        """Ask the API; a body that is no text is sent as JSON."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent["Authorization"] = f"Bearer {token or self.token}"
        content = None
        if body is not None:
            content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            sent["Content-Type"] = kind
        if if_match is not None:
            sent["If-Match"] = if_match
        return self.fetch(method, f"{API}/{path}", content, sent)

    def get(self, path: str, **terms: Any) -> Any:
        """Return the JSON of a 200."""
        asked = self.ask("GET", path, **terms)
        assert asked.status == 200, asked
        return asked.json

    def post(self, path: str, body: Any = None, **terms: Any) -> Asked:
        return self.ask("POST", path, body, **terms)

    def create(self, kind: str, **fields: Any) -> Any:
        """Make an entity, served by all workers, and return the answer."""
        asked = self.post(f"{kind}?wait=all&timeout=20s", fields)
        assert asked.status == 201, asked
        return asked.json

    def create_quietly(self, kind: str, **fields: Any) -> Any:
        """Make an entity where there may be no gateway, and return the answer."""
        asked = self.post(kind, fields)
        assert asked.status == 201, asked
        return asked.json

    def patch(self, path: str, body: Any, *, if_match: str | None = None, **terms: Any) -> Asked:
        """Merge a patch into what is there; into what was read, if that is said."""
        match = self.ask("GET", path.partition("?")[0]).etag if if_match is None else if_match
        kind = "application/merge-patch+json"
        return self.ask("PATCH", path, body, if_match=match, kind=kind, **terms)

    @contextmanager
    def listening(self, token: str | None = None) -> Iterator[Stream]:
        """Lend a stream of events, which has begun."""
        stream = Stream(self.port, token or self.token)
        try:
            yield stream
        finally:
            stream.close()

    def _toml(self) -> str:
        tables: dict[str, dict[str, Any]] = {
            "http": {"address": f"127.0.0.1:{self.port}"},
            "database": {"url": self.database, "poll_interval": "5s"},
            "management": {"token_keys": [TOKEN_KEY]},
            "sync": {"keys": [SYNC_KEY]},
            "upstream": {"allow": list(LOOPBACK)},
            "probes": {"enabled": False},
        }
        if self.redis is not None:
            tables["redis"] = {"url": self.redis}
        for name, values in self.settings.items():
            tables.setdefault(name, {}).update(values)
        lines = [f"{key} = {json.dumps(getattr(self, key))}" for key in ("cluster", "name")]
        for name, values in tables.items():
            lines.append(f"[{name}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        return "\n".join(lines) + "\n"


class Event(NamedTuple):
    name: str
    value: Any


class Stream:
    """
    A stream of events, read in a thread.

    Attributes:
        events: so far.
        ended: set when the console has ended it.
    """

    def __init__(self, port: int, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
        self._connection.request("GET", f"{API}/events", headers=headers)
        # (The connection forgets it where an answer ends it.)
        self._socket = self._connection.sock
        self._response = self._connection.getresponse()
        assert self._response.status == 200, self._response.read()
        self.events: list[Event] = []
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def named(self, name: str) -> list[Any]:
        """Return the values of all events of a name so far."""
        return [one.value for one in list(self.events) if one.name == name]

    def close(self) -> None:
        try:
            self._socket.shutdown(2)
        except OSError:
            pass  # the console has been faster
        self._thread.join()
        self._connection.close()

    def _read(self) -> None:
        name = ""
        try:
            for line in self._response:
                field, _, value = line.decode().strip().partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    self.events.append(Event(name, json.loads(value)))
        except (OSError, http.client.HTTPException, ValueError):
            pass  # closed
        self.ended.set()


class Fleet(World):
    """Gateways and consoles over one database and one Redis, with a cluster of their own."""

    def __init__(self, directory: Path, sql: Sql, redis: str | None = None) -> None:
        super().__init__(directory, sql)
        self._redis = redis
        self._cluster = f"test-{secrets.token_hex(4)}"
        self._consoles: list[ConsoleProcess] = []

    def starting(self, **settings: Any) -> GatewayProcess:
        usual = {"redis": self._redis, "cluster": self._cluster}
        return super().starting(**{**usual, **settings})

    def console(self, **settings: Any) -> ConsoleProcess:
        """Start a console, and wait until it knows the configuration."""
        started = self.starting_console(**settings)
        started.wait_ready()
        return started

    def starting_console(self, **settings: Any) -> ConsoleProcess:
        name = settings.setdefault("name", f"c{len(self._consoles) + 1}")
        usual = {"database": self.sql.dsn, "redis": self._redis, "cluster": self._cluster}
        console = ConsoleProcess(directory=self.directory / str(name), **{**usual, **settings})
        self._consoles.append(console)
        console.start()
        return console

    def close(self) -> None:
        for console in self._consoles:
            console.stop()
        super().close()


@contextmanager
def fleet_with_database(
    postgres: PostgresServer, template: str, directory: Path, redis: str | None = None
) -> Iterator[Fleet]:
    """Lend a fleet whose database is a copy of ``template``."""
    dsn = postgres.create_database(template=template)
    sql = Sql(dsn)
    fleet = Fleet(directory, sql, redis)
    try:
        yield fleet
    finally:
        fleet.close()
        sql.close()
        postgres.psql(f'DROP DATABASE IF EXISTS "{dsn.rpartition("/")[2]}" WITH (FORCE)')
