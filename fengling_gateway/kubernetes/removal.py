"""What waits for a confirmation: routes that the cluster has no more, too many at once. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

_SHOWN: Final = 20
"""Routes that are named."""

_DIGITS: Final = 8

GONE: Final = "gone"
WAITING: Final = "waiting"
UNKNOWN: Final = "unknown"
BECAME: Final = (GONE, WAITING, UNKNOWN)
"""What may have become of a removal that is confirmed: its routes are gone, or are yet to go."""


@dataclass(frozen=True, slots=True)
class Removal:
    """
    Attributes:
        id: of just these routes, this time: what somebody confirms is what has been shown.
        routes: their ids, in order.
        of: how many routes there are, of everybody's.
        lately: how many have gone shortly before.
    """

    id: str
    routes: tuple[str, ...]
    of: int
    lately: int = 0

    @classmethod
    def of_term(
        cls, term: int, number: int, routes: tuple[str, ...], of: int, lately: int = 0
    ) -> Removal:
        """
        Return what is asked for in a term.

        Args:
            number: of all that has been asked in it: the same routes may go again after all.
        """
        digest = sha256(f"{term} {number} {routes}".encode()).hexdigest()
        return cls(digest[:_DIGITS], routes, of, lately)

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "routes": len(self.routes),
            "of": self.of,
            "lately": self.lately,
            "names": list(self.routes[:_SHOWN]),
        }


def became_of(removal: str, status: Mapping[str, Any] | None) -> str:
    """
    Return what became of a removal that is confirmed: one of `BECAME`.

    Unknown is what was asked in another term, in which all was asked anew, or is not asked any more.

    Args:
        status: as whoever watches has told it last, some moments ago.
    """
    writing = (status or {}).get("writing") or {}
    if removal in writing.get("gone", ()):
        return GONE
    asked = (writing.get("removal") or {}).get("id")
    return WAITING if removal == asked or removal in writing.get("going", ()) else UNKNOWN
