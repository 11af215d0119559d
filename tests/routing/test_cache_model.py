"""RouteCache against the linear matcher, for random routes, requests and changes."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fengling_gateway.routing.cache import RouteCache
from fengling_gateway.routing.route import compile_route
from tests.routing.builders import Body, Request, make_body, make_match, make_test
from tests.routing.linear import choose
from tests.routing.strategies import bodies_of_one_path, change_lists, requests

IDS = [f"route-{number}" for number in range(25)]
TENANTS = st.sampled_from([None, "t1", "t2", "t3"])
TIMES = st.sampled_from([0.0, 100.0, 150.0, 200.0])


def compiled(changes: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return [
        (route_id, None if body is None else compile_route(body, None))
        for route_id, body in changes
    ]


def after(changes: list[tuple[str, Any]]) -> dict[str, Body]:
    bodies: dict[str, Body] = {}
    for route_id, body in changes:
        bodies.pop(route_id, None)
        if body is not None:
            bodies[route_id] = body
    return bodies


def chosen(cache: RouteCache, request: Request, tenant: str | None, now: float) -> str | None:
    route = cache.match(request, tenant, now)
    return None if route is None else route.id


class ModelTests:
    @settings(max_examples=200, deadline=None)
    @given(
        st.lists(change_lists(IDS), min_size=1, max_size=4),
        st.lists(st.tuples(requests(), TENANTS, TIMES), min_size=1, max_size=12),
    )
    def test_random_changes_give_what_a_linear_matcher_gives(
        self,
        rounds: list[list[tuple[str, Any]]],
        asked: list[tuple[Request, str | None, float]],
    ) -> None:
        """Applied step by step, rebuilt, and asked one by one, routes are chosen alike."""
        cache = RouteCache.empty()
        history: list[tuple[RouteCache, dict[str, Body]]] = []
        for changes in rounds:
            cache = cache.apply(compiled(changes))
            history.append((cache, after([c for done in rounds[: len(history) + 1] for c in done])))
        for old, bodies in history:  # earlier caches are still what they were
            rebuilt = RouteCache.empty().apply(compiled(list(bodies.items())))
            assert old.size == rebuilt.size == len(bodies)
            for request, tenant, now in asked:
                expected = choose(bodies.values(), request, tenant, now)
                assert chosen(old, request, tenant, now) == expected
                assert chosen(rebuilt, request, tenant, now) == expected
                all_of_them = old.candidates(request, tenant, now)
                verdicts = all_of_them.verdicts
                assert [v.route.id for v in verdicts if v.chosen] == [expected] * bool(expected)
                some = old.candidates(request, tenant, now, limit=1)
                named = [v for number, v in enumerate(verdicts) if v.chosen or number < 1]
                assert some == (named, len(verdicts) - len(named))

    @settings(max_examples=50, deadline=None)
    @given(change_lists(IDS), st.lists(requests(), max_size=5))
    def test_everything_removed_leaves_an_empty_cache(
        self, changes: list[tuple[str, Any]], asked: list[Request]
    ) -> None:
        """Removing all routes in any order leaves nothing that matches."""
        cache = RouteCache.empty().apply(compiled(changes))
        for route_id in IDS:
            cache = cache.apply([(route_id, None)])
        assert cache.size == 0
        assert list(cache) == []
        assert repr(cache) == repr(RouteCache.empty())
        for request in asked:
            assert cache.match(request, "t1", 150.0) is None
            assert cache.candidates(request, "t1", 150.0) == ([], 0)


class OnePathTests:
    """Many routes of one host and path, told apart by other things."""

    @settings(max_examples=40, deadline=None)
    @given(
        st.data(),
        st.lists(st.tuples(requests(), TIMES), min_size=5, max_size=12),
        st.randoms(use_true_random=False),
    )
    def test_many_routes_of_one_path_match_like_the_linear_matcher(
        self, data: st.DataObject, asked: list[tuple[Request, float]], rng: random.Random
    ) -> None:
        """They come and go around the number at which they are looked up instead of asked."""
        ids = [f"route-{number}" for number in range(data.draw(st.sampled_from([9, 12, 30])))]
        bodies = {one: data.draw(bodies_of_one_path(st.just(one))) for one in ids}
        cache = RouteCache.empty()
        left: dict[str, Body] = {}
        for one in [*ids, *rng.sample(ids, len(ids))]:
            if one in left:
                del left[one]
            else:
                left[one] = bodies[one]
            cache = cache.apply(compiled([(one, left.get(one))]))
            for request, now in rng.sample(asked, 2):
                expected = choose(left.values(), request, None, now)
                assert chosen(cache, request, None, now) == expected
        assert repr(cache) == repr(RouteCache.empty())

    @pytest.mark.parametrize(
        "told_apart",
        [
            lambda n: {"headers": [make_test("x-customer", "equals", f"c{n}")]},
            lambda n: {"query": [make_test("customer", "equals", f"C{n}", ignore_case=True)]},
            lambda n: {
                "headers": [make_test("x-region", "equals", "eu")],
                "cookies": [make_test("customer", "equals", f"c{n}")],
            },
        ],
    )
    def test_number_of_routes_of_one_path_makes_no_match_dear(self, told_apart: Any) -> None:
        """Of 3,000 routes a request is asked about hardly any."""
        bodies = [make_body(f"r{n}", match=make_match(**told_apart(n))) for n in range(3000)]
        bodies.append(make_body("z"))
        cache = RouteCache.empty().apply(compiled([(body["id"], body) for body in bodies]))
        headers = {b"x-region": b"eu", b"x-customer": b"c2999", b"cookie": b"customer=c2999"}
        request = Watched(query=b"customer=c2999", headers=headers)
        assert chosen(cache, request, None, 0.0) == "r2999"
        other = Watched(query=b"customer=x", headers={b"x-region": b"eu"})
        assert chosen(cache, other, None, 0.0) == "z"
        assert request.looks + other.looks < 30


class Watched(Request):
    """A request that counts how often it is looked at."""

    looks = 0

    def __getattribute__(self, name: str) -> Any:
        if name in {"header", "query", "method"}:
            self.looks += 1
        return super().__getattribute__(name)


class ManyHostsTests:
    """No number of hosts or paths changes what matches (RT4)."""

    @pytest.mark.parametrize("count", [1, 2, 100, 101, 1023, 1536, 1540, 3500])
    def test_any_number_of_hosts_matches_like_the_linear_matcher(self, count: int) -> None:
        """Exact and wildcard hosts behave alike below and above every size of table."""
        rng = random.Random(count)
        bodies = [
            make_body(
                f"r{n}",
                rng.choice([f"/p{n}/{{**rest}}", f"/p{n}", "/{x}", "/{**rest}"]),
                hosts=[f"h{n}.example.com" if n % 3 else f"*.h{n}.example.com"],
            )
            for n in range(count)
        ]
        cache = RouteCache.empty().apply((b["id"], compile_route(b, None)) for b in bodies)
        for _ in range(50):
            n = rng.randrange(count + 2)
            host = rng.choice([f"h{n}.example.com", f"x.h{n}.example.com", f"h{n}.example.co"])
            path = rng.choice([f"/p{n}", f"/p{n}/x", f"/P{n}", "/", "/q/r"])
            request = Request(path.encode(), host.encode())
            assert chosen(cache, request, None, 0.0) == choose(bodies, request, None, 0.0)

    @pytest.mark.parametrize("count", [1024, 1025, 3000])
    def test_any_number_of_paths_matches_like_the_linear_matcher(self, count: int) -> None:
        """Prefixes and exact paths of one host behave alike in tables of every size."""
        rng = random.Random(count)
        bodies = [
            make_body(f"r{n}", f"/api/p{n}/{{**rest}}" if n % 2 else f"/api/p{n}")
            for n in range(count)
        ]
        cache = RouteCache.empty().apply((b["id"], compile_route(b, None)) for b in bodies)
        for _ in range(50):
            n = rng.randrange(count + 2)
            path = rng.choice([f"/api/p{n}", f"/api/p{n}/x", f"/api/P{n}", "/api", f"/api/p{n}x"])
            request = Request(path.encode())
            assert chosen(cache, request, None, 0.0) == choose(bodies, request, None, 0.0)


@pytest.mark.slow
class MillionTests:
    def test_a_million_lookups_in_tables_of_any_size_have_no_mismatch(self) -> None:
        """Tables of 1 to 2,000 routes that meet one another often, and requests in every case."""
        rng = random.Random(20240229)
        lookups = 0
        while lookups < 1_000_000:
            count = rng.choice([1, 2, 3, 5, 8, 13, 21] * 40 + [120, 1100, 2000])
            bodies = [random_body(rng, number, count) for number in range(count)]
            cache = RouteCache.empty().apply((b["id"], compile_route(b, None)) for b in bodies)
            for _ in range(2_000 if count < 50 else 100):
                request, tenant = random_request(rng, count), rng.choice([None, "t1", "t2"])
                assert chosen(cache, request, tenant, 0.0) == choose(bodies, request, tenant, 0.0)
                lookups += 1


def random_body(rng: random.Random, number: int, count: int) -> Body:
    segments = rng.choices(["a", "b", f"p{rng.randrange(count)}", "{x}", "A"], k=rng.randrange(4))
    path = "/" + "/".join([*segments, rng.choice(["{**rest}", "{y}", "a", "c"])])
    return make_body(
        f"r{number}",
        rng.choice([path] * 9 + ["~/a/.*"]),
        tenant_id=rng.choice([None, None, "t1"]),
        priority=rng.choice([0] * 9 + [1]),
        hosts=rng.choice([[], [random_host(rng, count)], ["*." + random_host(rng, count)]]),
        methods=rng.choice([[], [], ["GET"]]),
    )


def random_host(rng: random.Random, count: int) -> str:
    return rng.choice(["example.com", f"h{rng.randrange(count)}.example.com"])


def random_request(rng: random.Random, count: int) -> Request:
    host = rng.choice(["", "x.", "x.y."]) + random_host(rng, count)
    segments = rng.choices(["a", "b", "%61", f"p{rng.randrange(count)}", "A"], k=rng.randrange(5))
    method = rng.choice([b"GET", b"POST"])
    return Request(("/" + "/".join(segments)).encode(), host.encode(), method)
