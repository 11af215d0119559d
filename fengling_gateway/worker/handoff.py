"""Hands a worker's listening sockets to the next supervisor.

Each worker offers its sockets on a UNIX socket in the runtime directory for as
long as it lives. A supervisor that finds such an offer at its start adopts the
sockets, with the connections queued on them, and tells the worker to drain
once its own workers serve. The offer is JSON with the descriptors attached
(SCM_RIGHTS) in the order of ``listeners`` and slots; those beyond
`MAX_DESCRIPTORS` follow, attached to single bytes.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from itertools import islice
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
        said = json.dumps(described).encode()
        try:
            for start in range(0, max(len(descriptors), 1), MAX_DESCRIPTORS):
                socket.send_fds(handle, [said], descriptors[start:][:MAX_DESCRIPTORS])
                said = b"."
        except OSError as error:  # gone meanwhile; what it has said may still be there to read
            _log.info(
                "handoff: the sockets were not taken: {error}",
                error=str(error),
                log_id="handoff.not_taken",
            )

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
        _log.warn(
            "worker: no handoff socket at {path}: {error}",
            path=path,
            error=error,
            log_id="handoff.no_socket",
        )
        return None


def withdraw_offer(runtime_dir: Path, pid: int) -> None:
    """Remove what a worker that has ended, perhaps at once, still seems to offer."""
    try:
        offer_path(runtime_dir, pid).unlink(missing_ok=True)
    except OSError as error:  # the next start finds that nobody listens there
        _log.info(
            "handoff: the offer of {pid} stays: {error}",
            pid=pid,
            error=str(error),
            log_id="handoff.offer_stays",
        )


class Legacy:
    """What one worker of a former supervisor handed over; no sockets where it did not answer."""

    def __init__(
        self, connection: socket.socket, path: Path, sockets: dict[str, list[socket.socket]]
    ) -> None:
        self._connection = connection
        self._path = path
        self.sockets = sockets

    def drain(self) -> None:
        """Tell the worker that its successors serve."""
        try:
            self._connection.sendall(b"drain\n")
        except OSError as error:
            _log.info(
                "handoff: {path} is gone: {error}",
                path=self._path,
                error=str(error),
                log_id="handoff.gone",
            )
        finally:
            self._connection.close()

    def close_sockets_except(self, adopted: dict[str, list[socket.socket]]) -> None:
        """Close our copies of the sockets that were not adopted: another worker offered them too."""
        for name, by_slot in self.sockets.items():
            if adopted.get(name) is not by_slot:
                for one in by_slot:
                    one.close()


def collect_legacies(runtime_dir: Path) -> Iterator[Legacy]:
    """
    Take what the workers of a former supervisor offer; remove what nobody listens at.

    Blocks for at most a second per offer; called before the reactor serves.
    Adopt or close the sockets of one before asking for the next: each worker
    offers those of all.
    """
    for path in sorted(runtime_dir.glob("worker-*.sock")):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_OFFER_TIMEOUT_SECONDS)
        try:
            _connect(connection, path)
        except (ConnectionRefusedError, FileNotFoundError):
            connection.close()
            path.unlink(missing_ok=True)
        except OSError as error:
            connection.close()
            _log.warn(
                "handoff: {path}: {error}", path=path, error=str(error), log_id="handoff.failed"
            )
        else:
            yield Legacy(connection, path, _take_offer(connection, path))


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


def _take_offer(connection: socket.socket, path: Path) -> dict[str, list[socket.socket]]:
    """Return the sockets by listener and slot; none from a worker that hangs or talks otherwise."""
    descriptors: list[int] = []
    try:
        message, first, _, _ = socket.recv_fds(connection, _MAX_OFFER_BYTES, MAX_DESCRIPTORS)
        descriptors += first
        slots = {one["name"]: int(one["slots"]) for one in json.loads(message)["listeners"]}
        while len(descriptors) < sum(slots.values()):
            _, more, _, _ = socket.recv_fds(connection, 1, MAX_DESCRIPTORS)
            if not more:
                raise ValueError(f"{len(descriptors)} of {sum(slots.values())} sockets came")
            descriptors += more
    except Exception as error:
        _log.warn(
            "handoff: no sockets from {path}: {error}",
            path=path,
            error=str(error),
            log_id="handoff.no_sockets",
        )
        for descriptor in descriptors:
            os.close(descriptor)
        return {}
    remaining = iter(descriptors)
    return {
        name: [socket.socket(fileno=one) for one in islice(remaining, count)]
        for name, count in slots.items()
    }
