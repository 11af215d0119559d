"""Whose tokens are good for an API of ours, and what is left of them."""

from __future__ import annotations

from typing import Any

import pytest

from fengling_gateway.access.verifiers import IssuerTokens, LocalTokens, RevokedError, verify
from fengling_gateway.auth.compact import TokenError
from fengling_gateway.auth.issuer import Issuer
from fengling_gateway.auth.jwt_transform import JwtTransform
from fengling_gateway.auth.operators import Operator
from fengling_gateway.auth.tokens import TokenRing
from fengling_gateway.model.issuers import CLAIMS
from fengling_gateway.model.key_sets import read_key_set
from fengling_gateway.model.management_tokens import ADMIN, READ, WRITE
from fengling_gateway.model.names import IDENTITY_HEADERS
from tests.support.forge import ISSUER, NOW, claims, rsa_jwk, rsa_key
from tests.support.forge import token as forged

RING = TokenRing(["k1:" + bytes(range(32)).hex()])
OURS = "fengling-management"
NOTHING = {"revoked_at": None, "expires_at": None, "scopes": None, "tenants": None}


def local(scope: str = ADMIN, **terms: Any) -> str:
    return RING.issue(
        subject="ops", scopes=[scope], now=NOW, lifetime_seconds=600, token_id="t1", **terms
    )


def kept(row: dict[str, Any] | None) -> LocalTokens:
    return LocalTokens(RING, {"t1": row}.get)


class LocalTests:
    """Signed by us; what is kept can only take from them."""

    def test_unknown_token_is_good(self) -> None:
        """Its signature is enough."""
        operator = kept(None).verify(local(), now=NOW)
        assert (operator.subject, operator.role, operator.tenants) == ("ops", "admin", None)

    def test_revoked_token_is_refused_and_named(self) -> None:
        """Whoever still uses it is known; whatever the time of the revocation says."""
        row = {**NOTHING, "revoked_at": NOW + 1e6}
        with pytest.raises(RevokedError) as caught:
            kept(row).verify(local(), now=NOW)
        assert (caught.value.code, caught.value.operator.token_id) == ("revoked", "t1")

    def test_revoked_token_with_a_wrong_signature_is_only_wrong(self) -> None:
        """Nobody learns by guessing which ids there are."""
        row = {**NOTHING, "revoked_at": NOW}
        wrong = local()[:-4] + "AAAA"
        with pytest.raises(TokenError) as caught:
            kept(row).verify(wrong, now=NOW)
        assert caught.value.code == "wrong_signature"

    def test_kept_end_comes_first(self) -> None:
        """An earlier one than the token's own."""
        tokens = kept({**NOTHING, "expires_at": NOW + 10})
        assert tokens.verify(local(), now=NOW + 9)
        with pytest.raises(TokenError, match="expired"):
            tokens.verify(local(), now=NOW + 10)

    @pytest.mark.parametrize(
        ("claimed", "row", "left"),
        [
            (ADMIN, [READ], {READ}),
            (READ, [ADMIN], {READ}),
            (WRITE, [WRITE], {READ, WRITE}),
        ],
    )
    def test_kept_scopes_take_and_give_none(
        self, claimed: str, row: list[str], left: set[str]
    ) -> None:
        """Writing a row makes nobody an admin."""
        operator = kept({**NOTHING, "scopes": row}).verify(local(claimed), now=NOW)
        assert {one for one in (READ, WRITE, ADMIN) if operator.may(one)} == left

    @pytest.mark.parametrize(
        ("claimed", "row", "left"),
        [
            (None, ["a"], {"a"}),
            (["a", "b"], ["b", "c"], {"b"}),
            (["a"], ["b"], set()),
            (["a"], None, {"a"}),
        ],
    )
    def test_kept_tenants_take_and_give_none(
        self, claimed: list[str] | None, row: list[str] | None, left: set[str]
    ) -> None:
        """Nor does it open another tenant."""
        token = local(tenants=claimed)
        operator = kept({**NOTHING, "tenants": row}).verify(token, now=NOW)
        assert operator.tenants == left


WANTED: list[str] = []
"""Issuers of which a key was wanted."""


def issuer_tokens(names: tuple[str, ...] = ("corp",), **body: Any) -> IssuerTokens:
    issuer = Issuer(
        {
            "id": "corp",
            "issuer": ISSUER,
            "audiences": ["fengling-api"],
            "algorithms": ["RS256"],
            "leeway": 30.0,
            "max_lifetime": None,
            "required_claims": [],
            "claims": CLAIMS,
            "tenant_id": None,
            **body,
        },
        read_key_set({"keys": [rsa_jwk()]}, ("RS256",)),
        JwtTransform(IDENTITY_HEADERS),
    )
    return IssuerTokens(
        lambda: {ISSUER: issuer},
        names=names,
        audience=OURS,
        kept={"gone": {**NOTHING, "revoked_at": NOW}}.get,
        want=WANTED.append,
    )


def of_issuer(**changed: Any) -> str:
    body = {"aud": OURS, "scope": "openid gateway:write", **changed}
    return forged(claims(**body), key=rsa_key()).decode()


def refusal(tokens: IssuerTokens, token: str, now: float = NOW) -> str:
    with pytest.raises(TokenError) as caught:
        tokens.verify(token, now=now)
    return caught.value.code


class IssuerTests:
    """Signed by somebody whom the settings name."""

    def test_scopes_of_ours_count(self) -> None:
        """And no others; who it was is on record."""
        operator = issuer_tokens().verify(of_issuer(jti="j1", name="Ada"), now=NOW)
        assert operator == Operator(
            subject="ada",
            scopes=frozenset((WRITE,)),
            source="issuer corp",
            token_id="j1",
            expires_at=NOW + 330,
            name="Ada",
        )

    def test_token_without_a_scope_of_ours_allows_nothing(self) -> None:
        """It is verified, and may not even look."""
        operator = issuer_tokens().verify(of_issuer(scope="openid"), now=NOW)
        assert not operator.may(READ)
        assert operator.role == ""

    def test_issuer_that_the_settings_do_not_name_is_unknown(self) -> None:
        """Whoever writes configuration does not become an admin by writing an issuer."""
        assert refusal(issuer_tokens(names=("other",)), of_issuer()) == "unknown_issuer"
        assert refusal(issuer_tokens(names=()), of_issuer()) == "unknown_issuer"

    def test_token_for_a_route_is_not_for_us(self) -> None:
        """It is seen by instances, which could use it here."""
        assert refusal(issuer_tokens(), of_issuer(aud="fengling-api")) == "wrong_claims"

    def test_tenant_claim_limits(self) -> None:
        """To that tenant alone."""
        operator = issuer_tokens().verify(of_issuer(tenant="acme"), now=NOW)
        assert operator.tenants == {"acme"}

    def test_tenant_of_the_issuer_limits(self) -> None:
        """Whatever its tokens say."""
        operator = issuer_tokens(tenant_id="acme").verify(of_issuer(), now=NOW)
        assert operator.tenants == {"acme"}
        assert refusal(issuer_tokens(tenant_id="acme"), of_issuer(tenant="x")) == "wrong_claims"

    @pytest.mark.parametrize("tenant", ["", [], ["acme"], 7, {}])
    def test_unclear_tenant_is_refused(self, tenant: Any) -> None:
        """It is not taken for no limit."""
        assert refusal(issuer_tokens(), of_issuer(tenant=tenant)) == "wrong_claims"

    @pytest.mark.parametrize("subject", [..., "", "a\nb", "x" * 256])
    def test_token_of_nobody_is_refused(self, subject: Any) -> None:
        """Of every change there is to be known who made it."""
        assert refusal(issuer_tokens(), of_issuer(sub=subject)) == "wrong_claims"

    def test_revoked_token_is_refused(self) -> None:
        """By its id, if it has one, although somebody else has made it."""
        assert refusal(issuer_tokens(), of_issuer(jti="gone")) == "revoked"
        for other in ("there", "a b", 7, ...):
            assert issuer_tokens().verify(of_issuer(jti=other), now=NOW)

    def test_unknown_key_is_asked_for(self) -> None:
        """It may have just been published; of an issuer that is not believed nobody asks."""
        WANTED.clear()
        unknown = forged(claims(aud=OURS), key=rsa_key(), kid="new").decode()
        assert refusal(issuer_tokens(names=()), unknown) == "unknown_issuer"
        assert WANTED == []
        assert refusal(issuer_tokens(), unknown) == "unknown_key"
        assert WANTED == ["corp"]

    def test_expired_token_is_refused(self) -> None:
        """With the leeway of the issuer."""
        assert refusal(issuer_tokens(), of_issuer(), NOW + 331) == "expired"


class SeveralTests:
    """Each token is judged by the one it is meant for."""

    def test_first_that_takes_it_says_who_it_is(self) -> None:
        """In any order."""
        both = (kept(None), issuer_tokens())
        assert verify(both, of_issuer(), now=NOW).source == "issuer corp"
        assert verify(both, local(), now=NOW).source == "token k1"
        assert verify(both[::-1], local(), now=NOW).source == "token k1"

    @pytest.mark.parametrize("turned", [False, True])
    def test_refusal_is_that_of_whom_it_is_meant_for(self, turned: bool) -> None:
        """Not that the others don't know it."""
        both = (kept({**NOTHING, "revoked_at": 1.0}), issuer_tokens())
        verifiers = both[::-1] if turned else both
        for token, code in ((local(), "revoked"), (of_issuer(aud="x"), "wrong_claims")):
            with pytest.raises(TokenError) as caught:
                verify(verifiers, token, now=NOW)
            assert caught.value.code == code

    def test_without_verifiers_nobody_is_let_in(self) -> None:
        """An empty list is a mistake that opens nothing."""
        with pytest.raises(TokenError):
            verify((), local(), now=NOW)
