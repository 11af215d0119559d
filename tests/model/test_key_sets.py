"""Keys of issuers: each for its own algorithms, and none that is weak."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fengling_gateway.model.key_sets import (
    KeyRefusedError,
    KeySet,
    hmac_key,
    read_key,
    read_key_set,
)
from tests.support.forge import b64, ec_jwk, number, rsa_jwk, rsa_key, signature

RS = ("RS256", "ES256")


def refusal(jwk: Any, allowed: tuple[str, ...] = RS) -> str:
    with pytest.raises(KeyRefusedError) as caught:
        read_key(jwk, allowed)
    return str(caught.value)


def test_key_verifies_what_it_has_signed() -> None:
    """And nothing else."""
    key = read_key(rsa_jwk(), RS)
    assert key.verifies("RS256", b"text", signature(b"text", rsa_key()))
    assert not key.verifies("RS256", b"other", signature(b"text", rsa_key()))
    assert not key.verifies("RS256", b"text", b"")


def test_key_is_for_its_own_algorithms() -> None:
    """Of those that the issuer may use: all that fit, or the one that the key says."""
    assert read_key(rsa_jwk(), ("RS256", "PS256", "ES256")).algorithms == {"RS256", "PS256"}
    assert read_key(rsa_jwk(alg="PS256"), ("RS256", "PS256")).algorithms == {"PS256"}
    assert read_key(ec_jwk(), RS).algorithms == {"ES256"}
    key = read_key(rsa_jwk(alg="PS256"), ("RS256", "PS256"))
    assert not key.verifies("RS256", b"text", signature(b"text", rsa_key()))
    assert not key.verifies("HS256", b"text", b"")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"use": "enc"}, "not for signatures"),
        ({"key_ops": ["encrypt"]}, "not for signatures"),
        ({"key_ops": "verify"}, "not for signatures"),
        ({"alg": "ES256"}, "none of the algorithms"),
        ({"alg": "RS512"}, "none of the algorithms"),
        ({"alg": "none"}, "none of the algorithms"),
        ({"alg": ["RS256"]}, "none of the algorithms"),
        ({"kty": "oct", "k": b64(b"x" * 32)}, "verifies no token in public"),
        ({"kty": "RSA1"}, "verifies no token in public"),
        ({"kty": ["RSA"]}, "verifies no token in public"),
        ({"d": "AQAB"}, "private key"),
        ({"p": "AQAB"}, "private key"),
        ({"oth": []}, "private key"),
        ({"kid": 7}, "kid"),
        ({"n": ...}, "not well formed"),
        ({"n": 17}, "too large, or no text"),
        ({"n": "A" * 100_000}, "too large"),
        ({"n": "!"}, "not well formed"),
        ({"e": number(1)}, "exponent 1"),
        ({"e": number(4)}, "not well formed"),
        ({"e": number((1 << 64) + 1)}, "exponent of more than 64 bits"),
    ],
)
def test_key_that_is_not_for_this_is_refused(fields: dict[str, Any], why: str) -> None:
    """With a reason that repeats nothing of it."""
    said = refusal(rsa_jwk(**fields))
    assert why in said or (why == "exponent 1" and "not well formed" in said)


@pytest.mark.parametrize("bits", [1024, 2047])
def test_short_key_is_refused(bits: int) -> None:
    """A key of fewer than 2048 bits is somebody else's, too."""
    assert f"{bits} bits" in refusal(rsa_jwk(n=number((1 << bits) - 1)))


def test_long_key_is_refused() -> None:
    """How long verifying takes is not the issuer's to decide."""
    assert "8193 bits" in refusal(rsa_jwk(n=number((1 << 8193) - 1)))


def test_key_that_can_be_computed_is_refused() -> None:
    """Its modulus has the form that the library of CVE-2017-15361 gave it."""
    primorial = 1
    for prime in (one for one in range(2, 702) if all(one % low for low in range(2, one))):
        primorial *= prime
    half = (1 << 1023) // primorial
    p, q = (
        (half + grown) * primorial + pow(65537, power, primorial)
        for grown, power in ((12345, 77), (6789, 1001))
    )
    jwk = rsa_jwk(n=number(p * q))
    assert 2046 <= (p * q).bit_length() <= 2050
    if (p * q).bit_length() >= 2048:
        assert "CVE-2017-15361" in refusal(jwk)
    read_key(rsa_jwk(), RS)


@pytest.mark.parametrize(
    "point",
    [
        b"\1" + bytes(31),
        bytes(32),
        bytes(31) + b"\x80",
        bytes.fromhex("ec" + "ff" * 30 + "7f"),
        bytes.fromhex("ed" + "ff" * 30 + "7f"),
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
        b"\1" + bytes(56),
        bytes(57),
    ],
    ids=bytes.hex,
)
def test_point_for_which_anybody_can_sign_is_refused(point: bytes) -> None:
    """By the first of them, ``01 00…`` is the signature of every text."""
    curve = "Ed25519" if len(point) == 32 else "Ed448"
    jwk = {"kty": "OKP", "crv": curve, "x": b64(point)}
    with pytest.raises(KeyRefusedError, match=r"small order|not well formed"):
        read_key(jwk, {"EdDSA"})


def test_off_curve_point_is_refused() -> None:
    """A point that is on no curve verifies nothing."""
    assert "not well formed" in refusal(ec_jwk(y=b64(b"\1" * 32)))
    assert "not well formed" in refusal(ec_jwk(x=b64(b"\1" * 31)))


def test_set_takes_what_it_can() -> None:
    """One bad key refuses itself only, and is named."""
    keys = read_key_set(
        {"keys": [rsa_jwk(), ec_jwk(kid="k2"), rsa_jwk(kid="k3", use="enc"), 7]}, RS
    )
    assert len(keys) == 2
    assert set(keys.refused) == {"k3", "keys[3]"}
    assert [key.id for key in keys.find("k2")] == ["k2"]
    assert keys.find("k3") == ()


@pytest.mark.parametrize("document", [None, [], {}, {"keys": {}}, {"keys": [{}] * 101}])
def test_what_is_no_set_is_refused(document: Any) -> None:
    """Instead of being an empty one."""
    with pytest.raises(KeyRefusedError):
        read_key_set(document, RS)


def test_few_keys_are_tried_for_a_token_that_names_none() -> None:
    """Where there are many, a token has to say which."""
    few = read_key_set({"keys": [rsa_jwk(kid=f"k{one}") for one in range(4)]}, RS)
    many = read_key_set({"keys": [rsa_jwk(kid=f"k{one}") for one in range(5)]}, RS)
    assert len(few.find(None)) == 4
    assert many.find(None) == ()


def test_keys_of_one_name_are_all_tried() -> None:
    """An issuer may give two keys one id; more than a few are not tried."""
    keys = read_key_set({"keys": [rsa_jwk(), ec_jwk()] * 5}, RS)
    assert len(keys.find("k1")) == 4


def test_key_without_name_is_found_for_any() -> None:
    """Some issuers have one key, and name it in tokens only."""
    keys = read_key_set({"keys": [rsa_jwk(kid=...)]}, RS)
    assert len(keys.find("whatever")) == 1


def test_secret_verifies_by_hmac() -> None:
    """If it is long enough."""
    secret = bytes(range(32))
    key = hmac_key(secret, ("HS256",))
    assert key.verifies("HS256", b"text", signature(b"text", secret))
    assert not key.verifies("RS256", b"text", signature(b"text", secret))
    with pytest.raises(KeyRefusedError, match="31 bytes, and needs 32"):
        hmac_key(secret[:31], ("HS256",))
    with pytest.raises(KeyRefusedError, match="32 bytes, and needs 64"):
        hmac_key(secret, ("HS256", "HS512"))


def public(encoding: Encoding) -> bytes:
    return rsa_key().public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    "material",
    [
        public(Encoding.PEM),
        b"\xef\xbb\xbf" + public(Encoding.PEM),
        b"\n  " + public(Encoding.PEM),
        public(Encoding.DER),
        base64.b64encode(public(Encoding.DER)),
        base64.b64encode(public(Encoding.PEM)),
        base64.urlsafe_b64encode(public(Encoding.PEM)).rstrip(b"="),
        json.dumps(rsa_jwk()).encode(),
        json.dumps({"keys": [rsa_jwk()]}).encode(),
        b"\xef\xbb\xbf" + json.dumps({"keys": [rsa_jwk()]}).encode(),
        base64.b64encode(json.dumps(rsa_jwk()).encode()),
        rsa_key().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
    ],
)
def test_public_key_is_no_secret(material: bytes) -> None:
    """However it is wrapped: whoever knows it could sign."""
    with pytest.raises(KeyRefusedError, match="known to anybody"):
        hmac_key(material, ("HS256",))


def test_keys_stay_out_of_representations() -> None:
    """A secret is in no log."""
    key = hmac_key(b"s3cr3t" * 8, ("HS256",))
    assert "s3cr3t" not in repr(key) + repr(KeySet([key]))


def test_private_key_object_is_not_kept() -> None:
    """What verifies can't sign."""
    assert not isinstance(read_key(rsa_jwk(), RS)._key, rsa.RSAPrivateKey)
