"""
Keys that verify tokens (RFC 7517), each bound to the algorithms that it is for.

What a token says of its algorithm only has to agree with the key: so no public
key is ever taken for the secret of an HMAC, and none for another kind of
signature than it was published for.

The library that verifies is loaded with the first key: a configuration without
issuers never waits for it.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from math import prod
from typing import Any, Final

MAX_KEYS: Final = 100
"""In a set. The largest issuers have a dozen."""

MAX_TRIED: Final = 4
"""Keys tried for a token that names none: more would be work for whoever asks for it."""

MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192
"""Verifying with more takes long, and whoever publishes the key decides how long."""

MAX_EXPONENT_BITS: Final = 64
"""For the same reason: 65537 has 17, and one of 3072 takes a hundred times as long."""

HMAC_BYTES: Final = {"HS256": 32, "HS384": 48, "HS512": 64}
"""The least that a secret must have: as much as the digest (RFC 7518, section 3.2)."""

ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
    *HMAC_BYTES,
)
"""All that can be configured. ``none`` is not among them."""

_FITTING: Final[Mapping[tuple[str, str | None], frozenset[str]]] = {
    ("RSA", None): frozenset(ALGORITHMS[:6]),
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
    ("OKP", "Ed448"): frozenset({"EdDSA"}),
}

_PRIVATE: Final = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))
"""
What only a private key, or a secret, has (RFC 7518, section 6).

Of RSA, any one of them is enough to forge.
"""

_MAX_NUMBER_TEXT: Final = MAX_RSA_BITS // 6 + 8
"""Characters of a base64url number that is not even decoded if it is longer."""


class KeyRefusedError(ValueError):
    """A key can't be used, and why. The message repeats nothing of it."""


class VerifyingKey:
    """
    One key, and what it verifies.

    Attributes:
        id: the ``kid`` that tokens name it by; None if it has none.
        algorithms: that it may be used for.
    """

    __slots__ = ("_key", "algorithms", "id")

    def __init__(self, key_id: str | None, algorithms: frozenset[str], key: Any) -> None:
        self.id = key_id
        self.algorithms = algorithms
        self._key = key

    def __repr__(self) -> str:
        return f"<VerifyingKey {self.id} {'/'.join(sorted(self.algorithms))}>"

    def verifies(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """Whether this key has signed it, by one of its own algorithms."""
        if algorithm not in self.algorithms:
            return False
        return bool(_verifiers()[algorithm].verify(signed, self._key, signature))


class KeySet:
    """
    The keys of an issuer. Immutable.

    Attributes:
        refused: keys that were not taken, by their place or id, and why.
    """

    __slots__ = ("_by_id", "_keys", "refused")

    def __init__(self, keys: Iterable[VerifyingKey], refused: Mapping[str, str] = {}) -> None:
        self._keys = tuple(keys)
        by_id: dict[str | None, tuple[VerifyingKey, ...]] = {}
        for key in self._keys:
            by_id[key.id] = (*by_id.get(key.id, ()), key)
        self._by_id = by_id
        self.refused = dict(refused)

    def __repr__(self) -> str:
        return f"<KeySet of {len(self._keys)}, {len(self.refused)} refused>"

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, key_id: str | None) -> tuple[VerifyingKey, ...]:
        """
        Return the keys to try for a token; none if nobody knows which.

        Args:
            key_id: that the token names. One that the set doesn't know may still
                be of a key without an id.
        """
        if key_id is None:
            return self._keys if len(self._keys) <= MAX_TRIED else ()
        named = self._by_id.get(key_id)
        return (named or self._by_id.get(None, ()))[:MAX_TRIED]


def read_key_set(document: Any, allowed: Collection[str]) -> KeySet:
    """
    Make a key set of a JWK Set (RFC 7517, section 5).

    A key that can't be used is left out and named; secrets (``oct``) always
    are: a set is published.

    Args:
        document: the JSON.
        allowed: algorithms that the issuer may use.

    Raises:
        KeyRefusedError: it is no key set, or has too many keys.
    """
    found = document.get("keys") if type(document) is dict else None
    if type(found) is not list:
        raise KeyRefusedError('is no key set: it has no list "keys"')
    if len(found) > MAX_KEYS:
        raise KeyRefusedError(f"has {len(found)} keys, and may have {MAX_KEYS}")
    keys: list[VerifyingKey] = []
    refused: dict[str, str] = {}
    for place, jwk in enumerate(found):
        try:
            keys.append(read_key(jwk, allowed))
        except KeyRefusedError as error:
            refused[_label(jwk, place)] = str(error)
    return KeySet(keys, refused)


def read_key(jwk: Any, allowed: Collection[str]) -> VerifyingKey:
    """
    Make a key of a public JWK.

    Raises:
        KeyRefusedError: it is none, not for signatures, weak, or of no allowed algorithm.
    """
    if type(jwk) is not dict:
        raise KeyRefusedError("is no object")
    fitting = _fitting(jwk.get("kty"), jwk.get("crv"))
    if fitting is None:
        raise KeyRefusedError("is of a kind that verifies no token in public")
    if not _PRIVATE.isdisjoint(jwk):
        raise KeyRefusedError("is a private key: publish only what belongs to the public")
    operations = jwk.get("key_ops")
    is_for_verifying = operations is None or (type(operations) is list and "verify" in operations)
    if jwk.get("use", "sig") != "sig" or not is_for_verifying:
        raise KeyRefusedError("is not for signatures")
    own = jwk.get("alg")
    usable = frozenset(one for one in fitting if one in allowed and (own is None or own == one))
    if not usable:
        raise KeyRefusedError("is for none of the algorithms that the issuer may use")
    key_id = jwk.get("kid")
    if not (key_id is None or (type(key_id) is str and len(key_id) <= 1000)):
        raise KeyRefusedError('has a "kid" that is no text')
    return VerifyingKey(key_id, usable, _public_key(jwk, min(usable)))


def _fitting(kind: Any, curve: Any) -> frozenset[str] | None:
    for known, algorithms in _FITTING.items():
        if kind == known[0] and known[1] in {None, curve if type(curve) is str else None}:
            return algorithms
    return None


def hmac_key(secret: bytes, algorithms: Collection[str]) -> VerifyingKey:
    """
    Make a key of a secret that an issuer shares with us.

    Raises:
        KeyRefusedError: it is too short, or a key of another kind, which is no secret.
    """
    from jwt.exceptions import PyJWTError

    usable = frozenset(algorithms) & HMAC_BYTES.keys()
    least = max(HMAC_BYTES[one] for one in usable)
    if len(secret) < least:
        raise KeyRefusedError(f"has {len(secret)} bytes, and needs {least}")
    for form in _spellings(secret):
        try:
            _verifiers()["HS256"].prepare_key(form)
        except PyJWTError:
            raise KeyRefusedError(
                "is a key of two halves or a certificate, of which one half is known to anybody"
            ) from None
    return VerifyingKey(None, usable, secret)


@cache
def _verifiers() -> Any:
    from jwt.algorithms import get_default_algorithms

    return get_default_algorithms()


def _spellings(secret: bytes) -> Iterable[bytes]:
    """Yield a secret as it is, and what it is without the wrapping of another key."""
    bare = secret.strip().removeprefix(b"\xef\xbb\xbf").strip()
    yield from (secret, bare)
    for decode in (base64.standard_b64decode, base64.urlsafe_b64decode):
        try:
            inner = decode(bare + b"=" * (-len(bare) % 4))
        except ValueError:
            continue
        if inner:
            yield inner


def _public_key(jwk: dict[str, Any], algorithm: str) -> Any:
    from jwt.exceptions import PyJWTError

    for name in ("n", "e", "x", "y"):
        number = jwk.get(name)
        if number is not None and (type(number) is not str or len(number) > _MAX_NUMBER_TEXT):
            raise KeyRefusedError(f'has a "{name}" that is too large, or no text')
    try:
        key = _verifiers()[algorithm].from_jwk(jwk)
    except (PyJWTError, ValueError, TypeError, LookupError):
        raise KeyRefusedError(f"is not well formed for {algorithm}") from None
    if jwk["kty"] == "RSA":
        _require_strong(key.public_numbers().n, key.public_numbers().e)
    elif jwk["kty"] == "OKP" and _is_of_small_order(key.public_bytes_raw()):
        raise KeyRefusedError("is a point of small order, for which anybody can sign")
    return key


def _require_strong(modulus: int, exponent: int) -> None:
    bits = modulus.bit_length()
    if not MIN_RSA_BITS <= bits <= MAX_RSA_BITS:
        raise KeyRefusedError(f"has {bits} bits, and needs {MIN_RSA_BITS} to {MAX_RSA_BITS}")
    if exponent.bit_length() > MAX_EXPONENT_BITS:
        raise KeyRefusedError(f"has an exponent of more than {MAX_EXPONENT_BITS} bits")
    if exponent < 3 or not exponent & 1:
        raise KeyRefusedError(f"has the exponent {exponent}")
    if _is_of_roca(modulus):
        raise KeyRefusedError("was made by a chip whose keys can be computed (CVE-2017-15361)")


_ORDER_OF_8: Final = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_CURVES: Final = {
    32: ((1 << 255) - 19, frozenset((0, 1, -1, _ORDER_OF_8, -_ORDER_OF_8))),
    57: ((1 << 448) - (1 << 224) - 1, frozenset((0, 1, -1))),
}
"""Of Ed25519 and Ed448, by the bytes of a key: the prime, and where points of small order are."""


def _is_of_small_order(point: bytes) -> bool:
    """Whether a few signatures, known to everybody, verify any text by it."""
    prime, places = _CURVES[len(point)]
    # (The bits above are the sign of the other coordinate. There may be a prime too much.)
    place = int.from_bytes(point, "little") & ((1 << prime.bit_length()) - 1)
    return any((place - one) % prime == 0 for one in places)


_ROCA_PRIMES: Final = (*range(3, 168, 2),)


def _residues() -> dict[int, frozenset[int]]:
    """
    Return, for small primes, what a modulus of CVE-2017-15361 may leave.

    Both of its factors are ``k·M + 65537^a mod M``, with M the product of the
    first primes: so it is itself a power of 65537 modulo each of them. A modulus
    of another origin is so by chance once in 10^8.
    """
    primes = [one for one in _ROCA_PRIMES if all(one % low for low in range(2, one))]
    found = {}
    for prime in primes:
        powers, power = set(), 1
        while power not in powers:
            powers.add(power)
            power = power * 65537 % prime
        found[prime] = frozenset(powers)
    return {prime: powers for prime, powers in found.items() if len(powers) < prime - 1}


_ROCA: Final = _residues()
_ROCA_PRODUCT: Final = prod(_ROCA)


def _is_of_roca(modulus: int) -> bool:
    rest = modulus % _ROCA_PRODUCT
    return all(rest % prime in powers for prime, powers in _ROCA.items())


def _label(jwk: Any, place: int) -> str:
    key_id = jwk.get("kid") if type(jwk) is dict else None
    if type(key_id) is str and key_id.isprintable() and len(key_id) <= 100:
        return key_id
    return f"keys[{place}]"
