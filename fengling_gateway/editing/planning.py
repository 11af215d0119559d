"""Plans of changes: made of what is there at one moment, and judged together with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fengling_gateway.editing.changes import (
    Ownership,
    Planned,
    bodies_after,
    has_a_say,
    plan,
    references,
    selected,
    with_kept_values,
)
from fengling_gateway.editing.credentials import find_expired, find_let_in_again
from fengling_gateway.editing.judging import Judged, judge
from fengling_gateway.editing.oddities import find_because_of
from fengling_gateway.editing.refusals import Warned, find_refused
from fengling_gateway.editing.rows import deleted_once, read_history, read_rows, snapshot
from fengling_gateway.model.entity import KINDS, Key
from fengling_gateway.routing.auth_linter import public_routes

WRITABLE_KINDS = tuple(kind for kind in KINDS if kind != "instance_health")
"""What somebody can want. Health is what somebody observes."""


class InvalidError(Exception):
    """
    What is wanted has errors; nothing is changed.

    Attributes:
        judged: the configuration as it would be, with the rejections of what is wanted only.
    """

    def __init__(self, judged: Judged) -> None:
        super().__init__(", ".join(map(str, judged.rejected)))
        self.judged = judged


class ChangePlan(NamedTuple):
    """
    What to change, and the configuration that counts then (with what is to be deleted).

    ``refers_to`` is what the changes need beside one another, with its version. ``deleted`` are
    clients and API keys to be made that there were once.
    """

    changes: list[Planned]
    bodies: Mapping[Key, bytes]
    refers_to: Mapping[Key, int]
    deleted: frozenset[Key]

    def warnings(self, now: float) -> list[Warned]:
        """
        Return what is odd about routes, instances and keys because of these changes.

        Args:
            now: seconds since the epoch.
        """
        routes = find_because_of(self.changes, self.bodies)
        written = {one.key for one in self.changes if one.action != "delete"}
        mine = {key: self.bodies[key] for key in written if key in self.bodies}
        keys = [*find_let_in_again(self.changes, self.deleted, now), *find_expired(mine, now)]
        return [*routes, *find_refused(mine), *keys]

    def public(self) -> list[str]:
        """Return the routes that anybody may ask then, of those where the changes have a say in it."""
        touched = {one.key for one in self.changes if has_a_say(one)}
        if not touched:
            return []
        decides = Key("setting", "defaults") in touched
        return public_routes(
            bodies_after(self.bodies, self.changes),
            lambda route: decides or not touched.isdisjoint(_deciding(route)),
        )


def make_plan(
    connection: Any, wanted: Mapping[Key, dict[str, Any]], ownership: Ownership
) -> ChangePlan:
    """
    Read what there is, of one moment, and compare.

    Raises:
        InvalidError: what is wanted has errors.
        TakenError: entities of somebody else would change.
    """
    with snapshot(connection):
        current = read_rows(connection, WRITABLE_KINDS)
        # Together with what is there, as gateways judge it: a route in the file may refer to a
        # service that is not, and of which they serve an older version.
        wanted = with_kept_values(selected(wanted, current, ownership.selector), current)
        judged = judge({**current, **wanted}, lambda keys: read_history(connection, keys))
    wrong = {key: why for key, why in judged.rejected.items() if key in wanted}
    if wrong:
        raise InvalidError(Judged(judged.bodies, wrong))
    changes = plan(wanted, current, ownership)
    made = [one.key for one in changes if one.action == "create"]
    deleted = deleted_once(connection, made)
    needed = references(changes, judged.bodies, current)
    return ChangePlan(changes, judged.bodies, needed, deleted)


def _deciding(route: Mapping[str, Any]) -> Iterator[Key]:
    """Yield what has a say in who may ask a route, but for the defaults."""
    yield Key("route", route["id"])
    if route["service_id"]:
        yield Key("service", route["service_id"])
    for name in route["split"] or ():
        yield Key("service", name)
