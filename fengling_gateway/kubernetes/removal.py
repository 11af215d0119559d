"""What waits for a confirmation: routes that the cluster has no more, too many at once. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

_SHOWN: Final = 20
"""Routes that are named."""

_DIGITS: Final = 8


@dataclass(frozen=True, slots=True)
class Removal:
    """
    Attributes:
        id: of just these routes, in this term: what somebody confirms is what has been shown.
        routes: their ids, in order.
        of: how many routes there were, of everybody's.
    """

    id: str
    routes: tuple[str, ...]
    of: int

    @classmethod
    def of_term(cls, term: int, routes: tuple[str, ...], of: int) -> Removal:
        digest = sha256(f"{term} {routes}".encode()).hexdigest()
        return cls(digest[:_DIGITS], routes, of)

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "routes": len(self.routes),
            "of": self.of,
            "names": list(self.routes[:_SHOWN]),
        }
