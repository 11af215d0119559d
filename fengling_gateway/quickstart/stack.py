"""The programs of the quickstart: started in order, ended in the opposite one."""

from __future__ import annotations

import json
import os
import platform
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from fengling_gateway.embedded import guard
from fengling_gateway.embedded.owned import (
    OwnedProcess,
    StartError,
    environment,
    scratch_directory,
)
from fengling_gateway.embedded.ports import free_port
from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.embedded.valkey import ValkeyServer
from fengling_gateway.quickstart.place import Place, write_private
from fengling_gateway.quickstart.settings import (
    console_settings,
    gateway_settings,
    make_gateway_secrets,
)

DATABASE: Final = "fengling"
TRAFFIC_PORT: Final = 8000
MANAGEMENT_PORT: Final = 8001
CONSOLE_PORT: Final = 8002

_DEMO_INSTANCES: Final = ("hello-v1-a", "hello-v1-b", "hello-v2-a", "orders-a")
_ATTEMPTS: Final = 5
_PORT_TAKEN: Final = "Address already in use"
_SERVING: Final = b"serving with "
_CONSOLE_SERVING: Final = b"the console is at "
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 10.0


class Stack:
    """
    PostgreSQL, Valkey, the demo's services, a gateway and a console on this machine's loopback.

    `start` yields what has been done and what comes next, so that its caller
    can show progress; `stop` ends whatever has been started, and may be called
    at any time.

    Attributes:
        token: for the management API, once started.
        demo_revision: the last revision of loading the demo.
    """

    def __init__(self, place: Place, *, workers: int) -> None:
        self.place = place
        self.workers = workers
        self.traffic_port = preferred_port(TRAFFIC_PORT)
        self.management_port = preferred_port(MANAGEMENT_PORT)
        self.console_port = preferred_port(CONSOLE_PORT)
        self.scratch = scratch_directory("fengling-quickstart-")
        self.postgres = PostgresServer(
            self.scratch / "postgres", password=place.new_secret("postgres")
        )
        self.valkey = ValkeyServer(self.scratch / "valkey", password=place.new_secret("valkey"))
        self.demo: OwnedProcess | None = None
        self.gateway: OwnedProcess | None = None
        self.console: OwnedProcess | None = None
        self._workers: list[guard.Process] = []
        self.token = ""
        self.demo_revision = 0
        self._passwords = {name: place.new_secret(name) for name in ("ops", "gateway", "console")}

    @property
    def gateway_url(self) -> str:
        return f"http://127.0.0.1:{self.traffic_port}"

    @property
    def management_url(self) -> str:
        return f"http://127.0.0.1:{self.management_port}"

    @property
    def console_url(self) -> str:
        return f"http://127.0.0.1:{self.console_port}"

    def database(self, user: str = "ops") -> str:
        """Return the DSN of the configuration database for one of its login roles."""
        secret = self._passwords[user]
        return f"postgresql://{user}:{secret}@127.0.0.1:{self.postgres.port}/{DATABASE}"

    def start(self) -> Iterator[tuple[str, str]]:
        """
        Start everything, yielding what has been done and what comes next.

        Raises:
            StartError: something did not start; the message says why.
        """
        yield from self._start_servers()
        yield from self._load_demo()
        yield from self._start_gateway()
        yield from self._start_console()

    def stop(self) -> None:
        if self.console is not None:
            self.console.stop(timeout=_STOP_SECONDS)
        if self.gateway is not None:
            self.gateway.stop(timeout=_STOP_SECONDS)
            # Workers outlive a supervisor that was killed, and would keep the port.
            guard.send(self._workers, signal.SIGKILL)
        if self.demo is not None:
            self.demo.stop()
        self.valkey.stop()
        self.postgres.stop("immediate")

    def pids(self) -> dict[str, int]:
        """Return the pid of each program by its name, those that run."""
        owned = {"gateway": self.gateway, "console": self.console, "demo": self.demo}
        pids = {name: program.pid for name, program in owned.items() if program and program.running}
        servers = {"postgres": self.postgres.pid, "redis": self.valkey.pid}
        return {**pids, **{name: pid for name, pid in servers.items() if pid is not None}}

    def _start_servers(self) -> Iterator[tuple[str, str]]:
        self.postgres.start()
        version = self.postgres.psql("SHOW server_version").strip()
        yield f"PostgreSQL {version} on 127.0.0.1:{self.postgres.port}", "starting Valkey"
        self.valkey.start()
        yield f"Valkey on 127.0.0.1:{self.valkey.port}", "making the tables"

    def _load_demo(self) -> Iterator[tuple[str, str]]:
        from fengling_gateway import schema

        owner = self.postgres.create_database(DATABASE)
        schema.upgrade(owner)
        # Each may what its like may on a real installation (docs/database.md), no more.
        self.postgres.psql(
            f"CREATE ROLE ops LOGIN PASSWORD '{self._passwords['ops']}'"
            "  IN ROLE fengling_console;"
            f"CREATE ROLE gateway LOGIN PASSWORD '{self._passwords['gateway']}'"
            "  IN ROLE fengling_gateway;"
            f"CREATE ROLE console LOGIN PASSWORD '{self._passwords['console']}'"
            "  IN ROLE fengling_console, fengling_voucher;"
        )
        yield "the tables, and a role for each who connects", "starting the demo's services"
        addresses = self._start_demo()
        text = (Path(__file__).parent / "demo.sql").read_text()
        for name, address in addresses.items():
            text = text.replace("{" + name + "}", address)
        write_private(self.place.demo_file, text)
        self.postgres.psql(text, dsn=self.database())
        self.demo_revision = int(
            self.postgres.psql("SELECT max(id) FROM fengling.revision", dsn=self.database())
        )
        yield "a demo: 4 routes, 3 services, 4 instances", "starting the gateway"

    def _start_demo(self) -> dict[str, str]:
        """Start the demo's services on sockets that we bind, and return their addresses."""
        listeners = {name: socket.create_server(("127.0.0.1", 0)) for name in _DEMO_INSTANCES}
        described = [
            f"{name.rpartition('-')[0] if 'hello' in name else 'orders'}={listener.fileno()}"
            for name, listener in listeners.items()
        ]
        self.demo = OwnedProcess(
            [sys.executable, "-m", "fengling_gateway.quickstart.demo", *described],
            log=self.place.logs / "demo.log",
            pass_fds=[listener.fileno() for listener in listeners.values()],
        )
        demo = self.demo
        demo.wait_until(lambda: "serving" in demo.log_tail(), _START_SECONDS)
        addresses = {
            name: f"http://127.0.0.1:{listener.getsockname()[1]}"
            for name, listener in listeners.items()
        }
        for listener in listeners.values():
            listener.close()
        return addresses

    def _start_gateway(self) -> Iterator[tuple[str, str]]:
        self.token = make_gateway_secrets(
            self.place, database=self.database("gateway"), redis=self.valkey.url
        )

        def choose_ports() -> None:
            self.traffic_port = preferred_port(TRAFFIC_PORT)
            self.management_port = preferred_port(MANAGEMENT_PORT)

        self._start_on_its_ports(self._start_gateway_once, choose_ports)
        yield f"a gateway of {self.workers} workers on {self.gateway_url}", "starting the console"

    def _start_console(self) -> Iterator[tuple[str, str]]:
        self.place.new_secret("console-database-url", self.database("console"))

        def choose_port() -> None:
            self.console_port = preferred_port(CONSOLE_PORT)

        self._start_on_its_ports(self._start_console_once, choose_port)
        yield f"a console on {self.console_url}", "sending requests"

    def _start_on_its_ports(self, start: Callable[[], None], choose: Callable[[], None]) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                start()
                return
            except StartError as error:
                # Somebody was faster: another quickstart, say, that began when we did.
                if _PORT_TAKEN not in str(error) or attempt + 1 == _ATTEMPTS:
                    raise
            choose()

    def _start_gateway_once(self) -> None:
        write_private(self.place.settings_file, gateway_settings(self))
        self.gateway = self._program("fengling-gateway", "gateway", self.place.settings_file)
        self._wait_until_serving(self.gateway, _SERVING, self.management_url)

    def _start_console_once(self) -> None:
        write_private(self.place.console_settings_file, console_settings(self))
        settings = self.place.console_settings_file
        self.console = self._program("fengling-console", "console", settings)
        self._wait_until_serving(self.console, _CONSOLE_SERVING, self.console_url)

    def _program(self, name: str, log: str, settings: Path) -> OwnedProcess:
        return OwnedProcess(
            [str(Path(sys.executable).parent / name), "--config", str(settings)],
            log=self.place.logs / f"{log}.log",
            grace=_STOP_SECONDS,
            env=environment(**_without_settings()),
        )

    def _wait_until_serving(self, program: OwnedProcess, word: bytes, url: str) -> None:
        written = program.log.stat().st_size

        def serves() -> bool:
            # Its own word for it, too: it might be another quickstart's that answers.
            own = program.log.read_bytes()[written:]
            return word in own and is_ready(url)

        program.wait_until(serves, _START_SECONDS)

    def announce(self, worker_pids: Sequence[int] = ()) -> None:
        """Write the state and environment files for those who want to take part."""
        self._workers = [found for pid in worker_pids for found in guard.tree(pid)[:1]]
        self.place.write_state(
            {
                "gateway": self.gateway_url,
                "management": self.management_url,
                "console": self.console_url,
                "token": self.token,
                "database": self.database(),
                "redis": self.valkey.url,
                "pids": {**self.pids(), "workers": list(worker_pids)},
            }
        )
        self.place.write_env(
            {
                "PGHOST": "127.0.0.1",
                "PGPORT": str(self.postgres.port),
                "PGUSER": "ops",
                "PGPASSWORD": self._passwords["ops"],
                "PGDATABASE": DATABASE,
                "GATEWAY": self.gateway_url,
                "FENGLING_DATABASE": self.database(),
                "FENGLING_MANAGEMENT": self.management_url,
                "FENGLING_CONSOLE": self.console_url,
                "FENGLING_TOKEN": self.token,
            },
            programs=[Path(sys.executable).parent, self.postgres.program("psql").parent],
        )

    def login_url(self) -> str:
        """Return a link that opens the console signed in, once; the console itself where it makes none."""
        request = urllib.request.Request(
            f"{self.console_url}/api/console/login-links",
            data=b"{}",
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return str(json.load(answer)["url"])
        except (OSError, ValueError, KeyError):
            return self.console_url

    def links(self) -> list[tuple[str, str]]:
        """Return what to connect to, by name."""
        return [
            ("gateway", f"{self.gateway_url}/hello"),
            ("console", self.login_url()),
            ("management", f"{self.management_url}/api/gateway/status"),
            ("token", self.token),
            ("database", self.database()),
            ("redis", self.valkey.url),
        ]


def _without_settings() -> dict[str, str | None]:
    """Keep settings that are in our environment for another gateway from this one."""
    return {name: None for name in os.environ if name.startswith("FENGLING_")}


def preferred_port(port: int) -> int:
    """Return `port` if nobody has it, else some other."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return free_port()
    return port


def is_ready(management_url: str) -> bool:
    """Whether every worker serves a good configuration."""
    try:
        with urllib.request.urlopen(f"{management_url}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def versions() -> str:
    """Say on what this runs."""
    return f"Python {platform.python_version()} on {platform.system()}, {os.cpu_count()} cores"
