"""Those who look after gateways: what they may do, and for which tenants."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from fengling_gateway.model.management_tokens import ADMIN, READ, WRITE

ALLOWS: Final = {READ: {READ}, WRITE: {READ, WRITE}, ADMIN: {READ, WRITE, ADMIN}}
"""What each scope allows."""

ROLES: Final = {"viewer": READ, "editor": WRITE, "admin": ADMIN}
"""The scopes by the names that people have for who holds them."""


@dataclass(frozen=True, slots=True)
class Operator:
    """
    Who asks, by a credential that has been verified, and what it allows.

    Attributes:
        subject: who, as the credential says it.
        scopes: what for; none of them: nothing.
        source: ``token <key id>`` of ours, or ``issuer <id>``.
        token_id: the credential's own id (``jti``), empty if it has none.
        name: what people call the credential.
        tenants: those whose objects alone may be seen; None: all, and what is nobody's.
        expires_at: seconds since the epoch.
        via: the ids of the credentials that it comes of, with spaces between.
    """

    subject: str
    scopes: frozenset[str]
    source: str
    token_id: str
    expires_at: float
    name: str = ""
    tenants: frozenset[str] | None = None
    via: str = ""

    def may(self, scope: str) -> bool:
        return any(scope in ALLOWS[own] for own in self.scopes)

    @property
    def role(self) -> str:
        """The most that the scopes amount to; empty if that is nothing."""
        return next((name for name, scope in reversed(ROLES.items()) if self.may(scope)), "")

    def limited(
        self, *, scopes: Iterable[str] | None = None, tenants: Iterable[str] | None = None
    ) -> Operator:
        """Return the same with no more than these; None takes nothing away."""
        changed = self
        if scopes is not None:
            allowed = frozenset().union(*(ALLOWS[one] for one in scopes))
            kept = frozenset(one for one in ALLOWS if self.may(one)) & allowed
            changed = replace(changed, scopes=kept)
        if tenants is not None:
            some = frozenset(tenants)
            mine = some if self.tenants is None else self.tenants & some
            changed = replace(changed, tenants=mine)
        return changed
