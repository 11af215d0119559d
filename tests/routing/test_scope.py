"""The routes of one tenant by host: which patterns match, and in which order they are tried."""

from __future__ import annotations

from unittest.mock import patch

import pytest

from fengling_gateway.routing.edit import Edit
from fengling_gateway.routing.route import Route
from fengling_gateway.routing.scope import Scope
from tests.routing.builders import Request, make_route

PATTERNS = ["h.example.com", "example.com", "*.example.com", "*.h.example.com", "*.com"]


def scope_of(*routes: Route) -> Scope:
    scope = Scope()
    for route in routes:
        scope.insert(route, Edit())
        scope = scope.owned_by(Edit())
    return scope


def taken(
    scope: Scope, path: bytes = b"/a", host: bytes = b"h.example.com", now: float = 0.0
) -> str:
    route = scope.match(path, Request(path, host), now)
    return "" if route is None else route.id


class HostsTests:
    @pytest.mark.parametrize(
        ("host", "found"),
        [
            (b"h.example.com", [b"h.example.com", b"*.example.com", b"*.com", b""]),
            (b"a.h.example.com", [b"*.h.example.com", b"*.example.com", b"*.com", b""]),
            (b"example.com", [b"example.com", b"*.com", b""]),
            (b"com", [b""]),
            (b".com", [b""]),
            (b".example.com", [b"*.com", b""]),
            (b"a..com", [b"*.com", b""]),
            (b"", [b""]),
        ],
    )
    def test_patterns_come_from_the_most_specific_on(self, host: bytes, found: list[bytes]) -> None:
        """The host itself, wildcards from long to short, then any host."""
        scope = scope_of(make_route("r", hosts=PATTERNS), make_route("any"))
        assert [pattern for pattern, _ in scope.hosts(host)] == found

    @pytest.mark.parametrize(
        ("pattern", "found"),
        [
            (b"h.example.com", [b"h.example.com", b"*.example.com", b"*.com", b""]),
            (b"*.h.example.com", [b"*.h.example.com", b"*.example.com", b"*.com", b""]),
            (b"*.example.com", [b"*.example.com", b"*.com", b""]),
            (b"*.org", [b""]),
            (b"", [b""]),
        ],
    )
    def test_patterns_that_cover_another_match_all_its_hosts(
        self, pattern: bytes, found: list[bytes]
    ) -> None:
        """Itself included."""
        scope = scope_of(make_route("r", hosts=PATTERNS), make_route("any"))
        assert [one for one, _ in scope.hosts_covering(pattern)] == found

    def test_scope_without_routes_for_any_host_covers_nothing_with_them(self) -> None:
        """There is nobody to ask."""
        scope = scope_of(make_route("r", hosts=["example.com"]))
        assert list(scope.hosts_covering(b"")) == []
        assert list(scope.hosts(b"other.org")) == []


class MatchTests:
    def test_host_that_is_not_listed_gets_its_longest_wildcard(self) -> None:
        """Then any; one label at least stands before the dot."""
        scope = scope_of(
            make_route("short", hosts=["*.com"]),
            make_route("long", hosts=["*.example.com"]),
        )
        assert taken(scope, host=b"a.example.com") == "long"
        assert taken(scope, host=b"a.b.example.com") == "long"
        assert taken(scope, host=b"example.com") == "short"
        assert taken(scope, host=b".example.com") == "short"
        assert taken(scope, host=b"a..com") == "short"
        assert taken(scope, host=b".com") == ""
        assert taken(scope, host=b"com") == ""

    def test_equal_priority_of_a_wildcard_does_not_outrank(self) -> None:
        """Only a higher one does; the more specific host stands."""
        routes = [
            make_route("host", "/{**r}", hosts=["h.example.com"], priority=5),
            make_route("wild", "/a", hosts=["*.example.com"], priority=5),
            make_route("low", "/b", hosts=["h.example.com"], priority=1),
        ]
        assert taken(scope_of(*routes)) == "host"
        raised = make_route("raised", "/a", priority=6)
        assert taken(scope_of(*routes, raised)) == "raised"

    def test_validity_is_asked_wherever_a_search_leads(self) -> None:
        """Of routes of the same host, and of others, with higher priorities."""
        routes = [
            make_route("plain", "/a", hosts=["h.example.com"]),
            make_route("host", hosts=["h.example.com"], priority=1, valid_to=10.0),
            make_route("any", "/{x}", priority=2, valid_to=5.0),
        ]
        scope = scope_of(*routes)
        assert [taken(scope, now=now) for now in (4.0, 9.0, 11.0)] == ["any", "host", "plain"]
        for fewer, expected in [(routes[:2], "host"), ([routes[0], routes[2]], "any")]:
            assert taken(scope_of(*fewer), now=4.0) == expected
            assert taken(scope_of(*fewer), now=11.0) == "plain"

    @pytest.mark.parametrize(
        ("path", "found"),
        [
            (b"/", "root"),
            (b"/a", "a"),
            (b"/a/", "rest of a"),
            (b"/a/b/c/d/e/f", "rest of a"),
            (b"/p7", "seventh"),
            (b"/p7/x", "x of seventh"),
            (b"/p7/y", "rest"),
            (b"/p7/x/z", "rest"),
            (b"/unknown", "rest"),
        ],
    )
    @pytest.mark.parametrize("siblings", [0, 1100])
    def test_usual_match_takes_one_walk(self, siblings: int, path: bytes, found: str) -> None:
        """No leaf is looked for that the walk has not passed, among few segments or many."""
        edit, scope = Edit(), Scope()
        for name, template in [
            ("root", "/"),
            ("a", "/a"),
            ("rest of a", "/a/{**r}"),
            ("seventh", "/p7"),
            ("x of seventh", "/p7/x"),
            ("rest", "/{**r}"),
        ]:
            scope.insert(make_route(name, template), edit)
        for n in range(siblings):
            scope.insert(make_route(f"sibling {n}", f"/s{n}"), edit)
        with patch.object(Scope, "_search", side_effect=AssertionError):
            assert taken(scope, path) == found

    def test_parameters_take_one_walk_where_no_literal_is_beside_them(self) -> None:
        """An empty segment is none of theirs."""
        scope = scope_of(
            make_route("user", "/users/{id}"),
            make_route("orders", "/users/{id}/orders"),
            make_route("rest", "/users/{**r}"),
        )
        with patch.object(Scope, "_search", side_effect=AssertionError):
            assert taken(scope, b"/users/7") == "user"
            assert taken(scope, b"/users/7/orders") == "orders"
            assert taken(scope, b"/users/") == taken(scope, b"/users") == "rest"

    def test_time_is_asked_after_a_fork_and_after_a_failure(self) -> None:
        """Wherever the route is that is left."""
        forked = scope_of(
            make_route("me", "/users/me"), make_route("orders", "/users/{id}/orders", valid_to=9.0)
        )
        failed = scope_of(
            make_route("put", "/a", methods=["PUT"]), make_route("rest", valid_to=9.0)
        )
        for now, first, second in [(8.0, "orders", "rest"), (9.0, "", "")]:
            assert taken(forked, b"/users/me/orders", now=now) == first
            assert taken(failed, now=now) == second

    def test_route_of_a_failed_leaf_leaves_the_others(self) -> None:
        """Of the same host first, with a shorter path; then of wildcards."""
        scope = scope_of(
            make_route("put", "/a", hosts=["h.example.com"], methods=["PUT"]),
            make_route("below", "/{**r}", hosts=["*.com"]),
            make_route("any", "/a"),
        )
        assert taken(scope) == "below"
        assert taken(scope, b"/a", b"other.org") == "any"

    @pytest.mark.parametrize("number", [1, 1100])
    def test_number_of_siblings_and_hosts_changes_nothing(self, number: int) -> None:
        """Literals, parameters beside them, exact hosts and wildcards, in small and large tables."""
        scope, edit = Scope(), Edit()
        for n in range(number):
            hosts = [f"h{n}.example.com", f"*.w{n}.example.com"]
            scope.insert(make_route(f"r{n}", f"/p{n}/x", hosts=["all.com", *hosts]), edit)
        scope.insert(make_route("parameter", "/{x}/y", hosts=["all.com"]), edit)
        last = number - 1
        assert taken(scope, b"/p%d/x" % last, b"all.com") == f"r{last}"
        assert taken(scope, b"/p%d/y" % last, b"all.com") == "parameter"
        assert taken(scope, b"//y", b"all.com") == ""
        assert taken(scope, b"/p%d/x" % last, b"h%d.example.com" % last) == f"r{last}"
        assert taken(scope, b"/p%d/x" % last, b"a.w%d.example.com" % last) == f"r{last}"
        assert taken(scope, b"/p%d/x" % last, b"w%d.example.com" % last) == ""


class ChangeTests:
    def test_copy_and_original_part(self) -> None:
        """Whatever is added to one, for any kind of host, the other does not have."""
        first = scope_of(make_route("r", "/r", hosts=["h.example.com", "*.example.com"]))
        copy = first.owned_by(Edit())
        copy.insert(make_route("s", "/s", priority=3), Edit())
        assert (taken(first, b"/s"), taken(copy, b"/s")) == ("", "s")
        assert (first.is_flat, copy.is_flat) == (True, False)
        assert taken(copy, b"/r") == taken(first, b"/r") == "r"

    def test_scope_whose_routes_are_gone_is_bare(self) -> None:
        """Exact hosts, wildcards and any, in whatever order."""
        routes = [
            make_route("exact", "/e", hosts=["h.example.com"], priority=1),
            make_route("wild", "/w", hosts=["*.example.com"], priority=2),
            make_route("any", "/a", priority=3),
        ]
        for order in (routes, routes[::-1], routes[1:] + routes[:1]):
            scope = scope_of(*routes)
            for route in order:
                assert not scope.is_bare
                assert taken(scope, f"/{route.id[0]}".encode()) == route.id
                scope.remove(route, Edit())
                scope = scope.owned_by(Edit())
            assert scope.is_bare
            assert scope.is_flat

    def test_pattern_keeps_its_other_routes(self) -> None:
        """When one of several goes."""
        for hosts in (["h.com", "*.h.com", "h.org"], []):
            one, two = (make_route(name, f"/{name}", hosts=hosts) for name in "ab")
            scope = scope_of(one, two)
            scope.remove(one, Edit())
            for host in (b"h.com", b"x.h.com", b"h.org"):
                assert taken(scope, b"/b", host) == "b"
                assert taken(scope, b"/a", host) == ""

    @pytest.mark.parametrize("hosts", [[], ["*.com"], ["h.com"]])
    def test_removing_from_a_host_that_is_not_there_raises(self, hosts: list[str]) -> None:
        """The index and the routes by id never disagree; if they did, it would be heard."""
        scope = scope_of(make_route("other", hosts=["other.org"]))
        with pytest.raises(KeyError, match="gone"):
            scope.remove(make_route("gone", hosts=hosts), Edit())

    def test_changed_hosts_are_told(self) -> None:
        """One for each pattern; whoever settles regexes needs them."""
        route = make_route("r", "~/x", hosts=["h.com", "*.h.com"])
        scope = Scope()
        for changed in (scope.insert(route, Edit()), scope.remove(route, Edit())):
            assert len(changed) == len(set(changed)) == 2
