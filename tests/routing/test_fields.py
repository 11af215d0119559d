"""Queries, cookies and addresses, as conditions read them."""

from __future__ import annotations

import pytest

from fengling_gateway.routing.fields import parse_address, parse_cookies, parse_query


class QueryTests:
    @pytest.mark.parametrize(
        ("query", "values"),
        [
            (b"", {b"": b""}),
            (b"a=1&b=2", {b"a": b"1", b"b": b"2"}),
            (b"a=1&a=2", {b"a": b"1"}),
            (b"a=x=y", {b"a": b"x=y"}),
            (b"a", {b"a": b""}),
            (b"a+b=c+d", {b"a b": b"c d"}),
            (b"%61=%2B", {b"a": b"+"}),
            (b"a%3Db=%26", {b"a=b": b"&"}),
            (b"a=%ff", {b"a": b"\xff"}),
        ],
    )
    def test_query_is_taken_apart_before_it_is_decoded(
        self, query: bytes, values: dict[bytes, bytes]
    ) -> None:
        """The first of a name counts."""
        assert parse_query(query) == values


class CookieTests:
    @pytest.mark.parametrize(
        ("header", "values"),
        [
            (b"", {}),
            (b"a=1", {b"a": b"1"}),
            (b"a=1; b=2;c=3", {b"a": b"1", b"b": b"2", b"c": b"3"}),
            (b"a=1; a=2", {b"a": b"1"}),
            (b"a=x=y", {b"a": b"x=y"}),
            (b"a", {}),
            (b"a=", {b"a": b""}),
            (b' a = "1" ', {b"a": b"1"}),
            (b'a=""', {b"a": b""}),
            (b'a="', {b"a": b'"'}),
            (b'a="1', {b"a": b'"1'}),
            (b'a=1"', {b"a": b'1"'}),
            (b'a="b c"', {b"a": b"b c"}),
        ],
    )
    def test_cookies_are_told_apart_by_semicolons(
        self, header: bytes, values: dict[bytes, bytes]
    ) -> None:
        """Quotes around a whole value, and spaces around names and values, are none of them."""
        assert parse_cookies(header) == values


class AddressTests:
    @pytest.mark.parametrize(
        ("text", "address"),
        [
            ("10.1.2.3", (4, 0x0A010203)),
            ("::ffff:10.1.2.3", (4, 0x0A010203)),
            ("::1", (6, 1)),
            ("2001:db8::7", (6, 0x20010DB8 << 96 | 7)),
            ("", (0, 0)),
            ("unix", (0, 0)),
            ("10.1.2", (0, 0)),
        ],
    )
    def test_address_is_a_version_and_a_number(self, text: str, address: tuple[int, int]) -> None:
        """IPv4 within IPv6 is IPv4; what is no address has no version."""
        assert parse_address(text) == address
