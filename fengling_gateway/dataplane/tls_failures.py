"""Why there is no TLS connection: in words, and in few enough kinds to be counted."""

from __future__ import annotations

import ssl
from typing import Final, NamedTuple

SILENT: Final = ""
"""The peer left without a word, as health checks of load balancers do: no failure."""

LEFT: Final = "left"
TIMEOUT: Final = "timeout"
CERTIFICATE: Final = "certificate"
ALERT: Final = "alert"
NOT_TLS: Final = "not_tls"
NOTHING_IN_COMMON: Final = "nothing_in_common"
OTHER: Final = "other"

KINDS: Final = {
    LEFT: "The peer closed the connection in the middle of the handshake.",
    TIMEOUT: "The handshake took longer than the listener's header_deadline.",
    CERTIFICATE: "The peer's certificate is missing, or could not be verified.",
    ALERT: "The peer refused: our certificate, most often.",
    NOT_TLS: "What the peer sent is not TLS.",
    NOTHING_IN_COMMON: "No version or cipher that both sides have, or no certificate to show.",
    OTHER: "Anything else.",
}


class TlsFailure(NamedTuple):
    """
    Why a handshake failed.

    ``kind`` is one of `KINDS`, or `SILENT`; ``reason`` is for the log.
    """

    kind: str
    reason: str


_NOT_TLS: Final = frozenset(
    {
        *("HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "WRONG_VERSION_NUMBER", "WRONG_SSL_VERSION"),
        *("UNEXPECTED_MESSAGE", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"),
        *("ENCRYPTED_LENGTH_TOO_LONG", "LENGTH_MISMATCH", "LENGTH_TOO_SHORT", "BAD_RECORD_TYPE"),
    }
)
_NOTHING_IN_COMMON: Final = frozenset(
    {
        *("UNSUPPORTED_PROTOCOL", "NO_SHARED_CIPHER", "NO_PROTOCOLS_AVAILABLE", "VERSION_TOO_LOW"),
        *("NO_SUITABLE_KEY_SHARE", "NO_SHARED_GROUPS", "NO_SUITABLE_SIGNATURE_ALGORITHM"),
        *("NO_CERTIFICATE_SET", "NO_SHARED_SIGNATURE_ALGORITHMS", "NO_SUITABLE_GROUPS"),
    }
)


def failure_of(error: ssl.SSLError) -> TlsFailure:
    """Judge an error of the standard library's."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return TlsFailure(CERTIFICATE, f"certificate verify failed: {error.verify_message}")
    return failure_named(error.reason or str(error))


def failure_named(reason: str) -> TlsFailure:
    """Judge an error by OpenSSL's name for it, which says nothing of the place in its source."""
    words = reason.replace("_", " ").lower()
    name = words.replace(" ", "_").upper()
    if name in {"PEER_DID_NOT_RETURN_A_CERTIFICATE", "CERTIFICATE_VERIFY_FAILED"}:
        return TlsFailure(CERTIFICATE, words)
    if name in _NOT_TLS:
        return TlsFailure(NOT_TLS, words)
    if name in _NOTHING_IN_COMMON:
        return TlsFailure(NOTHING_IN_COMMON, words)
    return TlsFailure(ALERT if "_ALERT_" in name else OTHER, words)
