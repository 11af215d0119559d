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
        assert values().id_in(value.encode()) == "x" * length


def test_value_is_good_for_half_a_minute() -> None:
    """And as much before, since clocks differ."""
    value = debug_value(keyring(), b"id", now=NOW).encode()
    found = [values(NOW + passed).id_in(value) for passed in (-31, -29, 29, 31)]
    assert found == [None, "id", "id", None]


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
    assert values().id_in(value) is None


def test_other_messages_are_no_debug_values() -> None:
    """Whoever reads an announcement on Redis can't make a header of it."""
    message = keyring().sign(b"announce", b"id", now=NOW)
    assert values().id_in(urlsafe_b64encode(message).rstrip(b"=")) is None


def test_new_keys_hold_at_once() -> None:
    """And old ones no longer."""
    known = values()
    other = debug_value(keyring(OTHER_KEY), b"id", now=NOW).encode()
    known.replace_keys([OTHER_KEY])
    assert known.id_in(other) == "id"
    assert known.id_in(debug_value(keyring(KEY), b"id", now=NOW).encode()) is None
