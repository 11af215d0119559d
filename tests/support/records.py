"""Records of TLS 1.2 that no library would send."""

from __future__ import annotations

import hashlib
import hmac
import socket
import ssl
import struct
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ALERT = 21
HANDSHAKE = 22
APPLICATION_DATA = 23
CLIENT_HELLO = b"\x01\x00\x00\x00"
"""What begins one; so much is enough to ask for a renegotiation."""


class Records:
    """A client's records, from its handshake on."""

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, keys: Path) -> None:
        """
        Shake hands.

        Args:
            keys: a file that does not exist yet.
        """
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        context.keylog_filename = str(keys)
        server_random = _shake_hands(plain, context)[11:43]
        _, client_random, secret = keys.read_text().splitlines()[-1].split()
        seed = b"key expansion" + server_random + bytes.fromhex(client_random)
        block = _expand(bytes.fromhex(secret), seed, 40)
        self._cipher, self._salt = AESGCM(block[:16]), block[32:36]
        self._number = 1  # after the one that ended the handshake

    def record(self, kind: int, content: bytes) -> bytes:
        """The next record."""
        number = struct.pack("!Q", self._number)
        self._number += 1
        head = struct.pack("!BH", kind, 0x0303)
        bound = number + head + struct.pack("!H", len(content))
        sealed = self._cipher.encrypt(self._salt + number, content, bound)
        return head + struct.pack("!H", 8 + len(sealed)) + number + sealed


def _shake_hands(plain: socket.socket, context: ssl.SSLContext) -> bytes:
    """What the server has said; its first record begins with its hello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="a.example")
    heard = b""
    while True:
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            plain.sendall(outgoing.read())
            piece = plain.recv(65536)
            incoming.write(piece)
            heard += piece
        else:
            return heard


def _expand(secret: bytes, seed: bytes, length: int) -> bytes:
    """The pseudorandom function of TLS 1.2 (RFC 5246, 5)."""
    made, link = b"", seed
    while len(made) < length:
        link = hmac.digest(secret, link, hashlib.sha256)
        made += hmac.digest(secret, link + seed, hashlib.sha256)
    return made[:length]
