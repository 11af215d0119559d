"""The regex routes of one host pattern."""

from __future__ import annotations

from typing import Final

from fengling_gateway.routing.edit import Edit
from fengling_gateway.routing.leaf import Leaf, make_leaf, routes_of, with_route, without_route
from fengling_gateway.routing.re2packs import PACK_LIMIT, SMALL_PACK, Pack, add_to_packs
from fengling_gateway.routing.route import Route

_SETTLE_AT: Final = 256
"""New regexes that are compiled at once, so that no slice of a load takes long."""


class RegexIndex:
    """
    The regex routes of one host pattern.

    Changed under an edit like a path tree. After a change, `settle` has to be
    called before `leaf`.
    """

    __slots__ = ("_leaves", "_new", "_packs")

    def __init__(self) -> None:
        self._leaves: dict[str, Leaf] = {}
        self._packs: tuple[Pack, ...] = ()
        self._new: dict[str, None] = {}
        """Regexes that are in no pack yet."""

    def owned_by(self, edit: Edit) -> RegexIndex:
        """Return this index if the edit made it, else a copy that it may change."""
        if edit.made(self):
            return self
        twin = edit.keep(RegexIndex())
        twin._leaves = self._leaves.copy()
        twin._packs = self._packs
        twin._new = self._new.copy()
        return twin

    def insert(self, pattern: str, route: Route) -> None:
        leaf = self._leaves.get(pattern)
        self._leaves[pattern] = with_route(leaf, route)
        if leaf is None and not any(pattern in pack for pack in self._packs):
            self._new[pattern] = None
            if len(self._new) >= _SETTLE_AT:
                self.settle()

    def remove(self, pattern: str, route: Route) -> None:
        """Take a route out; its regex may stay in a pack until packs are merged."""
        leaf = without_route(self._leaves.get(pattern), route)
        if leaf is not None:
            self._leaves[pattern] = leaf
            return
        del self._leaves[pattern]
        self._new.pop(pattern, None)

    @property
    def is_settled(self) -> bool:
        return not self._new

    def settle(self) -> None:
        """Compile what has been added."""
        packs = list(self._packs)
        waiting = tuple(self._new)
        if sum(map(len, packs)) > 2 * len(self._leaves) + SMALL_PACK:
            packs, waiting = [], tuple(self._leaves)  # mostly removed ones by now
        for at in range(0, len(waiting), PACK_LIMIT):
            add_to_packs(packs, waiting[at : at + PACK_LIMIT], self._leaves)
        self._packs = tuple(packs)
        self._new = {}

    def __bool__(self) -> bool:
        return bool(self._leaves)

    def leaf(self, path: bytes) -> Leaf | None:
        """Return the routes whose regexes match the path."""
        found = [
            leaf
            for pack in self._packs
            for pattern in pack.matching(path)
            if (leaf := self._leaves.get(pattern)) is not None
        ]
        if len(found) < 2:
            return found[0] if found else None
        return make_leaf(route for leaf in found for route in routes_of(leaf))

    def of(self, pattern: str) -> Leaf | None:
        """Return the routes with that very regex."""
        return self._leaves.get(pattern)
