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
from fengling_gateway.routing.re2packs import PACK_LIMIT, Pack, add_to_packs, check_regex
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

    def test_emptied_index_settles(self) -> None:
        """A builder may still know of it when its routes are gone."""
        index, route = RegexIndex(), make_route("r", "~/x")
        index.insert("/x", route)
        index.settle()
        index.remove("/x", route)
        index.settle()
        assert index.leaf(b"/x") is None

    def test_regex_that_comes_back_is_compiled_still(self) -> None:
        """As is one that a second route has."""
        index, route = RegexIndex(), make_route("r", "~/x")
        index.insert("/x", route)
        index.settle()
        index.remove("/x", route)
        assert index.leaf(b"/x") is None
        index.insert("/x", route)
        index.insert("/x", make_route("s", "~/x"))
        assert index.is_settled
        leaf = index.leaf(b"/x")
        assert leaf is not None
        assert [one.id for one in routes_of(leaf)] == ["r", "s"]

    def test_many_new_regexes_are_compiled_as_they_come(self) -> None:
        """Not all when the load is done."""
        index = RegexIndex()
        for number in range(255):
            index.insert(f"/p{number}", make_route(f"r{number}", f"~/p{number}"))
        assert not index.is_settled
        index.insert("/p255", make_route("r255", "~/p255"))
        assert index.is_settled

    @pytest.mark.parametrize("names", ["ab", "ba"])
    def test_two_regexes_that_match_are_one_choice(self, names: str) -> None:
        """In the order of the routes, not of the regexes."""
        index = RegexIndex()
        for name, pattern in zip(names, ("/x.*", "/.y"), strict=True):
            index.insert(pattern, make_route(name, f"~{pattern}"))
        index.settle()
        leaf = index.leaf(b"/xy")
        assert leaf is not None
        assert [one.id for one in routes_of(leaf)] == ["a", "b"]

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

    def test_a_set_that_answers_is_believed(self) -> None:
        """It is asked once, and not its regexes one by one."""

        class Answering:
            def Match(self, _path: bytes) -> list[int]:
                return [3, 1]

        assert Pack(("/a", "/b", "/c"), Answering()).matching(b"/x") == ["/b"]

    def test_a_set_that_could_not_be_compiled_is_asked_one_by_one(self) -> None:
        """It has no automaton to ask."""
        assert Pack(("/a", "/b"), None).matching(b"/b") == ["/b"]

    def test_a_regex_that_is_accepted_is_never_too_large_to_be_asked(self) -> None:
        """By itself it has the memory that it was judged with."""
        pattern = r"/[\pL\pN]{600}"
        check_regex(pattern)
        assert Pack((pattern,), None).matching(b"/" + b"x" * 600) == [pattern]

    def test_packs_are_matched_in_one_pass(self) -> None:
        """No regex of one is compiled by itself."""
        packs: list[Pack] = []
        add_to_packs(packs, ("/a", "/b"), ("/a", "/b"))
        with patch.object(re2packs.re2, "compile", side_effect=AssertionError):
            assert [pack.matching(b"/b") for pack in packs] == [["/b"]]

    def test_packs_do_not_grow_beyond_their_limit(self) -> None:
        """To which two of like size are merged."""
        for more, sizes in [(PACK_LIMIT // 2, [PACK_LIMIT]), (PACK_LIMIT // 2 + 1, None)]:
            packs: list[Pack] = []
            patterns = [f"/p{number}" for number in range(PACK_LIMIT // 2 + more)]
            add_to_packs(packs, tuple(patterns[more:]), patterns)
            add_to_packs(packs, tuple(patterns[:more]), patterns)
            assert [len(pack) for pack in packs] == (sizes or [PACK_LIMIT // 2, more])

    def test_regexes_too_large_together_are_packed_apart(self) -> None:
        """What RE2 cannot compile as one set is compiled as several, or singly."""
        small = re2packs.make_options(max_mem=40_000)
        with patch.object(re2packs, "_OPTIONS", small):
            packs: list[Pack] = []
            patterns = tuple(f"/{letter}/[a-z]{{1,60}}" for letter in "abcdef")
            add_to_packs(packs, patterns, patterns)
        assert len(packs) > 1
        sizes = [len(pack) for pack in packs]
        assert sum(sizes) == 6
        assert max(sizes) - min(sizes) <= 1
        found = [pattern for pack in packs for pattern in pack.matching(b"/c/xyz")]
        assert found == ["/c/[a-z]{1,60}"]

    @pytest.mark.parametrize("pattern", ["(", "a**", r"(?=x)", r"(a)\1"])
    def test_what_re2_refuses_is_refused_with_its_reason(self, pattern: str) -> None:
        """A regex that cannot run in linear time, or is none, does not compile."""
        with pytest.raises(ValueError, match=r".+"):
            check_regex(pattern)
        with pytest.raises(ValueError, match=r".+"):
            make_route("r", f"~{pattern}")

    @pytest.mark.parametrize(
        ("told", "said"), [((b"no good",), "no good"), (("no good",), "no good"), ((), "")]
    )
    def test_a_refusal_has_the_reason_that_there_is(
        self, told: tuple[object, ...], said: str
    ) -> None:
        """Releases of RE2 tell it as bytes, or as text, or not."""
        with (
            patch.object(re2packs.re2, "compile", side_effect=re2packs.re2.error(*told)),
            pytest.raises(ValueError, match=r".*") as refused,
        ):
            check_regex("/a")
        assert refused.value.args == (said,)

    def test_a_refusal_is_told_to_whoever_asks_alone(
        self, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """RE2 would write its own line to the log of the process."""
        for options in (re2packs._OPTIONS, re2packs.make_options()):
            with (
                patch.object(re2packs, "_OPTIONS", options),
                pytest.raises(ValueError, match=r"^missing \): /a\(b$"),
            ):
                check_regex("/a(b")
        assert capfd.readouterr() == ("", "")
