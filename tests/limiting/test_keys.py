"""Whose requests count together."""

from __future__ import annotations

from typing import Any

import pytest

from fengling_gateway.auth.principal import Principal
from fengling_gateway.limiting.keys import MAX_KEY_BYTES, address_key, key_of
from tests.limiting.builders import at_once, limit


def principal(method: str = "jwt", source: str = "corp", subject: str = "ann") -> Principal:
    nobody: Any = frozenset()
    return Principal(method, source, subject, None, "", nobody, nobody, {}, 0.0, ())


def key(by: str, **known: Any) -> bytes:
    asked = {"address": "10.0.0.1", "route_id": "r", "tenant": None, "principal": None}
    values = {**asked, "headers": (), **known}
    found = key_of(limit(key=by), *values.values())
    assert found == key_of(at_once(1, key=by), *values.values())
    return found


ADDRESS = address_key("10.0.0.1")


class KeyTests:
    def test_addresses_count_by_themselves(self) -> None:
        """IPv4, also where it is written as IPv6."""
        assert key("client_ip") == ADDRESS == address_key("::ffff:10.0.0.1")
        assert address_key("10.0.0.2") != ADDRESS

    def test_a_site_counts_together(self) -> None:
        """Who has one IPv6 address has 2^64 of them."""
        assert address_key("2001:db8::1") == address_key("2001:DB8:0:0:ffff::2")
        assert address_key("2001:db8::1") != address_key("2001:db8:0:1::1")

    def test_what_is_no_address_has_a_key_too(self) -> None:
        """Such as nothing."""
        assert len({address_key(""), address_key("unix"), address_key("1.2.3"), ADDRESS}) == 4

    def test_a_route_counts_each_by_itself_and_all_together(self) -> None:
        """For the limits of a service."""
        assert key("route", route_id="a") != key("route", route_id="b")
        assert key("all", route_id="a") == key("all", route_id="b")

    @pytest.mark.parametrize("by", ["tenant", "subject", "api_key", "header:x-app"])
    def test_who_can_not_be_told_is_told_by_the_address(self, by: str) -> None:
        """Rather than by nothing, together with everybody who can't be, either."""
        assert key(by) == ADDRESS

    def test_a_tenant_and_a_subject_are_told(self) -> None:
        """A subject is one of its issuer's."""
        assert key("tenant", tenant="acme") == b"tacme"
        ann = key("subject", principal=principal())
        assert ann != key("subject", principal=principal(source="other"))
        assert ann != key("subject", principal=principal(subject="bob"))
        assert ann == key("subject", principal=principal(), address="10.9.9.9")

    def test_an_api_key_is_no_token(self) -> None:
        """By api_key, a token counts by its address."""
        by_key = principal("api_key", "shop", "k1")
        assert key("api_key", principal=principal()) == ADDRESS
        assert key("api_key", principal=by_key) == key("subject", principal=by_key) != ADDRESS

    def test_a_header_is_told_in_any_case(self) -> None:
        """The first value that is not empty."""
        headers = [(b"X-AppX", b"0"), (b"X-APP", b""), (b"x-App", b"1"), (b"X-App", b"2")]
        assert key("header:x-app", headers=headers) == b"h1"

    def test_nobody_is_told_by_what_another_is(self) -> None:
        """Whatever he calls himself."""
        packed = bytes([10, 0, 0, 1])
        assert key("header:x-app", headers=[(b"X-App", packed)]) != ADDRESS
        assert key("tenant", tenant="r") != key("route", route_id="r")

    def test_keys_are_short(self) -> None:
        """However long what a client sends; and still two of them."""
        one, two = (
            key("header:x-app", headers=[(b"X-App", b"x" * 8000 + end)]) for end in (b"1", b"2")
        )
        assert one != two
        assert max(len(one), len(two)) <= MAX_KEY_BYTES
