"""What is taken of what issuers publish, and what operators can read about it."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.supervisor.key_fetch import REASONS, FetchError, discovered, read_published
from tests.support.forge import ec_jwk, rsa_jwk

PAGE = (Path(__file__).parents[2] / "docs" / "tokens.md").read_text()


def published(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


def test_keys_are_taken_without_what_nobody_looks_at() -> None:
    """What can't be used is named; the rest counts."""
    content = published(
        rsa_jwk(x5c=["MII" * 1000], x5t="t", extra={"a": 1}),
        ec_jwk(kid="e1"),
        rsa_jwk(kid="private", d="AQAB"),
        rsa_jwk(kid="encrypts", use="enc"),
        {"kty": "oct", "k": "AAAA", "kid": "shared"},
        7,
    )
    fetched = read_published(content, ["RS256"])
    assert fetched.document == {"keys": [rsa_jwk()]}
    assert set(fetched.refused) == {"e1", "private", "encrypts", "shared", "keys[5]"}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (published(), "it is empty"),
        (published(ec_jwk(kid="e1")), "e1 is for none of the algorithms"),
        (b"[]", "is no key set"),
    ],
)
def test_set_without_a_usable_key_is_a_failure(content: bytes, why: str) -> None:
    """With the first of the reasons: what there was before goes on."""
    with pytest.raises(FetchError, match=why) as caught:
        read_published(content, ["RS256"])
    assert caught.value.reason == "keys"


def test_every_reason_is_documented() -> None:
    """In the table that operators look at."""
    table = PAGE.partition("| `reason` |")[2].partition("\n\n")[0]
    cells = [row.split("|")[1] for row in table.splitlines()[2:]]
    assert {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} == set(REASONS)


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=20),
    st.sampled_from(
        ["RSA", "EC", "OKP", "oct", "P-256", "Ed25519", "sig", "RS256", "AQAB", "\ud800"]
    ),
    st.lists(st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)
_NAMES = ("kty", "crv", "n", "e", "x", "y", "d", "kid", "use", "alg", "key_ops")


@given(
    st.dictionaries(st.sampled_from(_NAMES), _VALUES), st.sampled_from([rsa_jwk(), ec_jwk(), {}])
)
def test_any_key_is_taken_or_named_without_a_fault(
    changed: dict[str, Any], good: dict[str, Any]
) -> None:
    """Whatever an issuer writes into it."""
    content = published({**good, **changed})
    with suppress(FetchError):
        assert len(read_published(content, ["RS256", "ES256", "EdDSA"]).document["keys"]) == 1


def _answer(value: Any) -> bytes:
    said = {"issuer": "https://id.example", "jwks_uri": value, "keys": value}
    return json.dumps(said).encode()


@given(st.binary(max_size=200) | st.recursive(_VALUES, st.lists).map(_answer))
def test_any_answer_is_read_without_a_fault(content: bytes) -> None:
    """By either step."""
    with pytest.raises(FetchError):
        read_published(content, ["RS256"])
    with pytest.raises(FetchError):
        discovered(content, "https://id.example")
