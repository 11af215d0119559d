"""Tokens of issuers: signature, algorithm, times, audience, and nothing by halves."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.auth.compact import TokenError, parse
from fengling_gateway.auth.issuer import Issuer, verify
from fengling_gateway.auth.jwt_transform import JwtTransform
from fengling_gateway.auth.principal import Principal
from fengling_gateway.model.issuers import CLAIMS
from fengling_gateway.model.key_sets import KeySet, VerifyingKey, hmac_key, read_key_set
from fengling_gateway.model.names import IDENTITY_HEADERS
from tests.support.forge import (
    AUDIENCE,
    ISSUER,
    NOW,
    b64,
    claims,
    ec_jwk,
    ec_key,
    rsa_jwk,
    rsa_key,
    signed,
    token,
)

SECRET = bytes(range(40, 72))
KEYS = read_key_set({"keys": [rsa_jwk(), ec_jwk(kid="e1")]}, ("RS256", "ES256"))


def issuer(keys: KeySet = KEYS, **changed: Any) -> Issuer:
    body = {
        "id": "acme",
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "algorithms": ["RS256", "ES256"],
        "leeway": 30.0,
        "max_lifetime": None,
        "required_claims": [],
        "claims": CLAIMS,
        "tenant_id": None,
        **changed,
    }
    return Issuer(body, keys, JwtTransform(IDENTITY_HEADERS, body.get("headers", {})))


def verified(raw: bytes, now: float = NOW, **changed: Any) -> Principal:
    one = issuer(**changed)
    return verify(parse(raw), {one.issuer: one}, now)


def refusal(raw: bytes, now: float = NOW, **changed: Any) -> str:
    with pytest.raises(TokenError) as caught:
        verified(raw, now, **changed)
    return caught.value.code


def test_token_says_who_asks() -> None:
    """Subject, tenant, roles and scopes; and until when."""
    raw = token(claims(tenant="blue", roles=["a", "b"], scope="read write", name="Ada"))
    who = verified(raw)
    assert (who.method, who.source, who.subject, who.tenant) == ("jwt", "acme", "ada", "blue")
    assert (who.name, who.roles, who.scopes) == ("Ada", {"a", "b"}, {"read", "write"})
    assert who.expires_at == NOW + 330
    assert dict(who.pairs) == {b"X-User-Id": b"ada", b"X-User-Name": b"Ada", b"X-Roles": b"a,b"}


def test_each_key_verifies_its_own() -> None:
    """Several kinds side by side."""
    assert verified(token(key=ec_key(), algorithm="ES256", kid="e1")).subject == "ada"
    assert verified(token(kid=...)).subject == "ada"
    assert refusal(token(key=rsa_key(number=1))) == "wrong_signature"
    assert refusal(token(kid="k9")) == "unknown_key"


def public(encoding: Encoding) -> bytes:
    return rsa_key().public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    "secret",
    [
        public(Encoding.PEM),
        public(Encoding.PEM).strip(),
        public(Encoding.DER),
        json.dumps(rsa_jwk()).encode(),
        json.dumps({"keys": [rsa_jwk()]}).encode(),
        b"\xef\xbb\xbf" + public(Encoding.PEM),
        b64(public(Encoding.DER)).encode(),
        b"",
    ],
)
@pytest.mark.parametrize("algorithms", [["RS256"], ["RS256", "HS256"]])
def test_public_key_signs_nothing(secret: bytes, algorithms: list[str]) -> None:
    """Not even where the issuer may use secrets, too (CVE-2022-29217)."""
    raw = token(key=secret, algorithm="HS256")
    assert refusal(raw, algorithms=algorithms) == "wrong_algorithm"


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "nOnE", "", "HS256", "RS384", "ES256", "PS256"]
)
def test_algorithm_is_the_keys(algorithm: str) -> None:
    """Whatever a token says of it (CVE-2026-48523)."""
    assert refusal(token(algorithm=algorithm)) == "wrong_algorithm"


@pytest.mark.parametrize("algorithm", [..., None, ["RS256"], {"alg": "RS256"}, 7, True])
def test_algorithm_is_one_text(algorithm: Any) -> None:
    """Missing, or a list."""
    assert refusal(token(alg=algorithm)) == "wrong_algorithm"


def test_allowed_algorithm_of_another_key_is_refused() -> None:
    """ES256 is allowed, and not with an RSA key."""
    assert refusal(token(key=ec_key(), algorithm="ES256")) == "wrong_algorithm"


@pytest.mark.parametrize("header", [{"crit": ["x"]}, {"crit": []}, {"b64": False}, {"b64": True}])
def test_extension_that_must_be_understood_is_refused(header: dict[str, Any]) -> None:
    """Since it isn't (CVE-2026-32597)."""
    assert refusal(token(**header)) == "malformed"


@pytest.mark.parametrize(
    "header",
    [
        {"jwk": rsa_jwk(rsa_key(number=1))},
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example/chain"},
        {"x5c": ["MIIB"]},
    ],
)
def test_key_inside_a_token_is_ignored(header: dict[str, Any]) -> None:
    """The issuer's keys are the ones that are configured."""
    assert verified(token(**header)).subject == "ada"
    assert refusal(token(key=rsa_key(number=1), **header)) == "wrong_signature"


@pytest.mark.parametrize("kid", ["../../dev/null", "' or 1=1 --", "\0", "k1 ", "K1", "x" * 4000])
def test_key_id_is_looked_up_and_nothing_else(kid: str) -> None:
    """It names no file and no row."""
    assert refusal(token(kid=kid)) in {"unknown_key", "malformed"}


def test_unknown_key_is_told_with_its_issuer() -> None:
    """Who has just published another may be asked for it; nobody is, for anything else."""
    for raw, owner in ((token(kid="k9"), "acme"), (token(claims(iss="x")), None)):
        with pytest.raises(TokenError) as caught:
            verified(raw)
        assert caught.value.issuer_id == owner


class Counting(VerifyingKey):
    """Counts how often it is asked for a signature."""

    asked = 0

    def verifies(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        Counting.asked += 1
        return False


@pytest.mark.parametrize(
    ("raw", "code", "asked"),
    [
        (token(), "wrong_signature", 1),
        (token(claims(exp=int(NOW) - 31)), "expired", 0),
        (token(claims(aud="other")), "wrong_claims", 0),
        (token(claims(nbf=int(NOW) + 31)), "not_yet_valid", 0),
        (token(kid="k9"), "unknown_key", 0),
        (token(algorithm="ES256"), "wrong_algorithm", 0),
    ],
)
def test_signature_is_judged_last(raw: bytes, code: str, asked: int) -> None:
    """It costs more than all the rest."""
    Counting.asked = 0
    keys = KeySet([Counting("k1", frozenset({"RS256"}), None)])
    assert refusal(raw, keys=keys) == code
    assert Counting.asked == asked


@pytest.mark.parametrize("kid", [7, ["k1"], {}, True])
def test_key_id_is_text(kid: Any) -> None:
    assert refusal(token(kid=kid)) == "malformed"


@pytest.mark.parametrize(
    "said",
    [
        "https://id.example",
        ISSUER + "/",
        ISSUER.upper(),
        ISSUER + " ",
        [ISSUER],
        None,
        ...,
        7,
        {},
        "",
    ],
)
def test_issuer_is_compared_to_the_letter(said: Any) -> None:
    """A prefix, a list or another case is somebody else (CVE-2024-53861)."""
    assert refusal(token(claims(iss=said))) == "unknown_issuer"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (AUDIENCE, None),
        (["other", AUDIENCE], None),
        ("other", "wrong_claims"),
        (["other"], "wrong_claims"),
        ([], "wrong_claims"),
        ([[AUDIENCE]], "wrong_claims"),
        (AUDIENCE + "x", "wrong_claims"),
        (AUDIENCE[:-1], "wrong_claims"),
        (None, "wrong_claims"),
        (..., "wrong_claims"),
        ({AUDIENCE: 1}, "wrong_claims"),
    ],
)
def test_audience_is_ours(said: Any, code: str | None) -> None:
    """One of those a token names, exactly."""
    raw = token(claims(aud=said))
    if code is None:
        assert verified(raw).subject == "ada"
    else:
        assert refusal(raw) == code


@pytest.mark.parametrize("said", [..., None, [NOW], "soon", str(NOW), True, -1, 2**53, 10**400, {}])
def test_every_token_ends(said: Any) -> None:
    """At a moment that is a number (GHSA-8wjv, GHSA-w6j9)."""
    assert refusal(token(claims(exp=said))) == "wrong_claims"


@pytest.mark.parametrize("said", [b"NaN", b"Infinity", b"1e400", b"-1e400", b"9" * 5000])
def test_end_is_a_number_that_json_has(said: bytes) -> None:
    """What readers of JSON disagree about is refused."""
    payload = json.dumps(claims(exp=...)).encode()[:-1] + b', "exp": ' + said + b"}"
    assert refusal(token(payload)) in {"wrong_claims", "malformed"}


def test_times_are_kept_with_the_leeway() -> None:
    """Clocks differ by as much as is configured, and no more."""
    raw = token(claims(exp=NOW + 60.5))
    assert verified(raw, NOW + 90.4).expires_at == NOW + 90.5
    assert refusal(raw, NOW + 90.5) == "expired"
    assert refusal(raw, NOW + 60.5, leeway=0.0) == "expired"
    for name in ("nbf", "iat"):
        later = token(claims(**{name: int(NOW) + 60}))
        assert refusal(later, NOW + 29) == "not_yet_valid"
        assert verified(later, NOW + 30).subject == "ada"
        assert refusal(token(claims(**{name: "x"}))) == "wrong_claims"


def test_clock_that_steps_back_brings_nothing_to_life() -> None:
    """An hour either way: what is too early or too late is refused by the clock as it is."""
    raw = token()
    assert refusal(raw, NOW + 3600) == "expired"
    assert refusal(raw, NOW - 3600) == "not_yet_valid"


def test_lifetime_is_bounded() -> None:
    """A token for ten years is refused where the issuer's may live for an hour."""
    hour = claims(exp=int(NOW) + 3600)
    assert verified(token(hour), max_lifetime=3600.0).subject == "ada"
    assert refusal(token({**hour, "exp": int(NOW) + 3601}), max_lifetime=3600.0) == "wrong_claims"
    assert refusal(token(claims(iat=...)), max_lifetime=3600.0) == "wrong_claims"


def test_required_claims_are_there() -> None:
    """At any depth; null is none."""
    required = ["email", "/app/plan"]
    good = claims(email="a@b.c", app={"plan": "x"})
    assert verified(token(good), required_claims=required).subject == "ada"
    for changed in ({"email": None}, {"email": ...}, {"app": {}}, {"app": "plan"}):
        raw = token(claims(**{"email": "a@b.c", "app": {"plan": "x"}, **changed}))
        assert refusal(raw, required_claims=required) == "wrong_claims"


def test_claims_have_the_names_that_are_configured() -> None:
    """As each issuer calls them."""
    names = {
        **CLAIMS,
        "roles": "/realm_access/roles",
        "tenant": "https://acme.example/org",
        "scopes": "scp",
    }
    raw = token(
        claims(
            **{
                "realm_access": {"roles": ["x", 7, ""]},
                "https://acme.example/org": "blue",
                "scp": ["r"],
            }
        )
    )
    who = verified(raw, claims=names)
    assert (who.roles, who.tenant, who.scopes) == ({"x"}, "blue", {"r"})


def test_issuer_of_a_tenant_speaks_for_it_alone() -> None:
    """Whatever its tokens claim."""
    assert verified(token(), tenant_id="blue").tenant == "blue"
    assert verified(token(claims(tenant="blue")), tenant_id="blue").tenant == "blue"
    assert refusal(token(claims(tenant="red")), tenant_id="blue") == "wrong_claims"
    for odd in (["blue"], {"id": "blue"}, 7, True, "a\r\nX-Roles: root", "a b", "é", "x" * 101):
        assert refusal(token(claims(tenant=odd))) == "wrong_claims"
    assert verified(token(claims(tenant=""))).tenant is None


def test_claim_that_fits_into_no_header_is_refused() -> None:
    """Rather than cut off."""
    assert refusal(token(claims(sub="x" * 4097))) == "wrong_claims"


def test_secret_that_is_shared_verifies() -> None:
    """Where the issuer has one, and only by HMAC."""
    keys = KeySet([hmac_key(SECRET, ("HS256",))])
    raw = token(key=SECRET, algorithm="HS256")
    assert verified(raw, keys=keys, algorithms=["HS256"]).subject == "ada"
    assert refusal(token(key=bytes(32), algorithm="HS256"), keys=keys, algorithms=["HS256"]) == (
        "wrong_signature"
    )
    assert refusal(token(), keys=keys, algorithms=["HS256", "RS256"]) == "wrong_algorithm"


GOOD = token()
HEAD, PAYLOAD, SIGNATURE = GOOD.split(b".")


@pytest.mark.parametrize(
    "raw",
    [
        GOOD + b"=",
        GOOD + b".",
        b"." + GOOD,
        GOOD + b"\n",
        b" " + GOOD,
        GOOD.replace(b".", b"..", 1),
        HEAD + b"=." + PAYLOAD + b"." + SIGNATURE,
        HEAD + b"." + PAYLOAD + b"=" * 4 + b"." + SIGNATURE,
        HEAD + b"." + PAYLOAD,
        HEAD + b"." + PAYLOAD + b".",
        HEAD + b".." + SIGNATURE,
        GOOD.replace(b"e", b"+", 1),
        GOOD.replace(b"e", b"/", 1),
        b"",
        b"..",
        b"A" * 1_000_000,
        GOOD + b"A" * 8192,
    ],
)
def test_token_has_one_spelling(raw: bytes) -> None:
    """Padding, other alphabets, white space, more dots (GHSA-hxm8)."""
    assert refusal(raw) == "malformed"


def test_bits_that_mean_nothing_are_zero() -> None:
    """Else there were several spellings of one signature."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = alphabet[alphabet.index(SIGNATURE[-1:]) ^ 1]
    assert refusal(GOOD[:-1] + bytes((other,))) == "malformed"


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 3000 + b"1" + b"}" * 3000,
        b"[]",
        b"null",
        b'"x"',
        b"\xff\xfe",
        b'{"iss": "a", "iss": "b"}',
        json.dumps(claims()).encode()[:-1] + b', "exp": 99999999999}',
        b'{"sub": "a\\u0000b"}',
    ],
)
def test_claims_are_read_strictly(payload: bytes) -> None:
    """Depth, other types, names that occur twice."""
    assert refusal(token(payload)) == "malformed"
    assert refusal(signed(payload, json.dumps(claims()).encode())) == "malformed"


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_without_a_fault(raw: bytes) -> None:
    """Whatever arrives, the answer is a `TokenError`."""
    assert refusal(raw)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
names = st.sampled_from(
    ["iss", "aud", "exp", "nbf", "iat", "sub", "tenant", "roles", "scope", "name"]
)


@given(st.dictionaries(names, json_values, max_size=4))
def test_any_claims_are_judged_without_a_fault(changed: dict[str, Any]) -> None:
    """Even if the issuer has signed them."""
    raw = token(claims(**changed), key=SECRET, algorithm="HS256")
    keys = KeySet([hmac_key(SECRET, ("HS256",))])
    try:
        who = verified(raw, keys=keys, algorithms=["HS256"])
    except TokenError:
        return
    assert who.expires_at > NOW
    for name, value in who.pairs:
        assert name.isascii()
        assert all(0x20 <= byte < 0x7F for byte in value)
