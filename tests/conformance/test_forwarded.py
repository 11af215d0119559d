"""What instances are told of where a request came from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.client import request
from tests.conformance.scene import Scene, staged
from tests.dataplane.snapshots import setting

SPOOFED = (
    *(b"X-Forwarded-For: 1.2.3.4", b"X-Forwarded-Proto: https", b"X-Forwarded-Host: evil.example"),
    *(b"X-Forwarded-Port: 443", b"X-Forwarded-Prefix: /x", b"X-Forwarded-Server: y"),
    *(b"X-Real-IP: 1.2.3.4", b"Forwarded: for=1.2.3.4;proto=https;host=evil.example"),
)


@pytest.fixture(scope="module")
def _trusting() -> Iterator[Scene]:
    with staged(setting("trusted_proxies", ["127.0.0.0/8"])) as scene:
        yield scene
        scene.is_clean()


@pytest.fixture
def trusting(_trusting: Scene) -> Scene:
    """A scene whose clients are trusted proxies."""
    _trusting.instance.begin()
    return _trusting


def test_instance_is_told_address_scheme_and_host(scene: Scene) -> None:
    """The three headers are there, once each."""
    got = scene.forwards(request(host=b"Example.com:8080"))
    assert got.one("X-Forwarded-For") == b"127.0.0.1"
    assert got.one("X-Forwarded-Proto") == b"http"
    assert got.one("X-Forwarded-Host") == b"Example.com:8080"


@pytest.mark.parametrize("line", SPOOFED)
def test_strangers_word_is_replaced(scene: Scene, line: bytes) -> None:
    """What an untrusted client says of its origin is dropped or overwritten, repeated or not."""
    got = scene.forwards(request(line, line, *SPOOFED[:3]))
    values = b" ".join(value for _, value in got.headers)
    assert b"1.2.3.4" not in values
    assert b"evil" not in values
    assert got.one("X-Forwarded-For") == b"127.0.0.1"
    assert got.one("X-Forwarded-Proto") == b"http"
    for name in ("X-Forwarded-Port", "X-Forwarded-Prefix", "X-Real-IP", "Forwarded"):
        assert got.one(name) is None


BELIEVED = (
    *(b"X-Forwarded-Ssl: on", b"X-Forwarded-Scheme: https", b"X-Forwarded-Protocol: ssl"),
    *(b"X-Forwarded-User: root", b"X-Forwarded-Email: root@example.com", b"X-Forwarded-By: x"),
    *(b"X-Forwarded-Uri: /admin", b"X-Original-URL: /admin", b"X-Rewrite-URL: /admin"),
    *(b"X-Original-Host: evil.example", b"Front-End-Https: on", b"X-Url-Scheme: https"),
    *(b"X-Client-IP: 1.2.3.4", b"True-Client-IP: 1.2.3.4", b"X-Cluster-Client-IP: 1.2.3.4"),
)
"""What some server believes of whoever asks it."""


@pytest.mark.parametrize("line", BELIEVED)
def test_what_only_proxies_say_is_theirs(scene: Scene, trusting: Scene, line: bytes) -> None:
    """Another path, scheme or user than the gateway's is dropped, unless a trusted proxy says so."""
    name, _, value = line.partition(b": ")
    disguised = name.replace(b"-", b"_") + b": " + value
    for one in (line, disguised, line.upper()):
        got = scene.forwards(request(one))
        assert name.lower() not in [key.lower().replace(b"_", b"-") for key in got.names]
    assert trusting.forwards(request(line)).one(name.decode()) == value


@pytest.mark.parametrize(
    "name",
    [
        *(b"X_Forwarded_For", b"x-forwarded_for", b"X_FORWARDED_PROTO", b"X_Forwarded-Host"),
        *(b"X_Real_IP", b"x_forwarded_prefix", b"X_Request_Id"),
    ],
)
def test_disguised_word_is_dropped(scene: Scene, trusting: Scene, name: bytes) -> None:
    """With underscores it counts for nobody, trusted or not."""
    for one in (scene, trusting):
        got = one.forwards(request(name + b": 1.2.3.4"))
        assert not any(b"_" in key for key in got.names)
        assert b"1.2.3.4" not in (got.one("X-Forwarded-For") or b"")


def test_trusted_proxy_grows_the_chain(trusting: Scene) -> None:
    """A trusted proxy's chain is kept, and its own address appended once."""
    got = trusting.forwards(request(b"X-Forwarded-For: 1.2.3.4, 10.0.0.1"))
    assert got.one("X-Forwarded-For") == b"1.2.3.4, 10.0.0.1, 127.0.0.1"


def test_trusted_proxys_empty_chain_is_none(trusting: Scene) -> None:
    """A chain begins with an address."""
    got = trusting.forwards(request(b"X-Forwarded-For:"))
    assert got.one("X-Forwarded-For") == b"127.0.0.1"


def test_trusted_proxys_chain_of_several_lines_becomes_one(trusting: Scene) -> None:
    """Lines are joined in their order."""
    got = trusting.forwards(request(b"X-Forwarded-For: 1.2.3.4", b"X-Forwarded-For: 10.0.0.1"))
    assert got.one("X-Forwarded-For") == b"1.2.3.4, 10.0.0.1, 127.0.0.1"


def test_trusted_proxys_scheme_and_host_are_kept(trusting: Scene) -> None:
    """Scheme, host and what belongs to them are a trusted proxy's to say."""
    got = trusting.forwards(request(*SPOOFED[1:7]))
    for line in SPOOFED[1:7]:
        name, _, value = line.partition(b": ")
        assert got.one(name.decode()) == value


def test_header_forwarded_is_dropped_for_everybody(trusting: Scene) -> None:
    """The gateway doesn't continue Forwarded, so what it would say would be wrong."""
    assert trusting.forwards(request(SPOOFED[7])).one("Forwarded") is None


@pytest.mark.parametrize("value", [b"id-1", b"x" * 128])
def test_trusted_proxys_request_id_is_kept(trusting: Scene, value: bytes) -> None:
    """A plain request id of a trusted proxy goes on."""
    assert trusting.forwards(request(b"X-Request-Id: " + value)).one("X-Request-Id") == value


@pytest.mark.parametrize("value", [b"x" * 129, b"a b", b"\xc3\xa9", b""])
def test_trusted_proxys_odd_request_id_is_replaced(trusting: Scene, value: bytes) -> None:
    """What would not fit into a log line is replaced."""
    assert trusting.forwards(request(b"X-Request-Id: " + value)).one("X-Request-Id") != value


def test_connection_takes_no_forwarded_header_away(scene: Scene, trusting: Scene) -> None:
    """Nobody can have removed what the gateway says of the origin."""
    names = b"X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, X-Request-Id"
    for one in (scene, trusting):
        got = one.forwards(request(b"Connection: close, " + names))
        assert got.one("X-Forwarded-For") == b"127.0.0.1"
        assert got.one("X-Forwarded-Proto") == b"http"
        assert got.one("X-Forwarded-Host") == b"example.com"


def test_flood_of_addresses_is_refused(trusting: Scene) -> None:
    """A chain of ten thousand addresses ends at the limit of a line."""
    trusting.refuses(request(b"X-Forwarded-For: " + b"1.2.3.4, " * 3000), 431)
