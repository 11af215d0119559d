"""Secret keys as an operator writes them: ``id:secret``.

What signs messages on the bus and management tokens. Several keys make a ring:
the first one signs, all of them verify, so that a key is rotated by putting the
new one first, and dropping the old one when nothing signed by it is left.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

MIN_SECRET_BYTES: Final = 32
"""As long as the digest of SHA-256: a shorter HMAC key is the weakest part (RFC 2104)."""

_MIN_DISTINCT_BYTES: Final = 12
"""32 random bytes have about 30 distinct values; a typed placeholder has few."""

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_PLACEHOLDER: Final = re.compile(
    rb"change.?me|secret|password|default|example|placeholder", re.IGNORECASE
)


class WeakKeyError(ValueError):
    """A key is malformed, too short or a placeholder. The message never holds the secret."""


@dataclass(frozen=True, slots=True)
class SecretKey:
    """One key of a ring; its secret stays out of every representation."""

    id: str
    secret: bytes = field(repr=False)


def parse_key(text: str) -> SecretKey:
    """
    Read ``id:secret``; the secret is hexadecimal or base64 of at least 32 bytes.

    Raises:
        WeakKeyError: it says which rule is broken, and what makes a good key.
    """
    name, colon, encoded = text.strip().partition(":")
    if not colon or not _ID.fullmatch(name):
        raise WeakKeyError(
            'a key is written "id:secret", with an id of letters, digits, ".", "_", "-"'
        )
    secret = _decode(encoded.strip(), name)
    if len(secret) < MIN_SECRET_BYTES:
        raise WeakKeyError(
            f'key "{name}" has {len(secret)} bytes, and needs {MIN_SECRET_BYTES}: '
            f"use the output of `openssl rand -hex 32`"
        )
    if len(set(secret)) < _MIN_DISTINCT_BYTES or _PLACEHOLDER.search(secret):
        raise WeakKeyError(
            f'key "{name}" is a placeholder, not random: use the output of `openssl rand -hex 32`'
        )
    return SecretKey(name, secret)


def parse_keys(texts: Iterable[str]) -> tuple[SecretKey, ...]:
    """
    Read the keys of a ring, the signing one first.

    Raises:
        WeakKeyError: there is no key, one of them is weak, or two share an id.
    """
    keys = tuple(parse_key(text) for text in texts)
    if not keys:
        raise WeakKeyError('no key is set: use "id:" and the output of `openssl rand -hex 32`')
    if len({key.id for key in keys}) != len(keys):
        raise WeakKeyError("two keys of one ring share an id")
    return keys


def _decode(encoded: str, name: str) -> bytes:
    if _HEX.fullmatch(encoded):
        return bytes.fromhex(encoded)
    standard = encoded.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise WeakKeyError(
            f'the secret of key "{name}" is neither hexadecimal nor base64: '
            f"use the output of `openssl rand -hex 32`"
        ) from None
