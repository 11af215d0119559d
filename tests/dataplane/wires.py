"""Connections in memory as real as can be: Twisted's transports, or ours, over pairs of sockets.

What the kernel holds, what a transport buffers and what the reactor has not
reported yet are all there. Only the order of events is a test's to choose.
"""

from __future__ import annotations

import itertools
import select
import socket
from types import SimpleNamespace
from typing import Any

from twisted.internet import main, tcp
from twisted.internet.error import ConnectionDone
from twisted.internet.posixbase import _DisconnectSelectableMixin

from fengling_gateway.dataplane.transports import FastServer
from tests.dataplane.rig import Reactor

_HUNG_UP = select.POLLHUP | select.POLLERR
_numbers = itertools.count()


class _Wire:
    """
    What is different from a connection over TCP.

    Attributes:
        has_ended_well: whether everything that was sent has left, and then the end.
        is_reset: whether the end that the peer has made is to be taken for a reset.
    """

    has_ended_well = False
    is_reset = False
    _is_aborted = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        """A UNIX socket knows none."""

    def doRead(self) -> Any:
        why = super().doRead()  # type: ignore[misc]
        return main.CONNECTION_LOST if why is main.CONNECTION_DONE and self.is_reset else why

    def abortConnection(self) -> None:
        self._is_aborted = True
        super().abortConnection()  # type: ignore[misc]

    def connectionLost(self, reason: Any) -> None:
        self.has_ended_well = not self._is_aborted and bool(reason.check(ConnectionDone))
        super().connectionLost(reason)  # type: ignore[misc]


class StockWire(_Wire, tcp.Server):
    """With Twisted's transport."""


class FastWire(_Wire, FastServer):
    """With ours."""


class WireReactor(Reactor, _DisconnectSelectableMixin):
    """Acts on one event at a time, as it is told."""

    def ready(self) -> list[tuple[Any, int]]:
        """What could be reported now, oldest connection first."""
        wanted: dict[Any, int] = dict.fromkeys(self.readers, select.POLLIN)
        for writer in self.writers:
            wanted[writer] = wanted.get(writer, 0) | select.POLLOUT
        poll = select.poll()
        by_descriptor = {}
        for wire, events in wanted.items():
            by_descriptor[wire.fileno()] = wire
            poll.register(wire.fileno(), events)
        found = [(by_descriptor[descriptor], event) for descriptor, event in poll.poll(0)]
        return sorted(found, key=lambda one: one[0].number)

    def report(self, wire: Any, event: int) -> None:
        """Do what an epoll reactor does; whatever is raised is the test's."""
        why = None
        is_read = False
        if event & _HUNG_UP and not event & select.POLLIN:
            is_read = wire in self.readers
            why = main.CONNECTION_DONE if is_read else main.CONNECTION_LOST
        else:
            if event & select.POLLIN:
                why = wire.doRead()
                is_read = True
            if why is None and event & select.POLLOUT:
                why = wire.doWrite()
                is_read = False
        if why is not None:
            end: Any = self._disconnectSelectable
            end(wire, why, is_read)


def connect(
    reactor: Any, protocol: Any, kind: type[Any], marks: dict[str, int], unread: bytes = b""
) -> tuple[Any, socket.socket]:
    """
    Connect a protocol; gives its transport and the socket at the other end.

    Args:
        marks: of the transport's buffer.
        unread: what the other end has said already.
    """
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    if unread:
        theirs.send(unread)
    server = SimpleNamespace(_realPortNumber=0)
    made = type(kind.__name__, (kind,), marks)
    wire = made(ours, protocol, ("192.0.2.1", 1), server, 0, reactor)
    wire.number = next(_numbers)
    protocol.makeConnection(wire)
    return wire, theirs
