"""Instances that speak TLS, over real sockets, with both kinds of transports."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dataplane.kinds import TLS_TRANSPORTS
from tests.dataplane.processes import (
    Gateway,
    read_head,
    running_gateway,
    running_instance,
)
from tests.dataplane.snapshots import instance, plain, service
from tests.dataplane.test_tls_listeners import digesting, telling
from tests.support.certificates import Authority, Issued
from tests.support.wait import wait_until

AUTHORITY = Authority()
GET = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 2\r\n\r\nhi"
MEBIBYTE = 1 << 20

VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


class Secure:
    """
    An instance that serves over TLS.

    Attributes:
        names: that clients have asked for; None where they named nobody.
        connections: handshakes that succeeded.
    """

    def __init__(
        self,
        directory: Path,
        serve: Callable[[ssl.SSLSocket], None],
        issued: Issued | None = None,
        *,
        version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ) -> None:
        self._serve = serve
        self.names: list[str | None] = []
        self.connections = 0
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.maximum_version = version
        paths = (issued or AUTHORITY.issue("i.example", "127.0.0.1")).write(directory, "instance")
        self.context.load_cert_chain(paths["chain"], paths["key"])
        self.context.sni_callback = lambda _, name, __: self.names.append(name)

    def serve(self, plain: socket.socket) -> None:
        with self.context.wrap_socket(plain, server_side=True) as connection:
            self.connections += 1
            self._serve(connection)


TRUSTING = {"verify": True, "ca": AUTHORITY.pem.decode(), "client_certificate": None, "sni": None}


@contextlib.contextmanager
def gateway_to(
    serve: Callable[[socket.socket], None],
    kinds: dict[str, Any],
    *,
    certificates: tuple[Any, ...] = (),
    **tls: Any,
) -> Iterator[Gateway]:
    with (
        running_instance(serve) as address,
        running_gateway(
            *plain(
                service(
                    tls={**TRUSTING, **tls},
                    host_header="i.example",
                    policies={"limits": {"max_request_body": None}},
                ),
                address=address.replace("http:", "https:"),
            ),
            certificates=certificates,
            **kinds,
        ) as gateway,
    ):
        yield gateway


def exchange(client: socket.socket, request: bytes = GET) -> tuple[bytes, bytes]:
    """One request; the answer's head, and its body by length, or until the end without one."""
    client.sendall(request)
    head, body = read_head(client)
    if b"Content-Length: " in head:
        length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
        while len(body) < length:
            piece = client.recv(65536)
            assert piece, (head, body)
            body += piece
    return head, body


def ask(gateway: Gateway, request: bytes = GET) -> tuple[bytes, bytes]:
    with gateway.connect() as client:
        return exchange(client, request)


def fails_with(gateway: Gateway, code: bytes) -> bytes:
    head, body = ask(gateway)
    assert head.startswith(b"HTTP/1.1 502 "), head
    assert b"X-Gateway-Error: " + code in head, head
    return head + body


def logged(gateway: Gateway) -> str:
    return "".join(line for line in gateway.logged if "TLS with instance" in line)


@TLS_TRANSPORTS
@VERSIONS
def test_connection_is_verified_and_used_again(
    tmp_path: Path, kinds: dict[str, Any], version: ssl.TLSVersion
) -> None:
    """One connection serves one request after the other, whatever tickets the instance sends."""
    secure = Secure(tmp_path, telling, version=version)
    with gateway_to(secure.serve, kinds) as gateway, gateway.connect() as client:
        for _ in range(5):
            head, body = exchange(client, POST.replace(b"POST", b"GET").replace(b"hi", b"ho"))
            assert b" 200 OK" in head
            assert b"Host: i.example" in body
        counters = gateway.ask()["counters"]
    assert secure.connections == 1
    assert counters["upstream_reused"] == 4
    assert counters["upstream_discarded"] == 0
    assert counters["upstream_tls_failed"] == 0


@TLS_TRANSPORTS
def test_name_to_ask_for_and_to_verify(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """It is the instance's host, for which no name is sent if it is an address, or the service's."""
    secure = Secure(tmp_path, telling)
    with gateway_to(secure.serve, kinds) as gateway:
        assert b" 200 OK" in ask(gateway)[0]
    with gateway_to(secure.serve, kinds, sni="i.example") as gateway:
        assert b" 200 OK" in ask(gateway)[0]
    assert secure.names == [None, "i.example"]
    with gateway_to(secure.serve, kinds, sni="other.example") as gateway:
        fails_with(gateway, b"tls_failed")


@TLS_TRANSPORTS
@pytest.mark.parametrize(
    ("issued", "reason"),
    [
        (Authority("Others").issue("127.0.0.1"), "unable to get local issuer certificate"),
        (AUTHORITY.issue("127.0.0.1", ends_in_days=-1), "certificate has expired"),
        (AUTHORITY.issue("192.0.2.1"), "IP address mismatch"),
    ],
    ids=["other authority", "expired", "other name"],
)
def test_who_cannot_be_verified_is_sent_nothing(
    tmp_path: Path, kinds: dict[str, Any], issued: Issued, reason: str
) -> None:
    """The client hears 502, the log why, once; with verify = false the instance is used."""
    secure = Secure(tmp_path, telling, issued)
    with gateway_to(secure.serve, kinds) as gateway:
        for _ in range(3):
            answer = fails_with(gateway, b"tls_failed")
            assert b"certificate" not in answer
        assert secure.connections <= 3
        said = "certificate verify failed" if "tls_transport" in kinds else reason
        wait_until(lambda: logged(gateway).count(said) == 1)
        assert logged(gateway).count("TLS with instance i of service s") == 1
        counters = gateway.ask()["counters"]
        assert counters["upstream_tls_failed"] == 3
        assert counters["upstream_connects_failed"] == 3
        assert counters["upstream_connections_now"] == 0
    with gateway_to(secure.serve, kinds, verify=False) as gateway:
        assert b" 200 OK" in ask(gateway)[0]


@TLS_TRANSPORTS
def test_system_authorities_are_the_default(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """Without tls.ca nobody is trusted whom the system does not know."""
    with gateway_to(Secure(tmp_path, telling).serve, kinds, ca=None) as gateway:
        fails_with(gateway, b"tls_failed")


@TLS_TRANSPORTS
def test_instance_that_speaks_no_tls(kinds: dict[str, Any]) -> None:
    """One that answers in the clear, or hangs up, is no instance to talk to; it hears no request."""
    heard = []

    def clear(connection: socket.socket) -> None:
        heard.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        heard.append(connection.recv(65536))

    with gateway_to(clear, kinds) as gateway:
        fails_with(gateway, b"tls_failed")
    with gateway_to(lambda connection: connection.close(), kinds) as gateway:
        fails_with(gateway, b"tls_failed")
    assert not any(b"example.com" in said for said in heard)


@TLS_TRANSPORTS
def test_handshake_that_is_given_up_has_not_failed(kinds: dict[str, Any]) -> None:
    """If its time is over, or its client leaves, it is not TLS that is logged and counted."""
    never, far_end = socket.socketpair()
    with never, far_end, gateway_to(lambda _: bool(never.recv(1)), kinds) as gateway:
        with gateway.connect() as client:
            client.sendall(GET)
            wait_until(lambda: gateway.ask()["counters"]["upstream_connections_now"] == 1)
        wait_until(lambda: gateway.ask()["counters"]["upstream_connections_now"] == 0)
        assert gateway.ask()["counters"]["upstream_tls_failed"] == 0
        assert logged(gateway) == ""


@TLS_TRANSPORTS
def test_another_instance_is_tried(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """A handshake that fails has sent nothing of the request, which another instance may have."""
    secure = Secure(tmp_path, telling)
    tls = service(tls=TRUSTING)
    with (
        running_instance(secure.serve) as good,
        running_instance(lambda connection: connection.close()) as bad,
        running_gateway(
            *plain(
                tls, instance("j", address=good.replace("http", "https")),
                address=bad.replace("http", "https"),
            ),
            **kinds,
        ) as gateway,
    ):  # fmt: skip
        for _ in range(8):
            assert b" 200 OK" in ask(gateway, POST)[0]


@TLS_TRANSPORTS
@VERSIONS
def test_client_certificate_is_shown(
    tmp_path: Path, kinds: dict[str, Any], version: ssl.TLSVersion
) -> None:
    """An instance that asks for one gets the service's, and a new one once there is one."""
    ours = Authority("Gateways")
    (tmp_path / "ours.pem").write_bytes(ours.pem)
    seen: list[Any] = []

    def note(connection: ssl.SSLSocket) -> None:
        seen.append(dict(one[0] for one in connection.getpeercert()["subject"])["commonName"])  # type: ignore[index, union-attr]
        telling(connection)

    secure = Secure(tmp_path, note, version=version)
    secure.context.verify_mode = ssl.CERT_REQUIRED
    secure.context.load_verify_locations(tmp_path / "ours.pem")

    def row(name: str, authority: Authority = ours) -> tuple[str, list[str], str, str]:
        made = authority.issue(name)
        return "c", [], made.chain.decode(), made.key.decode()

    with gateway_to(
        secure.serve, kinds, certificates=(row("first"),), client_certificate="c"
    ) as gateway:
        for _ in range(2):
            assert b" 200 OK" in ask(gateway, POST)[0]
        gateway.offer(row("second"))
        for _ in range(2):
            assert b" 200 OK" in ask(gateway, POST)[0]
        assert seen == ["first", "second"]
        gateway.offer(row("third", Authority("Others")))
        fails_with(gateway, b"tls_failed" if version == ssl.TLSVersion.TLSv1_2 else b"tls_refused")
        wait_until(lambda: "alert unknown ca" in logged(gateway))
        gateway.offer()
        fails_with(gateway, b"tls_failed")


@TLS_TRANSPORTS
def test_change_during_a_handshake_fails_nothing(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """The request that had a connection opened goes over it, on the terms of then; no other does."""
    accepted, gate = threading.Event(), threading.Event()
    secure = Secure(tmp_path, telling)

    def serve(plain: socket.socket) -> None:
        accepted.set()
        gate.wait(10)
        secure.serve(plain)

    def row(name: str) -> tuple[str, list[str], str, str]:
        made = AUTHORITY.issue(name)
        return "c", [], made.chain.decode(), made.key.decode()

    with (
        gateway_to(serve, kinds, certificates=(row("first"),), client_certificate="c") as gateway,
        gateway.connect() as client,
    ):
        client.sendall(POST)
        assert accepted.wait(10)
        gateway.offer(row("second"))
        gate.set()
        assert b" 200 OK" in read_head(client)[0]
        assert b" 200 OK" in ask(gateway, POST)[0]
        assert secure.connections == 2


@TLS_TRANSPORTS
def test_no_client_certificate_is_shown_in_its_place(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """A service whose client certificate does not exist is not connected to without one."""
    secure = Secure(tmp_path, telling)
    with gateway_to(secure.serve, kinds, client_certificate="c") as gateway:
        fails_with(gateway, b"tls_failed")
        wait_until(lambda: "there is no certificate c to show" in logged(gateway))
    assert secure.connections == 0


@TLS_TRANSPORTS
@VERSIONS
def test_answer_until_the_end_needs_the_end_of_tls(
    tmp_path: Path, kinds: dict[str, Any], version: ssl.TLSVersion
) -> None:
    """Without close_notify an answer of unknown length may lack something: the client can tell."""

    def answer(connection: ssl.SSLSocket) -> None:
        head, _ = read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000)
        if b"/whole" in head:
            connection.unwrap()
        else:
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)

    with gateway_to(Secure(tmp_path, answer, version=version).serve, kinds) as gateway:
        whole = _body(gateway, GET.replace(b"/", b"/whole", 1))
        assert whole.endswith(b"\r\n0\r\n\r\n")
        assert whole.count(b"x") == 100_000
        assert not _body(gateway, GET).endswith(b"\r\n0\r\n\r\n")


def _body(gateway: Gateway, request: bytes) -> bytes:
    with gateway.connect() as client:
        client.sendall(request[:-2] + b"Connection: close\r\n\r\n")
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := client.recv(65536):
                data += piece
        return data


@TLS_TRANSPORTS
@VERSIONS
def test_idle_connection_that_has_ended_is_not_used(
    tmp_path: Path, kinds: dict[str, Any], version: ssl.TLSVersion
) -> None:
    """A POST meets no connection that the instance has closed, or said something on."""

    answered = threading.Event()

    def once(connection: ssl.SSLSocket) -> None:
        head, _ = read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        if b"/end" in head:
            connection.unwrap()
        elif b"/say" in head:
            answered.wait(10)  # in one piece with the answer it would be too long an answer
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            connection.recv(1)
        elif b"/reset" in head:
            answered.wait(10)
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        else:
            connection.recv(1)

    with gateway_to(Secure(tmp_path, once, version=version).serve, kinds) as gateway:
        for target in (b"/end", b"/say", b"/reset") * 5:
            answered.clear()
            head, body = ask(gateway, POST.replace(b"/", target, 1))
            assert (head[:15], body) == (b"HTTP/1.1 200 OK", b"ok"), (target, head, gateway.logged)
            answered.set()
            wait_until(lambda: gateway.ask()["counters"]["upstream_connections_now"] == 0)


@TLS_TRANSPORTS
def test_connection_is_looked_at_before_it_is_used(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """What the reactor has not told yet is found before a request is sent there."""
    kept: list[ssl.SSLSocket] = []

    def keep(connection: ssl.SSLSocket) -> None:
        kept.append(connection)
        telling(connection)

    secure = Secure(tmp_path, keep)
    with gateway_to(secure.serve, kinds) as gateway, gateway.connect() as client:
        exchange(client)
        for turn in range(10):
            with gateway.frozen():
                # Both wait for the gateway when it goes on; nobody knows which comes first.
                client.sendall(POST)
                kept[-1].sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            head, rest = read_head(client)
            assert b"Content-Length: 4\r\n" not in head, turn
            assert b"evil" not in rest
            length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
            while len(rest) < length:
                rest += client.recv(65536)


@TLS_TRANSPORTS
def test_bodies_arrive_as_they_were_sent(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """Large uploads and answers are the same on the other side."""
    body = bytes(range(256)) * 4096 * 9

    def pour(connection: ssl.SSLSocket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        connection.sendall(body)

    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with gateway_to(Secure(tmp_path, digesting).serve, kinds) as gateway:
        assert ask(gateway, request)[1].decode() == hashlib.sha256(body).hexdigest()
    with gateway_to(Secure(tmp_path, pour).serve, kinds) as gateway:
        assert ask(gateway)[1] == body


@TLS_TRANSPORTS
def test_instance_that_does_not_read_holds_up_the_client(
    tmp_path: Path, kinds: dict[str, Any]
) -> None:
    """An upload to an instance that doesn't read is not kept in memory."""

    def deaf(connection: ssl.SSLSocket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        read_head(connection)
        never.recv(1)

    never, far_end = socket.socketpair()
    with (
        never,
        far_end,
        gateway_to(Secure(tmp_path, deaf).serve, kinds) as gateway,
        gateway.connect() as client,
    ):
        client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
        client.settimeout(1)
        with pytest.raises(TimeoutError):
            client.sendall(bytes(100_000_000 - 1))
        assert gateway.ask()["buffered"] <= 256 * 1024
