"""Links that sign in once: what they may say, and for how long."""

from __future__ import annotations

import math

import pytest

from fengling_gateway.access.verifiers import LocalTokens
from fengling_gateway.auth.compact import TokenError
from fengling_gateway.auth.tokens import TokenRing, unverified_claims
from fengling_gateway.signin import links
from fengling_gateway.signin.links import link_url, make_link, read_link
from tests.signin.requests import NEW_KEY, NOW, RING, person


def refusal(token: str, *, ring: TokenRing = RING, now: float = NOW) -> str:
    with pytest.raises(TokenError) as caught:
        read_link(ring, token, now=now)
    return caught.value.code


def test_link_says_whom_it_signs_in() -> None:
    """As whom, for which tenants, until when, and by whose credential."""
    who = person(tenants=frozenset(("acme",)), expires_at=NOW + 5000)
    link = read_link(RING, make_link(RING, who, now=NOW, via="t1"), now=NOW + 299)
    assert (link.person.subject, link.person.role, link.person.name) == ("ada", "editor", "Ada L.")
    assert (link.person.tenants, link.person.expires_at) == ({"acme"}, NOW + 5000)
    assert (link.via, link.expires_at) == ("t1", NOW + 300)


def test_no_two_links_are_alike() -> None:
    """Each is used by itself."""
    ids = {read_link(RING, make_link(RING, person(), now=NOW), now=NOW).id for _ in range(3)}
    assert len(ids) == 3


def test_link_of_who_has_the_keys_has_no_other_end_than_the_keys() -> None:
    """Its session is as long as any."""
    link = read_link(RING, make_link(RING, person(expires_at=math.inf), now=NOW), now=NOW)
    assert link.person.expires_at > NOW + 86400 * 300


def test_link_is_good_for_minutes() -> None:
    """Ten at most, and somebody with the keys makes no other either."""
    assert refusal(make_link(RING, person(), now=NOW, seconds=60), now=NOW + 60) == "expired"
    for seconds in (0, 601):
        with pytest.raises(ValueError, match="10 minutes"):
            make_link(RING, person(), now=NOW, seconds=seconds)
    said = unverified_claims(make_link(RING, person(), now=NOW))["claims"]
    long = RING.seal(links.AUDIENCE, {**said, "exp": int(NOW) + 601})
    assert refusal(long) == "wrong_claims"


def test_link_is_no_token() -> None:
    """And a token no link."""
    with pytest.raises(TokenError, match="wrong_claims"):
        LocalTokens(RING, {}.get).verify(make_link(RING, person(), now=NOW), now=NOW)
    bearer = RING.issue(
        subject="ada", scopes=["gateway:read"], now=NOW, lifetime_seconds=60, token_id="t1"
    )
    assert refusal(bearer) == "wrong_claims"


def test_link_of_other_keys_is_refused() -> None:
    """Whatever it says."""
    assert refusal(make_link(TokenRing([NEW_KEY]), person(), now=NOW)) == "unknown_key"
    assert refusal(make_link(RING, person(), now=NOW)[:-4] + "AAAA") == "wrong_signature"
    assert refusal("no link") == "malformed"


def test_token_is_in_the_part_of_the_url_that_is_sent_to_nobody() -> None:
    """Behind the #."""
    assert (
        link_url("https://console.example/", "a.b.c") == "https://console.example/login#link=a.b.c"
    )
