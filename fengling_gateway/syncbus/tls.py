"""TLS to Redis: its server proves to be the host of the URL, or there is no connection.

txredisapi's own (``ssl_context_factory=True``) verifies nothing, so nothing of it
is used. The authorities are those of the URL's ``ssl_ca_certs``, or the system's;
the name, or address, is the URL's, and is what the server is asked for (SNI). There
is no way to switch verification off.

Imported where a URL wants TLS only: it brings pyOpenSSL.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import idna
from cryptography import x509
from OpenSSL import SSL, crypto
from service_identity import VerificationError
from service_identity.cryptography import extract_patterns
from service_identity.hazmat import DNS_ID, IPAddress_ID, verify_service_identity
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    KeyPair,
    PrivateCertificate,
    TLSVersion,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from zope.interface import implementer

from fengling_gateway.syncbus.errors import BusError
from fengling_gateway.syncbus.url import RedisAddress

MAX_FILE_BYTES: Final = 1024 * 1024
"""Of certificates. A system's bundle of authorities has a quarter of it."""

_CERTIFICATE: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL
)
_EXPIRED: Final = 10
_NOT_YET_VALID: Final = 9
_UNKNOWN_ISSUER: Final = (2, 18, 19, 20, 21)  # X509_V_ERR_… of OpenSSL
_NAMES_SHOWN: Final = 5


@implementer(IOpenSSLClientConnectionCreator)
class RedisTls:
    """
    Makes the TLS side of one connection to an address.

    Args:
        refused: told why the server's certificate is refused, in words, before
            the connection is lost for it.

    Raises:
        BusError: a file of the URL can't be used; it says which.
    """

    def __init__(self, address: RedisAddress, refused: Callable[[str], None]) -> None:
        self._address = address
        self._refused = refused
        trust = None
        if address.ca_file:
            trust = trustRootFromCertificates(_certificates(address.ca_file))
        options: dict[str, Any] = {"raiseMinimumTo": TLSVersion.TLSv1_2}
        client = None
        if address.certificate_file:
            client, *above = _own_certificates(address)
            options["extraCertChain"] = [one.original for one in above]
        self._options: Any = optionsForClientTLS(
            address.host, trust, client, extraCertificateOptions=options
        )
        self._identity = _identity(address.host)

    def clientConnectionForTLS(self, tlsProtocol: Any) -> Any:
        connection = self._options.clientConnectionForTLS(tlsProtocol)
        # In place of Twisted's own, which judges the name, too, and says less of it.
        connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._verified)
        return connection

    def _verified(
        self, _connection: Any, certificate: crypto.X509, code: int, depth: int, good: int
    ) -> bool:
        """Judge one certificate of the chain, of which OpenSSL says whether it is `good`."""
        try:
            return self._accepts(certificate.to_cryptography(), code, depth, good=bool(good))
        except Exception as error:
            # From a callback of OpenSSL's an exception goes nowhere.
            self._refused(f"its certificate can't be judged ({type(error).__name__})")
            return False

    def _accepts(self, certificate: x509.Certificate, code: int, depth: int, *, good: bool) -> bool:
        if not good:
            self._refused(self._why(certificate, code, depth))
            return False
        if depth > 0:
            return True
        try:
            verify_service_identity(extract_patterns(certificate), [self._identity], [])
        except VerificationError:
            shown = ", ".join(_names(certificate)[:_NAMES_SHOWN]) or "nobody"
            self._refused(f"its certificate is for {shown}, not for {self._address.host}")
            return False
        return True

    def _why(self, certificate: x509.Certificate, code: int, depth: int) -> str:
        whose = "its certificate" if depth == 0 else "a certificate above its own"
        if code == _EXPIRED:
            return f"{whose} has expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M:%SZ}"
        if code == _NOT_YET_VALID:
            begin = certificate.not_valid_before_utc
            return f"{whose} is not valid before {begin:%Y-%m-%d %H:%M:%SZ}"
        if code in _UNKNOWN_ISSUER:
            known = self._address.ca_file or "those that the system trusts"
            issuer = certificate.issuer.rfc4514_string()[:200]
            return f"{whose} is issued by {issuer}, which is not among {known}"
        return f"{whose} is refused (X509 verification error {code})"


def why_lost(error: BaseException) -> str:
    """Say why a connection over TLS was lost."""
    if isinstance(error, SSL.Error):
        told = error.args[0] if error.args and isinstance(error.args[0], list) else []
        reasons = [str(one[-1]) for one in told if one] or ["the connection broke"]
        if any("wrong version number" in one or "packet length" in one for one in reasons):
            return "it does not speak TLS on this port (redis:// is without)"
        return f"TLS: {'; '.join(reasons)}"
    return str(error) or type(error).__name__


def _identity(host: str) -> DNS_ID | IPAddress_ID:
    try:
        ip_address(host)
    except ValueError:
        return DNS_ID(host if host.isascii() else idna.encode(host).decode())
    return IPAddress_ID(host)


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return [str(getattr(name, "value", "")) for name in extension.value]


def _own_certificates(address: RedisAddress) -> list[Any]:
    """Return what we show: our certificate with its key, then those above it."""
    own, *above = _certificates(address.certificate_file)
    key_file = address.key_file or address.certificate_file
    try:
        key = KeyPair.load(_read(key_file), crypto.FILETYPE_PEM)
        client = PrivateCertificate.fromCertificateAndKeyPair(own, key)
    except BusError:
        raise
    except Exception as error:
        # (What they say of a key file may quote it.)
        raise BusError(
            f"{key_file} holds no private key, in PEM and not encrypted, "
            f"of the certificate in {address.certificate_file} ({type(error).__name__})"
        ) from None
    return [client, *above]


def _certificates(file: str) -> list[Certificate]:
    found = _CERTIFICATE.findall(_read(file))
    try:
        certificates = [Certificate.loadPEM(one) for one in found]
    except Exception as error:
        raise BusError(
            f"{file} holds a certificate that can't be read ({type(error).__name__})"
        ) from None
    if not certificates:
        raise BusError(f"{file} holds no certificate")
    return certificates


def _read(file: str) -> bytes:
    try:
        with Path(file).open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no path"
        raise BusError(f"{file} can't be read: {reason}") from None
    if len(content) > MAX_FILE_BYTES:
        raise BusError(f"{file} is larger than {MAX_FILE_BYTES} bytes")
    return content
