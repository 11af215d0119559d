"""A token is verified once, until it ends or its issuer's keys are others."""

from __future__ import annotations

import re

import pytest

from fengling_gateway.auth.compact import TokenError
from fengling_gateway.auth.token_cache import REFUSED_SECONDS, Generations, TokenCache
from fengling_gateway.model.key_sets import read_key_set
from tests.auth.test_issuer import issuer
from tests.support.forge import ISSUER, NOW, claims, rsa_jwk, rsa_key, token


def cache(**bounds: int) -> TokenCache:
    made = TokenCache(**bounds)
    made.issuers = {ISSUER: issuer()}
    return made


def refusal(of: TokenCache, raw: bytes, now: float = NOW) -> str:
    with pytest.raises(TokenError) as caught:
        of.verify(raw, now)
    return caught.value.code


def test_repeated_token_is_verified_once() -> None:
    """And gives the same principal."""
    tokens = cache()
    raw = token()
    assert tokens.verify(raw, NOW) is tokens.verify(raw, NOW + 1)
    assert tokens.verified == 1


def test_it_ends_when_the_token_does() -> None:
    """However often it has been seen."""
    tokens = cache()
    raw = token(claims(exp=int(NOW) + 10))
    tokens.verify(raw, NOW)
    assert refusal(tokens, raw, NOW + 40) == "expired"


def test_other_keys_verify_anew() -> None:
    """A key that was withdrawn verifies nothing any more, at once."""
    tokens = cache()
    raw = token()
    tokens.verify(raw, NOW)
    others = read_key_set({"keys": [rsa_jwk(rsa_key(number=1))]}, ("RS256",))
    tokens.issuers = {ISSUER: issuer(others)}
    assert refusal(tokens, raw) == "wrong_signature"
    tokens.issuers = {}
    assert refusal(tokens, raw) == "unknown_issuer"
    tokens.issuers = {ISSUER: issuer()}
    assert tokens.verify(raw, NOW).subject == "ada"


def test_issuer_that_is_as_before_keeps_what_was_verified() -> None:
    """A change elsewhere costs nothing."""
    tokens = cache()
    raw = token()
    tokens.verify(raw, NOW)
    tokens.issuers = {
        **tokens.issuers,
        "https://other.example": issuer(issuer="https://other.example"),
    }
    tokens.verify(raw, NOW)
    assert tokens.verified == 1


def test_refusal_is_remembered_for_a_while() -> None:
    """So that who repeats a bad token costs next to nothing."""
    tokens = cache()
    raw = token(key=rsa_key(number=1))
    for moment in (0.0, 1.0, REFUSED_SECONDS - 0.1):
        assert refusal(tokens, raw, NOW + moment) == "wrong_signature"
    assert tokens.verified == 1
    assert refusal(tokens, raw, NOW + REFUSED_SECONDS) == "wrong_signature"
    assert tokens.verified == 2


def test_clock_that_steps_back_prolongs_no_refusal() -> None:
    """It was wrong by an hour, and so was every "expired" that it led to."""
    tokens = cache()
    raw = token()
    assert refusal(tokens, raw, NOW + 3600) == "expired"
    assert tokens.verify(raw, NOW).subject == "ada"


def test_unknown_key_is_told_with_its_issuer_again() -> None:
    """Also from memory: it may be published any moment."""
    tokens = cache()
    raw = token(kid="k9")
    for _ in range(2):
        with pytest.raises(TokenError) as caught:
            tokens.verify(raw, NOW)
        assert (caught.value.code, caught.value.issuer_id) == ("unknown_key", "acme")
    assert tokens.verified == 1


def test_refusals_outlive_issuers_that_are_as_before() -> None:
    """Only what has changed is judged anew."""
    tokens = cache()
    raw = token(kid="k9")
    refusal(tokens, raw)
    tokens.issuers = dict(tokens.issuers)
    refusal(tokens, raw)
    assert tokens.verified == 1
    tokens.issuers = {ISSUER: issuer()}
    refusal(tokens, raw)
    assert tokens.verified == 2


def test_one_byte_makes_another_token() -> None:
    """What was verified stands for itself only."""
    tokens = cache()
    raw = token()
    tokens.verify(raw, NOW)
    head, payload, signature = raw.split(b".")
    for other in (raw + b"=", raw[:-2] + b"AA", b".".join((head, payload + b"A", signature))):
        assert refusal(tokens, other) in {"malformed", "wrong_signature"}


def test_same_end_makes_no_good_token() -> None:
    """Tokens in use are looked up by their end: what comes before it is compared, too."""
    tokens = cache()
    good = token()
    for _ in range(3):
        tokens.verify(good, NOW)
    signature = good.rpartition(b".")[2]
    other = token(claims(sub="eve")).rpartition(b".")[0] + b"." + signature
    assert refusal(tokens, other) == "wrong_signature"
    for bad in (good[1:], good[-32:], b"x" + good, good.replace(b".", b"", 1)):
        assert refusal(tokens, bad) == "malformed"
    assert tokens.verify(good, NOW).subject == "ada"
    assert tokens.verified == 6


def test_flood_of_bad_tokens_drives_out_no_good_one() -> None:
    """And memory is bounded."""
    tokens = cache(max_verified=100, max_refused=100)
    raw = token()
    tokens.verify(raw, NOW)
    for turn in range(1000):
        refusal(tokens, b"a.b.c%d" % turn)
    tokens.verify(raw, NOW)
    assert tokens.verified == 1001
    found = re.search(r"(\d+) refused", repr(tokens))
    assert found is not None
    assert int(found[1]) <= 100


def test_generations_forget_what_nobody_asks_for() -> None:
    """What is asked for stays, however much comes."""
    kept: Generations[int] = Generations(10)
    kept.set(b"wanted", 1)
    for turn in range(100):
        kept.set(b"%d" % turn, turn)
        assert kept.get(b"wanted") == 1
        assert len(kept) <= 11
    assert kept.get(b"3") is None
    kept.drop(b"wanted")
    assert kept.get(b"wanted") is None
