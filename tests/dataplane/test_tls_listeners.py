"""Listeners with TLS, over real sockets, with both kinds of transports."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.dataplane.kinds import TLS_TRANSPORTS
from tests.dataplane.processes import (
    Gateway,
    forwarding,
    read_head,
    running_gateway,
    running_instance,
)
from tests.support.certificates import Authority
from tests.support.records import ALERT, APPLICATION_DATA, CLIENT_HELLO, HANDSHAKE, Records
from tests.support.wait import wait_until

AUTHORITY = Authority()
GET = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"
MEBIBYTE = 1 << 20


def telling(connection: socket.socket) -> None:
    """Answer every request with its head, as the instance got it."""
    while True:
        head, _ = read_head(connection)
        answer = json.dumps(head.decode("latin-1")).encode()
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer)
        )


def digesting(connection: socket.socket) -> None:
    """Answer every upload with its digest."""
    while True:
        head, body = read_head(connection)
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        digest = hashlib.sha256(body)
        left = length - len(body)
        while left:
            piece = connection.recv(min(left, 65536))
            assert piece
            digest.update(piece)
            left -= len(piece)
        answer = digest.hexdigest().encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n" + answer)


class Site:
    """A running gateway with one TLS listener."""

    def __init__(self, gateway: Gateway, tls: dict[str, Any], directory: Path) -> None:
        self.gateway = gateway
        self.tls = tls
        self.directory = directory

    def context(self, **given: Any) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=AUTHORITY.pem.decode())
        for name, value in given.items():
            setattr(context, name, value)
        return context

    def connect(
        self,
        name: str = "a.example",
        context: ssl.SSLContext | None = None,
        *,
        receive_buffer: int | None = None,
    ) -> ssl.SSLSocket:
        plain = self.gateway.connect(receive_buffer=receive_buffer)
        try:
            return (context or self.context()).wrap_socket(
                plain, server_hostname=name, suppress_ragged_eofs=False
            )
        except BaseException:
            plain.close()
            raise

    def ask(self, name: str = "a.example", context: ssl.SSLContext | None = None) -> str:
        """What an instance is told by one request."""
        with self.connect(name, context) as client:
            client.sendall(GET)
            return body_of(client)

    def counter(self, name: str) -> Any:
        return self.gateway.ask()["counters"][name]

    def handshakes_failed(self) -> dict[str, int]:
        failed: dict[str, int] = self.counter("tls_handshakes_failed")
        return failed


def body_of(client: ssl.SSLSocket) -> str:
    answer = http.client.HTTPResponse(client)
    answer.begin()
    assert answer.status == 200, answer.read()
    text: str = json.loads(answer.read())
    return text


@contextmanager
def running_site(
    directory: Path,
    serve: Callable[[socket.socket], None] = telling,
    *,
    listener: dict[str, Any] | None = None,
    files: tuple[tuple[str, ...], ...] = (("a.example", "127.0.0.1"),),
    settings: dict[str, Any] | None = None,
    **tls: Any,
) -> Iterator[Site]:
    """A gateway with a file for each tuple of names."""
    certificates = [
        AUTHORITY.issue(*names).write(directory, f"{number}") for number, names in enumerate(files)
    ]
    tls = {"certificates": certificates, **tls}
    own = {"tls": tls, **(listener or {})}
    with (
        running_instance(serve) as address,
        running_gateway(
            *forwarding(address), listeners={"http": own}, **(settings or {})
        ) as gateway,
    ):
        yield Site(gateway, tls, directory)


@TLS_TRANSPORTS
def test_requests_are_forwarded(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """Requests over TLS 1.2 and 1.3 reach the instance, which hears that it was https."""
    with running_site(tmp_path, settings=kinds) as site:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = site.context(maximum_version=version)
            context.set_alpn_protocols(["h2", "http/1.1"])
            with site.connect(context=context) as client:
                for _ in range(3):
                    client.sendall(GET)
                    assert "X-Forwarded-Proto: https\r\n" in body_of(client)
                assert client.selected_alpn_protocol() == "http/1.1"
                assert client.version() == version.name.replace("_", ".")
        assert site.counter("tls_handshakes") == 2
        assert site.handshakes_failed() == {}


@TLS_TRANSPORTS
def test_other_protocols_are_not_agreed_on(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """A client that offers none of ours hears so, and HTTP/2 all the same is no request."""
    with running_site(tmp_path, settings=kinds) as site:
        context = site.context()
        context.set_alpn_protocols(["h2", "ftp"])
        with site.connect(context=context) as client:
            assert client.selected_alpn_protocol() is None
            client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 400 ")


@TLS_TRANSPORTS
def test_bodies_arrive_as_they_were_sent(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """Large bodies are the same on the other side, sent in pieces of any size."""
    body = bytes(range(256)) * 4096 * 9
    with running_site(tmp_path, digesting, settings=kinds) as site, site.connect() as client:
        for step in (17, 16383, 16384, 16385, MEBIBYTE):
            part = body[: step * 300]
            client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(part))
            for at in range(0, len(part), step):
                client.sendall(part[at : at + step])
            answer = http.client.HTTPResponse(client)
            answer.begin()
            assert answer.read().decode() == hashlib.sha256(part).hexdigest()


@TLS_TRANSPORTS
def test_answers_arrive_as_they_were_sent(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """A large answer comes whole, and a client that doesn't read holds little in the gateway."""
    total = 64 * MEBIBYTE
    piece = bytes(range(256)) * 256
    sent = 0

    def pour(connection: socket.socket) -> None:
        nonlocal sent
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        while sent < total:
            connection.sendall(piece)
            sent += len(piece)

    with (
        running_site(tmp_path, pour, settings=kinds) as site,
        site.connect(receive_buffer=65536) as client,
    ):
        client.sendall(GET)
        _, rest = read_head(client)
        wait_until(lambda: _has_stopped(lambda: sent))
        assert site.gateway.ask()["buffered"] <= 256 * 1024
        digest = hashlib.sha256(rest)
        left = total - len(rest)
        while left:
            received = client.recv(65536)
            assert received
            digest.update(received)
            left -= len(received)
        assert digest.digest() == hashlib.sha256(piece * (total // len(piece))).digest()


def _has_stopped(count: Callable[[], int]) -> bool:
    before = count()
    threading.Event().wait(0.3)
    return before > 0 and count() == before


@TLS_TRANSPORTS
def test_half_closed_client_is_answered(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """A client that says that it will send no more still gets its answer, and a proper end."""
    if "tls_transport" in kinds:
        pytest.skip("Twisted's TLS knows no half of an end")
    gate = threading.Event()

    def wait_first(connection: socket.socket) -> None:
        read_head(connection)
        gate.wait(10)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with running_site(tmp_path, wait_first, settings=kinds) as site, site.connect() as client:
        client.sendall(GET)
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.unwrap()  # our close_notify has left; the gateway's has not come
        gate.set()
        client.settimeout(20)
        assert _read_to_end(client).endswith(b"\r\n\r\nok")


@TLS_TRANSPORTS
def test_what_follows_a_clients_end_is_dropped(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """A client that has said that it ends, and sends on, costs no memory while it is answered."""
    gate = threading.Event()

    def wait_first(connection: socket.socket) -> None:
        read_head(connection)
        gate.wait(20)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    record = b"\x17\x03\x03\x40\x00" + bytes(16384)
    with running_site(tmp_path, wait_first, settings=kinds) as site, site.connect() as client:
        client.sendall(GET)
        client.settimeout(0.2)
        with suppress(TimeoutError, ssl.SSLError):
            client.unwrap()
        before = site.gateway.ask()["rss"]
        with socket.socket(fileno=client.detach()) as plain:
            plain.settimeout(20)
            with suppress(ConnectionError):  # Twisted's TLS knows no half of an end
                for _ in range(64):
                    plain.sendall(record * 64)
        assert site.gateway.ask()["rss"] - before < 16 * MEBIBYTE
        gate.set()


@TLS_TRANSPORTS
def test_renegotiations_are_refused_and_few(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """A client that goes on asking, and doesn't read the refusals, is broken off."""
    if "tls_transport" in kinds:
        pytest.skip("Twisted's TLS refuses, but counts nothing")
    with (
        running_site(tmp_path, _drain, settings=kinds) as site,
        site.gateway.connect(receive_buffer=4096) as plain,
    ):
        records = Records(plain, site.context(), tmp_path / "keys")
        plain.sendall(records.record(APPLICATION_DATA, GET))
        for _ in range(3):
            plain.sendall(records.record(HANDSHAKE, CLIENT_HELLO))
        wait_until(lambda: site.counter("in_flight_now") == 1)
        hellos = (records.record(HANDSHAKE, CLIENT_HELLO) for _ in range(200_000))
        with pytest.raises(ConnectionError):
            _send_all(plain, hellos)
        wait_until(lambda: site.counter("connections_now") == 0)


def _send_all(plain: socket.socket, pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        plain.sendall(piece)


@TLS_TRANSPORTS
def test_last_answer_has_a_proper_end(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """Where the gateway closes, the client can tell that nothing is missing."""
    with running_site(tmp_path, settings=kinds) as site, site.connect() as client:
        client.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert b" 200 OK" in _read_to_end(client)


def _read_to_end(client: ssl.SSLSocket) -> bytes:
    """Everything; SSLEOFError if it is not the end that TLS has."""
    data = b""
    try:
        while piece := client.recv(65536):
            data += piece
    except ssl.SSLZeroReturnError:  # the same, where the client's own end came first
        pass
    return data


@TLS_TRANSPORTS
def test_certificate_is_chosen_by_name(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """The exact name first, then a wildcard for one label, else the first file; so without a name."""
    files = (
        ("a.example", "127.0.0.1"),
        ("*.b.example",),
        ("www.b.example",),
    )
    with running_site(tmp_path, files=files, settings=kinds) as site:
        for asked, shown in {
            "a.example": "a.example",
            "WWW.b.example": "www.b.example",
            "other.b.example": "*.b.example",
            "deep.other.b.example": "a.example",
            "b.example": "a.example",
            "nobody.example": "a.example",
            "127.0.0.1": "a.example",  # no name is sent
        }.items():
            context = site.context(check_hostname=False)
            with site.connect(asked, context) as client:
                assert _name_of(client) == shown, asked


def _name_of(client: ssl.SSLSocket) -> str:
    certificate: Any = client.getpeercert()
    return str(dict(certificate["subjectAltName"])["DNS"])


@TLS_TRANSPORTS
def test_access_log_has_what_was_agreed_on(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """Of each connection, whoever speaks TLS."""
    path = tmp_path / "access.log"
    log = {
        "path": str(path),
        "format": "{tls_version} {tls_cipher}",
        "fields": [],
        "routes": [],
        "statuses": [],
        "slower_than": 1e9,
        "sample": 1.0,
        "redact_query": [],
        "redact_headers": [],
    }
    agreed = []
    with running_site(tmp_path, settings={**kinds, "access_log": log}) as site:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = site.context(maximum_version=version)
            with site.connect(context=context) as client:
                client.sendall(GET)
                body_of(client)
                agreed.append(f"{client.version()} {client.cipher()[0]}")  # type: ignore[index]
        wait_until(lambda: path.exists() and path.read_text().splitlines() == agreed)


@TLS_TRANSPORTS
def test_odd_names_fail_quietly(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """A client that asks for no name at all by many bytes gets an answer, and the log no traceback."""
    with running_site(tmp_path, settings=kinds) as site:
        for name in (b"\xff\xfe\x80.examples", b"\n" * 12, b"*" * 12, b"." * 12, b"[::ffff:1::]"):
            outgoing = ssl.MemoryBIO()
            client = site.context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="x" * 12)
            with suppress(ssl.SSLWantReadError):
                client.do_handshake()
            with site.gateway.connect() as plain:
                plain.sendall(outgoing.read().replace(b"x" * 12, name))
                assert plain.recv(65536)[0] in {HANDSHAKE, ALERT}
        assert "https" in site.ask()


@TLS_TRANSPORTS
def test_versions_and_ciphers(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """TLS 1.1, and ciphers without forward secrecy or authentication of records, are refused."""
    with running_site(tmp_path, settings=kinds) as site:
        old = site.context(check_hostname=False, verify_mode=ssl.CERT_NONE)
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        weak = site.context(maximum_version=ssl.TLSVersion.TLSv1_2)
        weak.set_ciphers("ECDHE-ECDSA-AES128-SHA256")
        for context in (old, weak):
            with pytest.raises(ssl.SSLError):
                site.ask(context=context)
        wait_until(lambda: site.handshakes_failed() == {"nothing_in_common": 2})
        assert "https" in site.ask()


@TLS_TRANSPORTS
def test_tls_1_3_can_be_required(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """With min_version 1.3, a client of 1.2 is refused."""
    with running_site(tmp_path, settings=kinds, min_version="1.3") as site:
        with pytest.raises(ssl.SSLError):
            site.ask(context=site.context(maximum_version=ssl.TLSVersion.TLSv1_2))
        assert "https" in site.ask()


@TLS_TRANSPORTS
def test_no_tls_is_told_apart(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """Garbage, plain HTTP and clients that leave are counted for what they are; silence is not."""
    with running_site(tmp_path, settings=kinds) as site:
        for said in (GET, b"\x00" * 100, b"\xff" * 4096):
            with site.gateway.connect() as client:
                client.sendall(said)
                _drain(client)
        wait_until(lambda: site.handshakes_failed().get("not_tls") == 3)
        with site.gateway.connect() as client:
            client.sendall(b"\x16\x03\x01\x02\x00\x01")
            wait_until(lambda: site.counter("connections_now") == 1)
        wait_until(lambda: site.handshakes_failed() == {"not_tls": 3, "left": 1})
        with site.gateway.connect():
            wait_until(lambda: site.counter("connections_now") == 1)
        wait_until(lambda: site.counter("connections_now") == 0)
        wait_until(lambda: site.handshakes_failed() == {"not_tls": 3, "left": 1})
        assert "https" in site.ask()


def _drain(client: socket.socket) -> None:
    try:
        while client.recv(65536):
            pass
    except ConnectionResetError:
        pass


@TLS_TRANSPORTS
def test_handshake_has_a_deadline(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """A client that never completes its handshake is cut off, however it trickles."""
    with (
        running_site(tmp_path, settings={**kinds, "header_deadline": 0.5}) as site,
        site.gateway.connect() as silent,
        site.gateway.connect() as slow,
    ):
        slow.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
        _drain(silent)
        _drain(slow)
        wait_until(lambda: site.handshakes_failed() == {"timeout": 2})
        assert site.counter("connections_now") == 0


@TLS_TRANSPORTS
def test_drain_ends_silence(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """A connection on which nothing has come does not hold up a drain."""
    with running_site(tmp_path, settings=kinds) as site, site.gateway.connect() as client:
        wait_until(lambda: site.counter("connections_now") == 1)
        assert site.gateway.drain() == "drained"
        _drain(client)


@TLS_TRANSPORTS
def test_drain_lets_handshakes_end(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """A client that shakes hands when a drain begins is still served: its request is on its way."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with (
        running_site(tmp_path, settings=kinds) as site,
        site.gateway.connect() as silent,
        site.gateway.connect() as plain,
    ):
        client = site.context().wrap_bio(incoming, outgoing, server_hostname="a.example")
        with suppress(ssl.SSLWantReadError):
            client.do_handshake()
        plain.sendall(outgoing.read())
        while True:
            incoming.write(plain.recv(65536))
            with suppress(ssl.SSLWantReadError):
                client.do_handshake()
                break
        drain = threading.Thread(target=site.gateway.drain)
        drain.start()
        _drain(silent)  # what ends this one has looked at the other, too
        client.write(GET)
        plain.sendall(outgoing.read())
        answer = b""
        while b"\r\n\r\n" not in answer:
            try:
                answer += client.read(65536)
            except ssl.SSLWantReadError:
                incoming.write(plain.recv(65536))
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert b"Connection: close\r\n" in answer
        plain.close()
        drain.join(20)
        assert not drain.is_alive()


@TLS_TRANSPORTS
def test_openings_count_for_the_cap(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """Connections in their handshake take places of max_connections."""
    with (
        running_site(tmp_path, settings={**kinds, "max_connections": 1}) as site,
        site.gateway.connect(),
    ):
        wait_until(lambda: site.counter("connections_now") == 1)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            site.ask()
        assert site.counter("connections_refused") == 1


@TLS_TRANSPORTS
@pytest.mark.parametrize("auth", ["optional", "required"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_clients_certificate(
    tmp_path: Path, kinds: dict[str, Any], auth: str, version: ssl.TLSVersion
) -> None:
    """A verified client is told to the instance; one that can't be verified is refused."""
    clients = Authority("Clients")
    (tmp_path / "clients.pem").write_bytes(clients.pem)
    good = clients.issue("alice")
    forged = b"Client-Cert: :Zm9yZ2Vk:\r\nClient_Cert: x\r\nClient-Cert-Chain: y\r\n"
    with running_site(
        tmp_path, settings=kinds, client_ca=str(tmp_path / "clients.pem"), client_auth=auth
    ) as site:

        def ask(issued: Any) -> str:
            context = site.context(maximum_version=version)
            if issued is not None:
                paths = issued.write(tmp_path, "client")
                context.load_cert_chain(paths["chain"], paths["key"])
            with site.connect(context=context) as client:
                client.sendall(GET[:-2] + forged + b"\r\n")
                return body_of(client)

        head = ask(good)
        der = ssl.PEM_cert_to_DER_cert(good.chain.decode())
        assert f"Client-Cert: :{base64.b64encode(der).decode()}:\r\n" in head
        assert head.lower().count("client") == 1
        refused = [Authority("Others").issue("mallory"), clients.issue("bob", ends_in_days=-1)]
        if auth == "required":
            refused.append(None)
        else:
            assert "client" not in ask(None).lower()
        for issued in refused:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                ask(issued)
        wait_until(lambda: site.handshakes_failed() == {"certificate": len(refused)})


@TLS_TRANSPORTS
def test_without_client_auth_forged_certificates_are_dropped(
    tmp_path: Path, kinds: dict[str, Any]
) -> None:
    """No listener lets a client's own Client-Cert through."""
    with running_site(tmp_path, settings=kinds) as site, site.connect() as client:
        client.sendall(GET[:-2] + b"Client-Cert: :Zm9yZ2Vk:\r\nClient-Cert-Chain: y\r\n\r\n")
        assert "client" not in body_of(client).lower()


@TLS_TRANSPORTS
def test_reloading_under_load_fails_nothing(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """Certificates change between two handshakes; a bad file leaves the one before in use."""
    with running_site(tmp_path, settings=kinds) as site:
        stop = threading.Event()
        failures: list[str] = []
        asked = 0

        def ask_on() -> None:
            nonlocal asked
            with site.connect() as kept:
                while not stop.is_set():
                    try:
                        site.ask()
                        kept.sendall(GET)
                        body_of(kept)
                        asked += 1
                    except Exception as error:
                        failures.append(repr(error))
                        return

        clients = [threading.Thread(target=ask_on) for _ in range(3)]
        for client in clients:
            client.start()
        for turn in range(10):
            made = AUTHORITY.issue("a.example", name=f"turn {turn}")
            made.write(tmp_path, "0")
            assert site.gateway.read_certificates(site.tls) == []
            with site.connect() as client:
                assert dict(one[0] for one in client.getpeercert()["subject"]) == {  # type: ignore[index, union-attr]
                    "commonName": f"turn {turn}"
                }
        before = asked
        (tmp_path / "0.key").write_bytes(AUTHORITY.issue("a.example").key)
        (problem,) = site.gateway.read_certificates(site.tls)
        assert "0.key does not fit the certificate" in problem
        assert "turn 9" in str(_subject(site))
        (tmp_path / "0.pem").unlink()
        (problem,) = site.gateway.read_certificates(site.tls)
        assert "can't be read: No such file" in problem
        wait_until(lambda: asked > before + 3 or failures)
        stop.set()
        for thread in clients:
            thread.join()
        assert failures == []
        assert site.counter("tls_certificates_failed") == 2


def _subject(site: Site) -> Any:
    with site.connect() as client:
        return client.getpeercert()["subject"]  # type: ignore[index]


@TLS_TRANSPORTS
def test_reset_clients_leave_nothing_behind(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """Clients that reset their connections anywhere cost neither descriptors nor tracebacks."""
    with running_site(tmp_path, settings=kinds) as site:
        site.ask()
        wait_until(lambda: site.counter("connections_now") == 0)
        before = site.gateway.ask()["descriptors"]
        for turn in range(60):
            if turn % 3:
                client: socket.socket = site.connect()
                client.sendall(GET[: turn % 20])
            else:
                client = site.gateway.connect()
                client.sendall(b"\x16\x03\x01\x02\x00\x01"[: turn % 7])
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        wait_until(lambda: site.counter("connections_now") == 0)
        wait_until(lambda: site.gateway.ask()["descriptors"] <= before)


@TLS_TRANSPORTS
def test_certificates_of_the_table(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """They are offered by name beside the files, which win; one that is of no use is passed over."""
    with running_site(tmp_path, settings=kinds) as site:

        def shown(name: str) -> str:
            with site.connect(name, site.context(check_hostname=False)) as client:
                return _name_of(client)

        c, odd, a = (AUTHORITY.issue(name) for name in ("c.example", "odd.example", "a.example"))
        site.gateway.offer(
            *(
                ("c", ["c.example", "*.c.example"], c.chain.decode(), c.key.decode()),
                ("odd", ["odd.example"], odd.chain.decode(), c.key.decode()),
                ("a", ["a.example"], c.chain.decode(), c.key.decode()),
            )
        )
        assert shown("c.example") == "c.example"
        assert shown("x.c.example") == "c.example"
        assert shown("odd.example") == "a.example"
        assert shown("a.example") == "a.example"
        wait_until(
            lambda: any("does not fit the certificate odd" in line for line in site.gateway.logged)
        )
        site.gateway.offer(("c", ["d.example"], a.chain.decode(), a.key.decode()))
        assert shown("c.example") == "a.example"
        assert site.counter("tls_certificates_failed") == 1


@TLS_TRANSPORTS
def test_listener_without_files(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """The table may have all certificates; until then, and without a name, no handshake succeeds."""
    with running_site(tmp_path, files=(), settings=kinds) as site:
        with pytest.raises(ssl.SSLError):
            site.ask()
        made = AUTHORITY.issue("a.example", "127.0.0.1")
        site.gateway.offer(("a", ["a.example"], made.chain.decode(), made.key.decode()))
        assert "https" in site.ask()
        with pytest.raises(ssl.SSLError):
            site.ask("127.0.0.1")
        wait_until(lambda: site.handshakes_failed() == {"nothing_in_common": 2})


@TLS_TRANSPORTS
def test_no_name_gets_around_client_certificates(tmp_path: Path, kinds: dict[str, Any]) -> None:
    """They are asked for, and verified, whichever certificate the client is shown."""
    clients = Authority("Clients")
    (tmp_path / "clients.pem").write_bytes(clients.pem)
    with running_site(
        tmp_path,
        files=(("a.example",), ("b.example",)),
        settings=kinds,
        client_ca=str(tmp_path / "clients.pem"),
        client_auth="required",
    ) as site:
        made = AUTHORITY.issue("c.example")
        site.gateway.offer(("c", ["c.example"], made.chain.decode(), made.key.decode()))
        for name in ("a.example", "b.example", "c.example"):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                site.ask(name)
            stranger, known = site.context(), site.context()
            for context, authority in ((stranger, Authority("Others")), (known, clients)):
                paths = authority.issue("alice").write(tmp_path, "client")
                context.load_cert_chain(paths["chain"], paths["key"])
            with pytest.raises((ssl.SSLError, ConnectionError)):
                site.ask(name, stranger)
            assert "Client-Cert: :" in site.ask(name, known)
        wait_until(lambda: site.handshakes_failed() == {"certificate": 6})
