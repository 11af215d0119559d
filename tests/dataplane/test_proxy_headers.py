"""Listeners behind balancers that speak the PROXY protocol, over real sockets."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.dataplane.kinds import TRANSPORTS
from tests.dataplane.processes import (
    Gateway,
    forwarding,
    read_head,
    running_gateway,
    running_instance,
)
from tests.dataplane.snapshots import setting
from tests.dataplane.test_tls_listeners import AUTHORITY, telling
from tests.support.wait import wait_until

GET = b"GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"
LINE = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n"
BINARY = (
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + socket.inet_aton("192.0.2.7")
    + socket.inet_aton("198.51.100.1") + b"\x9c\x40\x01\xbb"
)  # fmt: skip
MAPPED = (
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x21\x00\x24"
    + 2 * socket.inet_pton(socket.AF_INET6, "::ffff:192.0.2.7")
    + b"\x9c\x40\x01\xbb"
)
LOCAL = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"


@contextmanager
def behind(
    *sources: str, kinds: dict[str, Any], tls: dict[str, Any] | None = None, **settings: Any
) -> Iterator[Gateway]:
    """A gateway that believes headers of these sources; 192.0.2.0/24 is a trusted proxy."""
    trust = setting("trusted_proxies", ["192.0.2.0/24"])
    own: dict[str, Any] = {"proxy_protocol": sources}
    if tls is not None:
        own["tls"] = tls
    with (
        running_instance(telling) as address,
        running_gateway(
            *forwarding(address, trust), listeners={"http": own}, **kinds, **settings
        ) as gateway,
    ):
        yield gateway


def told(client: socket.socket) -> str:
    head, rest = read_head(client)
    assert head.startswith(b"HTTP/1.1 200"), head
    length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
    while len(rest) < length:
        rest += client.recv(65536)
    text: str = json.loads(rest)
    return text


def rest_of(client: socket.socket) -> bytes:
    data = b""
    try:
        while piece := client.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    return data


@TRANSPORTS
def test_source_is_the_client(kinds: dict[str, Any]) -> None:
    """The header's source is who is forwarded for, and whose word counts or not."""
    with behind("127.0.0.0/8", kinds=kinds) as gateway:
        for header, chain in {
            LINE: "203.0.113.9, 192.0.2.7",
            BINARY: "203.0.113.9, 192.0.2.7",
            MAPPED: "203.0.113.9, 192.0.2.7",
            LINE.replace(b"192.0.2.7", b"198.51.100.2"): "198.51.100.2",
            b"PROXY UNKNOWN\r\n": "127.0.0.1",
            LOCAL: "127.0.0.1",
        }.items():
            with gateway.connect() as client:
                client.sendall(header + GET)
                assert f"X-Forwarded-For: {chain}\r\n" in told(client), header
                client.sendall(GET)  # for as long as the connection lives
                assert f"X-Forwarded-For: {chain}\r\n" in told(client), header
        assert gateway.ask()["counters"]["proxy_headers_refused"] == 0


@TRANSPORTS
def test_fragments_are_joined(kinds: dict[str, Any]) -> None:
    """A header may come in any pieces, and the request may begin in the last of them."""
    with behind("127.0.0.0/8", kinds=kinds) as gateway:
        for header in (LINE, BINARY):
            with gateway.connect() as client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for at in range(len(header) - 1):
                    client.sendall(header[at : at + 1])
                client.sendall(header[-1:] + GET)
                assert ", 192.0.2.7\r\n" in told(client)


@TRANSPORTS
def test_header_is_required(kinds: dict[str, Any]) -> None:
    """Without one, or with a malformed or endless one, nothing is answered."""
    with behind("127.0.0.0/8", kinds=kinds) as gateway:
        for said in (
            GET,
            b"\x16\x03\x01\x02\x00",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 40000\r\n",
            b"PROXY " + b"x" * 200,
            BINARY[:14] + b"\xff\xff" + b"\x00" * 9000,
        ):
            with gateway.connect() as client:
                client.sendall(said)
                assert rest_of(client) == b"", said
        wait_until(lambda: gateway.ask()["counters"]["proxy_headers_refused"] == 5)
        with gateway.connect() as client:
            client.sendall(LINE[:9])
        wait_until(lambda: gateway.ask()["counters"]["proxy_headers_refused"] == 6)
        with gateway.connect():  # as health checks do
            wait_until(lambda: gateway.ask()["counters"]["connections_now"] == 1)
        wait_until(lambda: gateway.ask()["counters"]["connections_now"] == 0)
        assert gateway.ask()["counters"]["proxy_headers_refused"] == 6


@TRANSPORTS
def test_header_has_a_deadline(kinds: dict[str, Any]) -> None:
    """A header that does not come is waited for no longer than a request's head."""
    with behind("127.0.0.0/8", kinds=kinds, header_deadline=0.5) as gateway:
        with gateway.connect() as client:
            client.sendall(LINE[:9])
            assert rest_of(client) == b""
        assert gateway.ask()["counters"]["proxy_headers_refused"] == 1
        assert gateway.ask()["counters"]["connections_now"] == 0


@TRANSPORTS
def test_strangers_are_not_believed(kinds: dict[str, Any]) -> None:
    """From others a header is what it is to HTTP, a malformed request; theirs are served as ever."""
    with behind("192.0.2.0/24", kinds=kinds) as gateway:
        for header in (LINE, BINARY):
            with gateway.connect() as client:
                client.sendall(header + GET)
                assert rest_of(client).startswith(b"HTTP/1.1 400 "), header
        with gateway.connect() as client:
            client.sendall(GET)
            assert "X-Forwarded-For: 127.0.0.1\r\n" in told(client)


@TRANSPORTS
def test_header_comes_before_tls(kinds: dict[str, Any], tmp_path: Path) -> None:
    """On a TLS listener the header comes first, in the clear; the handshake may be in its segment."""
    tls = {"certificates": [AUTHORITY.issue("a.example").write(tmp_path, "a")]}
    context = ssl.create_default_context(cadata=AUTHORITY.pem.decode())
    with behind("127.0.0.0/8", kinds=kinds, tls=tls) as gateway:
        for header in (LINE, BINARY):
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls_client = context.wrap_bio(incoming, outgoing, server_hostname="a.example")
            with gateway.connect() as client:
                with pytest.raises(ssl.SSLWantReadError):
                    tls_client.do_handshake()
                client.sendall(header + outgoing.read())
                _shake_hands(tls_client, client, incoming, outgoing)
                tls_client.write(GET)
                client.sendall(outgoing.read())
                text = _read_json(tls_client, client, incoming)
                assert "X-Forwarded-For: 203.0.113.9, 192.0.2.7\r\n" in text
        with pytest.raises((ssl.SSLError, ConnectionError)), gateway.connect() as plain:
            context.wrap_socket(plain, server_hostname="a.example")
        assert gateway.ask()["counters"]["proxy_headers_refused"] == 1


def _shake_hands(
    tls: ssl.SSLObject, client: socket.socket, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO
) -> None:
    while True:
        incoming.write(client.recv(65536))
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            continue
        client.sendall(outgoing.read())
        return


def _read_json(tls: ssl.SSLObject, client: socket.socket, incoming: ssl.MemoryBIO) -> str:
    data = b""
    while not data.endswith(b'"'):
        try:
            data += tls.read()
        except ssl.SSLWantReadError:
            incoming.write(client.recv(65536))
    text: str = json.loads(data.partition(b"\r\n\r\n")[2])
    return text
