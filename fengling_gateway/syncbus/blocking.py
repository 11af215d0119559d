"""
A connection to Redis for commands of the command line: it blocks, and each of its steps ends.

No reactor is needed for it, and nothing is kept or tried again. It proves the server
as `fengling_gateway.syncbus.connection` does: with TLS the certificate is verified, always.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import hiredis

from fengling_gateway.syncbus.connection import CONNECT_SECONDS, OPERATION_SECONDS
from fengling_gateway.syncbus.errors import BusError
from fengling_gateway.syncbus.url import RedisAddress

MAX_REPLY_BYTES: Final = 1024 * 1024
_PIECE: Final = 65536


class BlockingRedis:
    """
    Connects at once.

    Raises:
        BusError: it can't be reached, refuses who we are, or does not answer in time.
    """

    def __init__(self, address: RedisAddress) -> None:
        self._address = address
        self._reader = hiredis.Reader()
        try:
            self._socket = self._connected()
        except (OSError, ValueError) as error:
            raise BusError(_why(error, CONNECT_SECONDS)) from error
        try:
            self._introduce()
        except BusError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def ask(self, *command: str | bytes | int) -> Any:
        """
        Run one command; the reply has bytes for text.

        Raises:
            BusError: Redis refuses (it says why), or does not answer in time.
        """
        self._send(command)
        reply = self._reply(OPERATION_SECONDS, lambda _: True)
        if isinstance(reply, hiredis.ReplyError):
            raise BusError(self._address.redacted(str(reply)))
        return reply

    def wait_for(self, wanted: Callable[[Any], bool], seconds: float) -> bool:
        """
        Wait for a message; whether one came that is wanted. Others are passed over.

        Raises:
            BusError: the connection is lost.
        """
        try:
            self._reply(seconds, wanted)
        except TimeoutError:
            return False
        return True

    def _introduce(self) -> None:
        address = self._address
        if address.password is not None:
            who = () if address.username is None else (address.username,)
            self.ask("AUTH", *who, address.password)
        if address.database:
            self.ask("SELECT", address.database)
        self.ask("PING")

    def _connected(self) -> socket.socket:
        address = self._address
        if address.path:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.settimeout(CONNECT_SECONDS)
                connection.connect(address.path)
            except OSError:
                connection.close()
                raise
            return connection
        connection = socket.create_connection((address.host, address.port), CONNECT_SECONDS)
        if not address.tls:
            return connection
        try:
            return _tls(address).wrap_socket(connection, server_hostname=address.host)
        except (OSError, ValueError):
            connection.close()
            raise

    def _send(self, command: tuple[str | bytes | int, ...]) -> None:
        parts = [one if isinstance(one, bytes) else str(one).encode() for one in command]
        head = b"*%d\r\n" % len(parts)
        try:
            self._socket.settimeout(OPERATION_SECONDS)
            self._socket.sendall(head + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
        except OSError as error:
            raise BusError(_why(error, OPERATION_SECONDS)) from error

    def _reply(self, seconds: float, wanted: Callable[[Any], bool]) -> Any:
        """
        Raises:
            TimeoutError: none that is wanted came in time; a `BusError`, too.
        """
        until = time.monotonic() + seconds
        unanswered = 0
        while True:
            try:
                reply = self._reader.gets()
                if reply is not False and wanted(reply):
                    return reply
                if reply is not False:
                    continue
                self._socket.settimeout(max(0.001, until - time.monotonic()))
                data = self._socket.recv(_PIECE)
            except TimeoutError as error:
                raise SilenceError(f"no answer within {seconds:g} s") from error
            except (OSError, hiredis.ProtocolError) as error:
                raise BusError(_why(error, seconds)) from error
            unanswered += len(data)
            if not data or unanswered > MAX_REPLY_BYTES:
                raise BusError(
                    "the connection was closed" if not data else "a reply without an end"
                )
            self._reader.feed(data)


class SilenceError(BusError, TimeoutError):
    """Nothing came in time."""


def _tls(address: RedisAddress) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=address.ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if address.certificate_file:
        context.load_cert_chain(address.certificate_file, address.key_file or None)
    return context


def _why(error: Exception, seconds: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {seconds:g} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS: {error.reason or 'it does not speak it'}"
    if isinstance(error, hiredis.ProtocolError):
        return "not the protocol of Redis"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
