"""What is common to hostnames."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.kubernetes.gateway_api.hostnames import common, covers, intersection

labels = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(".".join)
hostnames = st.one_of(st.none(), labels, labels.map(lambda name: f"*.{name}"))


def has(hostname: str | None, host: str) -> bool:
    if hostname is None:
        return True
    return host.endswith(hostname[1:]) if hostname[0] == "*" else host == hostname


class HostnamesTests:
    @pytest.mark.parametrize(
        ("listener", "route", "found"),
        [
            (None, [], (None,)),
            ("a.example", [], ("a.example",)),
            (None, ["a.example", "*.b"], ("a.example", "*.b")),
            (
                "*.example",
                ["a.example", "example", "b.other", "*.a.example"],
                ("a.example", "*.a.example"),
            ),
            ("a.example", ["*.example", "a.example"], ("a.example",)),
            ("*.a.example", ["*.example"], ("*.a.example",)),
            ("*.example", ["*.other"], ()),
        ],
    )
    def test_route_gets_what_both_say(
        self, listener: str | None, route: list[str], found: tuple[str | None, ...]
    ) -> None:
        """The narrower one of two, once."""
        assert intersection(listener, route) == found

    @given(hostnames, hostnames, labels)
    def test_common_is_what_both_have(self, one: str | None, other: str | None, host: str) -> None:
        """For any host."""
        both = has(one, host) and has(other, host)
        assert any(has(hostname, host) for hostname in common(one, other)) is both

    @given(hostnames, hostnames, labels)
    def test_wider_one_has_every_host_of_the_other(
        self, one: str | None, other: str | None, host: str
    ) -> None:
        """Where it covers it."""
        if covers(one, other) and has(other, host):
            assert has(one, host)
