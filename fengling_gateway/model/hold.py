"""
The rule by which a change is held: one that removes too much waits for a confirmation.

An emptied table, a truncated file and a script that lost its WHERE all look
like that, and each takes down more than anybody meant to change in one go. For
revisions of a database, the database itself applies this rule when they are
committed, so that every host agrees.
"""

from __future__ import annotations

from typing import Final

DEFAULT_MAX_REMOVED_SHARE: Final = 0.5
"""More than half of the routes is hardly ever meant."""


def removes_too_much(before: int, after: int, max_removed_share: float) -> bool:
    """
    Whether going from `before` enabled routes to `after` has to be confirmed.

    Removing all of them always has to, also with a share of 1. Where there was
    nothing, nothing can be removed.
    """
    if before <= 0:
        return False
    return after == 0 or after < (1 - max_removed_share) * before
