"""TLS to the database is libpq's; here is what it leaves to be said.

Of a certificate that it refuses, libpq says "certificate verify failed" and no
more. So the server is asked for its certificate once more, with nothing sent to
it, and its issuer and dates are put beside that. And of the libpq in the
driver's wheel, ``sslrootcert=system`` looks in a directory of the machine that it
was built on.
"""

from __future__ import annotations

import re
import socket
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography import x509

SECONDS: Final = 2.0
"""For asking once more. It is done after a failure only, by whoever may block."""

MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
VERIFIED: Final = "verify-full"
"""The mode in which the server proves to be the host that is named."""

_FAILED: Final = re.compile(
    r'connection to server at "(?P<host>[^"]+)"(?: \((?P<address>[^)]+)\))?, port (?P<port>[0-9]+)'
    r" failed: SSL error: certificate verify failed"
)
_SSL_REQUEST: Final = bytes.fromhex("0000000804d2162f")
_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)


def system_authorities() -> str | None:
    """Return the file with the authorities that the system trusts; None if there is none."""
    named = ssl.get_default_verify_paths().cafile
    for path in (named, *_BUNDLES):
        if path is not None:
            try:
                with open(path, "rb"):
                    return path
            except OSError:
                continue
    return None


def why_refused(message: str, authorities: str | None) -> str:
    """
    Return what there is to say of a certificate that libpq has refused; "" if that is not it. Blocks.

    Args:
        message: libpq's; it says where the server is.
        authorities: the file of those that are trusted.
    """
    failed = _FAILED.search(message)
    if failed is None:
        return ""
    host = failed["address"] or failed["host"]
    try:
        certificate = _certificate(host, int(failed["port"]))
    except (OSError, ValueError):
        return ""
    return _judge(certificate, authorities or "~/.postgresql/root.crt", datetime.now(UTC))


def _judge(certificate: x509.Certificate, authorities: str, now: datetime) -> str:
    end, begin = certificate.not_valid_after_utc, certificate.not_valid_before_utc
    if end < now:
        return f"its certificate has expired on {end:%Y-%m-%d %H:%M:%SZ}"
    if begin > now:
        return f"its certificate is not valid before {begin:%Y-%m-%d %H:%M:%SZ}"
    issuer = certificate.issuer.rfc4514_string()[:200]
    return f"its certificate is issued by {issuer}, which leads to none of {authorities}"


def _certificate(host: str, port: int) -> x509.Certificate:
    """Return what a server presents, unverified: to be talked about, not to."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection((host, port), SECONDS) as plain:
        plain.settimeout(SECONDS)
        plain.sendall(_SSL_REQUEST)
        if plain.recv(1) != b"S":
            raise ValueError("no TLS")
        with context.wrap_socket(plain) as secured:
            found = secured.getpeercert(binary_form=True)
    if found is None:
        raise ValueError("no certificate")
    # Not at the top of the module: a gateway whose certificates are right needs none of it.
    from cryptography import x509

    return x509.load_der_x509_certificate(found)
