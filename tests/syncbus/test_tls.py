"""rediss://: encrypted, and only to who proves to be the server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from fengling_gateway.embedded.valkey import ValkeyServer
from fengling_gateway.syncbus.connection import RedisConnection
from fengling_gateway.syncbus.url import parse_redis_url
from tests.support.certificates import Authority
from tests.support.tls_front import TlsFront
from tests.support.wait import eventually
from tests.syncbus.builders import rng


class TlsTests(TestCase):
    """A real server behind TLS."""

    timeout = 30

    @pytest.fixture(autouse=True)
    def _server(self, valkey: ValkeyServer, tmp_path: Path) -> None:
        self.directory = tmp_path
        self.front = TlsFront(valkey.port, tmp_path, protocol="redis")
        self.authority = Authority()
        self.ca = tmp_path / "ca.pem"
        self.ca.write_bytes(self.authority.pem)

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: TID251

        self.reactor: Any = reactor
        self.started: list[RedisConnection] = []

    def tearDown(self) -> Deferred[Any]:
        self.front.close()
        return gatherResults([one.stop() for one in self.started])

    def connect(self, host: str = "localhost", **parameters: object) -> RedisConnection:
        files = {"ssl_ca_certs": self.ca, **parameters}
        query = "&".join(f"{name}={value}" for name, value in files.items() if value)
        url = f"rediss://{host}:{self.front.port}/0?{query}".rstrip("?")
        connection = RedisConnection(reactor=self.reactor, address=parse_redis_url(url), rng=rng())
        connection.start()
        self.started.append(connection)
        return connection

    def ready(self, connection: RedisConnection) -> Deferred[Any]:
        return eventually(self.reactor, lambda: connection.ready)

    async def refusal(self, connection: RedisConnection) -> str:
        await eventually(self.reactor, lambda: connection.last_error)
        self.assertFalse(connection.ready)
        return connection.last_error

    async def test_a_known_authority_is_trusted(self) -> None:
        """The one in the file that the URL names; the server is asked for by name."""
        self.front.present(self.authority.issue("localhost"))
        connection = self.connect()
        await self.ready(connection)
        self.assertEqual(await connection.call("PING"), b"PONG")
        self.assertEqual(self.front.names[0], "localhost")

    async def test_an_address_is_verified_like_a_name(self) -> None:
        """By the addresses in the certificate; the names there say nothing about it."""
        self.front.present(self.authority.issue("127.0.0.1"))
        await self.ready(self.connect("127.0.0.1"))
        self.front.present(self.authority.issue("localhost"))
        reason = await self.refusal(self.connect("127.0.0.1"))
        self.assertEqual(reason, "its certificate is for localhost, not for 127.0.0.1")

    async def test_a_file_may_hold_several_authorities(self) -> None:
        """While one takes the place of another."""
        self.ca.write_bytes(Authority("Old").pem + self.authority.pem)
        self.front.present(self.authority.issue("localhost"))
        await self.ready(self.connect())

    async def test_an_unknown_authority_is_refused(self) -> None:
        """Also one of the same name; there is no way to switch verification off."""
        self.front.present(Authority("Stranger").issue("localhost"))
        reason = await self.refusal(self.connect())
        self.assertIn("issued by CN=Stranger, which is not among", reason)
        self.assertIn(str(self.ca), reason)
        self.front.present(self.authority.issue("localhost"))
        reason = await self.refusal(self.connect(ssl_ca_certs=None))
        self.assertIn("those that the system trusts", reason)

    async def test_another_host_is_refused(self) -> None:
        """A good certificate of somebody else."""
        self.front.present(self.authority.issue("other.example"))
        reason = await self.refusal(self.connect())
        self.assertEqual(reason, "its certificate is for other.example, not for localhost")

    async def test_an_expired_certificate_is_refused(self) -> None:
        """With the day; a new one is taken without anybody's doing."""
        self.front.present(self.authority.issue("localhost", ends_in_days=-1))
        connection = self.connect()
        self.assertIn("its certificate has expired on 20", await self.refusal(connection))
        self.front.present(self.authority.issue("localhost"))
        await self.ready(connection)

    async def test_a_server_without_tls_is_not_spoken_to(self) -> None:
        """Not a byte of a password goes to it."""
        self.front.present(None)
        reason = await self.refusal(self.connect())
        self.assertIn("no answer over TLS", reason)

    async def test_a_certificate_of_ours_is_shown(self) -> None:
        """Where the server asks for one; with its key in the same file or in another."""
        self.front.present(self.authority.issue("localhost"), client_ca=self.authority.pem)
        issued = self.authority.issue("gateway")
        ours = issued.write(self.directory, "ours")
        await self.ready(self.connect(ssl_certfile=ours["chain"], ssl_keyfile=ours["key"]))
        both = self.directory / "both.pem"
        both.write_bytes(issued.key + issued.chain)
        await self.ready(self.connect(ssl_certfile=both))
        self.assertIn("gateway", self.front.clients[0])
        self.assertIn("certificate required", await self.refusal(self.connect()))

    async def test_files_that_cannot_be_used_are_named(self) -> None:
        """And read again at the next attempt."""
        self.front.present(self.authority.issue("localhost"))
        ours = self.authority.issue("gateway").write(self.directory, "ours")
        other = self.authority.issue("other").write(self.directory, "other")
        missing, empty = self.directory / "missing.pem", self.directory / "empty.pem"
        empty.write_text("canary")
        for parameters, said in (
            ({"ssl_ca_certs": missing}, f"{missing} can't be read: No such file or directory"),
            ({"ssl_ca_certs": self.directory}, f"{self.directory} can't be read: Is a directory"),
            ({"ssl_ca_certs": empty}, f"{empty} holds no certificate"),
            ({"ssl_certfile": ours["chain"], "ssl_keyfile": other["key"]}, other["key"]),
            ({"ssl_certfile": ours["chain"], "ssl_keyfile": empty}, str(empty)),
        ):
            connection = self.connect(**parameters)
            reason = await self.refusal(connection)
            self.assertIn(said, reason)
            self.assertNotIn("canary", reason.replace(str(self.directory), ""))
        late = self.connect(ssl_ca_certs=missing)
        await self.refusal(late)
        missing.write_bytes(self.authority.pem)
        await self.ready(late)

    async def test_a_break_is_healed(self) -> None:
        """As without TLS."""
        self.front.present(self.authority.issue("localhost"))
        connection = self.connect()
        await self.ready(connection)
        self.front.drop()
        await eventually(self.reactor, lambda: connection.counters["losses"] == 1)
        await self.ready(connection)
