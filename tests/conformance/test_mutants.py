"""What is nearly right, on every way to the gateway: TLS, PROXY headers, upgrades, any segments."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from OpenSSL import SSL

from tests.conformance.attackers import FarScene
from tests.conformance.client import AnswerCutError, Client, post, request
from tests.conformance.instance import head
from tests.conformance.judge import CutError
from tests.conformance.scene import staged
from tests.conformance.ways import Spoiler, TlsSocket, no_hello, reset, segments
from tests.dataplane.snapshots import route
from tests.support.certificates import Authority
from tests.support.wait import wait_until

AUTHORITY = Authority()
ENOUGH = {"header_deadline": 60.0, "keepalive_requests": 1_000_000, "max_connections": 5000}
STOCK = {"transports": "stock", "reactor": "stock"}

AGREED = head(b"Upgrade: websocket", b"Connection: Upgrade", status=b"101 Switching Protocols")

WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "stock": STOCK,
    "PROXY": {"is_behind": True},
    "TLS": {"has_tls": True},
    "stock TLS": {"has_tls": True, "tls_transport": "stock"},
    "all stock": {"has_tls": True, "tls_transport": "stock", **STOCK},
    "PROXY and TLS": {"has_tls": True, "is_behind": True},
}


def client_context() -> ssl.SSLContext:
    return ssl.create_default_context(cadata=AUTHORITY.pem.decode())


@contextmanager
def far_scene(
    directory: Path, *, has_tls: bool = False, is_behind: bool = False, **settings: Any
) -> Iterator[FarScene]:
    """A data plane behind all that."""
    own: dict[str, Any] = {"proxy_protocol": ["127.0.0.0/8"] if is_behind else []}
    context = None
    if has_tls:
        own["tls"] = {"certificates": [AUTHORITY.issue("a.example").write(directory, "a")]}
        context = client_context()
    # What is half said is waited for, but for no longer than this.
    times = {"connect": None, "first_byte": 5.0, "idle": 5.0, "total": None, "tunnel": None}
    any_upgrade = route(policies={"upgrade": {"protocols": ["*"]}, "timeouts": times})
    with staged(any_upgrade, listeners={"http": own}, **ENOUGH, **settings) as scene:
        far = FarScene(scene, tls=context, is_behind=is_behind)
        far.judge()
        yield far
        far.is_clean()
        wait_until(lambda: far.counter("connections_now") == 0)


@pytest.mark.parametrize(
    ("way", "number"),
    [
        *((way, 100) for way in WAYS),
        *(pytest.param(way, 10_000, marks=pytest.mark.slow) for way in WAYS if way != "plain"),
        pytest.param("plain", 40_000, marks=pytest.mark.slow),
    ],
)
@pytest.mark.timeout(3600)
def test_mutants_on_every_way_are_forwarded_in_canonical_form_or_not_at_all(
    tmp_path: Path, way: str, number: int
) -> None:
    """Nothing has a second reading, tunnels carry what is theirs, and nothing is left over."""
    with far_scene(tmp_path, **WAYS[way]) as scene:
        first = 1_000_000 * list(WAYS).index(way)
        warm = number // 4
        before: dict[str, Any] = {}
        for turn in range(number):
            scene.attack(first + turn)
            if turn % 100 == 99:
                scene.judge()
            if turn == warm:
                before = scene.gateway.ask()
        wait_until(lambda: scene.counter("connections_now") == 0)
        wait_until(lambda: scene.counter("in_flight_now") == 0)
        after = scene.gateway.ask()
        assert after["rss"] <= before["rss"] * 1.1
        assert after["descriptors"] <= before["descriptors"] + 64
        assert scene.failures("internal_error") == 0


def spoil_tls(scene: FarScene, context: ssl.SSLContext, number: int) -> None:
    """Spoil a handshake, or a record after it; take whatever comes."""
    rng = Random(number)
    plain = scene.gateway.connect()
    plain.settimeout(0.2)  # what is missing of a record may be waited for by both
    try:
        if rng.random() < 0.4:
            for piece in segments(rng, no_hello(rng, context)):
                plain.sendall(piece)
            if rng.random() < 0.5:
                plain.shutdown(socket.SHUT_WR)
                while plain.recv(65536):
                    pass
            return
        secured = TlsSocket(plain, context, Spoiler(rng, 6))
        secured.shake_hands()
        client = Client(secured)  # type: ignore[arg-type]  # all of a socket that it needs
        for raw in (request(), post(b"hello"), request()):
            for piece in segments(rng, raw):
                client.send(piece)
            client.answer()
        secured.says_the_end = rng.random() < 0.5
        client.half_close()
        assert client.ends()
    except (OSError, AnswerCutError, CutError):
        pass
    finally:
        reset(plain) if rng.random() < 0.3 else plain.close()


@pytest.mark.parametrize("number", [200, pytest.param(5000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("way", ["TLS", "stock TLS", "all stock"])
@pytest.mark.timeout(3600)
def test_spoilt_tls_costs_its_own_connection_only(tmp_path: Path, way: str, number: int) -> None:
    """Flipped, missing, repeated and endless records, in a handshake or after it, end a connection."""
    with far_scene(tmp_path, **WAYS[way]) as scene:
        context = client_context()
        for turn in range(number):
            context.maximum_version = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)[turn % 2]
            spoil_tls(scene, context, turn)
        wait_until(lambda: scene.counter("connections_now") == 0)
        assert not scene.instance.unsafe, scene.instance.unsafe
        for asked in scene.instance.requests:
            assert asked.body in {b"", b"hello"}
            assert asked.target == b"/"


@pytest.mark.parametrize("way", ["TLS", "stock TLS", "all stock"])
def test_renegotiation_is_refused(tmp_path: Path, way: str) -> None:
    """A client that asks for another handshake gets none; handshakes are dear."""
    with far_scene(tmp_path, **WAYS[way]) as scene:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        plain = scene.gateway.connect()
        plain.settimeout(None)
        with plain:
            client = SSL.Connection(context, plain)
            client.set_tlsext_host_name(b"a.example")
            client.set_connect_state()
            client.do_handshake()
            assert client.renegotiate()
            with pytest.raises(SSL.Error):
                client.do_handshake()
        assert scene.counter("tls_handshakes") == 1


@pytest.mark.parametrize("way", ["TLS", "stock TLS", "all stock"])
def test_request_that_is_cut_without_the_end_of_tls_is_none(tmp_path: Path, way: str) -> None:
    """Whoever breaks TCP off, anywhere in a body, has sent no complete request."""
    raw = post(b"hello world")
    with far_scene(tmp_path, **WAYS[way]) as scene:
        for cut in range(1, 11):
            with scene.client() as client:
                connection: Any = client.socket
                connection.says_the_end = False
                client.send(raw[:-cut]).half_close()
                try:
                    assert client.answer().status == 400
                except (AnswerCutError, OSError):
                    pass
        wait_until(lambda: scene.counter("connections_now") == 0)
        assert not [asked for asked in scene.instance.requests if asked.is_complete]


@pytest.mark.parametrize("way", ["stock TLS", "all stock"])
def test_end_of_tls_is_one_whatever_becomes_of_tcp(tmp_path: Path, way: str) -> None:
    """A client that has said that it ends, and then breaks off, has said in a tunnel what it said."""
    with far_scene(tmp_path, **WAYS[way]) as scene:
        got: list[bytes] = []
        scene.instance.answers(AGREED, lambda stream: got.append(stream.rest()), "close")
        with scene.client() as client:
            client.send(request(b"Upgrade: websocket", b"Connection: Upgrade"))
            assert client.head().status == 101
            connection: Any = client.socket
            with scene.gateway.frozen():
                client.send(b"words").half_close()
                connection.reset()
        wait_until(lambda: got == [b"words"])
        wait_until(lambda: scene.counter("in_flight_now") == 0)
        assert scene.failures("client_gone_in_response") == 0
