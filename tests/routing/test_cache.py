"""RouteCache by example: what docs/routing.md promises, and what a change shares."""

from __future__ import annotations

import pytest

from fengling_gateway.routing.cache import RouteCache
from fengling_gateway.routing.route import Route, compile_route, host_rank
from tests.routing.builders import Request, make_body, make_match, make_route, make_test


def cache_of(*routes: Route) -> RouteCache:
    return RouteCache.empty().apply((route.id, route) for route in routes)


def winner(
    cache: RouteCache, tenant: str | None = None, now: float = 0.0, **request: object
) -> str:
    route = cache.match(Request(**request), tenant, now)  # type: ignore[arg-type]
    return "" if route is None else route.id


class OrderTests:
    """The rungs of the total order, one by one."""

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ({"priority": 1}, {"hosts": ["example.com"], "path": "/a/b"}),
            ({"hosts": ["example.com"]}, {"hosts": ["*.com"], "path": "/a/b"}),
            ({"hosts": ["*.com"]}, {"path": "/a/b"}),
            ({"path": "/a/b"}, {"path": "/a/{x}"}),
            ({"path": "/a/{x}"}, {"path": "/{x}/b"}),
            ({"path": "/{x}/{y}"}, {"path": "/a/b/{**rest}"}),
            ({"path": "/a/b/{**rest}"}, {"path": "/a/{**rest}"}),
            ({"path": "/{**rest}"}, {"path": "~/a/b"}),
            ({"path": "/a/{**rest}"}, {"methods": ["GET"]}),
            ({"methods": ["GET"]}, {"match": make_match(listeners=["http"])}),
            ({"match": make_match(listeners=["http"])}, {}),
            ({"valid_to": 9.0}, {}),
            (
                {"match": make_match(headers=[make_test("a", "absent"), make_test("b", "absent")])},
                {"match": make_match(headers=[make_test("a", "absent")])},
            ),
        ],
    )
    def test_the_first_of_two_wins_whatever_their_ids(
        self, first: dict[str, object], second: dict[str, object]
    ) -> None:
        """Each criterion decides before the ones after it."""
        for names in [("a", "b"), ("b", "a")]:
            one = make_route(names[0], **first)  # type: ignore[arg-type]
            other = make_route(names[1], **second)  # type: ignore[arg-type]
            cache = cache_of(one, other)
            assert winner(cache, path=b"/a/b") == one.id
            assert one.sort_key < other.sort_key

    def test_the_id_decides_at_last(self) -> None:
        """Of two that differ in nothing the first id wins."""
        assert winner(cache_of(make_route("b"), make_route("a"))) == "a"

    def test_a_tenants_own_routes_come_before_global_ones_of_any_priority(self) -> None:
        """Own routes first, then global ones, never another tenant's."""
        cache = cache_of(
            make_route("own", "/a", tenant_id="t1"),
            make_route("global", priority=100),
            make_route("foreign", "/a", tenant_id="t2", priority=200),
        )
        assert winner(cache, "t1", path=b"/a") == "own"
        assert winner(cache, "t1", path=b"/b") == "global"
        assert winner(cache, None, path=b"/a") == "global"
        assert winner(cache, "t3", path=b"/a") == "global"

    def test_a_wildcard_takes_one_label_or_more_but_not_none(self) -> None:
        """``*.example.com`` is for hosts below example.com."""
        cache = cache_of(make_route("wild", hosts=["*.example.com"]))
        assert winner(cache, host=b"a.example.com") == "wild"
        assert winner(cache, host=b"b.a.example.com") == "wild"
        assert winner(cache, host=b"example.com") == ""
        assert winner(cache, host=b".example.com") == ""
        assert winner(cache, host=b"") == ""


class PathTests:
    @pytest.mark.parametrize(
        ("template", "matching", "others"),
        [
            ("/a", [b"/a", b"/%61"], [b"/a/", b"/A", b"/ab", b"/", b"/a/b"]),
            ("/a/{x}", [b"/a/b", b"/a/b%2Fc"], [b"/a", b"/a/", b"/a/b/", b"/a/b/c"]),
            ("/a/{**r}", [b"/a", b"/a/", b"/a/b/c"], [b"/ab", b"/", b"/b/a"]),
            ("/{**r}", [b"/", b"/a/b", b"//", b"*"], []),
            ("/a/{x}/{**r}", [b"/a/b", b"/a/b/", b"/a/b/c/d"], [b"/a", b"/a/"]),
            ("~/[0-9]+", [b"/12"], [b"/12a", b"x/12", b"/"]),
        ],
    )
    def test_a_template_takes_whole_segments(
        self, template: str, matching: list[bytes], others: list[bytes]
    ) -> None:
        """Exact, parameter, prefix and regex, each from border to border."""
        cache = cache_of(make_route("r", template))
        assert [path for path in matching + others if winner(cache, path=path)] == matching

    def test_another_spelling_of_a_path_does_not_get_around_a_route(self) -> None:
        """``/%61dmin`` is ``/admin`` to an instance, and so it is here."""
        cache = cache_of(make_route("guarded", "/admin/{**rest}"), make_route("open"))
        for path in (b"/admin/x", b"/%61dmin/x", b"/adm%69n", b"/%61%64%6d%69%6E/"):
            assert winner(cache, path=path) == "guarded"

    def test_a_path_of_thousands_of_segments_is_split_no_deeper_than_the_routes(self) -> None:
        """Long paths match by their beginning, or by a parameter nothing at all."""
        long = b"/a" * 4000
        assert winner(cache_of(make_route("r", "/a/a/{**rest}")), path=long) == "r"
        assert winner(cache_of(make_route("r", "/{x}/{y}")), path=long) == ""

    def test_a_fork_is_searched_on_both_sides(self) -> None:
        """A literal segment does not hide what a parameter beside it leads to."""
        cache = cache_of(
            make_route("me", "/users/me"),
            make_route("orders", "/users/{id}/orders"),
            make_route("deep", "/{x}/me/orders/{**rest}"),
            make_route("rest", "/users/{**rest}"),
        )
        for path, expected in [
            (b"/users/me", "me"),
            (b"/users/me/orders", "orders"),
            (b"/users/me/orders/1", "deep"),
            (b"/users/you/orders/1", "rest"),
        ]:
            assert winner(cache, path=path) == expected


class ConditionTests:
    def test_a_failing_condition_leads_on_to_the_next_route(self) -> None:
        """Method and header choose among routes of one path, then shorter prefixes follow."""
        canary = make_match(headers=[make_test("x-canary", "equals", "1")])
        cache = cache_of(
            make_route("canary", "/a/{**r}", match=canary),
            make_route("write", "/a/{**r}", methods=["POST"]),
            make_route("read", "/a/{**r}", methods=["GET"]),
            make_route("all"),
        )
        assert winner(cache, path=b"/a", method=b"POST") == "write"
        assert winner(cache, path=b"/a") == "read"
        assert winner(cache, path=b"/a", method=b"PUT") == "all"
        headers = {b"x-canary": b"1"}
        assert winner(cache, path=b"/a", method=b"PUT", headers=headers) == "canary"

    def test_a_route_is_valid_from_its_first_second_to_before_its_last(self) -> None:
        """The period is half open."""
        cache = cache_of(make_route("r", valid_from=10.0, valid_to=20.0))
        found = [winner(cache, now=now) for now in (9.9, 10.0, 19.9, 20.0)]
        assert found == ["", "r", "r", ""]

    def test_a_priority_elsewhere_wins_over_the_most_specific_host(self) -> None:
        """Raised routes of this host, of a wildcard and of any host are all seen."""
        cache = cache_of(
            make_route("plain", "/a/b", hosts=["h.example.com"]),
            make_route("host", "/a/{**r}", hosts=["h.example.com"], priority=1),
            make_route("wild", "/a/b/{**r}", hosts=["*.example.com"], priority=2),
            make_route("any", "/a/b", methods=["PUT"], priority=3),
        )
        host = b"h.example.com"
        assert winner(cache, host=host, path=b"/a/b") == "wild"
        assert winner(cache, host=host, path=b"/a/b", method=b"PUT") == "any"
        assert winner(cache, host=host, path=b"/a/c") == "host"
        lowered = cache.apply([("wild", None), ("any", None)])
        assert winner(lowered, host=host, path=b"/a/b") == "host"
        assert winner(lowered.apply([("host", None)]), host=host, path=b"/a/b") == "plain"
        assert winner(lowered, host=host, path=b"/a/b") == "host"
        assert winner(cache, host=host, path=b"/a/b") == "wild"

    def test_a_tenants_route_has_its_time_too(self) -> None:
        """Before and after it, global ones take its requests."""
        cache = cache_of(make_route("own", tenant_id="t", valid_to=10.0), make_route("global"))
        assert [winner(cache, "t", now=now) for now in (9.0, 10.0)] == ["own", "global"]


class ChangeTests:
    def test_a_route_that_moves_leaves_its_old_place(self) -> None:
        """Changing host, path, tenant or enabled takes the route from where it was."""
        cache = cache_of(make_route("r", "/a", hosts=["h"]))
        moved = cache.apply([("r", make_route("r", "/b", tenant_id="t"))])
        assert winner(moved, "t", host=b"h", path=b"/a") == ""
        assert winner(moved, "t", host=b"h", path=b"/b") == "r"
        assert winner(cache, host=b"h", path=b"/a") == "r"
        off = moved.apply([("r", make_route("r", enabled=False))])
        assert winner(off, "t", path=b"/b") == ""
        assert off.size == 1
        assert off.get("r") is not None
        assert off.apply([("r", None), ("unknown", None)]).size == 0

    def test_a_builder_leaves_frozen_caches_alone(self) -> None:
        """A builder goes on after a freeze, and what was frozen does not follow it."""
        builder = cache_of(make_route("a", "/a")).builder()
        builder.add(make_route("b", "/b"))
        first = builder.freeze()
        builder.remove("a")
        builder.add(make_route("c", "/b/c"))
        assert builder.size == 2
        second = builder.freeze()
        assert sorted(route.id for route in first) == ["a", "b"]
        assert sorted(route.id for route in second) == ["b", "c"]
        assert winner(first, path=b"/b/c") == ""

    def test_one_change_among_many_routes_shares_the_rest(self) -> None:
        """Of 5,000 routes in one host and 5,000 hosts, a change touches a few."""
        cache = RouteCache.empty().apply(
            (f"r{n}", make_route(f"r{n}", f"/p{n}", hosts=["api.example.com", f"h{n}.example.com"]))
            for n in range(5000)
        )
        changed = cache.apply([("r7", make_route("r7", "/p7/x", hosts=["api.example.com"]))])
        before, after = cache.scope(None), changed.scope(None)
        assert before is not None
        assert after is not None
        shared = sum(after.exact.get(f"h{n}.example.com".encode()) is not None for n in range(5000))
        same = sum(
            after.exact.get(key) is before.exact.get(key)
            for key in (f"h{n}.example.com".encode() for n in range(5000))
        )
        assert (shared, same) == (4999, 4999)
        for path, now in [(b"/p7", ""), (b"/p7/x", "r7"), (b"/p8", "r8")]:
            assert winner(changed, host=b"api.example.com", path=path) == now
        assert winner(cache, host=b"api.example.com", path=b"/p7") == "r7"
        assert winner(cache, host=b"api.example.com", path=b"/p7/x") == ""
        assert winner(cache, host=b"h7.example.com", path=b"/p7") == "r7"

    def test_unicode_hosts_are_compared_in_their_ascii_form(self) -> None:
        """A host name travels as ASCII; case and a final dot mean nothing."""
        cache = cache_of(make_route("r", hosts=["MÜLLER.example.", "*.müller.example"]))
        assert winner(cache, host=b"xn--mller-kva.example") == "r"
        assert winner(cache, host=b"a.xn--mller-kva.example") == "r"

    def test_only_dots_and_case_are_put_aside(self) -> None:
        """A letter at the end is part of the name."""
        cache = cache_of(make_route("r", hosts=["WWW.MaxX."]))
        assert winner(cache, host=b"www.maxx") == "r"


class CompileRouteTests:
    def test_what_cannot_be_compiled_raises_a_value_error(self) -> None:
        """A broken path or network is refused before it gets near a cache."""
        for broken in [
            {"path": "no-slash"},
            {"path": "~("},
            {"match": make_match(client_ip=["10.0.0.0/99"])},
        ]:
            with pytest.raises(ValueError, match=r".+"):
                compile_route({**make_body(), **broken}, None)

    def test_a_plan_is_carried_along(self) -> None:
        """The plan is the data plane's and not looked at."""
        plan = object()
        route = compile_route(make_body("r"), plan)
        assert route.plan is plan
        assert repr(route) == "<Route r /{**rest}>"

    @pytest.mark.parametrize(
        ("given", "asks"),
        [
            ({}, False),
            ({"hosts": ["h"], "path": "/a", "priority": 7}, False),
            ({"methods": ["GET"]}, True),
            ({"valid_from": 1.0}, True),
            ({"valid_to": 1.0}, True),
            ({"match": make_match(listeners=["http"])}, True),
        ],
    )
    def test_route_that_asks_nothing_is_known_for_it(
        self, given: dict[str, object], *, asks: bool
    ) -> None:
        """Host and path are found by the index; most routes have nothing else."""
        assert make_route("r", **given).asks is asks  # type: ignore[arg-type]

    def test_hosts_are_ranked_from_the_most_specific_on(self) -> None:
        """Exact ones, which are equal, then wildcards with the longer first, then any."""
        ranks = [host_rank(host) for host in (b"a.example.com", b"*.a.com", b"*.com", b"")]
        assert ranks == sorted(ranks)
        assert len(set(ranks)) == 4
        assert host_rank(b"a.example.com") == host_rank(b"com")
        assert host_rank(b"*.a.com") == host_rank(b"*.b.com")
