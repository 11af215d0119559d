"""What the cluster wants of entities, and what of that is yet to be written. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from fengling_gateway.model.entity import Key

Row = dict[str, Any]


class Want(NamedTuple):
    """
    What an entity is to be.

    Attributes:
        row: the fields that the cluster names; None: it is to be gone.
        origin: what in the cluster it stands for, as people write it.
    """

    row: Row | None
    origin: str


class Wants:
    """
    Args:
        woken: called when there is something to write.

    Attributes:
        rows: all that is wanted.
        refused: what can't be written as it is wanted, and why.
        withdrawn: origins that somebody does not want to be routed to any more: what of them
            goes need not be confirmed once more, however much it is.
    """

    def __init__(self, woken: Callable[[], None]) -> None:
        self._woken = woken
        self._unwritten: dict[Key, str] = {}
        self.rows: dict[Key, Want] = {}
        self._refused_of: dict[Key, str] = {}
        self.refused: dict[Key, str] = {}
        self.withdrawn: set[str] = set()

    def __repr__(self) -> str:
        return f"<Wants: {len(self.rows)}, {len(self._unwritten)} unwritten>"

    def __len__(self) -> int:
        """How many are yet to be written."""
        return len(self._unwritten)

    @property
    def only_instances(self) -> bool:
        """Whether nothing but instances is yet to be written."""
        return all(key.kind == "instance" for key in self._unwritten)

    def __contains__(self, key: Key) -> bool:
        """Whether an entity is yet to be written."""
        return key in self._unwritten

    def put(self, key: Key, row: Row | None, origin: str) -> None:
        """Want an entity to be so; None: gone."""
        before = self.rows.get(key)
        if (None if before is None else before.row) == row:
            return
        if row is None:
            del self.rows[key]
        else:
            self.rows[key] = Want(row, origin)
        self.look_at(key, origin)

    def look_at(self, key: Key, origin: str = "") -> None:
        """Have an entity compared with what is wanted, and written if it is not so."""
        self.refused.pop(key, None)
        before = self._refused_of.pop(key, "")
        self._unwritten[key] = origin or self._unwritten.get(key) or before
        self._woken()

    def take(self, most: int) -> dict[Key, Want]:
        """
        Take out what is to be written next.

        A route comes after its service and the instances, and goes before them.
        """
        batch = sorted(self._unwritten, key=self._rank)[:most]
        return {key: self._want(key, self._unwritten.pop(key)) for key in batch}

    def is_withdrawn(self, batch: Mapping[Key, Want]) -> bool:
        """Whether all routes that a batch takes away are such as somebody has decided about."""
        gone = [want for key, want in batch.items() if want.row is None and key.kind == "route"]
        return bool(gone) and all(want.origin in self.withdrawn for want in gone)

    def give_back(self, batch: Mapping[Key, Want]) -> None:
        """Have it written after all; what is wanted by now counts."""
        for key, want in batch.items():
            self._unwritten.setdefault(key, want.origin)

    def refuse(self, key: Key, why: str, origin: str = "") -> None:
        """Leave an entity as it is until it is wanted otherwise, or looked at again."""
        self.refused[key] = why
        self._refused_of[key] = origin
        self._unwritten.pop(key, None)

    def _want(self, key: Key, origin: str) -> Want:
        return self.rows.get(key) or Want(None, origin)

    def _rank(self, key: Key) -> tuple[int, Key]:
        ranks = _PUT if key in self.rows else _GO
        return ranks.get(key.kind, 0), key


_PUT: Final = {"service": 1, "instance": 2, "route": 3}
_GO: Final = {"route": 0, "instance": 4, "service": 5}
