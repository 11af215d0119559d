"""Which addresses are this host's own."""

from __future__ import annotations

import socket

import pytest

from fengling_gateway.dataplane.own_addresses import is_here


def test_address_that_packets_leave_from_is_here() -> None:
    """Whatever it is: the system is asked."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("198.51.100.1", 9))
        except OSError:
            pytest.skip("this host has no way to anybody else")
        assert is_here(asking.getsockname()[0])


def test_loopback_is_here() -> None:
    """In both families."""
    assert is_here("127.0.0.1")
    assert is_here("::1") or not socket.has_ipv6


@pytest.mark.parametrize("address", ["198.51.100.1", "2001:db8::1", "orders.example", "", "0x7f.1"])
def test_others_are_not(address: str) -> None:
    """Nor is what is no address: nobody is asked for a name."""
    assert not is_here(address)
