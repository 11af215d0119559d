"""Whom requests come from: what this worker verifies tokens and API keys with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Final

from twisted.logger import Logger

from fengling_gateway.auth.api_keys import ApiKeys
from fengling_gateway.auth.compact import TokenError
from fengling_gateway.auth.issuer import Issuer
from fengling_gateway.auth.jwt_transform import JwtTransform
from fengling_gateway.auth.principal import Principal
from fengling_gateway.auth.token_cache import TokenCache
from fengling_gateway.dataplane.credentials import bearer
from fengling_gateway.model.clients import PREFIX
from fengling_gateway.model.issuers import own_headers
from fengling_gateway.routing.live_settings import LiveSettings
from fengling_gateway.routing.snapshot import Snapshot

_log = Logger()

_PREFIX: Final = PREFIX.encode()

MAX_WAITING: Final = 1000
"""Requests that wait for keys. Whoever comes then is told at once that there are none."""

ASKED_PER_SWEEP: Final = 200
"""Of them, each time keys have arrived: verifying so many takes some 10 ms."""


def _nobody_fetches(_issuer_id: str) -> bool:
    return False


class Identities:
    """
    Verifies what requests show, by the configuration that is in effect.

    Attributes:
        want_keys: called with the id of an issuer of which a key is missing;
            whether waiting for it may help.
        is_asked_again: whether keys have arrived that requests wait for.
        refused: how many credentials were, by the code of `TokenError`.
        tokens_accepted, keys_accepted: how many were good, and of a kind that was asked for.
    """

    __slots__ = (
        "_api_keys",
        "_client_rows",
        "_configured_names",
        "_issuer_rows",
        "_key_rows",
        "_live",
        "_offered_names",
        "_snapshot",
        "_tokens",
        "_transform",
        "_waiting",
        "is_asked_again",
        "keys_accepted",
        "refused",
        "tokens_accepted",
        "want_keys",
    )

    def __init__(self, snapshot: Snapshot) -> None:
        self._tokens = TokenCache()
        self.want_keys: Callable[[str], bool] = _nobody_fetches
        self.refused: dict[str, int] = {}
        self.tokens_accepted = self.keys_accepted = 0
        self._issuer_rows: Any = None
        self._configured_names: frozenset[str] = frozenset()
        self._offered_names: frozenset[str] = frozenset()
        self.is_asked_again = False
        self._waiting: dict[Any, None] = {}
        self._live: LiveSettings | None = None
        self.apply(snapshot)

    def __repr__(self) -> str:
        return f"<Identities {self._tokens!r} {self._api_keys!r}>"

    def apply(self, snapshot: Snapshot) -> None:
        """Verify by the clients and API keys of `snapshot` from now on."""
        self._snapshot = snapshot
        self._key_rows = snapshot.bodies["api_key"]
        self._client_rows = snapshot.bodies["client"]
        rows = snapshot.bodies["issuer"]
        if rows is not self._issuer_rows:
            self._issuer_rows = rows
            self._configured_names = frozenset(
                name for body in rows.values() for name in own_headers(body)
            )
        if snapshot.live is not self._live:
            # What is remembered of keys has headers by the old names.
            self._live = snapshot.live
            self._transform = JwtTransform(snapshot.live.identity_headers)
            self._api_keys = ApiKeys()

    @property
    def issuers(self) -> Mapping[str, Issuer]:
        """By what their tokens say in ``iss``."""
        return self._tokens.issuers

    @issuers.setter
    def issuers(self, issuers: Mapping[str, Issuer]) -> None:
        self._tokens.issuers = dict(issuers)
        self._offered_names = frozenset(
            name for one in issuers.values() for name in one.header_names
        )
        self.is_asked_again = bool(self._waiting)

    @property
    def header_names(self) -> frozenset[str]:
        """
        Headers beside those of the setting ``identity_headers`` that tell instances something.

        Those of issuers whose tokens are not believed are among them: instances go
        on believing their headers.
        """
        return self._configured_names | self._offered_names

    def tenant_of(self, authorization: bytes, now: float) -> str | None:
        """
        Return the tenant whose routes a request gets by what its token says.

        A token that is not good says nothing here: whether it has to be is for
        the route to say.
        """
        snapshot = self._snapshot
        token = bearer(authorization) if snapshot.tenants.size else None
        if token is None:
            return None
        try:
            said = self.verify(token, False, now).tenant
        except TokenError:
            return None
        tenant = None if said is None else snapshot.tenants.get(said)
        return None if tenant is None or not tenant.enabled else said

    def wait(self, exchange: Any) -> bool:
        """Call `exchange.ask_again` when keys arrive; False where too many wait already."""
        if len(self._waiting) >= MAX_WAITING:
            return False
        self._waiting[exchange] = None
        return True

    def wait_no_longer(self, exchange: Any) -> None:
        self._waiting.pop(exchange, None)

    def ask_again(self) -> None:
        """Let some of those that wait for keys be judged again."""
        some = list(islice(self._waiting, ASKED_PER_SWEEP))
        for exchange in some:
            del self._waiting[exchange]
        self.is_asked_again = bool(self._waiting)
        for exchange in some:
            try:
                exchange.ask_again(True)
            except Exception:
                _log.failure(
                    "{exchange} could not be judged",
                    exchange=exchange,
                    log_id="exchange.not_judged",
                )
                exchange.downstream.fault(exchange)

    def verify(self, proof: bytes, is_key: bool, now: float) -> Principal:
        """
        Return whom credentials speak for, signed ones or an API key.

        Args:
            is_key: whether it can be an API key only.

        Raises:
            TokenError: it is refused.
        """
        if not is_key and proof[:4] != _PREFIX:
            return self._tokens.verify(proof, now)
        return self._api_keys.verify(proof, self._key_rows, self._client_rows, self._transform, now)

    def has_no_keys(self, issuer_id: str) -> bool:
        """Whether nothing of an issuer can be verified: its keys have never been had."""
        return any(one.id == issuer_id and not len(one.keys) for one in self.issuers.values())

    def count(self, code: str) -> None:
        """Count a refusal that somebody is told of, by the code of its `TokenError`."""
        self.refused[code] = self.refused.get(code, 0) + 1
