"""PostgreSQL that speaks TLS: the wheel's behind a proxy, and the system's own where there is one."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from fengling_gateway.embedded.owned import group_of
from fengling_gateway.embedded.postgres import UNPRIVILEGED_USER, PostgresServer
from tests.support.certificates import Authority, Issued
from tests.support.servers import server_directory
from tests.support.tls_front import TlsFront


class TlsPostgres(Protocol):
    """A server whose certificate can be changed while it runs."""

    port: int
    server: PostgresServer

    def present(self, issued: Issued | None, *, client_ca: bytes | None = None) -> None:
        """Show a certificate to new connections; None: no TLS."""

    def drop(self) -> None:
        """Break the connections that there are."""

    def close(self) -> None: ...


def dsn(server: TlsPostgres, database: str = "postgres", **parameters: Any) -> str:
    """Return a URL; ``host`` is what is verified, the connection goes to loopback."""
    host = parameters.pop("host", "localhost")
    query = "&".join(
        f"{name}={quote(str(value), safe='/')}"
        for name, value in {"hostaddr": "127.0.0.1", **parameters}.items()
    )
    return f"postgresql://postgres@{host}:{server.port}/{database}?{query}"


class Fronted:
    """The wheel's server, which has no TLS, with a proxy that has."""

    def __init__(self) -> None:
        directory = server_directory()
        self.server = PostgresServer(directory / "postgres")
        self.server.start()
        self._front = TlsFront(self.server.port, directory, protocol="postgres")
        self.port = self._front.port

    def present(self, issued: Issued | None, *, client_ca: bytes | None = None) -> None:
        self._front.present(issued, client_ca=client_ca)

    def drop(self) -> None:
        self._front.drop()

    def close(self) -> None:
        self._front.close()
        self.server.kill()


class SystemServer(PostgresServer):
    """The PostgreSQL that the machine has."""

    def program(self, name: str) -> Path:
        found = system_programs()
        assert found is not None
        return found / name


@functools.cache
def system_programs() -> Path | None:
    """Return where they are; None unless there is a PostgreSQL with TLS."""
    for path in (*sorted(Path("/usr/lib/postgresql").glob("*/bin")), Path("/usr/bin")):
        if (path / "initdb").exists() and (path / "postgres").exists():
            linked = subprocess.run(
                ["ldd", str(path / "postgres")], capture_output=True, text=True, check=False
            )
            if "libssl" in linked.stdout:
                return path
    return None


class Native:
    """A server that speaks TLS itself."""

    def __init__(self) -> None:
        self._directory = server_directory()
        self.server = SystemServer(self._directory / "postgres")
        self.server.start()
        self.port = self.server.port

    def present(self, issued: Issued | None, *, client_ca: bytes | None = None) -> None:
        data = self.server.data
        lines = [f"ssl = {'off' if issued is None else 'on'}"]
        rule = "trust"
        if issued is not None:
            files = {"server.crt": issued.chain, "server.key": issued.key}
            if client_ca is not None:
                files["clients.crt"] = client_ca
                lines.append("ssl_ca_file = 'clients.crt'")
                rule = "trust clientcert=verify-ca"
            for name, content in files.items():
                self._write(data / name, content)
        config = data / "postgresql.conf"
        kept = [line for line in config.read_text().splitlines() if not line.startswith("ssl")]
        self._write(config, "\n".join([*kept, *lines, ""]).encode())
        kind = "host" if issued is None or client_ca is None else "hostssl"
        # The administrator's own connections have a user of the same name, and a socket of theirs.
        self._write(
            data / "pg_hba.conf",
            f"{kind} all postgres 127.0.0.1/32 {rule}\nhostnossl all postgres 127.0.0.1/32 trust\n".encode(),
        )
        loaded = self.server.psql("SELECT pg_conf_load_time()", dsn=self._plain)
        assert self.server.pid is not None
        os.kill(self.server.pid, signal.SIGHUP)
        from tests.support.wait import wait_until

        wait_until(
            lambda: self.server.psql("SELECT pg_conf_load_time()", dsn=self._plain) != loaded
        )

    @property
    def _plain(self) -> str:
        return f"{self.server.dsn()}?sslmode=disable"

    def drop(self) -> None:
        self.server.psql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
            dsn=self._plain,
        )

    def close(self) -> None:
        self.server.kill()

    def _write(self, path: Path, content: bytes) -> None:
        path.touch(mode=0o600)
        path.write_bytes(content)
        path.chmod(0o600)
        if os.geteuid() == 0:
            shutil.chown(path, UNPRIVILEGED_USER, group_of(UNPRIVILEGED_USER))


@contextmanager
def running(kind: str) -> Iterator[TlsPostgres]:
    server: TlsPostgres = Fronted() if kind == "fronted" else Native()
    try:
        yield server
    finally:
        server.close()


__all__ = ["Authority", "TlsPostgres", "dsn", "running", "system_programs"]
