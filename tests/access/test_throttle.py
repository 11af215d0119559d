"""Whose failures count together."""

from __future__ import annotations

import pytest

from fengling_gateway.access.throttle import MAX_ADDRESSES, FailureThrottle, SignInThrottle


def failures(*addresses: str) -> list[bool]:
    throttle = FailureThrottle()
    return [throttle.failed(address, now=0.0) for address in addresses]


def test_sixth_failure_within_a_second_is_too_many() -> None:
    """Of one address; another is another matter."""
    assert failures(*["192.0.2.1"] * 6, "192.0.2.2") == [False] * 5 + [True, False]


def test_addresses_of_one_network_are_one() -> None:
    """Who has a /64 could take another address for each guess."""
    assert failures(*(f"2001:db8::{number:x}" for number in range(6)))[-1]
    assert not failures(*(f"2001:db8:0:{number:x}::1" for number in range(6)))[-1]


@pytest.mark.parametrize("address", ["::ffff:192.0.2.1", "::FFFF:c000:0201"])
def test_address_of_either_kind_is_one(address: str) -> None:
    """IPv4 within IPv6 is IPv4."""
    assert failures(*["192.0.2.1"] * 5, address)[-1]


def test_what_is_remembered_is_bounded() -> None:
    """The longest silent one is forgotten."""
    throttle = FailureThrottle()
    for _ in range(6):
        throttle.failed("192.0.2.1", now=0.0)
    for number in range(MAX_ADDRESSES):
        throttle.failed(f"10.{number >> 8}.{number & 255}.1", now=0.0)
    assert not throttle.failed("192.0.2.1", now=0.0)


def test_sign_ins_are_limited_by_address_and_together() -> None:
    """One that guesses is closed first; a thousand that do, all together."""
    throttle = SignInThrottle()
    assert [throttle.failed("192.0.2.1", now=0.0) for _ in range(11)] == [False] * 10 + [True]
    assert throttle.is_closed("192.0.2.1", now=0.0)
    assert not throttle.is_closed("192.0.2.2", now=0.0)
    assert not throttle.is_closed("192.0.2.1", now=2.0)
    for number in range(100):
        throttle.failed(f"198.51.100.{number}", now=3.0)
    assert throttle.is_closed("203.0.113.9", now=3.0)
    assert not throttle.is_closed("203.0.113.9", now=4.0)


def test_to_look_is_no_failure() -> None:
    """Nobody is closed by asking whether he is."""
    throttle = FailureThrottle()
    assert not any(throttle.is_empty("192.0.2.1", now=0.0) for _ in range(20))
