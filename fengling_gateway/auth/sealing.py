"""
Secrets as they are kept: AES-256-GCM, under a key that has an id.

    aes256gcm:<key id>:<base64 of nonce, ciphertext and tag>

What is encrypted is bound to the id of its secret and to that of the key: put
under another name it can't be opened, so that nobody who may write the table,
and may not read secrets, has one sent where he can.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable
from typing import Final

from fengling_gateway.auth.keys import SecretKey, WeakKeyError, parse_keys

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
MAX_SECRET_BYTES: Final = 32 * 1024
"""Of one secret: a private key has two or three thousand."""

_SCHEME: Final = "aes256gcm"
_TAG_BYTES: Final = 16
_SEALED: Final = re.compile(r"aes256gcm:([A-Za-z0-9][A-Za-z0-9._-]{0,63}):([A-Za-z0-9+/=]+)")


class SealError(ValueError):
    """Something can't be sealed or opened. The message never holds any of it."""


def parse_sealing_keys(texts: Iterable[str]) -> tuple[SecretKey, ...]:
    """
    Read keys written ``id:secret``, the one that seals first.

    Raises:
        WeakKeyError: as `fengling_gateway.auth.keys.parse_keys`, and where a key
            has another length than the cipher's.
    """
    keys = parse_keys(texts)
    for key in keys:
        if len(key.secret) != KEY_BYTES:
            raise WeakKeyError(
                f'key "{key.id}" has {len(key.secret)} bytes, and must have {KEY_BYTES}: '
                "use the output of `openssl rand -hex 32`"
            )
    return keys


def sealed_with(value: str) -> str | None:
    """Return the id of the key that a value is sealed with; None where it is not sealed."""
    match = _SEALED.fullmatch(value)
    return None if match is None else match[1]


class Sealer:
    """
    Seals with the first of some keys, and opens with any.

    Args:
        random_bytes: returns so many random bytes; of one key and secret no
            nonce may come twice (``os.urandom``).
    """

    def __init__(self, keys: Iterable[SecretKey], *, random_bytes: Callable[[int], bytes]) -> None:
        self._keys = {key.id: key for key in keys}
        self._random_bytes = random_bytes

    def __repr__(self) -> str:
        return f"<Sealer with keys {', '.join(self._keys) or '(none)'}>"

    @property
    def newest(self) -> str | None:
        """The id of the key that seals; None without any."""
        return next(iter(self._keys), None)

    def seal(self, secret_id: str, content: bytes) -> str:
        """
        Encrypt a secret's content with the first key.

        Raises:
            SealError: there is no key, or too much content.
        """
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if self.newest is None:
            raise SealError("there is no key to encrypt with ([secrets] key_file)")
        if len(content) > MAX_SECRET_BYTES:
            raise SealError(f"a secret has at most {MAX_SECRET_BYTES} bytes, not {len(content)}")
        key = self._keys[self.newest]
        nonce = self._random_bytes(NONCE_BYTES)
        sealed = AESGCM(key.secret).encrypt(nonce, content, _bound_to(secret_id, key.id))
        return f"{_SCHEME}:{key.id}:{base64.b64encode(nonce + sealed).decode()}"

    def open(self, secret_id: str, value: str) -> bytes:
        """
        Decrypt a secret's value.

        Raises:
            SealError: it is not sealed, its key is not here, or it has been changed.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        match = _SEALED.fullmatch(value)
        if match is None:
            raise SealError("is not encrypted as it should be")
        key = self._keys.get(match[1])
        if key is None:
            known = f"known: {', '.join(self._keys)}" if self._keys else "there is none"
            raise SealError(f'is encrypted with key "{match[1]}", which is not here ({known})')
        try:
            sealed = base64.b64decode(match[2], validate=True)
        except binascii.Error:
            raise SealError("is not encrypted as it should be") from None
        if len(sealed) < NONCE_BYTES + _TAG_BYTES:
            raise SealError("is not encrypted as it should be")
        nonce, rest = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            return AESGCM(key.secret).decrypt(nonce, rest, _bound_to(secret_id, key.id))
        except InvalidTag:
            raise SealError(
                f'can\'t be opened with key "{key.id}": it was encrypted with another of that '
                "name, for another secret, or has been changed"
            ) from None


def _bound_to(secret_id: str, key_id: str) -> bytes:
    return f"fengling secret\0{secret_id}\0{key_id}".encode()
