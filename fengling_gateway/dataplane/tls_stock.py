"""TLS by Twisted's own transport, to fall back to: slower by half, and without half-closing.

Whoever ends has ended both ways: a client that has said so is not answered any
more. Everything else is as with `tls_transport`.
"""

from __future__ import annotations

from collections.abc import Callable
from select import POLLIN, poll
from typing import Any, Final

from OpenSSL import SSL, crypto
from twisted.internet.interfaces import (
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import (
    Certificate as TrustRoot,
)
from twisted.internet.ssl import (
    CertificateOptions,
    PrivateCertificate,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from fengling_gateway.balancing.service import ServiceTls
from fengling_gateway.dataplane.tls_certificates import Certificate, CertificateError, as_file
from fengling_gateway.dataplane.tls_contexts import CIPHERS, ServerTls
from fengling_gateway.dataplane.tls_failures import (
    ALERT,
    CERTIFICATE,
    LEFT,
    SILENT,
    TlsFailure,
    failure_named,
)
from fengling_gateway.dataplane.tls_session import TlsSession
from fengling_gateway.dataplane.tls_transport import Terms
from fengling_gateway.dataplane.tls_upstream import ClientTls

_VERSIONS: Final = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}
_CLIENT_AUTH: Final = {
    "none": SSL.VERIFY_NONE,
    "optional": SSL.VERIFY_PEER,
    "required": SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT,
}
_ALPN: Final = b"http/1.1"


class _StockTransport(TLSMemoryBIOProtocol):
    """Twisted's, whose peer can tell a break from an end."""

    transport: Any
    _reason: Failure | None
    has_heard = False
    is_new = True
    was_refused = False
    terms: Terms | None = None
    broke: Callable[[TlsFailure], None] | None = None

    def dataReceived(self, bytes: bytes) -> None:  # noqa: A002 - Twisted's name
        self.has_heard = True
        super().dataReceived(bytes)

    def _tlsShutdownFinished(self, reason: Failure | None) -> None:
        # (A SysCallError is TCP's end without that of TLS.)
        is_broken = reason is not None and not reason.check(SSL.SysCallError)
        if reason is not None and is_broken and self._handshakeDone and self.broke is not None:
            failure = _failure_of(reason, has_heard=True)
            self.was_refused = failure.kind == ALERT
            self.broke(failure)
        if reason is None and self._reason is None:
            self._reason = connectionDone  # also if TCP breaks after it
        super()._tlsShutdownFinished(reason)

    def loseWriteConnection(self) -> None:
        """End: Twisted knows no half of it."""
        self.loseConnection()

    def abortConnection(self) -> None:
        """Break off, without saying that it is the end."""
        self._aborted = True
        self.disconnecting = True
        self.transport.abortConnection()

    def is_quiet(self) -> bool:
        """As `TlsTransport.is_quiet`."""
        is_new, self.is_new = self.is_new, False
        if self.terms is None or not (self.terms.hold or is_new) or self.disconnecting:
            return False
        looker = poll()
        looker.register(self.transport.getHandle(), POLLIN)
        if not looker.poll(0):
            return not self._lostTLSConnection
        return self.transport.doRead() is None and not self._lostTLSConnection


@implementer(IHandshakeListener)
class _Handshake(Protocol):
    """The protocol above while the handshake is under way; it gives way to the one that is built."""

    def __init__(
        self,
        build: Callable[[TlsSession], Any],
        failed: Callable[[TlsFailure], None],
    ) -> None:
        self._build = build
        self._failed = failed

    def handshakeCompleted(self) -> None:
        transport: Any = self.transport
        shown = transport.getPeerCertificate()
        der = None if shown is None else crypto.dump_certificate(crypto.FILETYPE_ASN1, shown)
        connection = transport._tlsConnection
        session = TlsSession(
            der, connection.get_protocol_version_name(), connection.get_cipher_name()
        )
        following = transport.wrappedProtocol = self._build(session)
        following.makeConnection(transport)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        transport: Any = self.transport
        self._failed(_failure_of(reason, has_heard=transport.has_heard))


def _failure_of(reason: Failure, *, has_heard: bool) -> TlsFailure:
    error: Any = reason.value
    if isinstance(error, SSL.Error) and error.args and isinstance(error.args[0], list):
        return failure_named(error.args[0][-1][2])
    if type(error).__module__.startswith(("service_identity", "twisted.internet._sslverify")):
        return TlsFailure(CERTIFICATE, f"certificate verify failed: {type(error).__name__}")
    return TlsFailure(LEFT if has_heard else SILENT, reason.getErrorMessage())


def _layer(creator: Any, handshake: _Handshake, *, is_client: bool) -> _StockTransport:
    factory = TLSMemoryBIOFactory(creator, is_client, Factory(), clock=object())  # type: ignore[arg-type]
    return _StockTransport(factory, handshake)


@implementer(IOpenSSLServerConnectionCreator)
class StockServerTls(ServerTls):
    """The TLS of one listener, by Twisted's transport."""

    context: Any

    def layer(
        self, build: Callable[[TlsSession], Any], failed: Callable[[TlsFailure], None]
    ) -> Any:
        """Return what shakes hands with a client; see `TlsTransport`."""
        return _layer(self, _Handshake(build, failed), is_client=False)

    def serverConnectionForTLS(self, tlsProtocol: Any) -> Any:
        return SSL.Connection(self.context, None)

    def _new_context(self) -> Any:
        settings = self._settings
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(_VERSIONS[settings.min_version])
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        context.set_cipher_list(CIPHERS.encode())
        context.set_session_id(b"fengling")
        context.set_alpn_select_callback(_choose_protocol)
        context.set_tlsext_servername_callback(self._choose_for)
        if self._authorities is not None:
            store: Any = context.get_cert_store()
            for certificate in _certificates(self._authorities):
                store.add_cert(certificate)
        context.set_verify(_CLIENT_AUTH[settings.client_auth], lambda *outcome: bool(outcome[-1]))
        return context

    def _load(self, context: Any, certificate: Certificate) -> None:
        _load(context, certificate)

    def _choose_for(self, connection: Any) -> None:
        name = connection.get_servername()
        if name is not None:
            self._choose(connection, name.decode("latin-1"), None)

    def _use(self, connection: Any, context: Any) -> None:
        connection.set_context(context)


def _choose_protocol(_: Any, offered: list[bytes]) -> Any:
    return _ALPN if _ALPN in offered else SSL.NO_OVERLAPPING_PROTOCOLS


def _certificates(pem: str) -> list[Any]:
    end = "-----END CERTIFICATE-----"
    return [
        crypto.load_certificate(crypto.FILETYPE_PEM, (piece + end).encode())
        for piece in pem.split(end)[:-1]
    ]


def _load(context: Any, certificate: Certificate) -> None:
    try:
        with as_file(certificate.key + b"\n" + certificate.chain) as path:
            context.use_certificate_chain_file(path)
            context.use_privatekey_file(path)
        context.check_privatekey()
    except SSL.Error:
        why = f"its key does not fit the certificate {certificate.name}, or is none"
        raise CertificateError(why) from None


class StockClientTls(ClientTls):
    """The TLS of a worker towards instances, by Twisted's transport."""

    __slots__ = ()

    def _new_terms(
        self, tls: ServiceTls, certificate: Certificate | None, server_hostname: str
    ) -> Terms:
        self._context(tls, certificate)  # which judges both, as the other transport does
        return Terms(_creator(tls, certificate, server_hostname), server_hostname)

    def _transport(self, connection: Any, terms: Terms) -> Any:
        def failed(failure: TlsFailure) -> None:
            self.failed(connection, failure)

        transport = _layer(terms.context, _Handshake(lambda _: connection, failed), is_client=True)
        transport.terms = terms
        transport.broke = lambda failure: self.report(connection.instance, failure)
        return transport


def _creator(tls: ServiceTls, certificate: Certificate | None, server_hostname: str) -> Any:
    ours = None
    if certificate is not None:
        ours = PrivateCertificate.loadPEM(certificate.key + b"\n" + certificate.chain)
    if not tls.verify:
        return _Unverified(ours, server_hostname)
    roots = None
    if tls.ca is not None:
        roots = trustRootFromCertificates([TrustRoot(one) for one in _certificates(tls.ca)])
    return optionsForClientTLS(server_hostname, roots, ours)


@implementer(IOpenSSLClientConnectionCreator)
class _Unverified:
    """Opens connections to whoever is there."""

    def __init__(self, ours: Any, server_hostname: str) -> None:
        self._context = (CertificateOptions() if ours is None else ours.options()).getContext()
        self._name = server_hostname

    def clientConnectionForTLS(self, tlsProtocol: Any) -> Any:
        connection = SSL.Connection(self._context, None)
        if not self._name.replace(".", "").isdigit() and ":" not in self._name:
            connection.set_tlsext_host_name(self._name.encode())
        return connection
