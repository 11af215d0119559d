"""Who a request comes from, once that has been verified."""

from __future__ import annotations

from dataclasses import dataclass, field

from fengling_gateway.auth.claims import Claims

Pair = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Principal:
    """
    Who asks, by which proof, and what for.

    Attributes:
        method: ``jwt`` or ``api_key``.
        source: id of the issuer, or of the client whose key it is.
        subject: who, as that source calls them.
        tenant: that the source says they belong to.
        expires_at: seconds since the epoch; infinite if nothing ends it.
        pairs: the headers that tell an instance.
    """

    method: str
    source: str
    subject: str
    tenant: str | None
    name: str | None
    roles: frozenset[str]
    scopes: frozenset[str]
    claims: Claims = field(repr=False)
    expires_at: float
    pairs: tuple[Pair, ...] = field(repr=False)
