"""Tokens as an issuer signs them, and as nobody may: what is asked of a gateway with either."""

from __future__ import annotations

import base64
import hmac
import json
import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

AUDIENCE: Final = "bench"
_LIFETIME_SECONDS: Final = 86_400
_EXPIRED_SECONDS: Final = 3600
_HMAC_BYTES: Final = 32
_RSA_BITS: Final = 2048

FORGERIES: Final = ("wrong signature", "malformed", "unknown key", "expired")
"""Kinds of tokens that must be refused, each for a reason of its own."""


def b64(content: bytes) -> str:
    """Base64 for URLs, without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@dataclass(frozen=True, slots=True)
class Signer:
    """
    A key of an issuer.

    Attributes:
        issuer: what its tokens say in ``iss``.
        public: the key as an issuer publishes it; empty for one that is shared.
    """

    issuer: str
    algorithm: str
    key_id: str
    sign: Callable[[bytes], bytes] = field(repr=False)
    public: dict[str, Any] = field(default_factory=dict)

    def token(self, number: int) -> str:
        """A good token; one for each number."""
        text = _text(self.issuer, self.algorithm, self.key_id, number, _LIFETIME_SECONDS)
        return f"{text}.{b64(self.sign(text.encode()))}"


def forgery(issuer: str, key_id: str, kind: str, number: int, rng: random.Random) -> str:
    """
    A token that is no good, made without a key; one for each number.

    Args:
        key_id: of an RSA key of the issuer.
        kind: one of `FORGERIES`.
    """
    is_expired, is_unknown = kind == "expired", kind == "unknown key"
    text = _text(
        issuer,
        "RS256",
        f"k{number:x}" if is_unknown else key_id,
        number,
        -_EXPIRED_SECONDS if is_expired else _LIFETIME_SECONDS,
    )
    # Less than any modulus: one that is more would be refused before it is verified.
    signature = b64(bytes(1) + rng.randbytes(_RSA_BITS // 8 - 1))
    if kind == "malformed":
        return _MALFORMATIONS[number % len(_MALFORMATIONS)](text, signature)
    return f"{text}.{signature}"


def _text(issuer: str, algorithm: str, key_id: str, number: int, lifetime: float) -> str:
    header = {"alg": algorithm, "typ": "JWT", "kid": key_id}
    now = int(time.time())
    claims = {
        "iss": issuer,
        "aud": AUDIENCE,
        "sub": f"user-{number}",
        "name": "Ada Lovelace",
        "roles": ["reader", "writer"],
        "scope": "orders:read orders:write",
        "iat": now - 2 * _EXPIRED_SECONDS,
        "exp": int(now + lifetime),
        "jti": f"{number:016x}",
    }
    return ".".join(b64(json.dumps(part).encode()) for part in (header, claims))


_MALFORMATIONS: Final[tuple[Callable[[str, str], str], ...]] = (
    lambda text, signature: f"{text}.{signature}=",
    lambda text, signature: f"{text}{signature}",
    lambda text, signature: f"{text[:-8]}.{signature}",
    lambda text, signature: f"{text}.{signature[:-1]}",
    lambda text, signature: f"{signature}.{text}",
)
"""Padded, of two parts, half a set of claims, a signature cut off, parts in another order."""


def rsa_signer(issuer: str) -> Signer:
    """RS256 by a new key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
    numbers = key.public_key().public_numbers()
    public = {"kty": "RSA", "kid": "rsa-1", "n": _number(numbers.n), "e": _number(numbers.e)}

    def sign(text: bytes) -> bytes:
        return key.sign(text, padding.PKCS1v15(), hashes.SHA256())

    return Signer(issuer, "RS256", "rsa-1", sign, public)


def ec_signer(issuer: str) -> Signer:
    """ES256 by a new key."""
    key = ec.generate_private_key(ec.SECP256R1())
    numbers = key.public_key().public_numbers()
    x, y = (b64(value.to_bytes(32, "big")) for value in (numbers.x, numbers.y))
    public = {"kty": "EC", "crv": "P-256", "kid": "ec-1", "x": x, "y": y}

    def sign(text: bytes) -> bytes:
        pair = decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
        return b"".join(value.to_bytes(32, "big") for value in pair)

    return Signer(issuer, "ES256", "ec-1", sign, public)


def hmac_signer(issuer: str) -> tuple[Signer, str]:
    """HS256 by a new secret, and that."""
    secret = secrets.token_hex(_HMAC_BYTES)

    def sign(text: bytes) -> bytes:
        return hmac.digest(secret.encode(), text, "sha256")

    return Signer(issuer, "HS256", "hmac-1", sign), secret
