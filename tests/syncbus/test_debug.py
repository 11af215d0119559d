"""Debug headers are believed for a moment, and only from whoever has a key of the bus."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode

import pytest

from fengling_gateway.syncbus.debug import DebugValues, debug_value
from fengling_gateway.syncbus.signing import Keyring
from tests.syncbus.builders import KEY, OTHER_KEY, keyring

NOW = 1_700_000_000.25


def values(at: float = NOW, ring: Keyring | None = None) -> DebugValues:
    return DebugValues(keyring=ring or keyring(), wall=lambda: at)


def test_value_is_fit_for_a_header() -> None:
    """Letters, digits, dash and underscore; and good."""
    for length in range(20):
        value = debug_value(keyring(), b"x" * length, now=NOW)
        assert re.fullmatch("[A-Za-z0-9_-]+", value)
        assert values().is_good(value.encode())


def test_value_is_good_for_half_a_minute() -> None:
    """And as much before, since clocks differ."""
    value = debug_value(keyring(), b"id", now=NOW).encode()
    found = [values(NOW + passed).is_good(value) for passed in (-31, -29, 29, 31)]
    assert found == [False, True, True, False]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"1",
        b"true",
        b"\xff\xfe",
        b"x" * 5000,
        debug_value(keyring(OTHER_KEY), b"id", now=NOW).encode(),
        debug_value(keyring(cluster="other"), b"id", now=NOW).encode(),
        debug_value(keyring(), b"id", now=NOW).encode()[:-8],
        debug_value(keyring(), b"id", now=NOW).encode() + b"\n",
        debug_value(keyring(), b"id", now=NOW).encode() + b", x",
    ],
)
def test_other_values_are_not(value: bytes) -> None:
    """Whatever is wrong with them."""
    assert not values().is_good(value)


def test_other_messages_are_no_debug_values() -> None:
    """Whoever reads an announcement on Redis can't make a header of it."""
    message = keyring().sign(b"announce", b"id", now=NOW)
    assert not values().is_good(urlsafe_b64encode(message).rstrip(b"="))


def test_new_keys_hold_at_once() -> None:
    """And old ones no longer."""
    known = values()
    other = debug_value(keyring(OTHER_KEY), b"id", now=NOW).encode()
    known.replace_keys([OTHER_KEY])
    assert known.is_good(other)
    assert not known.is_good(debug_value(keyring(KEY), b"id", now=NOW).encode())
