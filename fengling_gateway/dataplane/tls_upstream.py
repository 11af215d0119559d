"""TLS towards instances: whom to trust, what to show, and connections by it.

The contexts of services that ask for the same are one, made at the first
connection. When what a service asks for changes, its next connection is opened
on the new terms, and connections on the old ones are not used again.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, Final

from twisted.internet.protocol import ClientFactory
from twisted.logger import Logger

from fengling_gateway.balancing.instance import Instance
from fengling_gateway.balancing.service import PLAIN_TRUST, ServiceTls
from fengling_gateway.dataplane.rarely import Rarely
from fengling_gateway.dataplane.state import PlaneState
from fengling_gateway.dataplane.tls_certificates import (
    Certificate,
    CertificateError,
    load,
    new_context,
)
from fengling_gateway.dataplane.tls_failures import OTHER, TlsFailure
from fengling_gateway.dataplane.tls_transport import Terms, TlsTransport
from fengling_gateway.http.forward_error import ForwardError

_log = Logger()

MAX_TERMS: Final = 10_000
"""Kept: one for each service and host. Connections on those that are not kept are used up."""


class ClientTls:
    """
    The TLS of a worker towards instances.

    Attributes:
        certificates: by id, those that services may show to their instances.
    """

    __slots__ = ("_contexts", "_plane", "_rarely", "_terms", "certificates")

    def __init__(self, plane: PlaneState) -> None:
        self._plane = plane
        self._contexts: dict[tuple[Any, ...], ssl.SSLContext] = {}
        self._terms: dict[tuple[str, str], tuple[tuple[Any, ...], Terms]] = {}
        self._rarely = Rarely()
        self.certificates: Mapping[str, Certificate] = {}

    def __repr__(self) -> str:
        return f"<ClientTls contexts={len(self._contexts)}>"

    def factory(self, connection: Any) -> ClientFactory:
        """
        Return what makes the protocols for opening an `UpstreamConnection`.

        Raises:
            CertificateError: there is nothing to open it with.
        """
        terms = self.terms_for(connection.instance)
        return _Factory(connection, self._transport(connection, terms))

    def terms_for(self, instance: Instance) -> Terms:
        """
        Return on what terms a connection to an instance is to be opened now.

        Raises:
            CertificateError: there is no such client certificate, or it can't be used.
        """
        key = (instance.service_id, instance.host)
        wanted = self._wanted(instance)
        known = self._terms.get(key)
        if known is not None and known[0] == wanted:
            return known[1]
        tls = wanted[0]
        terms = self._new_terms(*wanted, tls.sni or instance.host)
        if len(self._terms) >= MAX_TERMS:
            # Nobody would tell them when they no longer hold.
            _, oldest = self._terms.pop(next(iter(self._terms)))
            oldest.hold = False
        self._terms[key] = wanted, terms
        return terms

    def changed(self) -> None:
        """Look which terms no longer hold: the configuration or a certificate is another."""
        services = self._plane.snapshot.services
        for key, (wanted, terms) in list(self._terms.items()):
            service = services.get(key[0])
            if service is None or self._wanted_by(service.tls) != wanted:
                terms.hold = False
                del self._terms[key]
        in_use = {wanted for wanted, _ in self._terms.values()}
        self._contexts = {key: one for key, one in self._contexts.items() if key in in_use}

    def _wanted(self, instance: Instance) -> tuple[ServiceTls, Certificate | None]:
        service = self._plane.snapshot.services.get(instance.service_id)
        return self._wanted_by(None if service is None else service.tls)

    def _wanted_by(self, tls: ServiceTls | None) -> tuple[ServiceTls, Certificate | None]:
        tls = tls or PLAIN_TRUST
        name = tls.client_certificate
        return tls, None if name is None else self.certificates.get(name)

    def _new_terms(
        self, tls: ServiceTls, certificate: Certificate | None, server_hostname: str
    ) -> Terms:
        return Terms(self._context(tls, certificate), server_hostname)

    def _context(self, tls: ServiceTls, certificate: Certificate | None) -> ssl.SSLContext:
        if tls.client_certificate is not None and certificate is None:
            raise CertificateError(f"there is no certificate {tls.client_certificate} to show")
        key = (tls, certificate)
        context = self._contexts.get(key)
        if context is None:
            context = self._contexts[key] = client_context(tls, certificate)
        return context

    def failed(self, connection: Any, failure: TlsFailure) -> None:
        """Tell that there will be no connection."""
        if connection.is_awaited():  # else we have given it up, which is no failure of TLS
            self.report(connection.instance, failure)
        connection.connect_failed(ForwardError.TLS_FAILED)

    def _transport(self, connection: Any, terms: Terms) -> Any:
        def failed(failure: TlsFailure) -> None:
            self.failed(connection, failure)

        return TlsTransport(
            terms.context,
            server_hostname=terms.server_hostname,
            build=lambda _: connection,
            failed=failed,
            broke=lambda failure: self.report(connection.instance, failure),
            terms=terms,
        )

    def report(self, instance: Instance, failure: TlsFailure) -> None:
        """Count a failure, and log it unless something was logged of the instance a moment ago."""
        self._plane.counters.upstream_tls_failed += 1
        if self._rarely.is_time(instance.id, self._plane.sweeper.now):
            _log.warn(
                "TLS with instance {instance} of service {service} fails: {reason}; "
                "if it goes on, nothing is said for a minute",
                instance=instance.id,
                service=instance.service_id,
                reason=failure.reason,
                log_id="upstream.tls_failed",
            )


class _Factory(ClientFactory):
    """Puts TLS beneath one connection."""

    noisy = False

    def __init__(self, connection: Any, transport: Any) -> None:
        self._connection = connection
        self._transport = transport

    def buildProtocol(self, addr: Any) -> Any:
        return self._transport

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        self._connection.connect_failed(ForwardError.CONNECT_FAILED)


def client_context(tls: ServiceTls, certificate: Certificate | None) -> ssl.SSLContext:
    """
    Return a context for connections to the instances of a service.

    Raises:
        CertificateError: the client certificate or the authorities can't be used.
    """
    context = new_context(ssl.PROTOCOL_TLS_CLIENT)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif tls.ca is None:
        context.load_default_certs()
    else:
        # Whoever names a certificate trusts it, whether it is an authority's own or not.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        try:
            context.load_verify_locations(cadata=tls.ca)
        except (ssl.SSLError, ValueError):
            raise CertificateError("tls.ca has no certificates in PEM form") from None
    if certificate is not None:
        load(context, certificate)
    return context


def no_terms(error: CertificateError) -> TlsFailure:
    """Return the failure that it is to have nothing to open a connection with."""
    return TlsFailure(OTHER, str(error))
