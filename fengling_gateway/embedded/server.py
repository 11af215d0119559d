"""What the embedded servers have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Final

from fengling_gateway.embedded.owned import OwnedProcess, StartError
from fengling_gateway.embedded.ports import free_port

_ATTEMPTS: Final = 5


class Server(ABC):
    """
    One server in a directory; its port stays from start to start.

    Raises:
        ValueError: the directory is not an absolute path.

    Attributes:
        port: 0 until it has started once.
        port_taken: what the log says when somebody else has the port.
        start_seconds: how long a start may take.
    """

    port_taken: ClassVar[str]
    start_seconds: ClassVar[float]

    def __init__(self, directory: Path) -> None:
        if not directory.is_absolute():  # "" would be where we stand, and given away to PostgreSQL
            raise ValueError(f"the directory of a server is not absolute: {str(directory)!r}")
        self.directory = directory
        self.port = 0
        self._process: OwnedProcess | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.port} {'running' if self.running else 'stopped'}>"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    @property
    def pid(self) -> int | None:
        """Of the process that was started, the parent of any others; None while stopped."""
        return self._process.pid if self._process is not None and self.running else None

    def start(self, timeout: float | None = None) -> None:
        """
        Start it, on a free port the first time, and wait until it is ready.

        Args:
            timeout: seconds; None is `start_seconds`.

        Raises:
            StartError: it did not start; the message says what its log says.
        """
        if self.running:
            return
        self._prepare()
        attempts = _ATTEMPTS if self.port == 0 else 1
        for attempt in range(attempts):
            port = self.port or free_port()
            try:
                self._start_on(port, self.start_seconds if timeout is None else timeout)
            except StartError as error:
                if self.port_taken in str(error) and attempt + 1 < attempts:
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
        """SIGKILL all of it, as a power cut would."""
        if self._process is not None:
            self._process.kill()

    def freeze(self) -> None:
        """SIGSTOP all of it: connections stay open and nothing answers."""
        if self._process is not None:
            self._process.freeze()

    def thaw(self) -> None:
        if self._process is not None:
            self._process.thaw()

    @abstractmethod
    def _prepare(self) -> None:
        """Make what a start needs to find."""

    @abstractmethod
    def _start_on(self, port: int, timeout: float) -> None:
        """Start it, with `_process` set, and wait until it is ready."""
