"""
The rule by which a change is held: one that removes too much waits for a confirmation.

An emptied table, a truncated file and a script that lost its WHERE all look
like that, and each takes down more than anybody meant to change in one go.

What counts are the *rows* of routes that are enabled, whether they are right
or rejected and whatever is served in their place: what somebody has configured
and not what a gateway makes of it. A row counts as enabled unless it says
``false``. The share is that of the setting ``hold`` as it was before, so that
no change allows itself what it does, or the default where it makes no sense.

For revisions of a database, the database itself judges by this rule when they
are committed (``commit.sql``), so that every host agrees. Here it is for
sources that have no revision to judge: files, and databases that have been
replaced, set back, or changed with their triggers off.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from fengling_gateway.model.entity import Key

DEFAULT_MAX_REMOVED_SHARE: Final = 0.5
"""More than half of the routes is hardly ever meant."""

HOLD: Final = Key("setting", "hold")


@dataclass(slots=True)
class Tally:
    """What the rule has to know of a configuration."""

    enabled_routes: int = 0
    max_removed_share: float = DEFAULT_MAX_REMOVED_SHARE


def tally_of(rows: Iterable[tuple[Key, object]]) -> Tally:
    """Return the tally of a whole configuration: every key once, with its row."""
    tally = Tally()
    for key, values in rows:
        if key.kind == "route":
            tally.enabled_routes += is_enabled(values)
        elif key == HOLD:
            tally.max_removed_share = max_removed_share(values)
    return tally


def must_be_held(before: Tally, after: Tally) -> bool:
    """Whether going from one configuration to another has to be confirmed."""
    return removes_too_much(before.enabled_routes, after.enabled_routes, before.max_removed_share)


def removes_too_much(before: int, after: int, max_removed_share: float) -> bool:
    """
    Whether going from `before` enabled routes to `after` has to be confirmed.

    Removing all of them always has to, also with a share of 1. Where there was
    nothing, nothing can be removed.
    """
    if before <= 0:
        return False
    # As exact as the database: with floats, 3 of 10 are less than 1 - 0.7 of them.
    return after == 0 or after < (1 - Decimal(str(max_removed_share))) * before


def is_enabled(values: object) -> bool:
    """Whether a row counts; None, for one that does not exist, does not."""
    return isinstance(values, dict) and values.get("enabled", True) is not False


def is_enabled_body(body: bytes) -> bool:
    """Whether the row of this canonical body counts; hardly ever reads it."""
    return b'"enabled":false' not in body or is_enabled(json.loads(body))


def max_removed_share(values: object) -> float:
    """Return what the row of `HOLD` says; the default for None and for nonsense."""
    value = values.get("value") if isinstance(values, dict) else None
    share = value.get("max_removed_share") if isinstance(value, dict) else None
    if isinstance(share, int | float) and type(share) is not bool and 0 <= share <= 1:
        return float(share)
    return DEFAULT_MAX_REMOVED_SHARE
