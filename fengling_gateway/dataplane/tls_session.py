"""What a handshake has come to."""

from __future__ import annotations

from typing import NamedTuple


class TlsSession(NamedTuple):
    """
    What both sides have agreed on, and what the peer has shown.

    Attributes:
        certificate: of the peer (DER); None: it has shown none.
        version: as ``TLSv1.3``.
        cipher: its name, as OpenSSL has it.
    """

    certificate: bytes | None
    version: str | None
    cipher: str | None
