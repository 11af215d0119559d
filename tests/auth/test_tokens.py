"""Tokens for the management API: what is signed is believed, and nothing else."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.auth.compact import TokenError
from fengling_gateway.auth.tokens import TokenRing, unverified_claims
from fengling_gateway.model.management_tokens import ADMIN, READ, WRITE

NOW = 1_700_000_000.0
SECRET = bytes(range(32))
KEY = f"k1:{SECRET.hex()}"
NEW_KEY = f"k2:{SECRET[::-1].hex()}"


def issue(key: str = KEY, scopes: tuple[str, ...] = (READ,), seconds: float = 60) -> str:
    return TokenRing([key]).issue(
        subject="ops", scopes=scopes, now=NOW, lifetime_seconds=seconds, token_id="t1"
    )


def forge(claims: dict[str, Any] | None = None, **header: Any) -> str:
    """Sign with the right key what `TokenRing.issue` would not make."""
    usual = {
        "iss": "fengling-gateway",
        "aud": "fengling-management",
        "sub": "ops",
        "scope": READ,
        "exp": int(NOW) + 60,
        "jti": "t1",
    }
    merged = {**usual, **(claims or {})}
    body = {name: value for name, value in merged.items() if value is not ...}
    head = {"alg": "HS256", "typ": "JWT", "kid": "k1", **header}
    return signed(json.dumps(head).encode(), json.dumps(body).encode())


def signed(header: bytes, payload: bytes) -> str:
    text = f"{encoded(header)}.{encoded(payload)}"
    return f"{text}.{encoded(hmac.digest(SECRET, text.encode(), 'sha256'))}"


def encoded(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def refusal(token: str, now: float = NOW) -> str:
    with pytest.raises(TokenError) as caught:
        TokenRing([KEY]).verify(token, now=now)
    return caught.value.code


def test_an_issued_token_is_verified() -> None:
    """Subject, scopes and expiry come back."""
    principal = TokenRing([KEY]).verify(issue(scopes=(WRITE,)), now=NOW)
    assert (principal.subject, principal.source, principal.token_id) == ("ops", "token k1", "t1")
    assert principal.expires_at == NOW + 60


def test_a_scope_allows_what_it_includes() -> None:
    """Admin may write, who writes may read, who reads may only that."""
    ring = TokenRing([KEY])
    allowed = {
        scope: [one for one in (READ, WRITE, ADMIN) if ring.verify(token, now=NOW).may(one)]
        for scope, token in ((scope, issue(scopes=(scope,))) for scope in (READ, WRITE, ADMIN))
    }
    assert allowed == {READ: [READ], WRITE: [READ, WRITE], ADMIN: [READ, WRITE, ADMIN]}


def test_a_key_is_rotated_without_a_gap() -> None:
    """The new key signs, the old one verifies until it is dropped."""
    old = issue()
    both = TokenRing([NEW_KEY, KEY])
    assert both.verify(old, now=NOW).source == "token k1"
    assert both.verify(issue(NEW_KEY), now=NOW).source == "token k2"
    with pytest.raises(TokenError, match="unknown_key"):
        TokenRing([NEW_KEY]).verify(old, now=NOW)


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (issue(f"k1:{SECRET[::-1].hex()}"), "wrong_signature"),
        (issue()[:-4] + "AAAA", "wrong_signature"),
        (issue() + "=", "malformed"),
        (" " + issue(), "malformed"),
        (issue() + ".", "malformed"),
        (issue().replace(".", "..", 1), "malformed"),
        ("a.b.c", "malformed"),
        ("", "malformed"),
        ("A" * 5000, "malformed"),
        ("e30.e30.e30", "malformed"),
        (forge(alg="HS512"), "malformed"),
        (forge(alg="none"), "malformed"),
        (forge(crit=["x"]), "malformed"),
        (forge(jku="http://evil.example/keys"), "malformed"),
        (forge(jwk={"kty": "oct"}), "malformed"),
        (forge(kid="../../dev/null"), "unknown_key"),
        (forge(kid=""), "unknown_key"),
        (forge({"iss": "fengling"}), "wrong_claims"),
        (forge({"aud": "fengling-console"}), "wrong_claims"),
        (forge({"aud": ["fengling-console"]}), "wrong_claims"),
        (forge({"exp": ...}), "wrong_claims"),
        (forge({"exp": "never"}), "wrong_claims"),
        (forge({"exp": True}), "wrong_claims"),
        (forge({"exp": NOW + 60}), "wrong_claims"),
        (forge({"exp": [NOW]}), "wrong_claims"),
        (forge({"sub": ""}), "wrong_claims"),
        (forge({"sub": "a\nb"}), "wrong_claims"),
        (forge({"scope": ...}), "wrong_claims"),
        (forge({"scope": ""}), "wrong_claims"),
        (forge({"scope": "gateway:everything"}), "wrong_claims"),
        (forge({"scope": [READ]}), "wrong_claims"),
        (forge({"jti": None}), "wrong_claims"),
        (forge({"jti": "a b"}), "wrong_claims"),
        (forge({"name": ["ada"]}), "wrong_claims"),
        (forge({"name": "a\nb"}), "wrong_claims"),
        (forge({"tenants": None}), "wrong_claims"),
        (forge({"tenants": []}), "wrong_claims"),
        (forge({"tenants": "acme"}), "wrong_claims"),
        (forge({"tenants": ["acme", 7]}), "wrong_claims"),
        (forge({"tenants": {"acme": True}}), "wrong_claims"),
        (forge({"nbf": int(NOW) + 31}), "not_yet_valid"),
        (forge({"nbf": "now"}), "wrong_claims"),
    ],
)
def test_a_token_that_is_not_ours_is_refused(token: str, code: str) -> None:
    """Each with the code that the counters show."""
    assert refusal(token) == code


def test_a_token_ends_on_time() -> None:
    """To the second, with no leeway; a sender's clock may be ahead by half a minute."""
    token = issue(seconds=60)
    TokenRing([KEY]).verify(token, now=NOW + 59)
    assert refusal(token, now=NOW + 60) == "expired"
    TokenRing([KEY]).verify(forge({"nbf": int(NOW) + 30}), now=NOW)


def test_a_second_spelling_of_a_token_is_refused() -> None:
    """Bits at the end of a part that mean nothing must be zero."""
    header, payload, signature = issue().split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = alphabet[alphabet.index(signature[-1]) ^ 1]
    assert base64.urlsafe_b64decode(signature + "=") == base64.urlsafe_b64decode(
        signature[:-1] + other + "="
    )
    assert refusal(f"{header}.{payload}.{signature[:-1]}{other}") == "malformed"


@pytest.mark.parametrize(
    "header",
    [
        b'{"alg":"HS256","kid":"k1","alg":"none"}',
        b'{"alg":"HS256","kid":"k1"' + b"," * 100,
        b"[" * 2000,
        b'{"alg":["HS256"],"kid":"k1"}',
        b'{"alg":"HS256","kid":1}',
        b'"HS256"',
        b"null",
        b"\xff",
    ],
)
def test_a_header_that_is_odd_is_refused(header: bytes) -> None:
    """Duplicate names, depth, other types: no exception but `TokenError`."""
    assert refusal(signed(header, b"{}")) in {"malformed", "unknown_key"}


@given(st.text(max_size=200))
def test_any_text_is_refused_without_a_fault(text: str) -> None:
    """Whatever arrives, the answer is a `TokenError`."""
    assert refusal(text)


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text() | st.none(), max_size=4))
def test_any_signed_claims_are_judged_without_a_fault(claims: dict[str, Any]) -> None:
    """Even what our own key has signed."""
    token = signed(b'{"alg":"HS256","kid":"k1"}', json.dumps(claims).encode())
    assert refusal(token) in {"wrong_claims", "malformed"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"scopes": ()},
        {"scopes": ("all",)},
        {"subject": ""},
        {"subject": "a\x00"},
        {"lifetime_seconds": 0},
        {"lifetime_seconds": 10**9},
    ],
)
def test_a_senseless_token_is_not_issued(wrong: dict[str, Any]) -> None:
    """No scopes, no subject, no end."""
    usual = {"subject": "ops", "scopes": (READ,), "lifetime_seconds": 60}
    with pytest.raises(ValueError, match=r"a token|scopes"):
        TokenRing([KEY]).issue(**{**usual, **wrong}, now=NOW, token_id="t1")


def test_claims_can_be_looked_at_without_a_key() -> None:
    """For people; nothing is believed."""
    shown = unverified_claims(issue())
    assert (shown["header"]["kid"], shown["claims"]["sub"]) == ("k1", "ops")
    assert json.dumps(shown)
    with pytest.raises(TokenError):
        unverified_claims("abc")


def test_a_ring_shows_ids_only() -> None:
    """No secret in a representation."""
    assert repr(TokenRing([KEY])) == "<TokenRing k1>"


def test_a_token_has_a_name_and_tenants() -> None:
    """As it was made; without tenants it is for all."""
    terms: dict[str, Any] = {"subject": "ops", "scopes": [READ], "now": NOW}
    ring = TokenRing([KEY])
    token = ring.issue(
        **terms, lifetime_seconds=60, token_id="t1", name="of ci", tenants=["b", "a", "b"]
    )
    operator = ring.verify(token, now=NOW)
    assert (operator.name, operator.tenants, operator.role) == ("of ci", {"a", "b"}, "viewer")
    assert unverified_claims(token)["claims"]["tenants"] == ["a", "b"]
    assert ring.verify(issue(), now=NOW).tenants is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"tenants": []},
        {"tenants": ["a b"]},
        {"tenants": [f"t{number}" for number in range(51)]},
        {"tenants": [f"t{number}".ljust(100, "x") for number in range(50)]},
        {"name": "x" * 201},
        {"name": "a\nb"},
    ],
)
def test_a_token_that_nobody_would_take_is_not_made(wrong: dict[str, Any]) -> None:
    """Tenants that can't be any, too many of them, a name of several lines."""
    with pytest.raises(ValueError, match="token"):
        TokenRing([KEY]).issue(
            subject="ops", scopes=[READ], now=NOW, lifetime_seconds=60, token_id="t1", **wrong
        )
