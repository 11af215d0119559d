"""Regex routes: many of them, changing, and too large for RE2."""

from __future__ import annotations

import random
import re
from unittest.mock import patch

import pytest

from fengling_gateway.routing import re2packs
from fengling_gateway.routing.cache import RouteCache
from fengling_gateway.routing.edit import Edit
from fengling_gateway.routing.leaf import routes_of
from fengling_gateway.routing.re2packs import Pack, add_to_packs, check_regex
from fengling_gateway.routing.regexes import RegexIndex
from tests.routing.builders import Request, make_route


class RegexRouteTests:
    def test_a_thousand_regexes_in_one_host_answer_like_one_by_one(self) -> None:
        """Through additions and removals in any order, the right regexes match."""
        rng = random.Random(7)
        index = RegexIndex().owned_by(Edit())
        there: dict[str, object] = {}
        for step in range(1200):
            pattern = f"^/svc{rng.randrange(600)}(/[a-z]+)?$"
            if pattern in there and rng.random() < 0.6:
                index.remove(pattern, there.pop(pattern))  # type: ignore[arg-type]
            elif pattern not in there:
                there[pattern] = route = make_route(f"r{step}", f"~{pattern}")
                index.insert(pattern, route)
            if step % 20 == 0:
                index.settle()
                path = f"/svc{rng.randrange(600)}/x"
                leaf = index.leaf(path.encode())
                found = set(routes_of(leaf)) if leaf else set()
                assert found == {r for p, r in there.items() if re.fullmatch(p, path)}

    def test_packs_stay_few_as_regexes_are_added_one_at_a_time(self) -> None:
        """The packs to ask grow with the logarithm of the regexes."""
        packs: list[Pack] = []
        wanted = [f"/p{number}" for number in range(500)]
        for pattern in wanted:
            add_to_packs(packs, (pattern,), wanted)
        assert sum(map(len, packs)) == 500
        assert len(packs) <= 6

    def test_removed_regexes_are_dropped_in_time(self) -> None:
        """A pack does not carry what is long gone."""
        index = RegexIndex()
        routes = [make_route(f"r{n}", f"~/p{n}") for n in range(200)]
        for route in routes:
            index.insert(route.template.pattern, route)
        index.settle()
        for route in routes[1:]:
            index.remove(route.template.pattern, route)
        index.settle()
        assert sum(map(len, index._packs)) == 1

    def test_regex_that_goes_before_it_was_compiled_never_is(self) -> None:
        """Nothing is left to settle."""
        index, route = RegexIndex(), make_route("r", "~/x")
        index.insert("/x", route)
        assert not index.is_settled
        index.remove("/x", route)
        assert index.is_settled
        assert not index

    def test_the_order_among_matching_regexes_is_by_priority_method_and_id(self) -> None:
        """Regexes of one host have no rank among themselves but that of the routes."""
        cache = RouteCache.empty().apply(
            (route.id, route)
            for route in [
                make_route("b", "~/x.*"),
                make_route("a", "~/.*"),
                make_route("post", "~/xy", methods=["POST"]),
                make_route("high", "~/high.*", priority=1),
            ]
        )
        for path, method, expected in [
            (b"/xy", b"GET", "a"),
            (b"/xy", b"POST", "post"),
            (b"/high", b"GET", "high"),
        ]:
            route = cache.match(Request(path, method=method), None, 0.0)
            assert route is not None
            assert route.id == expected

    def test_a_regex_sees_the_path_percent_encoded(self) -> None:
        """Bytes beyond ASCII are matched in the spelling in which they travel."""
        cache = RouteCache.empty().apply([("r", make_route("r", "~/caf%C3%A9"))])
        assert cache.match(Request("/café".encode()), None, 0.0) is not None
        assert cache.match(Request(b"/caf%c3%a9"), None, 0.0) is not None


class LoadTests:
    def test_a_load_leaves_little_to_compile_at_its_end(self) -> None:
        """Regexes of many hosts, and many of one, are compiled while they come in."""
        builder = RouteCache.empty().builder()
        for n in range(300):
            builder.add(make_route(f"r{n}", f"~/p{n}", hosts=[f"h{n % 100}", "all"]))
        with patch.object(re2packs, "_compile", wraps=re2packs._compile) as compiling:
            cache = builder.freeze()
        assert compiling.call_count <= 33
        for n in (0, 7, 299):
            for host in (f"h{n % 100}", "all"):
                route = cache.match(Request(f"/p{n}".encode(), host.encode()), None, 0.0)
                assert route is not None
                assert route.id == f"r{n}"


class PackTests:
    def test_a_set_that_gives_up_is_asked_one_by_one(self) -> None:
        """RE2 answers "no match" when it runs out of memory; that is noticed and made good."""

        class GivingUp:
            def Match(self, _path: bytes) -> None:
                return None

        pack = Pack(("/a", "/b", "/.*"), GivingUp())
        assert pack.matching(b"/b") == ["/b", "/.*"]
        assert pack.matching(b"x") == []

    def test_regexes_too_large_together_are_packed_apart(self) -> None:
        """What RE2 cannot compile as one set is compiled as several, or singly."""
        small = re2packs.make_options(max_mem=40_000)
        with patch.object(re2packs, "_OPTIONS", small):
            packs: list[Pack] = []
            patterns = tuple(f"/{letter}/[a-z]{{1,60}}" for letter in "abcdef")
            add_to_packs(packs, patterns, patterns)
        assert len(packs) > 1
        found = [pattern for pack in packs for pattern in pack.matching(b"/c/xyz")]
        assert found == ["/c/[a-z]{1,60}"]

    @pytest.mark.parametrize("pattern", ["(", "a**", r"(?=x)", r"(a)\1"])
    def test_what_re2_refuses_is_refused_with_its_reason(self, pattern: str) -> None:
        """A regex that cannot run in linear time, or is none, does not compile."""
        with pytest.raises(ValueError, match=r".+"):
            check_regex(pattern)
        with pytest.raises(ValueError, match=r".+"):
            make_route("r", f"~{pattern}")
