"""What the cluster wants and somebody has to confirm: a held revision, too many routes that go. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from twisted.logger import Logger

from fengling_gateway.kubernetes.lately import LatelyLost
from fengling_gateway.kubernetes.removal import Removal
from fengling_gateway.kubernetes.removing import TooManyGoError

_log = Logger()

REMEMBERED: Final = 10
"""Removals that have gone of which it is said, to whoever waits for it."""

WARN_SECONDS: Final = 10.0
"""How often it is logged that more and more routes go, while they do."""


class Awaited:
    """
    In one term; in the next one all is asked anew.

    Attributes:
        held: why what was written last is not served before somebody confirms it; None if it is.
        removal: what is not written before somebody confirms it; None: there is no such thing.
    """

    def __init__(self) -> None:
        self._held_since = self._served = 0
        # Confirmed, and not all gone; and the last ones of which all is.
        self._going: dict[str, Removal] = {}
        self._gone: deque[str] = deque(maxlen=REMEMBERED)
        self._lost = LatelyLost()
        self._asked = 0
        self._warned_at = float("-inf")
        self.held: str | None = None
        self.removal: Removal | None = None

    def __repr__(self) -> str:
        return f"<Awaited: {self.removal}, held: {self.held}>"

    def written(self, revision: int, held: str | None) -> None:
        """Hear what became of a revision."""
        if held is not None and self.held is None:
            _log.warn(
                "what the cluster wants is not served yet: {reason}",
                reason=held,
                log_id="kubernetes.held",
            )
        # (It may have been confirmed before we hear that it was held.)
        self.held = held if revision > self._served else None
        self._held_since = revision

    def served(self, revision: int) -> None:
        """Hear which revision is served: what is held until it is confirmed may be by now."""
        self._served = revision
        if revision >= self._held_since:
            self.held = None

    def lost(self, now: float, routes: int) -> None:
        """Hear how many routes have gone unasked, less those that are new."""
        self._lost.add(now, routes)

    def lately(self, now: float) -> int:
        """Return how many routes have gone unasked, of which those that go next may be the rest."""
        return self._lost.count(now, goes_on=self.removal is not None)

    def too_many(self, now: float, term: int, error: TooManyGoError) -> None:
        """Hear that so many routes go that somebody has to confirm it, and that they are kept."""
        before = self.removal
        if before is not None and before.routes == error.routes:
            self.removal = replace(before, of=error.of, lately=error.lately)
            return
        self._asked += 1
        self.removal = removal = Removal.of_term(
            term, self._asked, error.routes, error.of, error.lately
        )
        if before is not None and now < self._warned_at + WARN_SECONDS:
            return
        self._warned_at = now
        _log.warn(
            "{routes} of {of} routes are no longer in the cluster{before}: they are kept until somebody"
            " confirms that they go: fenglingctl kubernetes confirm {id}",
            before=f", after {error.lately} that have gone within a minute" if error.lately else "",
            routes=len(error.routes),
            of=error.of,
            id=removal.id,
            log_id="kubernetes.withheld",
        )

    def confirm(self, removal: str) -> Removal | None:
        """Return what somebody lets go; None: what he was shown is not what waits for it by now."""
        if removal in self._going:
            return self._going[removal]  # (somebody has said it twice)
        if self.removal is None or self.removal.id != removal:
            return None
        confirmed, self.removal = self.removal, None
        self._going[removal] = confirmed
        self._lost.clear()
        return confirmed

    def look(self, is_going: Callable[[str], bool]) -> None:
        """
        Forget of what nothing goes any more.

        Args:
            is_going: whether a route is yet to go.
        """
        if self.removal is not None and not any(map(is_going, self.removal.routes)):
            self.removal = None
        for name, removal in list(self._going.items()):
            if not any(map(is_going, removal.routes)):
                del self._going[name]
                self._gone.append(name)

    def to_json(self) -> dict[str, Any]:
        """Return ``removal``, and the ids of those that are confirmed and going, and that have gone."""
        return {
            "removal": None if self.removal is None else self.removal.to_json(),
            "going": list(self._going),
            "gone": list(self._gone),
        }
