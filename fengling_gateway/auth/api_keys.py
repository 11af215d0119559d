"""API keys: whose a key is, by what the configuration says right now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hmac import compare_digest
from typing import Any, Final, Protocol

from fengling_gateway.auth.compact import TokenError
from fengling_gateway.auth.jwt_transform import JwtTransform, TooLargeError
from fengling_gateway.auth.principal import Principal
from fengling_gateway.auth.token_cache import Generations
from fengling_gateway.model.clients import split_key

MAX_KNOWN: Final = 20_000
"""Keys in use that are kept read; reading one again costs some 20 µs."""


class Bodies(Protocol):
    """Canonical bodies by id, as a snapshot has them (``snapshot.bodies["api_key"]``)."""

    def get(self, key: str, /) -> bytes | None: ...


_Known = tuple[Principal, bytes, bytes]


class ApiKeys:
    """
    Tells whose API keys are.

    What is remembered of a key counts for as long as the very bodies of it and of
    its client are in effect, so that a revision costs nothing here, whatever the
    number of keys, and holds from the next request on.
    """

    def __init__(self, *, max_known: int = MAX_KNOWN) -> None:
        self._known: Generations[_Known] = Generations(max_known)

    def __repr__(self) -> str:
        return f"<ApiKeys {len(self._known)} known>"

    def verify(
        self, key: bytes, keys: Bodies, clients: Bodies, transform: JwtTransform, now: float
    ) -> Principal:
        """
        Return whom a key speaks for.

        Args:
            keys: bodies of API keys by id, and ``clients`` those of clients.
            now: seconds since the epoch.

        Raises:
            TokenError: ``malformed``, ``unknown_key``, ``revoked`` or ``expired``.
        """
        parts = split_key(key)
        if parts is None:
            raise TokenError("malformed")
        key_id, digest = parts
        body = keys.get(key_id)
        if body is None:
            raise TokenError("unknown_key")
        known = self._known.get(digest.encode())
        if known is not None and known[1] is body:
            principal = known[0]
            if clients.get(principal.source) is known[2]:
                if now < principal.expires_at:
                    return principal
                raise TokenError("expired")
        return self._read(digest, body, clients, transform, now)

    def _read(
        self, digest: str, body: bytes, clients: Bodies, transform: JwtTransform, now: float
    ) -> Principal:
        fields = json.loads(body)
        if not compare_digest(fields["digest"], digest):
            raise TokenError("unknown_key")
        client_body = clients.get(fields["client_id"])
        if client_body is None or not fields["enabled"]:
            raise TokenError("revoked")
        client = json.loads(client_body)
        if not client["enabled"]:
            raise TokenError("revoked")
        principal = _principal(fields, client, transform)
        if now >= principal.expires_at:
            raise TokenError("expired")
        self._known.set(digest.encode(), (principal, body, client_body))
        return principal


def _principal(
    key: Mapping[str, Any], client: Mapping[str, Any], transform: JwtTransform
) -> Principal:
    roles, scopes = frozenset(client["roles"]), frozenset(client["scopes"])
    name = client["name"] or None
    try:
        pairs = transform.pairs(subject=client["id"], name=name, roles=roles, claims={})
    except TooLargeError:
        raise TokenError("wrong_claims") from None
    expires_at = key["expires_at"]
    return Principal(
        method="api_key",
        source=client["id"],
        subject=client["id"],
        tenant=client["tenant_id"],
        name=name,
        roles=roles,
        scopes=scopes,
        claims={},
        expires_at=float("inf") if expires_at is None else expires_at,
        pairs=tuple(pairs),
    )
