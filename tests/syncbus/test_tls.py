"""rediss://: encrypted, and only to who proves to be the server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import DefaultOpenSSLContextFactory
from twisted.trial.unittest import TestCase

from fengling_gateway.syncbus.connection import RedisConnection
from fengling_gateway.syncbus.url import parse_redis_url
from tests.support.wait import eventually
from tests.syncbus.builders import rng


def certificate(host: str) -> tuple[bytes, bytes]:
    """Return a self-signed certificate for a host and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return (
        made.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


class Server(Protocol):
    """Answers whatever it is told with PONG."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(b"+PONG\r\n")


class TlsTests(TestCase):
    timeout = 30

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: TID251

        self.reactor: Any = reactor
        self.started: list[RedisConnection] = []
        self.ports: list[Any] = []

    def tearDown(self) -> Deferred[Any]:
        stopped = gatherResults([one.stop() for one in self.started])
        return stopped.addCallback(
            lambda _: gatherResults([maybeDeferred(port.stopListening) for port in self.ports])
        )

    def serve(self, host: str) -> tuple[int, Path]:
        """Serve with a certificate for a host; return the port and the certificate's file."""
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        authority, key = (Path(directory.name) / name for name in ("authority.pem", "key.pem"))
        for file, content in zip((authority, key), certificate(host), strict=True):
            file.write_bytes(content)
        context = DefaultOpenSSLContextFactory(str(key), str(authority))
        port = self.reactor.listenSSL(
            0, Factory.forProtocol(Server), context, interface="127.0.0.1"
        )
        self.ports.append(port)
        return port.getHost().port, authority

    def connect(self, url: str) -> RedisConnection:
        connection = RedisConnection(reactor=self.reactor, address=parse_redis_url(url), rng=rng())
        connection.start()
        self.started.append(connection)
        return connection

    async def test_a_known_authority_is_trusted(self) -> None:
        """The one in the file that the URL names."""
        port, authority = self.serve("localhost")
        connection = self.connect(f"rediss://localhost:{port}?ssl_ca_certs={authority}")
        await eventually(self.reactor, lambda: connection.ready)
        self.assertEqual(await connection.call("PING"), b"PONG")

    async def test_an_unknown_authority_is_refused(self) -> None:
        """There is no way to switch verification off."""
        port, _ = self.serve("localhost")
        connection = self.connect(f"rediss://localhost:{port}")
        await eventually(self.reactor, lambda: connection.last_error)
        self.assertFalse(connection.ready)
        self.assertIn("verify failed", connection.last_error)

    async def test_another_host_is_refused(self) -> None:
        """A good certificate of somebody else."""
        port, authority = self.serve("other.example")
        connection = self.connect(f"rediss://localhost:{port}?ssl_ca_certs={authority}")
        await eventually(self.reactor, lambda: connection.last_error)
        self.assertFalse(connection.ready)
