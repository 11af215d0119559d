"""The tree of path templates: what removal leaves behind, and what is refused."""

from __future__ import annotations

import pytest

from fengling_gateway.routing.cache import RouteCache
from fengling_gateway.routing.edit import Edit
from fengling_gateway.routing.leaf import routes_of
from fengling_gateway.routing.pathtree import Node, covering, insert, leaves, remove
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

    def test_change_of_a_wide_tree_keeps_the_other_siblings(self) -> None:
        """Those of the tree before and of the one after, though they share most."""
        edit, routes = Edit(), [make_route(f"r{n}", f"/api/p{n}") for n in range(1100)]
        before = Node()
        for route in routes:
            before = insert(before, route.template, route, edit)
        added = make_route("added", "/api/new")
        after = insert(before, added.template, added, Edit())
        after = remove(after, routes[7].template, routes[7], Edit())
        for path, there in [("p8", (1, 1)), ("p1099", (1, 1)), ("new", (0, 1)), ("p7", (1, 0))]:
            found = [leaves(root, f"/api/{path}".encode(), 2) for root in (before, after)]
            assert tuple(map(len, found)) == there

    @pytest.mark.parametrize("path", ["/a/b", "/a/b/c", "/x/y", "/a/{**rest}"])
    def test_removing_what_is_not_there_raises(self, path: str) -> None:
        """The index and the routes by id never disagree; if they did, it would be heard."""
        root = tree_of(make_route("r", "/a/b"))
        other = make_route("other", path)
        with pytest.raises(KeyError, match="other"):
            remove(root, other.template, other, Edit())


class LeavesTests:
    def test_leaves_come_in_the_order_they_are_tried(self) -> None:
        """Ends before prefixes, longer before shorter, a literal before a parameter."""
        paths = [
            *("/a/b", "/a/{x}", "/{x}/b", "/{x}/{y}"),
            *("/a/b/{**r}", "/a/{x}/{**r}", "/{x}/b/{**r}", "/{x}/{y}/{**r}"),
            *("/a/{**r}", "/{x}/{**r}", "/{**r}"),
        ]
        routes = [make_route(path, path) for path in paths]
        for root in (tree_of(*routes), tree_of(*routes[::-1])):
            found = [one.id for leaf in leaves(root, b"/a/b", 2) for one in routes_of(leaf)]
            assert found == paths

    def test_parameter_takes_no_empty_segment(self) -> None:
        """``/a/`` has a segment after ``a``, and it is empty."""
        root = tree_of(make_route("r", "/a/{x}"), make_route("slash", "/a/"))
        assert [one.id for leaf in leaves(root, b"/a/", 2) for one in routes_of(leaf)] == ["slash"]

    def test_deep_path_ends_nowhere_in_a_shallow_tree(self) -> None:
        """Only its prefixes are found, however deep it is."""
        root = tree_of(make_route("end", "/a/b"), make_route("on", "/a/{**r}"))
        found = [one.id for leaf in leaves(root, b"/a/b/c/d", 2) for one in routes_of(leaf)]
        assert found == ["on"]


class CoveringTests:
    @pytest.mark.parametrize(
        ("path", "found"),
        [
            ("/", ["/", "/{**r}"]),
            ("/a", ["/a/{**r}", "/{**r}", "/{x}"]),
            ("/a/b", ["/a/b", "/a/{**r}", "/a/{x}", "/{**r}"]),
            ("/a/c", ["/a/{**r}", "/a/{x}", "/{**r}"]),
            ("/a/{y}", ["/a/{**r}", "/a/{x}", "/{**r}"]),
            ("/{y}", ["/{**r}", "/{x}"]),
            ("/a/{**rest}", ["/a/{**r}", "/{**r}"]),
            ("/a/b/{**rest}", ["/a/{**r}", "/{**r}"]),
            ("/{x}/{**rest}", ["/{**r}"]),
            ("/c/d", ["/{**r}"]),
        ],
    )
    def test_leaves_that_match_all_that_a_template_does_are_found(
        self, path: str, found: list[str]
    ) -> None:
        """Its own, and those it lies within."""
        paths = ["/", "/{x}", "/a/b", "/a/{x}", "/a/{**r}", "/{**r}"]
        root = tree_of(*(make_route(one, one) for one in paths))
        template = make_route("asked", path).template
        leaves_found = covering(root, template)
        assert sorted(one.id for leaf in leaves_found for one in routes_of(leaf)) == found


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
