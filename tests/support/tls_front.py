"""
TLS in front of a server that has none, as a proxy beside it would do.

The wheels' PostgreSQL and Valkey are built without TLS. What is tested is our side,
and to that it is the same: a real handshake, the real server behind it.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
from pathlib import Path
from typing import Final, Literal

from tests.support.certificates import Issued

_SSL_REQUEST: Final = bytes.fromhex("0000000804d2162f")
_GSS_REQUEST: Final = bytes.fromhex("0000000804d21630")


class TlsFront:
    """
    Listens on loopback and forwards to a port; what it presents can be changed at any time.

    Attributes:
        names: what clients have asked for by SNI, in order.
        clients: subjects of the certificates that clients have shown.
    """

    def __init__(self, target: int, directory: Path, *, protocol: Literal["redis", "postgres"]):
        self._target = target
        self._directory = directory
        self._protocol = protocol
        self._context: ssl.SSLContext | None = None
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.names: list[str | None] = []
        self.clients: list[str] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def present(self, issued: Issued | None, *, client_ca: bytes | None = None) -> None:
        """
        Show a certificate from the next connection on; None: speak without TLS.

        Args:
            client_ca: whose certificates clients must have.
        """
        if issued is None:
            self._context = None
            return
        paths = issued.write(self._directory, f"front-{self.port}")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(paths["chain"], paths["key"])
        if client_ca is not None:
            context.load_verify_locations(cadata=client_ca.decode())
            context.verify_mode = ssl.CERT_REQUIRED
        context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        self._context = context

    def drop(self) -> None:
        """Break all connections."""
        with self._lock:
            for one in self._connections:
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self) -> None:
        self._listening.close()
        self.drop()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._target), 10) as server:
            with self._lock:
                self._connections |= {client, server}
            try:
                self._forward(self._encrypted(client, server), server)
            except OSError:
                pass  # a client that refuses us, or that is dropped
            finally:
                with self._lock:
                    self._connections -= {client, server}

    def _encrypted(self, client: socket.socket, server: socket.socket) -> socket.socket:
        context = self._context
        if self._protocol == "postgres":
            first = _exactly(client, 8)
            if first == _GSS_REQUEST:
                client.sendall(b"N")
                first = _exactly(client, 8)
            if first != _SSL_REQUEST:
                server.sendall(first)
                return client
            client.sendall(b"N" if context is None else b"S")
        if context is None:
            return client
        secured = context.wrap_socket(client, server_side=True)
        # The descriptor is the new object's now.
        with self._lock:
            self._connections.add(secured)
        shown = secured.getpeercert() if context.verify_mode is ssl.CERT_REQUIRED else None
        if shown:
            self.clients.append(str(shown["subject"]))
        return secured

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with client:
            while True:
                waiting = isinstance(client, ssl.SSLSocket) and client.pending()
                readable = [client] if waiting else select.select([client, server], [], [])[0]
                for one in readable:
                    data = one.recv(65536)
                    if not data:
                        return
                    (server if one is client else client).sendall(data)


def _exactly(client: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = client.recv(count - len(data))
        if not more:
            raise ConnectionError("closed")
        data += more
    return data
