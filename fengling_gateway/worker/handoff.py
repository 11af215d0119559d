"""Hands a worker's listening sockets to the next supervisor.

Each worker offers its sockets on a UNIX socket in the runtime directory for as
long as it lives. A supervisor that finds such an offer at its start adopts the
sockets, with the connections queued on them, and tells the worker to drain
once its own workers serve. The offer is one message: JSON, with the
descriptors attached (SCM_RIGHTS) in the order of ``listeners`` and slots.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from twisted.internet.interfaces import IReactorUNIX
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger

_log = Logger()

MAX_DESCRIPTORS: Final = 253
"""Most descriptors of one message (SCM_MAX_FD in Linux)."""

_MAX_ADDRESS_BYTES: Final = 103
"""What a socket's address has room for: 107 in Linux, 103 elsewhere."""

_OFFER_TIMEOUT_SECONDS: Final = 1.0
_MAX_OFFER_BYTES: Final = 65536


class _Offer(Protocol):
    """One supervisor that has come for the sockets."""

    factory: OfferFactory

    def connectionMade(self) -> None:
        handle = self.transport.getHandle()  # type: ignore[union-attr]
        described, descriptors = self.factory.describe()
        socket.send_fds(handle, [json.dumps(described).encode()], descriptors)

    def dataReceived(self, data: bytes) -> None:
        if data.strip() == b"drain":
            self.factory.drain()


class OfferFactory(Factory):
    """Offers the sockets of `sockets()` to whoever connects; the path's mode is 0600."""

    protocol = _Offer  # type: ignore[assignment]
    noisy = False

    def __init__(
        self,
        *,
        worker: str,
        sockets: Callable[[], dict[str, list[Any]]],
        drain: Callable[[], None],
    ) -> None:
        self._worker = worker
        self._sockets = sockets
        self.drain = drain

    def describe(self) -> tuple[dict[str, Any], list[int]]:
        sockets = self._sockets()
        listeners = [
            {"name": name, "address": list(by_slot[0].getsockname()), "slots": len(by_slot)}
            for name, by_slot in sockets.items()
        ]
        descriptors = [one.fileno() for by_slot in sockets.values() for one in by_slot]
        return {"worker": self._worker, "pid": os.getpid(), "listeners": listeners}, descriptors


def offer_path(runtime_dir: Path, pid: int) -> Path:
    return runtime_dir / f"worker-{pid}.sock"


def listen_for_successor(
    reactor: IReactorUNIX, runtime_dir: Path, factory: OfferFactory
) -> Any | None:
    """Offer on this process's path; without a usable directory, log it and do without."""
    path = offer_path(runtime_dir, os.getpid())
    try:
        path.unlink(missing_ok=True)
        # (The descriptor stays open, because the address is unlinked by the same name.)
        address, _ = _address(path)
        return reactor.listenUNIX(address, factory, mode=0o600)
    except Exception as error:
        _log.warn("worker: no handoff socket at {path}: {error}", path=path, error=error)
        return None


class Legacy:
    """What one worker of a former supervisor handed over."""

    def __init__(
        self, connection: socket.socket, pid: int, sockets: dict[str, list[socket.socket]]
    ) -> None:
        self._connection = connection
        self.pid = pid
        self.sockets = sockets

    def drain(self) -> None:
        """Tell the worker that its successors serve."""
        try:
            self._connection.sendall(b"drain\n")
        except OSError as error:
            _log.warn("handoff: worker {pid} is gone: {error}", pid=self.pid, error=error)
        finally:
            self._connection.close()

    def close_sockets_except(self, adopted: dict[str, list[socket.socket]]) -> None:
        """Close our copies of the sockets that were not adopted: another worker offered them too."""
        for name, by_slot in self.sockets.items():
            if adopted.get(name) is not by_slot:
                for one in by_slot:
                    one.close()


def collect_legacies(runtime_dir: Path) -> list[Legacy]:
    """
    Take what the workers of a former supervisor offer; remove what nobody answers at.

    Blocks for at most a second per offer; called before the reactor serves.
    """
    legacies = []
    for path in sorted(runtime_dir.glob("worker-*.sock")):
        try:
            legacies.append(_collect(path))
        except (OSError, ValueError, KeyError) as error:
            _log.info("handoff: nobody answers at {path}: {error}", path=path, error=error)
            path.unlink(missing_ok=True)
    return legacies


def _address(path: Path) -> tuple[str, int | None]:
    """
    Return a name of a path that fits into a socket's address.

    A long one leads by way of a descriptor of its directory, returned to be
    closed: without its handoff, a worker would serve beside the next
    supervisor's until its grace is over.
    """
    if len(os.fsencode(path)) <= _MAX_ADDRESS_BYTES:
        return str(path), None
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    return f"/proc/self/fd/{directory}/{path.name}", directory


def _connect(connection: socket.socket, path: Path) -> None:
    address, directory = _address(path)
    try:
        connection.connect(address)
    finally:
        if directory is not None:
            os.close(directory)


def _collect(path: Path) -> Legacy:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(_OFFER_TIMEOUT_SECONDS)
    try:
        _connect(connection, path)
        message, descriptors, _, _ = socket.recv_fds(connection, _MAX_OFFER_BYTES, MAX_DESCRIPTORS)
        offer = json.loads(message)
        remaining = iter(descriptors)
        sockets = {
            listener["name"]: [
                socket.socket(fileno=next(remaining)) for _ in range(listener["slots"])
            ]
            for listener in offer["listeners"]
        }
    except BaseException:
        connection.close()
        raise
    return Legacy(connection, offer["pid"], sockets)
