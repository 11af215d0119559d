"""Tokens as issuers make them, and as nobody should."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from functools import cache as once
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

NOW: Final = 1_700_000_000.0
ISSUER: Final = "https://id.example/acme"
AUDIENCE: Final = "fengling-api"


@once
def rsa_key(bits: int = 2048, number: int = 0) -> rsa.RSAPrivateKey:
    """One key of so many bits; another for another number."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@once
def ec_key(number: int = 0) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8 or 1, "big"))


def rsa_jwk(key: rsa.RSAPrivateKey | None = None, **fields: Any) -> dict[str, Any]:
    numbers = (key or rsa_key()).public_key().public_numbers()
    return with_fields({"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}, fields)


def ec_jwk(key: ec.EllipticCurvePrivateKey | None = None, **fields: Any) -> dict[str, Any]:
    numbers = (key or ec_key()).public_key().public_numbers()
    x, y = (b64(one.to_bytes(32, "big")) for one in (numbers.x, numbers.y))
    return with_fields({"kty": "EC", "crv": "P-256", "x": x, "y": y}, fields)


def with_fields(jwk: dict[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    merged = {"kid": "k1", "use": "sig", **jwk, **fields}
    return {name: value for name, value in merged.items() if value is not ...}


def claims(**changed: Any) -> dict[str, Any]:
    """Good claims, but for what is given; ``...`` leaves one out."""
    usual = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "ada",
        "iat": int(NOW),
        "exp": int(NOW) + 300,
        **changed,
    }
    return {name: value for name, value in usual.items() if value is not ...}


def token(
    body: Mapping[str, Any] | bytes | None = None,
    *,
    key: Any = None,
    algorithm: str = "RS256",
    **header: Any,
) -> bytes:
    """Sign claims; `key` is a private one, or the secret of an HMAC."""
    head = {"alg": algorithm, "typ": "JWT", "kid": "k1", **header}
    encoded_head = json.dumps({n: v for n, v in head.items() if v is not ...}).encode()
    payload = body if isinstance(body, bytes) else json.dumps(body or claims()).encode()
    return signed(encoded_head, payload, key)


def signed(header: bytes, payload: bytes, key: Any = None) -> bytes:
    """Sign these very bytes by whatever the key is for."""
    text = f"{b64(header)}.{b64(payload)}".encode()
    return text + b"." + b64(signature(text, rsa_key() if key is None else key)).encode()


def signature(text: bytes, key: Any) -> bytes:
    if isinstance(key, bytes):
        return hmac.digest(key, text, "sha256")
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(text, padding.PKCS1v15(), hashes.SHA256())
    r, s = decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")
