"""Who is let in by what a route asks for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.auth.principal import Principal
from fengling_gateway.auth.requirement import ANONYMOUS, OPTIONAL, REQUIRED, Requirement
from fengling_gateway.model.authorization import auth
from fengling_gateway.model.problems import Report


def requirement(**policy: Any) -> Requirement:
    report = Report()
    checked = auth({"mode": "required", **policy}, report)
    assert report.found == []
    return Requirement(checked)


def principal(
    method: str = "jwt",
    source: str = "corp",
    roles: Any = (),
    scopes: Any = (),
    claims: dict[str, Any] | None = None,
) -> Principal:
    return Principal(
        method=method,
        source=source,
        subject="jane",
        tenant=None,
        name=None,
        roles=frozenset(roles),
        scopes=frozenset(scopes),
        claims=claims or {},
        expires_at=1.0,
        pairs=(),
    )


class CompiledTests:
    def test_modes_are_numbers(self) -> None:
        """In the order of what they ask."""
        modes = [requirement(mode=mode).mode for mode in ("anonymous", "optional", "required")]
        assert modes == [ANONYMOUS, OPTIONAL, REQUIRED]
        assert modes == sorted(modes)

    def test_where_proofs_are_is_in_bytes(self) -> None:
        """Names of headers in lower case, as requests have them; empty is nowhere."""
        found = requirement(api_key_header="X-Own-Key", cookie="Session", methods=["api_key"])
        assert (found.api_key_header, found.cookie, found.query) == (b"x-own-key", b"Session", b"")
        assert (found.takes_keys, found.takes_tokens, found.forward) == (True, False, False)
        assert repr(found) == "<Requirement mode=2>"


class BelievesTests:
    @pytest.mark.parametrize(
        ("policy", "method", "source", "believed"),
        [
            ({}, "jwt", "corp", True),
            ({}, "api_key", "batch", True),
            ({"issuers": ["corp"]}, "jwt", "corp", True),
            ({"issuers": ["corp"]}, "jwt", "acme", False),
            ({"issuers": ["corp"]}, "jwt", "Corp", False),
            ({"issuers": ["corp"]}, "api_key", "batch", True),
            ({"issuers": ["corp"], "methods": ["jwt"]}, "api_key", "corp", False),
            ({"methods": ["api_key"]}, "jwt", "corp", False),
        ],
    )
    def test_proof_and_issuer_have_to_be_wanted(
        self, policy: dict[str, Any], method: str, source: str, believed: bool
    ) -> None:
        """A client is no issuer, whatever its id is."""
        assert requirement(**policy).believes(principal(method, source)) is believed


class AllowsTests:
    @pytest.mark.parametrize(
        ("claims", "said", "allowed"),
        [
            ({"d": ["sales"]}, {"d": "sales"}, True),
            ({"d": ["sales", "it"]}, {"d": "it"}, True),
            ({"d": ["sales"]}, {"d": ["it", "sales"]}, True),
            ({"d": ["sales"]}, {"d": ["it"]}, False),
            ({"d": ["sales"]}, {"d": "Sales"}, False),
            ({"d": ["sales"]}, {"d": "sales it"}, False),
            ({"d": ["sales"]}, {}, False),
            ({"d": ["sales"]}, {"d": None}, False),
            ({"d": ["sales"]}, {"d": {"sales": 1}}, False),
            ({"n": ["5"]}, {"n": 5}, True),
            ({"n": ["5"]}, {"n": 5.0}, False),
            ({"b": ["true"]}, {"b": True}, True),
            ({"b": ["1"]}, {"b": True}, False),
            ({"b": ["True"]}, {"b": True}, False),
            ({"/org/unit": ["a"]}, {"org": {"unit": "a"}}, True),
            ({"/org/unit": ["a"]}, {"/org/unit": "a"}, False),
            ({"a": ["1"], "b": ["2"]}, {"a": "1", "b": "2"}, True),
            ({"a": ["1"], "b": ["2"]}, {"a": "1"}, False),
        ],
    )
    def test_every_claim_has_one_of_its_values(
        self, claims: dict[str, Any], said: dict[str, Any], allowed: bool
    ) -> None:
        """To the letter; a number or truth as JSON writes it."""
        assert requirement(claims=claims).allows(principal(claims=said)) is allowed

    def test_key_has_no_claims(self) -> None:
        """So a route that wants one takes no API key."""
        assert not requirement(claims={"d": ["x"]}).allows(principal("api_key", claims={}))

    def test_scopes_are_known(self) -> None:
        """For the answer to whoever lacks them (RFC 6750, section 3)."""
        asks = requirement(scopes=["a", "b", "c"])
        assert asks.scopes == {"a", "b", "c"}
        assert not asks.allows(principal(scopes=["b", "z"]))
        assert asks.allows(principal(scopes=["c", "b", "a"]))


words = st.frozensets(st.sampled_from("abcd"), max_size=4)
values = st.dictionaries(st.sampled_from("xy"), st.frozensets(st.sampled_from("12"), min_size=1))
said = st.dictionaries(st.sampled_from("xyz"), st.sampled_from("123"))


@given(words, words, values, words, words, said)
def test_all_scopes_one_role_and_every_claim(
    scopes: frozenset[str],
    roles: frozenset[str],
    claims: dict[str, frozenset[str]],
    given_scopes: frozenset[str],
    given_roles: frozenset[str],
    given_claims: dict[str, str],
) -> None:
    """As written down; and whoever has more is let in wherever one with less is."""
    asks = requirement(
        scopes=sorted(scopes),
        roles=sorted(roles),
        claims={name: sorted(some) for name, some in claims.items()},
    )
    expected = (
        all(one in given_scopes for one in scopes)
        and (not roles or any(one in given_roles for one in roles))
        and all(given_claims.get(name) in some for name, some in claims.items())
    )
    asking = principal(roles=given_roles, scopes=given_scopes, claims=given_claims)
    assert asks.allows(asking) is expected
    assert asks.asks_more == bool(scopes or roles or claims)
    more = principal(roles=set("abcd"), scopes=set("abcd"), claims=given_claims)
    assert asks.allows(more) or not expected
