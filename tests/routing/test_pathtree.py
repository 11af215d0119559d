"""The tree of path templates: what removal leaves behind, and what is refused."""

from __future__ import annotations

import pytest

from fengling_gateway.routing.cache import RouteCache
from fengling_gateway.routing.edit import Edit
from fengling_gateway.routing.pathtree import Node, insert, leaves, remove
from fengling_gateway.routing.route import Route
from tests.routing.builders import Request, make_route

PATHS = ["/", "/a/b/c", "/a/{x}/{**rest}", "/a/b/{**rest}", "/{x}", "/{**rest}"]


def tree_of(*routes: Route) -> Node:
    root = Node()
    for route in routes:
        root = insert(root, route.template, route, Edit())
    return root


class RemoveTests:
    def test_a_tree_whose_routes_are_gone_is_bare(self) -> None:
        """Paths that come and go leave no nodes behind, and the tree before is as it was."""
        routes = [make_route(f"r{n}", path) for n, path in enumerate(PATHS)]
        full = root = tree_of(*routes)
        for route in routes:
            root = remove(root, route.template, route, Edit())
        assert root.is_bare
        assert not full.is_bare
        assert len(leaves(full, b"/a/b/c", 3)) == 4

    def test_a_wide_tree_whose_routes_are_gone_is_bare(self) -> None:
        """Also one of thousands of siblings."""
        edit = Edit()
        routes = [make_route(f"r{n}", f"/api/p{n}") for n in range(3000)]
        root = Node()
        for route in routes:
            root = insert(root, route.template, route, edit)
        for route in routes:
            root = remove(root, route.template, route, edit)
        assert root.is_bare

    @pytest.mark.parametrize("path", ["/a/b", "/a/b/c", "/x/y", "/a/{**rest}"])
    def test_removing_what_is_not_there_raises(self, path: str) -> None:
        """The index and the routes by id never disagree; if they did, it would be heard."""
        root = tree_of(make_route("r", "/a/b"))
        other = make_route("other", path)
        with pytest.raises(KeyError, match="other"):
            remove(root, other.template, other, Edit())


class RegexOfHostTests:
    def test_a_hosts_last_regex_goes_without_a_trace(self) -> None:
        """Removing regexes one after the other leaves the templates of the host."""
        routes = [
            make_route("all", hosts=["h"]),
            make_route("one", "~/x", hosts=["h"], priority=1),
            make_route("two", "~/x", hosts=["h"], priority=1),
        ]
        cache = RouteCache.empty().apply((route.id, route) for route in routes)
        for gone, left in [("one", "two"), ("two", "all"), ("all", None)]:
            cache = cache.apply([(gone, None)])
            route = cache.match(Request(b"/x", b"h"), None, 0.0)
            assert (route and route.id) == left
