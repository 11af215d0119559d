"""
Whether so many routes go that it has to be confirmed: a plain function of a connection, which blocks.

The database holds a revision that removes too much, and with it everything that
is committed after it. What a cluster has no more must not keep back what it says
of everything else, new addresses of pods above all: so that is asked before
anything is written, by the database's own rule (`fengling.removes_too_much`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from fengling_gateway.editing.changes import Planned
from fengling_gateway.kubernetes.withheld import Going
from fengling_gateway.model.hold import is_enabled

_ASKED: Final = """
WITH gone AS (
    SELECT r.id, r.service_id, r.split, r.id = ANY (%(confirmed)s) AS is_confirmed
    FROM fengling.route AS r
    WHERE r.enabled AND r.managed_by = 'kubernetes'
      AND (r.id = ANY (%(confirmed)s) OR r.id = ANY (%(unconfirmed)s))
), counted AS (
    SELECT count(*) FILTER (WHERE is_confirmed)::integer AS confirmed,
           count(*) FILTER (WHERE NOT is_confirmed)::integer AS unconfirmed,
           array_agg(id ORDER BY id) FILTER (WHERE NOT is_confirmed) AS routes
    FROM gone
)
SELECT c.unconfirmed > 0 AND fengling.removes_too_much(
           h.routes - c.confirmed - c.unconfirmed + %(made)s,
           h.baseline_routes - c.confirmed, h.baseline_revision),
       h.revision = h.baseline_revision, h.routes, c.routes,
       (SELECT array_agg(DISTINCT s.id) FROM gone AS g, LATERAL (
            SELECT g.service_id AS id UNION ALL
            SELECT w FROM jsonb_object_keys(coalesce(g.split, '{}')) AS w) AS s
        WHERE NOT g.is_confirmed AND s.id IS NOT NULL)
FROM counted AS c, fengling.head AS h
"""


class TooManyGoError(Exception):
    """
    Too many routes go at once; nothing is written.

    Attributes:
        routes: ids of all of them that are there, in order.
        of: how many routes there are, of everybody's.
        services: which those that go need.
    """

    def __init__(self, routes: Sequence[str], of: int, services: Iterable[str]) -> None:
        super().__init__(f"{len(routes)} of {of} routes go at once")
        self.routes = tuple(routes)
        self.of = of
        self.services = frozenset(services)


def require_few(connection: Any, changes: Sequence[Planned], going: Going) -> bool:
    """
    Return whether no other confirmation is needed: the changes remove routes that somebody has confirmed.

    Raises:
        TooManyGoError: those that nobody has confirmed are too many.
    """
    removed = {one.key.id for one in changes if one.key.kind == "route" and one.action == "delete"}
    if not removed:
        return False
    unconfirmed = removed - going.confirmed
    arguments = {
        "confirmed": sorted(removed & going.confirmed),
        # (What goes later is no reason to keep back what somebody has let go.)
        "unconfirmed": sorted((unconfirmed | going.later) - going.confirmed if unconfirmed else ()),
        "made": _made(changes),
    }
    with connection.cursor() as cursor:
        cursor.execute(_ASKED, arguments)
        is_too_much, is_all_served, of, routes, services = cursor.fetchone()
    connection.rollback()
    if is_too_much:
        raise TooManyGoError(routes, of, services or ())
    # (To force a revision is to confirm those before it, too, which may be somebody else's.)
    return bool(arguments["confirmed"]) and is_all_served


def _made(changes: Iterable[Planned]) -> int:
    """Count routes that are new: what is only called otherwise from here on removes nothing."""
    return sum(
        one.key.kind == "route" and one.action == "create" and is_enabled(one.values)
        for one in changes
    )
