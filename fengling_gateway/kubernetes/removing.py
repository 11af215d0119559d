"""
Whether so many routes go that it has to be confirmed: a plain function of a connection, which blocks.

The database holds a revision that removes too much, and with it everything that
is committed after it. What a cluster has no more must not keep back what it says
of everything else, new addresses of pods above all: so that is asked before
anything is written, by the database's own rule (`fengling.removes_too_much`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from fengling_gateway.editing.changes import Planned
from fengling_gateway.editing.transaction import ConflictError
from fengling_gateway.kubernetes.withheld import Going
from fengling_gateway.model.hold import is_enabled

_COUNTED: Final = """
WITH gone AS (
    SELECT r.id, r.service_id, r.split, r.id = ANY (%(confirmed)s) AS is_confirmed
    FROM fengling.route AS r
    WHERE r.enabled AND r.managed_by = 'kubernetes'
      AND (r.id = ANY (%(confirmed)s) OR r.id = ANY (%(unconfirmed)s))
)
SELECT count(*) FILTER (WHERE is_confirmed),
       coalesce(array_agg(id ORDER BY id) FILTER (WHERE NOT is_confirmed), '{}'),
       ARRAY(SELECT DISTINCT s.id FROM gone AS g, LATERAL (
                 SELECT g.service_id AS id UNION ALL
                 SELECT w FROM jsonb_object_keys(coalesce(g.split, '{}')) AS w) AS s
             WHERE NOT g.is_confirmed AND s.id IS NOT NULL)
FROM gone
"""

# What somebody else's held revision removes is neither the cluster's doing nor counted as such: it
# is compared with what there is, served or not.
_JUDGED: Final = """
SELECT fengling.removes_too_much(
           h.routes - %(confirmed)s - %(unconfirmed)s + %(made)s,
           h.routes - %(confirmed)s + %(lately)s, h.baseline_revision),
       h.routes
FROM fengling.head AS h
"""


class TooManyGoError(Exception):
    """
    Too many routes go at once; nothing is written.

    Attributes:
        routes: ids of all of them that are there, in order.
        of: how many routes there are, of everybody's.
        services: which those that go need.
        lately: how many have gone shortly before.
    """

    def __init__(
        self, routes: Sequence[str], of: int, services: Iterable[str], lately: int = 0
    ) -> None:
        super().__init__(f"{len(routes)} of {of} routes go at once")
        self.routes = tuple(routes)
        self.of = of
        self.services = frozenset(services)
        self.lately = lately


class Loss(NamedTuple):
    """
    How many enabled routes go and come.

    Attributes:
        now: those that go with the batch, and that nobody has confirmed.
        unconfirmed: these, and those that go later.
        confirmed: those that go with the batch, and that somebody has let go.
        made: those that are new.
        lately: those that have gone shortly before, and that nobody had confirmed.
    """

    now: int = 0
    unconfirmed: int = 0
    confirmed: int = 0
    made: int = 0
    lately: int = 0

    @property
    def is_any(self) -> bool:
        return bool(self.now or self.confirmed)


def require_few(connection: Any, changes: Sequence[Planned], going: Going) -> Loss:
    """
    Return what is lost, as far as it is so little that nobody has to confirm it.

    Raises:
        TooManyGoError: of routes that nobody has confirmed it is too much.
    """
    removed = {one.key.id for one in changes if one.key.kind == "route" and one.action == "delete"}
    made = _made(changes)
    if not removed:
        return Loss(made=made)
    unconfirmed = removed - going.confirmed
    asked = {
        "confirmed": sorted(removed & going.confirmed),
        "unconfirmed": sorted((unconfirmed | going.later) - going.confirmed),
    }
    with connection.cursor() as cursor:
        cursor.execute(_COUNTED, asked)
        confirmed, routes, services = cursor.fetchone()
        now = len(unconfirmed.intersection(routes))
        loss = Loss(now, len(routes), confirmed, made, going.lately)
        cursor.execute(_JUDGED, loss._asdict())
        is_too_much, of = cursor.fetchone()
    connection.rollback()
    # (What goes later is no reason to keep back what somebody has let go, or has disabled.)
    if is_too_much and now:
        raise TooManyGoError(routes, of, services, going.lately)
    return loss


def confirm_loss(cursor: Any, loss: Loss) -> None:
    """
    Have the database take a loss for confirmed, as far as somebody has: right before COMMIT.

    To force a revision is to confirm those before it, too, and one that is held may be somebody
    else's. So nobody commits from here on, until we have.

    Raises:
        ConflictError: what would be removed has become too much; nothing is written.
    """
    unconfirmed = loss.unconfirmed if loss.now else 0
    cursor.execute(
        "SELECT fengling.confirm_loss(%s, %s, %s, %s)",
        (loss.confirmed, unconfirmed, loss.made, loss.lately),
    )
    [(is_possible,)] = cursor
    if not is_possible:
        raise ConflictError(())


def _made(changes: Iterable[Planned]) -> int:
    """Count routes that are new: what is only called otherwise from here on removes nothing."""
    return sum(
        one.key.kind == "route" and one.action == "create" and is_enabled(one.values)
        for one in changes
    )
