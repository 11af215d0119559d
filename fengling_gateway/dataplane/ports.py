"""
Ports that stay sane when descriptors run out.

Twisted's accept one client after the other as well; but what they can't
accept they leave readable, so that the reactor comes back at once, and log each.
Here whoever finds no descriptor is told so over one that is held back for it.
"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from typing import Any, Final

from twisted.internet import tcp
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger

_log = Logger()

ACCEPTS_PER_TURN: Final = 32
"""Clients accepted before others have their turn: some two milliseconds."""

PAUSE_SECONDS: Final = 0.2
"""How long nothing is accepted after that has failed for want of memory or descriptors."""

_OF_THE_CLIENT: Final = frozenset({errno.EPERM, errno.ECONNABORTED, errno.EPROTO})
"""The next one may be accepted all the same."""


class Doorkeeper(ServerFactory):
    """A factory that decides who may come in."""

    def refusal(self) -> bytes | None:
        """Return what to tell the next client rather than to serve it; None: it may come in."""
        return None

    def short_of(self, error: OSError) -> None:
        """Note that a client can't be accepted."""

    def refuse(self) -> bytes:
        """Count a client that is not served; return what it is told."""
        return b""


class FastPort(tcp.Port):
    """
    A listening socket that the reactor reads.

    Attributes:
        factory: a `Doorkeeper`.
        is_held: whether nothing is to be accepted until somebody says so.
    """

    is_held = False
    numberAccepts: int
    _spare: int | None = None
    _retry: Any = None

    # Twisted's, declared for this class.
    factory: Any
    disconnecting: Any
    reactor: Any
    socket: socket.socket
    transport: Any
    sessionno: int

    def startListening(self) -> None:
        """Begin to accept."""
        super().startListening()
        self.numberAccepts = ACCEPTS_PER_TURN
        self._spare = _open_spare()

    def connectionLost(self, reason: Any) -> None:
        """Accept no more."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._give_spare()
        super().connectionLost(reason)

    def doRead(self) -> None:
        """Accept who is queued, up to a bound."""
        for _ in range(self.numberAccepts):
            try:
                client, address = self.socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OF_THE_CLIENT or self._told(error):
                    continue
                self._pause()
                return
            refusal = self.factory.refusal()
            if refusal is not None:
                _tell(client, refusal)
            else:
                self._accepted(client, address)

    def _accepted(self, client: Any, address: Any) -> None:
        try:
            if len(address) == 4 and address[3]:
                address = (_with_scope(address), *address[1:])
            protocol = self.factory.buildProtocol(self._buildAddr(address))
            number = self.sessionno
            self.sessionno = number + 1
            transport = self.transport(client, protocol, address, self, number, self.reactor)
            protocol.makeConnection(transport)
        except Exception:
            _log.failure(
                "A client of {port} could not be served", port=self, log_id="accept.not_served"
            )
            client.close()

    # Running out

    def _told(self, error: OSError) -> bool:
        """Tell the next client that there is no descriptor for it; False if that can't be done."""
        self.factory.short_of(error)
        if error.errno != errno.EMFILE or not self._give_spare():
            return False
        try:
            client, _ = self.socket.accept()
        except OSError:
            return False
        else:
            _tell(client, self.factory.refuse())
            return True
        finally:
            self._spare = _open_spare()

    def _pause(self) -> None:
        """Accept nothing for a moment: the socket stays readable, and the reactor would be back."""
        self.stopReading()
        if self._retry is None:
            self._retry = self.reactor.callLater(PAUSE_SECONDS, self._go_on)

    def _go_on(self) -> None:
        self._retry = None
        if self._spare is None:
            self._spare = _open_spare()
        if not self.is_held and not self.disconnecting:
            self.startReading()

    def _give_spare(self) -> bool:
        spare, self._spare = self._spare, None
        if spare is None:
            return False
        os.close(spare)
        return True


def _open_spare() -> int | None:
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


def _tell(client: socket.socket, words: bytes) -> None:
    """Send what the client's socket takes of this at once, and close."""
    with client, suppress(OSError):
        client.setblocking(False)
        client.send(words)
        client.shutdown(socket.SHUT_WR)
        # What it has asked already is read, lest the end be a reset that overtakes the answer.
        client.recv(65536)


def _with_scope(address: Any) -> str:
    """Return an IPv6 address with its zone."""
    return socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]
