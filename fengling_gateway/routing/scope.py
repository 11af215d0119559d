"""The routes of one tenant, or the global ones: by host, then by path."""

from __future__ import annotations

from collections.abc import Iterator

from fengling_gateway.routing.edit import Edit
from fengling_gateway.routing.hostpaths import HostPaths
from fengling_gateway.routing.leaf import Leaf, first_above
from fengling_gateway.routing.levels import Levels
from fengling_gateway.routing.matchers import RequestView
from fengling_gateway.routing.route import Route
from fengling_gateway.routing.sharding import AnyDict, put


class Scope:
    """The routes of one tenant, or the global ones."""

    __slots__ = ("any", "exact", "inexact_levels", "is_flat", "levels", "wild")

    def __init__(self) -> None:
        self.levels = Levels()
        self.is_flat = True
        self.inexact_levels = Levels()
        """Priorities of the routes without an exact host."""
        self.exact: AnyDict[bytes, HostPaths] = {}
        self.wild: AnyDict[bytes, HostPaths] = {}
        """By what follows the ``*``: ``.example.com``."""
        self.any: HostPaths | None = None

    def owned_by(self, edit: Edit) -> Scope:
        """Return this if the edit made it, else a copy that it may change."""
        if edit.made(self):
            return self
        twin = edit.keep(Scope())
        twin.levels = self.levels.copy()
        twin.is_flat = self.is_flat
        twin.inexact_levels = self.inexact_levels.copy()
        twin.exact = self.exact.copy()
        twin.wild = self.wild.copy()
        twin.any = self.any
        return twin

    def insert(self, route: Route, edit: Edit) -> list[HostPaths]:
        """Add a route under each of its hosts; return what has changed."""
        self.levels.add(route.priority)
        self.is_flat = self.levels.is_flat
        return [self._insert(pattern, route, edit) for pattern in route.hosts or (b"",)]

    def remove(self, route: Route, edit: Edit) -> list[HostPaths]:
        """Take a route from each of its hosts; return what has changed."""
        self.levels.subtract(route.priority)
        self.is_flat = self.levels.is_flat
        return [self._remove(pattern, route, edit) for pattern in route.hosts or (b"",)]

    def _insert(self, pattern: bytes, route: Route, edit: Edit) -> HostPaths:
        paths = self._at(pattern)
        owned = edit.keep(HostPaths()) if paths is None else paths.owned_by(edit)
        owned.insert(route, edit)
        if pattern and not pattern.startswith(b"*."):
            self.exact = put(self.exact, pattern, owned)
            return owned
        self.inexact_levels.add(route.priority)
        if pattern:
            self.wild = put(self.wild, pattern[1:], owned)
        else:
            self.any = owned
        return owned

    def _remove(self, pattern: bytes, route: Route, edit: Edit) -> HostPaths:
        paths = self._at(pattern)
        if paths is None:
            raise KeyError(route.id)
        owned = paths.owned_by(edit)
        owned.remove(route, edit)
        hosts, key = self.exact, pattern
        if not pattern or pattern.startswith(b"*."):
            self.inexact_levels.subtract(route.priority)
            hosts, key = self.wild, pattern[1:]
        if not pattern:
            self.any = owned if owned.levels.count else None
            return owned
        if owned.levels.count:
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

    def hosts_covering(self, pattern: bytes) -> Iterator[tuple[bytes, HostPaths]]:
        """Yield the host patterns that match every host which a pattern matches, itself included."""
        if not pattern:
            if self.any is not None:
                yield b"", self.any
        elif pattern.startswith(b"*."):
            # A label that no host has, so that only wildcards match.
            yield from self.hosts(b"\0" + pattern[1:])
        else:
            yield from self.hosts(pattern)

    def match(  # noqa: C901, PLR0912  one piece: a call per step would cost more than the steps
        self, path: bytes, request: RequestView, now: float
    ) -> Route | None:
        """
        Return the first route in the total order that takes the request.

        1. Walk the tree of the most specific host once, a literal before a
           parameter. A path that ends where it does, or else the last prefix
           passed, is the best leaf, unless the walk passed a fork.
        2. A route found so stands if no other leaf can hold a higher priority:
           almost always.
        3. Otherwise, and if nothing was found, look at everything in order.
        """
        host = request.host
        exact = self.exact
        if type(exact) is dict:
            paths = exact.get(host)
        else:
            paths = exact.shards[hash(host) & exact.mask].get(host)  # type: ignore[union-attr]
        if paths is None:
            paths = self._inexact(host)
            if paths is None:
                return None
        node = paths.root
        leaf = node.prefix
        forked = False
        for segment in path[1:].split(b"/", paths.depth):
            below = node.children.get(segment)
            if below is None and (wide := node.wide) is not None:
                below = wide.shards[hash(segment) & wide.mask].get(segment)
            if below is None:
                below = node.parameter
                if below is None or not segment:
                    break
            elif node.parameter is not None:
                forked = True
            node = below
            if node.prefix is not None:
                leaf = node.prefix
        else:
            if node.exact is not None:
                leaf = node.exact
                forked = False
        if leaf is None or forked:
            return self._search(path, request, now)
        route: Route | None = leaf  # type: ignore[assignment]  # a Choice always asks
        if leaf.asks:
            route = leaf.taking(request, now)
        if route is None:
            return self._search(path, request, now, failed=leaf)
        if self.is_flat:
            return route
        return self._unless_outranked(route, path, request, now, paths)

    def _inexact(self, host: bytes) -> HostPaths | None:
        """Return the most specific paths for a host that is not listed itself."""
        if self.wild:
            at = host.find(b".", 1)
            while at > 0:
                found = self.wild.get(host[at:])
                if found is not None:
                    return found
                at = host.find(b".", at + 1)
        return self.any

    def _unless_outranked(
        self, route: Route, path: bytes, request: RequestView, now: float, paths: HostPaths
    ) -> Route | None:
        """Return the best route of the most specific host, or one of higher priority."""
        if route.priority < paths.levels.top:
            return self._search(path, request, now)
        if route.priority < self.inexact_levels.top:
            return self._search(path, request, now, route, paths)
        return route

    def _search(
        self,
        path: bytes,
        request: RequestView,
        now: float,
        best: Route | None = None,
        settled: HostPaths | None = None,
        failed: Leaf | None = None,
    ) -> Route | None:
        """
        Look at every leaf that matches.

        Args:
            best: a route that takes the request, and of `settled` the best.
            settled: paths that need not be looked at.
            failed: a leaf of which no route takes the request.
        """
        # Leaves come in the order of host and path. Priority goes before both,
        # so a later leaf can still win, but only with a higher priority.
        for _, paths in self.hosts(request.host):
            if paths is settled or (best is not None and paths.levels.top <= best.priority):
                continue
            for leaf in paths.leaves(path):
                if leaf is failed:
                    continue
                best = first_above(leaf, request, now, best) or best
        return best
