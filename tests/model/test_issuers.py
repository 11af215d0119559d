"""What issuers, clients and API keys are accepted, and what is said of others."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest

from fengling_gateway.model.clients import split_key
from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Accepted, Rejected, validate
from tests.support.forge import ec_jwk, number, rsa_jwk

ACME = Key("issuer", "acme")
USUAL = {"issuer": "https://id.example/", "audiences": ["api"], "jwks_url": "https://id.example/k"}


def judged(**fields: Any) -> dict[str, Any]:
    verdict = validate(ACME, {**USUAL, **fields})
    assert isinstance(verdict, Accepted), verdict
    body: dict[str, Any] = json.loads(verdict.body)
    assert validate(ACME, body) == verdict
    return body


def refused(key: Key = ACME, /, **fields: Any) -> str:
    verdict = validate(key, {**(USUAL if key is ACME else {}), **fields})
    assert isinstance(verdict, Rejected), verdict
    return "; ".join(str(problem) for problem in verdict.problems)


def test_issuer_has_safe_defaults() -> None:
    """No algorithm with a shared secret, half a minute of leeway, the usual claims."""
    body = judged()
    assert body["algorithms"] == ["ES256", "EdDSA", "PS256", "RS256"]
    assert (body["leeway"], body["refresh"], body["max_lifetime"]) == (30.0, 600.0, None)
    assert body["claims"]["roles"] == "roles"
    assert judged(claims={"roles": "/realm_access/roles"})["claims"]["subject"] == "sub"


@pytest.mark.parametrize(
    "place",
    [
        {"jwks_url": "https://id.example:8443/keys?x=1"},
        {"jwks_url": "http://127.0.0.1:8080/keys"},
        {"jwks_url": "http://localhost/keys"},
        {"discovery": True},
        {"keys": {"keys": [rsa_jwk(), ec_jwk(kid="e1")]}},
        {"key_secret": "shared", "algorithms": ["HS256"]},
    ],
)
def test_keys_come_from_one_place(place: dict[str, Any]) -> None:
    """Any of four."""
    judged(**{"jwks_url": None, **place})


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("HTTPS://Id.Example/Keys?X=1", "https://id.example/Keys?X=1"),
        ("https://id.example:/k", "https://id.example/k"),
        ("https://id.example.:8443", "https://id.example:8443"),
        ("http://LocalHost/k", "http://localhost/k"),
        ("http://[0:0:0:0:0:0:0:1]:80/k", "http://[::1]:80/k"),
        ("http://[::1]", "http://[::1]"),
    ],
)
def test_address_of_keys_has_one_spelling(given: str, kept: str) -> None:
    """Of its scheme and host; the rest is the issuer's."""
    assert judged(jwks_url=given)["jwks_url"] == kept
    assert judged(jwks_url=kept)["jwks_url"] == kept


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"jwks_url": None}, "none of them is given"),
        ({"discovery": True}, "jwks_url and discovery"),
        ({"audiences": []}, "audiences: must name at least one"),
        ({"audiences": [""]}, "must not be empty"),
        ({"algorithms": []}, "algorithms: must name at least one"),
        ({"algorithms": ["none"]}, "must be one of"),
        ({"algorithms": ["HS256"]}, "HS256 needs a secret"),
        ({"algorithms": ["RS256", "HS256"]}, "HS256 needs a secret"),
        ({"jwks_url": None, "key_secret": "s"}, "a secret can't verify others"),
        ({"jwks_url": None, "key_secret": "s", "algorithms": ["HS256", "RS256"]}, "can't verify"),
        ({"jwks_url": "http://id.example/k"}, "must be https"),
        ({"jwks_url": "http://127.evil.example/k"}, "must be https"),
        ({"jwks_url": "http://127.0.0.1.evil.example/k"}, "must be https"),
        ({"jwks_url": "http://localhost.evil.example/k"}, "must be https"),
        ({"jwks_url": "file:///etc/passwd"}, "must be https"),
        ({"jwks_url": "https://user:pw@id.example/k"}, "must be https"),
        ({"jwks_url": "https://id.example/k#x"}, "must be https"),
        ({"jwks_url": "https:///k"}, "must be https"),
        ({"jwks_url": "https://id.example:99999/k"}, "must be https"),
        ({"issuer": ""}, "visible ASCII"),
        ({"issuer": "a b"}, "visible ASCII"),
        ({"issuer": "acme", "jwks_url": None, "discovery": True}, "for discovery"),
        ({"leeway": "31s"}, "0s to 30s"),
        ({"max_lifetime": "0s"}, "1s"),
        ({"claims": {"role": "x"}}, "role"),
        ({"claims": {"roles": ""}}, "claims.roles"),
        ({"claims": {"roles": "/"}}, "claims.roles"),
        ({"required_claims": ["a\n"]}, "required_claims[0]"),
        ({"headers": {"X-User-Id": "sub"}}, "can't be edited"),
        ({"headers": {"X_Tenant_Id": "sub"}}, "can't be edited"),
        ({"headers": {"Authorization": "sub"}}, "meaning of its own"),
        ({"headers": {"x_forwarded_for": "sub"}}, "meaning of its own"),
        ({"headers": {"Transfer-Encoding": "sub"}}, "can't be edited"),
        ({"headers": {"X-A": "a", "x-a": "b"}}, "given twice"),
    ],
)
def test_issuer_that_makes_no_sense_is_refused(fields: dict[str, Any], why: str) -> None:
    """With what is wrong, and where."""
    assert why in refused(**fields)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"key": []}, "keys: is no key set"),
        ({"keys": []}, "must have at least one key"),
        ({"keys": [rsa_jwk(n=number((1 << 1024) - 1))]}, "k1 has 1024 bits, and needs 2048"),
        ({"keys": [rsa_jwk(), {"kty": "oct", "k": "eA", "kid": "s"}]}, "s is of a kind"),
        ({"keys": [rsa_jwk(d="AQAB")]}, "k1 is a private key"),
        ({"keys": [rsa_jwk(k="AQAB")]}, "k1 is a private key"),
        ("https://id.example/k", "must be a key set"),
    ],
)
def test_weak_keys_are_refused(keys: Any, why: str) -> None:
    """All of them are named, and nothing of them is shown."""
    said = refused(jwks_url=None, keys=keys)
    assert why in said
    assert "AQAB" not in said


def test_issuer_refers_to_its_secret_and_tenant() -> None:
    """So that it is in effect only with them."""
    verdict = validate(
        ACME,
        {
            **USUAL,
            "jwks_url": None,
            "algorithms": ["HS256"],
            "key_secret": "shared",
            "tenant_id": "blue",
        },
    )
    assert isinstance(verdict, Accepted)
    assert verdict.refs == {Key("secret", "shared"), Key("tenant", "blue")}


KEY = Key("api_key", "k7")
TEXT = b"fgk_k7_" + b"a_-9" * 10 + b"xyz"


def test_api_key_holds_a_digest() -> None:
    """And refers to its client."""
    verdict = validate(KEY, {"client_id": "shop", "digest": sha256(TEXT).hexdigest()})
    assert isinstance(verdict, Accepted)
    assert verdict.refs == {Key("client", "shop")}


def test_key_itself_is_refused_and_not_shown() -> None:
    """Who puts it there has made one mistake already."""
    said = refused(KEY, client_id="shop", digest=TEXT.decode())
    assert "never the key" in said
    assert TEXT.decode() not in said


def test_client_has_words() -> None:
    """Roles and scopes as tokens have them."""
    client = Key("client", "shop")
    assert isinstance(validate(client, {"roles": ["a"], "scopes": ["read:x"]}), Accepted)
    assert "roles[0]" in refused(client, roles=["a b"])
    assert "scopes[1]" in refused(client, scopes=["a", 'b"'])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (TEXT, "k7"),
        (b"fgk_a_b-c_" + b"_" * 43, "a_b-c"),
        (TEXT[:-1], None),
        (TEXT + b"x", None),
        (b"fgk__" + b"x" * 43, None),
        (b"FGK_k7_" + b"x" * 43, None),
        (b"fgk_k7_" + b"x" * 42 + b"\xff", None),
        (b"fgk_k7_" + b"x" * 42 + b"\n", None),
        (b"", None),
    ],
)
def test_key_is_split_by_its_length(text: bytes, found: str | None) -> None:
    """Ids and secrets may both hold underscores."""
    split = split_key(text)
    assert (split and split[0]) == found
    if split is not None:
        assert split[1] == sha256(text).hexdigest()
