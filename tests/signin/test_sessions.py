"""Sessions: what a cookie says, who believes it, and for how long."""

from __future__ import annotations

from typing import Any

import jwt
import pytest

from fengling_gateway.access.problems import ProblemError
from fengling_gateway.access.verifiers import LocalTokens
from fengling_gateway.auth.compact import TokenError
from fengling_gateway.auth.operators import Operator
from fengling_gateway.auth.tokens import AUDIENCE, TokenRing, unverified_claims
from fengling_gateway.signin import sessions as sessions_module
from fengling_gateway.signin.links import make_link
from fengling_gateway.signin.sessions import names_of
from fengling_gateway.signin.spent import EndedSessions
from tests.signin.requests import (
    HOUR,
    KEY,
    NEW_KEY,
    NOW,
    RING,
    Browser,
    known_sessions,
    person,
    request,
    sessions,
)

NOTHING = {"revoked_at": None, "expires_at": None, "scopes": None, "tenants": None}


def signed_in(by: Any = None, **changed: Any) -> Browser:
    browser, asked = Browser(), request()
    (by or sessions()).begin(asked, person(**changed), how="link", now=NOW, via="t1")
    browser.take(asked)
    return browser


def refusal(browser: Browser, *, by: Any = None, now: float = NOW) -> str:
    with pytest.raises(TokenError) as caught:
        (by or sessions()).operator_of(browser.ask(), now=now)
    return caught.value.code


def test_session_speaks_for_who_has_signed_in() -> None:
    """At every console that has the keys, with nothing else in common."""
    browser = signed_in(tenants=frozenset(("acme", "blue")))
    operator = sessions().operator_of(browser.ask(), now=NOW + 60)
    assert operator == Operator(
        subject="ada",
        scopes=frozenset(("gateway:write",)),
        source="session by link",
        token_id=operator.token_id,
        expires_at=NOW + 12 * HOUR,
        name="Ada L.",
        tenants=frozenset(("acme", "blue")),
        via="t1",
    )
    assert len(operator.token_id) == 32


def test_cookie_is_kept_from_pages_and_from_other_sites() -> None:
    """And not kept beyond the idle time, by browsers that look at it."""
    asked = request()
    sessions().begin(asked, person(), how="link", now=NOW)
    name, _, rest = asked.cookies[0].decode().partition("=")
    assert name.startswith("fengling-session-")
    assert rest.split("; ")[1:] == ["Max-Age=3600", "Path=/", "HttpOnly", "SameSite=Strict"]


def test_cookie_over_https_is_of_this_very_host() -> None:
    """No other one can have set it: and one without the prefix counts nothing then."""
    asked, secure = request(), sessions(secure=True)
    secure.begin(asked, person(), how="link", now=NOW)
    line = asked.cookies[0].decode()
    assert line.startswith("__Host-fengling-session-")
    assert line.endswith("; Path=/; HttpOnly; SameSite=Strict; Secure")
    assert "Domain" not in line
    assert secure.operator_of(signed_in().ask(), now=NOW) is None


def test_session_ends_whatever_happens() -> None:
    """Twelve hours after signing in, however much it is used."""
    browser = signed_in()
    for minutes in range(0, 720, 50):
        asked = browser.ask()
        assert sessions().operator_of(asked, now=NOW + minutes * 60)
        browser.take(asked)
    assert sessions().operator_of(browser.ask(), now=NOW + 12 * HOUR - 1)
    assert refusal(browser, now=NOW + 12 * HOUR) == "expired"


def test_session_that_is_not_used_ends() -> None:
    """After the idle time."""
    browser = signed_in()
    assert sessions().operator_of(browser.ask(), now=NOW + HOUR - 1)
    assert refusal(browser, now=NOW + HOUR) == "expired"


def test_session_does_not_outlast_what_it_was_begun_with() -> None:
    """A token of ten minutes makes no session of hours."""
    browser = signed_in(expires_at=NOW + 600)
    assert sessions().operator_of(browser.ask(), now=NOW + 599).expires_at == NOW + 600
    assert refusal(browser, now=NOW + 600) == "expired"


def test_cookie_is_renewed_now_and_then() -> None:
    """With the same id and end; not with every request."""
    browser = signed_in()
    soon, later = browser.ask(), browser.ask()
    first = sessions().operator_of(soon, now=NOW + 10)
    again = sessions().operator_of(later, now=NOW + 600)
    assert soon.cookies == []
    assert len(later.cookies) == 1
    browser.take(later)
    assert first == again == sessions().operator_of(browser.ask(), now=NOW + HOUR + 300)


@pytest.mark.parametrize("header", [("X-Unattended", "1"), ("Accept", "text/event-stream")])
def test_page_that_was_left_open_does_not_prolong_a_session(header: tuple[str, str]) -> None:
    """What it asks for by itself is answered, for as long as the session goes on."""
    browser = signed_in()
    asked = browser.ask(header)
    assert sessions().operator_of(asked, now=NOW + HOUR - 1)
    assert asked.cookies == []


def test_no_cookie_is_no_session() -> None:
    """Nor are those of others: of the console beside ours on this host, say."""
    strange = TokenRing(["k1:" + bytes(range(7, 39)).hex()])
    assert sessions().operator_of(request(), now=NOW) is None
    assert sessions().operator_of(signed_in(sessions(strange)).ask(), now=NOW) is None
    assert (
        sessions().operator_of(request(("Cookie", "a=b; c; =d; fengling-session=x")), now=NOW)
        is None
    )


def test_sessions_of_two_consoles_on_one_host_do_not_meet() -> None:
    """Browsers know hosts, and no ports."""
    strange = TokenRing(["k1:" + bytes(range(7, 39)).hex()])
    browser = signed_in()
    browser.jar |= signed_in(sessions(strange), subject="eve").jar
    assert sessions().operator_of(browser.ask(), now=NOW).subject == "ada"
    assert sessions(strange).operator_of(browser.ask(), now=NOW).subject == "eve"


def test_session_outlives_a_rotation_of_keys() -> None:
    """While the old key still verifies; from then on it is signed by the new one."""
    browser = signed_in()
    both = sessions(TokenRing([NEW_KEY, KEY]))
    asked = browser.ask()
    assert both.operator_of(asked, now=NOW + 600).subject == "ada"
    browser.take(asked)
    assert sessions(TokenRing([NEW_KEY])).operator_of(browser.ask(), now=NOW + 700)


def cookie(token: str) -> Browser:
    """A browser with any text for a session."""
    browser = Browser()
    browser.jar[names_of(RING, sessions_module.COOKIE)[0]] = token
    return browser


def test_bearer_token_is_no_session() -> None:
    """Nor is a link, nor anything else that our keys have signed."""
    bearer = RING.issue(
        subject="ada", scopes=["gateway:admin"], now=NOW, lifetime_seconds=600, token_id="t1"
    )
    assert refusal(cookie(bearer)) == "wrong_claims"
    assert refusal(cookie(make_link(RING, person(), now=NOW))) == "wrong_claims"


def test_session_is_no_bearer_token() -> None:
    """Neither at a gateway nor at a console."""
    [token] = signed_in().jar.values()
    with pytest.raises(TokenError, match="wrong_claims"):
        LocalTokens(RING, {}.get).verify(token, now=NOW)


def test_token_for_several_uses_is_for_none() -> None:
    """We have never signed one."""
    [token] = signed_in().jar.values()
    said = unverified_claims(token)["claims"]
    secret = bytes(range(32))
    both = jwt.encode(
        {**said, "aud": [sessions_module.AUDIENCE, AUDIENCE]}, secret, headers={"kid": "k1"}
    )
    assert refusal(cookie(both)) == "wrong_claims"
    one = jwt.encode({**said, "aud": sessions_module.AUDIENCE}, secret, headers={"kid": "k1"})
    assert sessions().operator_of(cookie(one).ask(), now=NOW)


@pytest.mark.parametrize("claim", ["sub", "scope", "jti", "exp", "idle", "how", "tenants"])
@pytest.mark.parametrize("value", [None, [], 0.5, {}, True])
def test_odd_claims_are_refused(claim: str, value: Any) -> None:
    """Whoever signed them has not meant a session."""
    [token] = signed_in().jar.values()
    said = unverified_claims(token)["claims"]
    token = RING.seal(sessions_module.AUDIENCE, {**said, claim: value})
    assert refusal(cookie(token)) == "wrong_claims"


def test_forged_session_is_refused() -> None:
    """Of another key by the same name, without a signature, or with another's."""
    [token] = signed_in().jar.values()
    head, body, signature = token.split(".")
    eve = TokenRing(["k1:" + bytes(range(7, 39)).hex()])
    [forged] = signed_in(sessions(eve)).jar.values()
    assert refusal(cookie(forged)) == "wrong_signature"
    assert refusal(cookie(f"{head}.{forged.split('.')[1]}.{signature}")) == "wrong_signature"
    for damaged in (
        f"{head}.{body}.",
        f"{head}.{body}",
        token + "=",
        token[:-3],
        "x",
        "..",
        "\xff",
    ):
        assert refusal(cookie(damaged)) in {"malformed", "wrong_signature"}


def test_cookie_that_is_there_twice_is_refused() -> None:
    """One of them was set by somebody else."""
    browser = signed_in()
    asked = request(("Cookie", f"{browser.line()}; {browser.line()}"))
    with pytest.raises(TokenError, match="malformed"):
        sessions().operator_of(asked, now=NOW)


def test_ended_session_is_refused_and_named() -> None:
    """The audit trail says whose it was."""
    ended, browser = known_sessions(), signed_in()
    at = sessions(ended=ended)
    operator = at.operator_of(browser.ask(), now=NOW)
    assert at.is_good(operator, now=NOW)
    ended.add({operator.token_id: operator.expires_at}, now=NOW)
    with pytest.raises(TokenError, match="revoked") as caught:
        at.operator_of(browser.ask(), now=NOW)
    assert caught.value.operator.subject == "ada"
    assert not at.is_good(operator, now=NOW)


def test_no_session_is_believed_before_it_is_known_which_have_ended() -> None:
    """A console that has just started would let in who has signed out."""
    with pytest.raises(ProblemError) as caught:
        sessions(ended=EndedSessions()).operator_of(signed_in().ask(), now=NOW)
    assert caught.value.code == "source_unavailable"


@pytest.mark.parametrize("name", ["t1", None])
def test_session_is_revoked_like_a_token(name: str | None) -> None:
    """By its own id, or with the token that it was begun with."""
    browser = signed_in()
    own = sessions().operator_of(browser.ask(), now=NOW).token_id
    rows = {name or own: {**NOTHING, "revoked_at": NOW}}
    assert refusal(browser, by=sessions(kept=rows.get)) == "revoked"


def test_what_is_kept_limits_a_session() -> None:
    """As it does the token that it was begun with."""
    rows = {"t1": {**NOTHING, "scopes": ["gateway:read"], "tenants": ["acme"]}}
    operator = sessions(kept=rows.get).operator_of(signed_in().ask(), now=NOW)
    assert (operator.role, operator.tenants) == ("viewer", {"acme"})


def test_sign_out_takes_the_cookie_away() -> None:
    """Also one that the same request has renewed, and those of older keys."""
    browser = signed_in()
    asked = browser.ask()
    at = sessions(TokenRing([NEW_KEY, KEY]))
    at.operator_of(asked, now=NOW + 600)
    at.clear(asked)
    browser.jar |= dict.fromkeys(names_of(at.ring, sessions_module.COOKIE), "x")
    browser.take(asked)
    assert browser.jar == {}


def test_session_that_no_cookie_holds_is_not_begun() -> None:
    """Browsers would drop it and say nothing."""
    many = frozenset(f"{number:0100d}" for number in range(40))
    with pytest.raises(ValueError, match=r"too long|more than"):
        sessions().begin(request(), person(tenants=many), how="link", now=NOW)


def test_audiences_differ() -> None:
    """The API's own tokens are made in one place."""
    with pytest.raises(ValueError, match="made by issue"):
        RING.seal(AUDIENCE, {})


def test_session_ends_with_whatever_it_comes_of() -> None:
    """Also what goes on for long, like live events, and whichever credential of a chain it is."""
    rows: dict[str, dict[str, Any]] = {}
    known = sessions(kept=rows.get)
    browser, asked = Browser(), request()
    began = known.begin(asked, person(), how="link", now=NOW, via="t1 s1")
    browser.take(asked)
    operator = known.operator_of(browser.ask(), now=NOW)
    assert operator is not None
    for credential in ("t1", "s1", operator.token_id):
        rows[credential] = {**NOTHING, "revoked_at": NOW}
        assert refusal(browser, by=known) == "revoked"
        assert not known.is_good(operator, now=NOW)
        assert not known.is_good(began, now=NOW)
        rows.clear()
    assert known.is_good(operator, now=NOW)
