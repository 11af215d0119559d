"""From which slots' sockets a worker accepts connections."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any


class Accepting:
    """
    Accepts from the sockets of some slots, of every listener.

    Args:
        plane: the `DataPlane` that listens and serves.
        sockets: by listener name, one per slot.
    """

    def __init__(self, *, plane: Any, sockets: dict[str, list[Any]]) -> None:
        self._plane = plane
        self._sockets = sockets
        self._ports: dict[tuple[str, int], Any] = {}

    def accept_from(self, slots: frozenset[int]) -> None:
        """Accept from exactly these from now on."""
        wanted = {(name, slot) for name, by_slot in self._sockets.items() for slot in slots}
        for key in [key for key in self._ports if key not in wanted]:
            self._ports.pop(key).stop_accepting()
        for name, slot in sorted(wanted - self._ports.keys()):
            self._ports[name, slot] = self._plane.listen(name, self._sockets[name][slot])

    def empty_queues(self) -> None:
        """
        Take who is queued on these sockets, and have the kernel refuse who comes after.

        In one go: whoever the kernel let in between would be cut off.
        """
        for (name, slot), port in self._ports.items():
            port.accept_pending()
            with suppress(OSError):  # a sibling that read it too was faster
                self._sockets[name][slot].shutdown(socket.SHUT_RDWR)
