"""Looking for exchanges among those that are kept, and telling them in short. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fengling_gateway.records.blame import verdict
from fengling_gateway.records.notable import FAILED
from fengling_gateway.records.ring import Kept, Ring

LOOKED_AT_ONCE: Final = 500
"""Exchanges in a few milliseconds."""

MAX_GROUPS: Final = 200
"""In a summary: those with most exchanges."""

MAX_SAME_ID: Final = 10
"""Exchanges with one request id: a client may use it again when it tries again."""

_NAMED: Final = 5
"""Routes that a group names."""

IsVisible = Callable[[str, str], bool]
"""Whether an entity, by its kind and id, is one that whoever asks may see."""


_OF_PEOPLE: Final = ("client", "peer", "subject", "user_agent")
_BEHIND: Final = ("service", "peer", "listener", "worker")


@dataclass(frozen=True, slots=True)
class Sight:
    """
    What somebody may see of exchanges.

    Attributes:
        is_visible: for whoever does not see all entities: then there is nothing of what is behind
            the gateway, and not theirs.
        sees_people: otherwise there is nothing of who asked, and no query.
    """

    is_visible: IsVisible | None = None
    sees_people: bool = True


ALL_OF_IT: Final = Sight()


@dataclass(frozen=True, slots=True)
class Sought:
    """
    What is looked for; what is None does not matter.

    Attributes:
        since, until: seconds since the epoch, of the exchange's end.
        fault: whose it was, as of `blame.Fault`.
        statuses: lowest and highest.
        instance: one that was asked.
        tenants: whose exchanges there are for whoever asks; None: all.
    """

    since: float | None = None
    until: float | None = None
    kind: str | None = None
    error: str | None = None
    fault: str | None = None
    statuses: tuple[int, int] | None = None
    route: str | None = None
    service: str | None = None
    instance: str | None = None
    request_id: str | None = None
    tenants: frozenset[str] | None = None

    def is_met_by(self, one: Kept) -> bool:
        return (
            (self.since is None or one.at >= self.since)
            and (self.until is None or one.at <= self.until)
            and (self.kind is None or one.kind == self.kind)
            and (self.error is None or one.error == self.error)
            and (self.statuses is None or self.statuses[0] <= one.status <= self.statuses[1])
            and (self.route is None or one.route == self.route)
            and (self.service is None or one.service == self.service)
            and (self.instance is None or self.instance in one.instances)
            and (self.request_id is None or one.request_id == self.request_id)
            and (self.tenants is None or one.tenant in self.tenants)
            and (self.fault is None or _verdict(one)[0] == self.fault)
        )


class Found:
    """
    What was found: a page of exchanges, newest first, and a summary of all of them.

    Args:
        after: the number of an exchange that the page begins after; None: at the newest.
        limit: exchanges on the page.
        sight: what whoever asks may see of them.
    """

    def __init__(self, *, after: int | None, limit: int, sight: Sight = ALL_OF_IT) -> None:
        self._after = after
        self._limit = limit
        self._sight = sight
        self._is_visible = sight.is_visible
        self._groups: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._last: int | None = None
        self.items: list[dict[str, Any]] = []
        self.next: int | None = None
        self.count = 0

    def add(self, one: Kept) -> None:
        """Take the next one, which is older."""
        self.count += 1
        self._sum_up(one)
        if self._after is not None and one.number >= self._after:
            return
        if len(self.items) < self._limit:
            self.items.append(told(one, self._sight))
            self._last = one.number
        else:
            self.next = self._last

    def summary(self) -> list[dict[str, Any]]:
        """Return the groups, those with most exchanges first."""
        most = sorted(self._groups.values(), key=lambda one: (-one["count"], -one["last_at"]))
        return most[:MAX_GROUPS]

    @property
    def groups(self) -> int:
        """How many groups there are, also beyond the summary."""
        return len(self._groups)

    def _sum_up(self, one: Kept) -> None:
        instance = one.instances[-1] if one.instances else None
        if instance is not None and self._is_visible is not None:
            instance = instance if self._is_visible("instance", instance) else None
        service = one.service if self._is_visible is None else None
        status = None if one.kind == FAILED else one.status
        key = (one.kind, one.error, status, service, instance)
        group = self._groups.get(key)
        if group is None:
            fault, means = _verdict(one)
            group = self._groups[key] = {
                "kind": one.kind,
                "error": one.error,
                "status": status,
                "service": service,
                "instance": instance,
                "fault": fault,
                "means": means,
                "count": 0,
                "first_at": one.at,
                "last_at": one.at,
                "newest": one.request_id,
                "routes": [],
            }
        group["count"] += 1
        group["first_at"] = min(group["first_at"], one.at)
        group["last_at"] = max(group["last_at"], one.at)
        self._name_route(one.route, group["routes"])

    def _name_route(self, route: str | None, named: list[str]) -> None:
        if route is None or route in named or len(named) == _NAMED:
            return
        if self._is_visible is None or self._is_visible("route", route):
            named.append(route)


def look(ring: Ring, sought: Sought, found: Found) -> Iterator[None]:
    """Look through what is kept; each turn of the iteration is one where others may take theirs."""
    for number, one in enumerate(ring.newest_first()):
        if number % LOOKED_AT_ONCE == LOOKED_AT_ONCE - 1:
            yield
        if sought.is_met_by(one):
            found.add(one)


def by_id(ring: Ring, request_id: str, tenants: frozenset[str] | None) -> list[Kept]:
    """Return the exchanges with a request id, newest first, as far as they are these tenants'."""
    found = [
        one
        for one in ring.newest_first()
        if one.request_id == request_id and (tenants is None or one.tenant in tenants)
    ]
    return found[:MAX_SAME_ID]


def told(one: Kept, sight: Sight) -> dict[str, Any]:
    """Return what is told of an exchange: all of it, whose fault it is, and what that means."""
    document = one.document()
    fault, means = _verdict(one)
    document |= {"number": one.number, "fault": fault, "means": means}
    if not sight.sees_people:
        document |= dict.fromkeys(_OF_PEOPLE)
        if document["target"] is not None:
            document["target"] = document["target"].partition("?")[0]
    is_visible = sight.is_visible
    if is_visible is not None:
        document |= dict.fromkeys(_BEHIND)
        if one.route is not None and not is_visible("route", one.route):
            document["route"] = None
        document["attempts"] = [_attempt(it, is_visible) for it in document["attempts"]]
    return document


def _verdict(one: Kept) -> tuple[str, str]:
    return verdict(one.kind, one.error, was_asked=bool(one.instances))


def _attempt(attempt: Mapping[str, Any], is_visible: IsVisible) -> dict[str, Any]:
    if is_visible("instance", attempt["instance"]):
        return dict(attempt)
    return {**attempt, "instance": None, "address": None}
