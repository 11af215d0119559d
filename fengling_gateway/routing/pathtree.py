"""The paths of one host pattern, as a tree of segments.

A tree is never changed once it is published: an edit changes in place only the
nodes that it has made itself, and copies others first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fengling_gateway.routing.edit import Edit
from fengling_gateway.routing.leaf import Leaf, with_route, without_route
from fengling_gateway.routing.route import Route
from fengling_gateway.routing.sharding import WIDE, ShardedDict
from fengling_gateway.routing.template import PREFIX, PathTemplate

_NO_CHILDREN: Final[dict[bytes, Node]] = {}
"""Shared by all nodes without; never written to."""


class Node:
    """
    What follows after some segments of a path.

    Attributes:
        children: by literal segment, if they are not many.
        wide: the same, where they are many.
        parameter: what follows after any one segment that is not empty.
        exact: the routes of paths that end here.
        prefix: the routes of paths that end here or go on.
    """

    __slots__ = ("children", "exact", "parameter", "prefix", "wide")

    def __init__(self) -> None:
        self.children = _NO_CHILDREN
        self.wide: ShardedDict[bytes, Node] | None = None
        self.parameter: Node | None = None
        self.exact: Leaf | None = None
        self.prefix: Leaf | None = None

    def owned_by(self, edit: Edit) -> Node:
        """Return this node if the edit made it, else a copy that it may change."""
        if edit.made(self):
            return self
        twin = edit.keep(Node())
        if self.children is not _NO_CHILDREN:
            twin.children = self.children.copy()
        if self.wide is not None:
            twin.wide = self.wide.copy()
        twin.parameter = self.parameter
        twin.exact = self.exact
        twin.prefix = self.prefix
        return twin

    @property
    def is_bare(self) -> bool:
        """Whether nothing is left here or below."""
        return (
            self.exact is None
            and self.prefix is None
            and self.parameter is None
            and not self.children
            and not self.wide
        )

    def child(self, segment: bytes | None) -> Node | None:
        """Return what follows after a literal, or after a parameter (None)."""
        if segment is None:
            return self.parameter
        return self.children.get(segment) if self.wide is None else self.wide.get(segment)

    def set_child(self, segment: bytes | None, child: Node) -> None:
        if segment is None:
            self.parameter = child
        elif self.wide is not None:
            self.wide[segment] = child
        elif self.children is _NO_CHILDREN:
            self.children = {segment: child}
        else:
            self.children[segment] = child
            if len(self.children) > WIDE:
                self.wide = ShardedDict(self.children)
                self.children = _NO_CHILDREN

    def drop_child(self, segment: bytes | None) -> None:
        if segment is None:
            self.parameter = None
        elif self.wide is not None:
            del self.wide[segment]
        else:
            del self.children[segment]


def insert(root: Node, template: PathTemplate, route: Route, edit: Edit) -> Node:
    """Return the tree with one more route; `template` is that of the route."""
    root = node = root.owned_by(edit)
    for segment in template.segments:
        child = node.child(segment)
        if child is None:
            owned = edit.keep(Node())
        else:
            owned = child.owned_by(edit)
        if owned is not child:
            node.set_child(segment, owned)
        node = owned
    if template.kind == PREFIX:
        node.prefix = with_route(node.prefix, route)
    else:
        node.exact = with_route(node.exact, route)
    return root


def remove(root: Node, template: PathTemplate, route: Route, edit: Edit) -> Node:
    """
    Return the tree without a route, and without nodes that are bare for it.

    Raises:
        KeyError: the route is not in it.
    """
    root = node = root.owned_by(edit)
    passed: list[tuple[Node, bytes | None]] = []
    for segment in template.segments:
        child = node.child(segment)
        if child is None:
            raise KeyError(route.id)
        owned = child.owned_by(edit)
        if owned is not child:
            node.set_child(segment, owned)
        passed.append((node, segment))
        node = owned
    if template.kind == PREFIX:
        node.prefix = without_route(node.prefix, route)
    else:
        node.exact = without_route(node.exact, route)
    while passed and node.is_bare:
        node, segment = passed.pop()
        node.drop_child(segment)
    return root


def leaves(root: Node, path: bytes, depth: int) -> list[Leaf]:
    """
    Return the leaves whose templates match a path, in the order they are tried.

    Paths that end at a leaf come before prefixes, longer prefixes before
    shorter, and among those of one length a literal before a parameter, from
    the left. `depth` is at least the depth of the tree: what lies deeper in
    the path is not split, however long it is.
    """
    parts = path.split(b"/", depth + 1)
    length = len(parts)
    exact: list[Leaf] = []
    prefixes: list[tuple[int, Leaf]] = []
    # Depth first, literals first: leaves of one depth turn up in their order.
    waiting = [(root, 1)]
    while waiting:
        node, at = waiting.pop()
        if node.prefix is not None:
            prefixes.append((-at, node.prefix))
        if at == length:
            if node.exact is not None:
                exact.append(node.exact)
            continue
        segment = parts[at]
        if segment and node.parameter is not None:
            waiting.append((node.parameter, at + 1))
        child = node.child(segment)
        if child is not None:
            waiting.append((child, at + 1))
    if len(prefixes) > 1:
        prefixes.sort(key=_deepest_first)
    exact.extend([leaf for _, leaf in prefixes])
    return exact


def covering(root: Node, template: PathTemplate) -> Iterator[Leaf]:
    """Yield the leaves that match every path which a template of the tree's kinds matches."""
    segments = template.segments
    waiting = [(root, 0)]
    while waiting:
        node, at = waiting.pop()
        if node.prefix is not None:
            yield node.prefix
        if at == len(segments):
            if node.exact is not None and template.kind != PREFIX:
                yield node.exact
            continue
        segment = segments[at]
        if segment != b"" and node.parameter is not None:
            waiting.append((node.parameter, at + 1))
        child = None if segment is None else node.child(segment)
        if child is not None:
            waiting.append((child, at + 1))


def _deepest_first(prefix: tuple[int, Leaf]) -> int:
    return prefix[0]
