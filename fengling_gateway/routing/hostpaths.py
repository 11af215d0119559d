"""The routes of one host pattern: a tree of path templates, and regexes."""

from __future__ import annotations

from collections.abc import Iterator

from fengling_gateway.routing.edit import Edit
from fengling_gateway.routing.leaf import Leaf
from fengling_gateway.routing.levels import Levels
from fengling_gateway.routing.pathtree import Node, insert, leaves, remove
from fengling_gateway.routing.regexes import RegexIndex
from fengling_gateway.routing.route import Route
from fengling_gateway.routing.template import REGEX


class HostPaths:
    """The routes of one host pattern."""

    __slots__ = ("depth", "levels", "regexes", "root")

    def __init__(self) -> None:
        self.root = Node()
        self.regexes: RegexIndex | None = None
        self.levels = Levels()
        self.depth = 0
        """Depth of the tree, or more: it does not shrink when routes go."""

    def owned_by(self, edit: Edit) -> HostPaths:
        """Return this if the edit made it, else a copy that it may change."""
        if edit.made(self):
            return self
        twin = edit.keep(HostPaths())
        twin.root = self.root
        twin.regexes = self.regexes
        twin.levels = self.levels.copy()
        twin.depth = self.depth
        return twin

    def insert(self, route: Route, edit: Edit) -> None:
        template = route.template
        self.levels.add(route.priority)
        if template.kind == REGEX:
            self.regexes = (self.regexes or RegexIndex()).owned_by(edit)
            self.regexes.insert(template.pattern, route)
            return
        self.root = insert(self.root, template, route, edit)
        self.depth = max(self.depth, len(template.segments))

    def remove(self, route: Route, edit: Edit) -> None:
        template = route.template
        if template.kind != REGEX:
            self.root = remove(self.root, template, route, edit)
        elif self.regexes is not None:
            self.regexes = self.regexes.owned_by(edit)
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
