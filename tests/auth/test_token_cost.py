"""
What is done for a token: dear things rarely, and nothing dear for what is refused anyway.

How long it takes is measured by ``scripts/bench policy``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest

from fengling_gateway.auth import compact, strict_json
from fengling_gateway.auth.compact import MAX_TOKEN_BYTES, TokenError
from fengling_gateway.auth.token_cache import TokenCache
from fengling_gateway.model.key_sets import KeySet, VerifyingKey, hmac_key, read_key_set
from tests.auth.test_issuer import issuer
from tests.support.forge import (
    ISSUER,
    NOW,
    claims,
    ec_jwk,
    ec_key,
    rsa_jwk,
    rsa_key,
    signed,
    token,
)

SECRET = bytes(range(40, 72))
HMAC = "https://hmac.example"


class Work:
    """
    What has been done for tokens.

    Attributes:
        signatures: how many were computed.
        texts: the JSON that was read.
    """

    def __init__(self) -> None:
        self.signatures = 0
        self.texts: list[str] = []
        self.tokens = TokenCache()
        shared = KeySet([hmac_key(SECRET, ["HS256"])])
        self.tokens.issuers = {
            ISSUER: issuer(),
            HMAC: issuer(shared, issuer=HMAC, algorithms=["HS256"]),
        }

    def look(self, raw: bytes) -> str:
        try:
            return self.tokens.verify(raw, NOW).subject
        except TokenError as error:
            return error.code


@pytest.fixture
def work() -> Iterator[Work]:
    """Count, with nothing known of any token's header."""
    found = Work()
    verifies, loads = VerifyingKey.verifies, json.loads

    def counted_verifies(key: VerifyingKey, *given: Any) -> bool:
        found.signatures += 1
        return verifies(key, *given)

    def counted_loads(text: str, **how: Any) -> Any:
        found.texts.append(text)
        return loads(text, **how)

    compact._header.cache_clear()
    with (
        patch.object(VerifyingKey, "verifies", counted_verifies),
        patch.object(strict_json.json, "loads", counted_loads),
    ):
        yield found


def many(**more: object) -> list[dict[str, object]]:
    roles = [f"role-{one}" for one in range(10)]
    return [claims(jti=f"t{turn}", roles=roles, scope="read write", **more) for turn in range(20)]


@pytest.mark.parametrize(
    "raws",
    [
        [token(one) for one in many()],
        [token(one, key=SECRET, algorithm="HS256") for one in many(iss=HMAC)],
        [token(one, key=ec_key(), algorithm="ES256", kid="e1") for one in many()],
    ],
)
def test_token_is_verified_once(work: Work, raws: list[bytes]) -> None:
    """One signature and its claims for each; the header that all of a key have is read once."""
    for _ in range(3):
        assert {work.look(raw) for raw in raws} == {"ada"}
    assert work.signatures == work.tokens.verified == len(raws)
    assert len(work.texts) == len(raws) + 1


@pytest.mark.parametrize(
    ("raws", "code"),
    [
        ([token(one, kid="k9") for one in many()], "unknown_key"),
        ([token(one, algorithm="RS512") for one in many()], "wrong_algorithm"),
        ([token(one) for one in many(exp=int(NOW) - 100)], "expired"),
        ([token(one) for one in many(nbf=int(NOW) + 100)], "not_yet_valid"),
        ([token(one) for one in many(aud="others")], "wrong_claims"),
        ([token(one) for one in many(iss="https://other.example")], "unknown_issuer"),
        ([b"garbage-%d" % turn for turn in range(20)], "malformed"),
    ],
)
def test_what_is_refused_anyway_costs_no_signature(
    work: Work, raws: list[bytes], code: str
) -> None:
    """So that two thousand a second leave most of a worker to others."""
    assert {work.look(raw) for raw in raws} == {code}
    assert work.signatures == 0


def test_forged_token_costs_one_signature(work: Work) -> None:
    """However often it comes, and however many keys its issuer has."""
    keys = {"keys": [*(rsa_jwk(kid=f"k{turn}") for turn in range(20)), ec_jwk(kid="e1")]}
    work.tokens.issuers = {ISSUER: issuer(read_key_set(keys, ("RS256", "ES256")))}
    raw = token(key=rsa_key(number=1))
    assert {work.look(raw) for _ in range(3)} == {"wrong_signature"}
    assert (work.signatures, work.tokens.verified) == (1, 1)


DEEP = b"[" * 10_000 + b"]" * 10_000
OBJECTS = b'{"a":' * 10_000 + b"1" + b"}" * 10_000
GOOD = json.dumps({"alg": "RS256", "kid": "k1"}).encode()


@pytest.mark.parametrize(
    "raw",
    [
        signed(DEEP, b"{}"),
        signed(GOOD, DEEP),
        signed(OBJECTS, b"{}"),
        signed(GOOD, OBJECTS),
        signed(GOOD, json.dumps(claims(pad="x" * 1_000_000)).encode()),
        b"." * 8000,
        b"a" * 8000,
        b"A." * 4000,
    ],
)
def test_hostile_token_is_not_even_read(work: Work, raw: bytes) -> None:
    """What is too long or no token at all."""
    assert work.look(raw) == "malformed"
    assert not work.texts


@pytest.mark.parametrize(
    "claims_text",
    [
        b'{"a":' * 900 + b"1" + b"}" * 900,
        b"[" * 2000 + b"]" * 2000,
        b'{"a": "\\u0000"}',
    ],
)
def test_nesting_is_seen_before_it_is_read(work: Work, claims_text: bytes) -> None:
    """A parser that recurses never gets it."""
    raw = signed(GOOD, claims_text)
    assert len(raw) <= MAX_TOKEN_BYTES
    assert work.look(raw) == "malformed"
    assert work.texts == [GOOD.decode()]


@pytest.mark.parametrize(
    "claims_text",
    [
        b'{"exp": ' + b"9" * 5000 + b"}",
        b'{"a": 1, "a": 1}',
        b'{"a": "' + b"\\\\" * 2500 + b'"}x',
    ],
)
def test_odd_claims_cost_no_signature(work: Work, claims_text: bytes) -> None:
    """Numbers that can't be, names that occur twice, and what is behind the end."""
    assert work.look(signed(GOOD, claims_text)) == "malformed"
    assert work.signatures == 0
