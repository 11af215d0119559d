"""What the cluster wants of entities, and what of that is yet to be written. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from fengling_gateway.kubernetes.withheld import NOTHING_KNOWN, Going, Look, Withheld
from fengling_gateway.model.entity import Key

Row = dict[str, Any]


class Want(NamedTuple):
    """
    What an entity is to be.

    Attributes:
        row: the fields that the cluster names; None: it is to be gone.
        origin: what in the cluster it stands for, as people write it.
        was: the fields that the cluster named last, of what is to be gone; None: nobody knows.
    """

    row: Row | None
    origin: str
    was: Mapping[str, Any] | None = None


class Wants:
    """
    Args:
        woken: called when there is something to write.

    Attributes:
        rows: all that is wanted.
        refused: what can't be written as it is wanted, and why.
        withheld: what is to go and is kept until somebody confirms it, or it is less.
    """

    def __init__(self, woken: Callable[[], None]) -> None:
        self._woken = woken
        self._unwritten: dict[Key, Look] = {}
        self._refused: dict[Key, Look] = {}
        # Origins that somebody does not want to be routed to, and routes that somebody lets go.
        self._withdrawn: set[str] = set()
        self._confirmed: set[Key] = set()
        self.rows: dict[Key, Want] = {}
        self.refused: dict[Key, str] = {}
        self.withheld = Withheld()

    def __repr__(self) -> str:
        return f"<Wants: {len(self.rows)}, {len(self._unwritten)} unwritten, {self.withheld}>"

    def __len__(self) -> int:
        """How many are yet to be written."""
        return len(self._unwritten)

    @property
    def only_instances(self) -> bool:
        """Whether nothing but instances is yet to be written."""
        return all(key.kind == "instance" for key in self._unwritten)

    @property
    def has_routes_to_go(self) -> bool:
        """Whether routes are yet to go, kept ones aside."""
        return any(key.kind == "route" and key not in self.rows for key in self._unwritten)

    def __contains__(self, key: Key) -> bool:
        """Whether an entity is yet to be written."""
        return key in self._unwritten

    def put(self, key: Key, row: Row | None, origin: str) -> None:
        """Want an entity to be so; None: gone."""
        before = self.rows.get(key)
        was = None if before is None else before.row
        if was == row:
            return
        if row is None:
            del self.rows[key]
            self.look_at(key, origin, was)
            return
        self.rows[key] = Want(row, origin)
        self._confirmed.discard(key)
        self.look_at(key, origin)
        if self.withheld and key.kind == "instance":
            # Its service is back, and has endpoints: whatever else was kept of it may go.
            for one in self.withheld.instances_of(row.get("service_id", "")):
                self.look_at(one)

    def look_at(self, key: Key, origin: str = "", was: Mapping[str, Any] | None = None) -> None:
        """
        Have an entity compared with what is wanted, and written if it is not so.

        Args:
            was: the fields that the cluster named last, of what is to be gone.
        """
        self.refused.pop(key, None)
        self._look_at(key, origin, was)

    def try_again(self, kind: str | None = None) -> None:
        """Have what was refused, of a kind or all of it, tried again; it is refused until then."""
        for key in self.refused:
            if kind in (None, key.kind):
                self._look_at(key)

    def take(self, most: int) -> dict[Key, Want]:
        """
        Take out what is to be written next; nothing, if all of it is kept for now.

        A route comes after its service and the instances, and goes before them.
        """
        if self.withheld.services:
            for key in self.withheld.draw(self._to_go(), self.rows):
                self._leave(key)
        batch = sorted(self._unwritten, key=self._rank)[:most]
        return {key: self._want(key, self._unwritten.pop(key)) for key in batch}

    def give_back(self, batch: Mapping[Key, Want]) -> None:
        """Have it written after all; what is wanted by now counts."""
        for key, want in batch.items():
            look = self._unwritten.get(key, NOTHING_KNOWN)
            was = want.was if look.was is None else look.was
            self._unwritten[key] = Look(look.origin or want.origin, was)

    def written(self, batch: Mapping[Key, Want]) -> None:
        """Hear what is written as it was wanted."""
        for key, want in batch.items():
            self.refused.pop(key, None)
            if want.row is None:  # (and if it is there again, it is confirmed again)
                self._confirmed.discard(key)
        if self.withheld.services and not self.withheld.routes and not self.has_routes_to_go:
            self._look_at_all(self.withheld.release_needed())

    def refuse(self, key: Key, why: str, want: Want) -> None:
        """Leave an entity as it is until it is wanted otherwise, or looked at again."""
        self.refused[key] = why
        self._refused[key] = Look(want.origin, want.was)
        self._unwritten.pop(key, None)

    # What goes

    def going(self, batch: Mapping[Key, Want]) -> Going:
        """Return which routes are to go with a batch, if any do, or later; what is kept counts, too."""
        now = {
            key: want.origin
            for key, want in batch.items()
            if want.row is None and key.kind == "route"
        }
        if not now:
            return Going()
        to_go = {key: look for key, look in self._to_go().items() if key.kind == "route"}
        later = {key: look.origin for key, look in {**to_go, **self.withheld.routes}.items()}
        routes = later | now
        confirmed = {key for key, origin in routes.items() if self._may_go(key, origin)}
        return Going(
            later=frozenset(key.id for key in routes.keys() - confirmed - now.keys()),
            confirmed=frozenset(key.id for key in confirmed),
        )

    def count_unconfirmed(self, batch: Mapping[Key, Want]) -> int:
        """Return how many routes go with a batch that nobody has confirmed."""
        return sum(
            key.kind == "route" and want.row is None and not self._may_go(key, want.origin)
            for key, want in batch.items()
        )

    def withhold(self, routes: Iterable[str], services: Iterable[str]) -> tuple[str, ...]:
        """
        Keep routes that are to go, and what belongs to them; return those that are kept.

        Args:
            services: which the routes need.
        """
        routes = tuple(routes)
        going = self._to_go()
        keys = [key for one in routes if (key := Key("route", one)) in going]
        # (Somebody may have let them go while it was asked.)
        kept = {key: going[key] for key in keys if not self._may_go(key, going[key].origin)}
        for key in kept:
            self._leave(key)
        self._look_at_all(self.withheld.keep(kept, services))
        return tuple(one for one in routes if Key("route", one) in self.withheld)

    def ask_again(self) -> None:
        """Have routes looked at again that are kept; what they need goes after them, or stays."""
        self._look_at_all(self.withheld.release_routes() or self.withheld.release_needed())

    def confirm(self, routes: Iterable[str]) -> None:
        """Let routes go that are kept, however many they are."""
        keys = (Key("route", one) for one in routes)
        self._confirmed.update(key for key in keys if key not in self.rows)
        self.ask_again()

    def withdraw(self, origin: str) -> None:
        """Note that somebody does not want something to be routed to: that is confirmation enough."""
        self._withdrawn.add(origin)
        self.ask_again()

    def admit(self, origin: str) -> None:
        """Note that it is to be routed to after all."""
        self._withdrawn.discard(origin)

    def is_going(self, route: str) -> bool:
        """Whether a route is yet to go, of those that are not being written right now."""
        key = Key("route", route)
        return key not in self.rows and (
            key in self._unwritten or key in self.withheld or key in self._refused
        )

    def _look_at(self, key: Key, origin: str = "", was: Mapping[str, Any] | None = None) -> None:
        known = (
            self._unwritten.get(key)
            or self.withheld.drop(key)
            or self._refused.pop(key, NOTHING_KNOWN)
        )
        self._unwritten[key] = Look(origin or known.origin, known.was if was is None else was)
        self._woken()

    def _look_at_all(self, looks: Mapping[Key, Look]) -> None:
        for key, look in looks.items():
            self.look_at(key, look.origin, look.was)

    def _leave(self, key: Key) -> None:
        del self._unwritten[key]
        self.refused.pop(key, None)

    def _may_go(self, key: Key, origin: str) -> bool:
        return key in self._confirmed or origin in self._withdrawn

    def _to_go(self) -> dict[Key, Look]:
        return {key: look for key, look in self._unwritten.items() if key not in self.rows}

    def _want(self, key: Key, look: Look) -> Want:
        return self.rows.get(key) or Want(None, *look)

    def _rank(self, key: Key) -> tuple[int, Key]:
        ranks = _PUT if key in self.rows else _GO
        return ranks.get(key.kind, 0), key


_PUT: Final = {"service": 1, "instance": 2, "route": 3}
_GO: Final = {"route": 0, "instance": 4, "service": 5}
