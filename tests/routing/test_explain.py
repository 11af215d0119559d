"""Why a route was or was not chosen, in words."""

from __future__ import annotations

import pytest

from fengling_gateway.routing.cache import RouteCache
from fengling_gateway.routing.explain import why_not
from tests.routing.builders import Request, make_match, make_route, make_test

PUBLIC = make_match(listeners=["http"])


class CandidatesTests:
    def test_every_route_of_host_and_path_is_judged_in_order(self) -> None:
        """The list begins with the tenant's own and says why each lost."""
        routes = [
            make_route("own", "/a", tenant_id="t", methods=["PUT", "POST"]),
            make_route("winner", "/a", hosts=["example.com", "*.com"]),
            make_route("later", valid_from=100.0),
            make_route("gone", valid_to=40.0, priority=7),
            make_route("header", "/{x}", match=make_match(headers=[make_test("a", "exists")])),
            make_route("last", "~/a"),
            make_route("elsewhere", "/b"),
        ]
        cache = RouteCache.empty().apply((route.id, route) for route in routes)
        verdicts, others = cache.candidates(Request(b"/a"), "t", 50.0)
        assert others == 0
        assert [(verdict.route.id, verdict.chosen, verdict.reason) for verdict in verdicts] == [
            ("own", False, "method GET is not among POST, PUT"),
            ("gone", False, "it is no longer valid: since 10 s"),
            ("winner", True, "the first that takes the request"),
            ("header", False, "it needs header a exists"),
            ("later", False, "it is not valid yet: 50 s to go"),
            ("last", False, "would take it, but comes after winner"),
        ]

    def test_of_too_many_the_first_are_named_and_the_one_that_takes_the_request(self) -> None:
        """The others are counted, each once whatever its hosts; nothing asks them one by one."""
        hosts = ["example.com", "*.com"]
        routes = [
            make_route(f"r{number:03}", "/a", hosts=hosts, methods=["PUT"]) for number in range(500)
        ]
        routes += [make_route("winner", "/a"), make_route("last", "/{**rest}")]
        cache = RouteCache.empty().apply((route.id, route) for route in routes)
        found = cache.candidates(Request(b"/a"), None, 50.0, limit=3)
        assert [one.route.id for one in found.verdicts] == ["r000", "r001", "r002", "winner"]
        assert found.chosen is found.verdicts[-1].route
        assert found.others == 498

    def test_the_one_that_takes_the_request_is_named_once(self) -> None:
        """Where it is among the first, and where it comes after them: a tenant's, for a time."""
        routes = [make_route(f"r{n}", "/a", tenant_id="t", methods=["PUT"]) for n in range(5)]
        late = make_route("late", tenant_id="t", match=PUBLIC, valid_from=50.0)
        cache = RouteCache.empty().apply((one.id, one) for one in [*routes, late])
        found = cache.candidates(Request(b"/a"), "t", 50.0, limit=2)
        assert [one.route.id for one in found.verdicts] == ["r0", "r1", "late"]
        assert (found.chosen, found.others) == (late, 3)
        assert cache.candidates(Request(b"/a"), "t", 49.0, limit=2).chosen is None
        found = cache.candidates(Request(b"/a", method=b"PUT"), "t", 50.0, limit=2)
        assert [one.route.id for one in found.verdicts] == ["r0", "r1"]
        assert (found.chosen, found.others) == (routes[0], 4)
        assert cache.candidates(Request(b"/b"), None, 50.0) == ([], 0)

    def test_routes_of_several_hosts_come_by_host(self) -> None:
        """The most specific first, whatever the ids."""
        cache = RouteCache.empty().apply(
            (one.id, one)
            for one in [
                make_route("d", hosts=["example.com"]),
                make_route("c", hosts=["*.com"]),
                make_route("b"),
                make_route("a", "/{x}"),
            ]
        )
        verdicts = cache.candidates(Request(b"/x"), None, 0.0).verdicts
        assert [one.route.id for one in verdicts] == ["d", "c", "a", "b"]


class WhyNotTests:
    @pytest.mark.parametrize(
        ("given", "reason"),
        [
            ({}, None),
            ({"enabled": False}, "it is disabled"),
            ({"tenant_id": "t2"}, "it is for tenant t2, the request for t1"),
            ({"hosts": ["b", "a"]}, "host example.com is not among a, b"),
            ({"path": "/b/{**rest}"}, "path /a does not match /b/{**rest}"),
            ({"path": "~/b"}, "path /a does not match ~/b"),
            ({"path": "~/a"}, None),
            ({"methods": ["POST"]}, "method GET is not among POST"),
            ({"hosts": ["example.com"]}, None),
            ({"hosts": ["*.com"]}, None),
            ({"tenant_id": "t1"}, None),
            ({"valid_from": 90.0}, "it is not valid yet: 60 s to go"),
            ({"valid_to": 20.0}, "it is no longer valid: since 10 s"),
            ({"valid_to": 30.0}, "it is no longer valid: since 0 s"),
            ({"valid_from": 30.0, "valid_to": 31.0}, None),
        ],
    )
    def test_the_first_reason_is_told(self, given: dict[str, object], reason: str | None) -> None:
        """For the route that an operator expected."""
        route = make_route("r", **given)  # type: ignore[arg-type]
        assert why_not(route, Request(b"/%61"), "t1", 30.0) == reason

    def test_what_a_request_lacks_is_told_as_none(self) -> None:
        """A tenant, a host."""
        of_tenant = make_route("r", tenant_id="t2")
        assert why_not(of_tenant, Request(), None, 0.0) == (
            "it is for tenant t2, the request for none"
        )
        of_host = make_route("r", hosts=["a.example"])
        assert why_not(of_host, Request(host=b""), None, 0.0) == (
            "host (none) is not among a.example"
        )
