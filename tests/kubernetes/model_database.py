"""A database in memory, as far as writing what a cluster wants goes: who refuses what, and the rule of losses."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, NamedTuple

from fengling_gateway.kubernetes.lately import SECONDS as LATELY_SECONDS
from fengling_gateway.kubernetes.removing import TooManyGoError
from fengling_gateway.kubernetes.wants import Row, Want
from fengling_gateway.kubernetes.withheld import Going, Look
from fengling_gateway.kubernetes.writing import RefusedError, Written, services_of
from fengling_gateway.model.entity import Key
from fengling_gateway.model.hold import DEFAULT_MAX_REMOVED_SHARE, removes_too_much

Changes = Mapping[Key, Row | None]


def rows_of(app: str, shape: tuple[int, ...]) -> dict[Key, Row]:
    """Return an app's entities: a route to some services, a number of instances for each of them."""
    services = [f"{app}{number}" for number in range(len(shape))]
    rows: dict[Key, Row] = {Key("service", one): {"name": one} for one in services}
    for service, pods in zip(services, shape, strict=True):
        for pod in range(pods):
            rows[Key("instance", f"{service}_{pod}")] = {"service_id": service}
    target = {"split": dict.fromkeys(services, 1)} if services else {"redirect": {}}
    return {**rows, Key("route", app): target}


class Loss(NamedTuple):
    """Enabled routes that go with a batch: unasked, and confirmed; and those that are new."""

    unasked: int
    confirmed: int
    made: int


class Burst:
    """What goes unasked within a minute, since somebody was asked last."""

    def __init__(self) -> None:
        self._lost: list[tuple[float, int]] = []

    def add(self, now: float, loss: Loss, left: int) -> None:
        """
        Hear what has been written.

        Args:
            left: enabled routes that there are since then.
        """
        lost = loss.unasked - loss.made
        if loss.unasked:
            before = left + lost + self.fewer(now)
            assert not removes_too_much(before, left, DEFAULT_MAX_REMOVED_SHARE), "too many went"
        self._lost.append((now, lost))

    def fewer(self, now: float) -> int:
        """Return how many fewer there are than at the most."""
        fewer = 0
        for at, routes in self._lost:
            fewer = max(0, fewer + routes) if at > now - LATELY_SECONDS else 0
        return fewer


class ModelDatabase:
    """
    Attributes:
        rows: what is of the cluster.
        said: what the cluster has said of it.
        disabled: routes that somebody has disabled.
        own_routes: how many there are that are not the cluster's.
        refusing: what it refuses to make or change, and everything that is written with it.
    """

    def __init__(self) -> None:
        self.rows: dict[Key, Row] = {}
        self.said: dict[Key, Look] = {}
        self.disabled: set[Key] = set()
        self.own_routes = 0
        self.refusing: set[Key] = set()
        self._revision = 0

    @property
    def routes(self) -> int:
        """How many are enabled, of everybody's."""
        return self.own_routes + sum(map(self.is_enabled, self.rows))

    def is_enabled(self, key: Key) -> bool:
        """Whether it is a route of the cluster that counts."""
        return key.kind == "route" and key in self.rows and key not in self.disabled

    def write(self, batch: Mapping[Key, Want], going: Going) -> tuple[Written, Loss]:
        """Do as `writing.write` does."""
        changes = {key: want.row for key, want in batch.items() if self.rows.get(key) != want.row}
        refused = self._refused(changes)
        for key in refused:
            del changes[key]
        loss = self._require_few(changes, going)
        if any(row is not None and key in self.refusing for key, row in changes.items()):
            raise RefusedError("it is not right")
        for key, want in batch.items():
            if key not in refused:
                self._put(key, want)
        self._revision += bool(changes)
        revision = self._revision if changes else None
        return Written(revision, refused=refused, lost=loss.unasked - loss.made), loss

    def lacking(self, gone: Mapping[Key, Row], wanted: Container[Key]) -> set[str]:
        """Return services that routes need that are only kept, and that have lost something."""
        lost = {one for row in gone.values() for one in services_of(row)}
        kept = [key for key in self.rows if self.is_enabled(key) and key not in wanted]
        needed = {one for key in kept for one in services_of(self.rows[key])}
        return {one for one in lost & needed if Key("service", one) not in wanted}

    def spare(self, wanted: Container[Key]) -> set[str]:
        """Return services that nobody wants, and no route needs."""
        unwanted = {key.id for key in self.rows if key.kind == "service" and key not in wanted}
        routes = [row for key, row in self.rows.items() if key.kind == "route"]
        return unwanted - {one for row in routes for one in services_of(row)}

    def disable(self, route: Key) -> None:
        self.disabled.add(route)

    def delete(self, key: Key) -> None:
        self.rows.pop(key, None)
        self.disabled.discard(key)

    def _put(self, key: Key, want: Want) -> None:
        if want.row is None:
            self.delete(key)
            self.said.pop(key, None)
        else:
            self.rows[key] = want.row
            self.said[key] = Look(want.origin, want.row)

    def _refused(self, changes: Changes) -> dict[Key, str]:
        """Refuse what needs a service that is not there, and to remove one that is needed."""
        left = {**self.rows, **changes}
        needed = {one for row in left.values() for one in services_of(row)}
        refused = {}
        for key, row in changes.items():
            missing = [one for one in services_of(row) if left.get(Key("service", one)) is None]
            if missing:
                refused[key] = f"{missing[0]} is not there"
            elif row is None and key.kind == "service" and key.id in needed:
                refused[key] = "something needs it"
        return refused

    def _require_few(self, changes: Changes, going: Going) -> Loss:
        removed = {key.id for key, row in changes.items() if row is None and self.is_enabled(key)}
        now = removed - going.confirmed
        loss = Loss(len(now), len(removed - now), self._made(changes))
        lost = sorted(
            one for one in now | going.later - going.confirmed if self.is_enabled(Key("route", one))
        )
        left = self.routes - loss.confirmed
        is_too_much = removes_too_much(
            left + going.lately, left - len(lost) + loss.made, DEFAULT_MAX_REMOVED_SHARE
        )
        if now and is_too_much:
            raise TooManyGoError(lost, self.routes, self._services_of(lost), going.lately)
        return loss

    def _made(self, changes: Changes) -> int:
        return sum(
            key.kind == "route" and row is not None and key not in self.rows
            for key, row in changes.items()
        )

    def _services_of(self, routes: list[str]) -> set[Any]:
        return {name for one in routes for name in services_of(self.rows[Key("route", one)])}
