"""The routes of one tenant, or the global ones: by host, then by path."""

from __future__ import annotations

from collections.abc import Iterator

from fengling_gateway.routing.leaf import Leaf, first_in
from fengling_gateway.routing.matchers import RequestView
from fengling_gateway.routing.pathtree import Node, insert, leaves, remove
from fengling_gateway.routing.regexes import RegexIndex
from fengling_gateway.routing.route import Route
from fengling_gateway.routing.sharding import AnyDict, put
from fengling_gateway.routing.template import REGEX


class Levels:
    """How many routes have which priority, and the highest of them."""

    __slots__ = ("_counts", "top")

    def __init__(self) -> None:
        self._counts: AnyDict[int, int] = {}
        self.top = _LOWEST

    def copy(self) -> Levels:
        twin = Levels()
        twin._counts = self._counts.copy()
        twin.top = self.top
        return twin

    def add(self, priority: int) -> None:
        self._counts = put(self._counts, priority, self._counts.get(priority, 0) + 1)
        self.top = max(self.top, priority)

    def subtract(self, priority: int) -> None:
        left = self._counts.get(priority, 0) - 1
        if left:
            self._counts[priority] = left
            return
        del self._counts[priority]
        if priority == self.top:
            self.top = max(self._counts, default=_LOWEST)

    def __bool__(self) -> bool:
        return len(self._counts) > 0


_LOWEST = -(1 << 62)


class HostPaths:
    """The routes of one host pattern."""

    __slots__ = ("depth", "levels", "owner", "regexes", "root")

    def __init__(self, owner: object) -> None:
        self.owner = owner
        self.root = Node(owner)
        self.regexes: RegexIndex | None = None
        self.levels = Levels()
        self.depth = 0
        """Depth of the tree, or more: it does not shrink when routes go."""

    def owned_by(self, edit: object) -> HostPaths:
        """Return this if the edit made it, else a copy that it may change."""
        if self.owner is edit:
            return self
        twin = HostPaths(edit)
        twin.root = self.root
        twin.regexes = self.regexes
        twin.levels = self.levels.copy()
        twin.depth = self.depth
        return twin

    def insert(self, route: Route) -> None:
        template = route.template
        self.levels.add(route.priority)
        if template.kind == REGEX:
            self.regexes = (self.regexes or RegexIndex(self.owner)).owned_by(self.owner)
            self.regexes.insert(template.pattern, route)
            return
        self.root = insert(self.root, template, route, self.owner)
        self.depth = max(self.depth, len(template.segments))

    def remove(self, route: Route) -> None:
        template = route.template
        if template.kind != REGEX:
            self.root = remove(self.root, template, route, self.owner)
        elif self.regexes is not None:
            self.regexes = self.regexes.owned_by(self.owner)
            self.regexes.remove(template.pattern, route)
            if not self.regexes:
                self.regexes = None
        self.levels.subtract(route.priority)

    def leaves(self, path: bytes) -> Iterator[Leaf]:
        """Yield the leaves that match a path, in the order they are tried."""
        yield from leaves(self.root, path, self.depth)
        if self.regexes is not None:
            leaf = self.regexes.leaf(path)
            if leaf is not None:
                yield leaf


class Scope:
    """The routes of one tenant, or the global ones."""

    __slots__ = ("any", "exact", "owner", "wild")

    def __init__(self, owner: object) -> None:
        self.owner = owner
        self.exact: AnyDict[bytes, HostPaths] = {}
        self.wild: AnyDict[bytes, HostPaths] = {}
        """By what follows the ``*``: ``.example.com``."""
        self.any: HostPaths | None = None

    def owned_by(self, edit: object) -> Scope:
        """Return this if the edit made it, else a copy that it may change."""
        if self.owner is edit:
            return self
        twin = Scope(edit)
        twin.exact = self.exact.copy()
        twin.wild = self.wild.copy()
        twin.any = self.any
        return twin

    def insert(self, route: Route) -> list[HostPaths]:
        """Add a route under each of its hosts; return what has changed."""
        return [self._insert(pattern, route) for pattern in route.hosts or (b"",)]

    def remove(self, route: Route) -> list[HostPaths]:
        """Take a route from each of its hosts; return what has changed."""
        return [self._remove(pattern, route) for pattern in route.hosts or (b"",)]

    def _insert(self, pattern: bytes, route: Route) -> HostPaths:
        paths = self._at(pattern)
        owned = HostPaths(self.owner) if paths is None else paths.owned_by(self.owner)
        owned.insert(route)
        if not pattern:
            self.any = owned
        elif pattern.startswith(b"*."):
            self.wild = put(self.wild, pattern[1:], owned)
        else:
            self.exact = put(self.exact, pattern, owned)
        return owned

    def _remove(self, pattern: bytes, route: Route) -> HostPaths:
        paths = self._at(pattern)
        if paths is None:
            raise KeyError(route.id)
        owned = paths.owned_by(self.owner)
        owned.remove(route)
        if not pattern:
            self.any = owned if owned.levels else None
            return owned
        hosts, key = self.exact, pattern
        if pattern.startswith(b"*."):
            hosts, key = self.wild, pattern[1:]
        if owned.levels:
            hosts[key] = owned
        else:
            del hosts[key]
        return owned

    def _at(self, pattern: bytes) -> HostPaths | None:
        if not pattern:
            return self.any
        if pattern.startswith(b"*."):
            return self.wild.get(pattern[1:])
        return self.exact.get(pattern)

    @property
    def is_bare(self) -> bool:
        return not self.exact and not self.wild and self.any is None

    def hosts(self, host: bytes) -> Iterator[tuple[bytes, HostPaths]]:
        """Yield the host patterns that match a host, the most specific first."""
        found = self.exact.get(host)
        if found is not None:
            yield host, found
        at = host.find(b".", 1) if self.wild else -1
        while at > 0:
            found = self.wild.get(host[at:])
            if found is not None:
                yield b"*" + host[at:], found
            at = host.find(b".", at + 1)
        if self.any is not None:
            yield b"", self.any

    def match(self, path: bytes, request: RequestView, now: float) -> Route | None:
        """Return the first route in the total order that takes the request."""
        # Leaves come in the order of host and path. Priority goes before both,
        # so a later leaf can still win, but only with a higher priority.
        best: Route | None = None
        for _, paths in self.hosts(request.host):
            if best is not None and paths.levels.top <= best.priority:
                continue
            for leaf in paths.leaves(path):
                best = first_in(leaf, request, now, best)
        return best
