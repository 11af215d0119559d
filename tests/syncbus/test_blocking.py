"""The connection to Redis of the command line: it proves the server, and each of its steps ends."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fengling_gateway.embedded.valkey import ValkeyServer
from fengling_gateway.syncbus import blocking
from fengling_gateway.syncbus.blocking import BlockingRedis
from fengling_gateway.syncbus.errors import BusError
from fengling_gateway.syncbus.url import parse_redis_url
from tests.support.certificates import Authority
from tests.support.tls_front import TlsFront


@pytest.fixture
def front(valkey: ValkeyServer, tmp_path: Path) -> Iterator[TlsFront]:
    front = TlsFront(valkey.port, tmp_path, protocol="redis")
    yield front
    front.close()


def ping(url: str) -> object:
    with BlockingRedis(parse_redis_url(url)) as connection:
        return connection.ask("PING")


class TlsTests:
    """rediss://"""

    def test_server_proves_who_it_is(self, front: TlsFront, tmp_path: Path) -> None:
        """By an authority of the URL, and the host of the URL; there is no way around."""
        authority, ca = Authority(), tmp_path / "ca.pem"
        ca.write_bytes(authority.pem)
        for host, names, said in (
            ("localhost", "localhost", ""),
            ("127.0.0.1", "127.0.0.1", ""),
            ("127.0.0.1", "localhost", "certificate is not accepted"),
        ):
            front.present(authority.issue(names))
            url = f"rediss://{host}:{front.port}/0?ssl_ca_certs={ca}"
            if not said:
                assert ping(url) == b"PONG"
                continue
            with pytest.raises(BusError, match=said):
                ping(url)
        front.present(Authority().issue("localhost"))
        with pytest.raises(BusError, match="certificate is not accepted"):
            ping(f"rediss://localhost:{front.port}/0?ssl_ca_certs={ca}")

    def test_certificate_of_ours_is_shown(self, front: TlsFront, tmp_path: Path) -> None:
        authority, ca = Authority(), tmp_path / "ca.pem"
        ca.write_bytes(authority.pem)
        paths = authority.issue("gateway").write(tmp_path, "own")
        front.present(authority.issue("localhost"), client_ca=authority.pem)
        own = f"ssl_certfile={paths['chain']}&ssl_keyfile={paths['key']}"
        assert ping(f"rediss://localhost:{front.port}/0?ssl_ca_certs={ca}&{own}") == b"PONG"
        assert len(front.clients) == 1


class DeadlineTests:
    """Servers that are none."""

    def test_silent_server_is_given_up_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(blocking, "OPERATION_SECONDS", 0.2)
        with closing(socket.create_server(("127.0.0.1", 0))) as server:
            url = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
            with pytest.raises(BusError, match=r"no answer within 0\.2 s"):
                ping(url)

    def test_nobody_there_is_told(self) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as server:
            port = server.getsockname()[1]
        with pytest.raises(BusError, match="refused"):
            ping(f"redis://127.0.0.1:{port}/0")

    def test_refusal_repeats_no_password(self, valkey: ValkeyServer) -> None:
        with pytest.raises(BusError) as told:
            ping(f"redis://nobody:pass-word-1@127.0.0.1:{valkey.port}/0")
        assert "pass-word-1" not in str(told.value)

    def test_messages_that_nobody_wants_are_passed_over(self, valkey: ValkeyServer) -> None:
        """And waiting for one that never comes ends."""
        address = parse_redis_url(valkey.url)
        with BlockingRedis(address) as hearing, BlockingRedis(address) as saying:
            hearing.ask("SUBSCRIBE", "blocking")
            saying.ask("PUBLISH", "blocking", "one")
            saying.ask("PUBLISH", "blocking", "two")
            assert hearing.wait_for(lambda said: said[-1] == b"two", 10.0)
            assert not hearing.wait_for(lambda said: said[-1] == b"one", 0.1)
