"""What a route asks of those who come: the policy ``auth``, compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fengling_gateway.auth.claims import ClaimPath, Claims, as_text, as_texts
from fengling_gateway.auth.principal import Principal

ANONYMOUS: Final = 0
OPTIONAL: Final = 1
REQUIRED: Final = 2

_MODES: Final = {"anonymous": ANONYMOUS, "optional": OPTIONAL, "required": REQUIRED}


class Requirement:
    """
    Who may ask a route. Immutable, and the same object for equal policies.

    Attributes:
        mode: `ANONYMOUS`, `OPTIONAL` or `REQUIRED`.
        takes_tokens, takes_keys: which proofs are looked for.
        api_key_header: in lower case.
        cookie, query: where else a token may be; empty: nowhere.
        scopes: all of which are required.
        asks_more: whether it matters who it is.
        forward: whether the instance gets the proof, too.
    """

    __slots__ = (
        "_claims",
        "_issuers",
        "_roles",
        "api_key_header",
        "asks_more",
        "cookie",
        "forward",
        "mode",
        "query",
        "scopes",
        "takes_keys",
        "takes_tokens",
    )

    def __init__(self, policy: Mapping[str, Any]) -> None:
        self.mode = _MODES[policy["mode"]]
        self.takes_tokens = "jwt" in policy["methods"]
        self.takes_keys = "api_key" in policy["methods"]
        self.api_key_header: bytes = policy["api_key_header"].lower().encode("latin-1")
        self.cookie: bytes = (policy["cookie"] or "").encode()
        self.query: bytes = (policy["query"] or "").encode()
        self.forward: bool = policy["forward"]
        issuers = policy["issuers"]
        self._issuers = None if issuers is None else frozenset(issuers)
        self.scopes = frozenset(policy["scopes"])
        self._roles = frozenset(policy["roles"])
        self._claims = tuple(
            (ClaimPath(name), frozenset(values)) for name, values in policy["claims"].items()
        )

        self.asks_more = bool(self.scopes or self._roles or self._claims)

    def __repr__(self) -> str:
        return f"<Requirement mode={self.mode}>"

    def believes(self, principal: Principal) -> bool:
        """Whether this route takes the word of whoever says who this is."""
        if principal.method != "jwt":
            return self.takes_keys
        return self.takes_tokens and (self._issuers is None or principal.source in self._issuers)

    def allows(self, principal: Principal) -> bool:
        """Whether this one may do it: all scopes, one of the roles, one value of each claim."""
        if self.scopes and not self.scopes <= principal.scopes:
            return False
        if self._roles and self._roles.isdisjoint(principal.roles):
            return False
        return all(_has(principal.claims, path, values) for path, values in self._claims)


def _has(claims: Claims, path: ClaimPath, values: frozenset[str]) -> bool:
    found = path.find(claims)
    if type(found) is list:
        return not values.isdisjoint(as_texts(found))
    text = as_text(found)
    return text is not None and text in values
