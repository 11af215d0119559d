"""Whom an instance is asked for."""

from __future__ import annotations

import pytest

from fengling_gateway.http.forwarded import client_address, forwarded_pairs, peer_address
from fengling_gateway.http.headers import nominated, valid_value
from tests.http.test_head import make, parse

LINES = (b"X-Forwarded-For: a", b"X-Forwarded-Proto: https", b"X-Forwarded-Host: w")


def test_untrusted_word_is_replaced() -> None:
    """What a client says about itself does not count."""
    pairs = forwarded_pairs(parse(make(*LINES)), b"192.0.2.1", b"http")
    assert pairs == [
        (b"X-Forwarded-For", b"192.0.2.1"),
        (b"X-Forwarded-Proto", b"http"),
        (b"X-Forwarded-Host", b"h"),
    ]


def test_trusted_word_is_continued() -> None:
    """What a proxy of ours says is kept."""
    pairs = forwarded_pairs(parse(make(*LINES), is_trusted=True), b"192.0.2.1", b"http")
    assert dict(pairs) == {
        b"X-Forwarded-For": b"a, 192.0.2.1",
        b"X-Forwarded-Proto": b"https",
        b"X-Forwarded-Host": b"w",
    }


def test_request_without_host_has_none_forwarded() -> None:
    """HTTP/1.0 may name no host."""
    head = parse(make(first=b"GET / HTTP/1.0", host=b""))
    assert len(forwarded_pairs(head, b"192.0.2.1", b"http")) == 2


@pytest.mark.parametrize(
    ("host", "address"),
    [("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::1"), ("::ffff:1", "::ffff:1")],
)
def test_mapped_addresses_are_unmapped(host: str, address: str) -> None:
    """A dual-stack listener's IPv4 clients are IPv4 clients."""
    assert peer_address(host) == address


@pytest.mark.parametrize("chain", [b"fe80::1%eth0", b'fe80::1%" 200 -', b"[fe80::1%0]:80"])
def test_zones_are_no_addresses(chain: bytes) -> None:
    """They may be any text, which would be written into logs as if it were an address."""
    assert client_address(chain, "192.0.2.1", lambda _: True) == "192.0.2.1"
    assert client_address(b"10.0.0.1, " + chain, "192.0.2.1", lambda _: True) == "192.0.2.1"


def test_nominations_spare_what_is_end_to_end() -> None:
    """Connection names what it may name."""
    value = b"close, X-A ,,Authorization, Keep-Alive,upgrade\t, cookie"
    assert nominated(value) == {b"x-a"}


def test_values_are_clean_or_not() -> None:
    """Control characters never go on the wire."""
    assert valid_value(b"a b\tc \xc3\xa9")
    for odd in (b"a\r", b"\n", b"\x00", b"\x7f"):
        assert not valid_value(odd)
