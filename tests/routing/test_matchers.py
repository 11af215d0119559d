"""Conditions of a route beyond host, path and method."""

from __future__ import annotations

import pytest

from fengling_gateway.routing.matchers import Condition, compile_conditions
from tests.routing.builders import Request, make_match, make_test


def only(**match: object) -> Condition:
    (condition,) = compile_conditions(make_match(**match))
    return condition


class ValueTests:
    @pytest.mark.parametrize(
        ("op", "value", "ignore_case", "passing", "failing"),
        [
            ("equals", "Beta", False, [b"Beta"], [b"beta", b"Beta1", b"", None]),
            ("equals", "", False, [b""], [b"x", b"XXXX", None]),
            ("equals", "Beta", True, [b"BETA", b"beta"], [b"bet", None]),
            ("prefix", "v1", False, [b"v1", b"v1.2"], [b"V1", b" v1", None]),
            ("contains", "ios", True, [b"iOS 17", b"an-IOS-app"], [b"io", None]),
            ("exists", None, False, [b"", b"x"], [None]),
            ("absent", None, False, [None], [b"", b"x"]),
        ],
    )
    def test_each_operator_accepts_what_it_says(
        self,
        op: str,
        value: str | None,
        ignore_case: bool,
        passing: list[bytes | None],
        failing: list[bytes | None],
    ) -> None:
        """Every operator, with and without case."""
        condition = only(headers=[make_test("x-h", op, value, ignore_case=ignore_case)])
        for given, expected in [(passing, True), (failing, False)]:
            for header in given:
                headers = {} if header is None else {b"x-h": header}
                assert condition.holds(Request(headers=headers)) is expected


class FieldTests:
    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            (b"v=a%20b", True),
            (b"v=a+b", True),
            (b"%76=a+b", True),
            (b"x=1&v=a+b", True),
            (b"v=a+b&v=other", True),
            (b"v=other&v=a+b", False),
            (b"v", False),
            (b"V=a+b", False),
            (b"x;v=a+b", False),
            (b"", False),
        ],
    )
    def test_the_first_query_parameter_of_a_name_counts_decoded(
        self, query: bytes, *, expected: bool
    ) -> None:
        """Names and values are decoded, only ``&`` separates, later ones are not looked at."""
        condition = only(query=[make_test("v", "equals", "a b")])
        assert condition.holds(Request(query=query)) is expected

    def test_a_parameter_without_value_exists(self) -> None:
        """``?debug`` is there, and empty."""
        assert only(query=[make_test("debug", "exists")]).holds(Request(query=b"debug"))

    @pytest.mark.parametrize(
        ("header", "expected"),
        [
            (b"s=1", True),
            (b"a=b; s=1", True),
            (b'a=b;s="1"', True),
            (b"s=1; s=2", True),
            (b"s=2; s=1", False),
            (b"s", False),
            (b"xs=1", False),
            (None, False),
        ],
    )
    def test_the_first_cookie_of_a_name_counts(
        self, header: bytes | None, *, expected: bool
    ) -> None:
        """Cookies are told apart by semicolons; quotes around a value are none of it."""
        condition = only(cookies=[make_test("s", "equals", "1")])
        headers = {} if header is None else {b"cookie": header}
        assert condition.holds(Request(headers=headers)) is expected

    @pytest.mark.parametrize(
        ("peer", "expected"),
        [
            ("10.1.2.3", True),
            ("::ffff:10.1.2.3", True),
            ("2001:db8::1", True),
            ("11.0.0.1", False),
            ("2001:db9::1", False),
            ("", False),
            ("unix", False),
        ],
    )
    def test_a_client_is_looked_up_in_networks(self, peer: str, *, expected: bool) -> None:
        """IPv4, IPv6 and IPv4 within IPv6; what is no address is in no network."""
        condition = only(client_ip=["10.0.0.0/8", "2001:db8::/32"])
        assert condition.holds(Request(peer=peer)) is expected

    def test_a_network_may_be_named_by_any_of_its_addresses(self) -> None:
        """As people write them; the condition is told as it is written."""
        condition = only(client_ip=["10.1.2.3/8", "192.0.2.1"])
        assert condition.holds(Request(peer="10.200.0.1"))
        assert condition.holds(Request(peer="192.0.2.1"))
        assert not condition.holds(Request(peer="192.0.2.2"))
        assert condition.describe() == "client_ip in 10.1.2.3/8, 192.0.2.1"

    def test_a_listener_is_one_of_the_named(self) -> None:
        """A route may name the listeners it is for."""
        condition = only(listeners=["internal", "admin"])
        assert condition.holds(Request(listener="admin"))
        assert not condition.holds(Request(listener="http"))


class CompileConditionsTests:
    def test_equal_conditions_are_one_object(self) -> None:
        """Routes that say the same share it: 100,000 routes have few distinct conditions."""
        match = make_match(headers=[make_test("a", "exists")], client_ip=["10.0.0.0/8"])
        first, second = compile_conditions(match), compile_conditions(match)
        assert [*map(id, first)] == [*map(id, second)]

    def test_no_conditions_compile_to_none(self) -> None:
        """An empty match asks nothing."""
        assert compile_conditions(make_match()) == ()

    def test_every_condition_describes_itself(self) -> None:
        """What explain says of a condition names field, operator and value."""
        match = make_match(
            headers=[make_test("x-a", "equals", "1", ignore_case=True)],
            query=[make_test("v", "absent")],
            cookies=[make_test("s", "prefix", "b")],
            client_ip=["10.0.0.0/8"],
            listeners=["b", "a"],
        )
        assert [condition.describe() for condition in compile_conditions(match)] == [
            "listener in a, b",
            "header x-a equals '1', ignoring case",
            "query v absent",
            "cookie s prefix 'b'",
            "client_ip in 10.0.0.0/8",
        ]


class ExcludesTests:
    @pytest.mark.parametrize(
        ("first", "second", "expected"),
        [
            (make_test("a", "equals", "1"), make_test("a", "equals", "2"), True),
            (make_test("a", "equals", "1"), make_test("a", "equals", "1"), False),
            (make_test("a", "equals", "x"), make_test("a", "equals", "X", ignore_case=True), False),
            (make_test("a", "equals", "x"), make_test("a", "equals", "Y", ignore_case=True), True),
            (make_test("a", "equals", "X"), make_test("a", "equals", "x", ignore_case=True), False),
            (make_test("a", "equals", "1"), make_test("b", "equals", "2"), False),
            (make_test("a", "equals", "1"), make_test("a", "prefix", "2"), False),
            (make_test("a", "exists"), make_test("a", "absent"), True),
            (make_test("a", "absent"), make_test("a", "absent"), False),
            (make_test("a", "prefix", "1"), make_test("a", "prefix", "2"), False),
        ],
    )
    def test_fields_exclude_one_another_only_when_certain(
        self, first: dict[str, object], second: dict[str, object], *, expected: bool
    ) -> None:
        """Two tests of one field exclude one another if no value passes both."""
        assert only(headers=[first]).excludes(only(headers=[second])) is expected
        assert only(headers=[second]).excludes(only(headers=[first])) is expected

    def test_other_kinds_are_not_compared(self) -> None:
        """A header says nothing about a query parameter, nor a network about another."""
        header = only(headers=[make_test("a", "exists")])
        query = only(query=[make_test("a", "absent")])
        network = only(client_ip=["10.0.0.0/8"])
        listener = only(listeners=["a"])
        assert not header.excludes(query)
        assert not network.excludes(only(client_ip=["11.0.0.0/8"]))
        assert listener.excludes(only(listeners=["b"]))
        assert not listener.excludes(header)
