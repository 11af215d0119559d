"""
When two values are the same to a database. Pure.

To Python 1, 1.0 and true are equal, which as configuration are three things;
and what a database is given is not always what it gives back.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

DURATIONS: Final = {
    *("connect_timeout", "first_byte_timeout", "idle_timeout"),
    *("refresh", "leeway", "max_lifetime"),
}
"""Columns that are intervals; here, floats of seconds, or None."""

INSTANTS: Final = {"valid_from", "valid_to", "expires_at", "revoked_at"}
"""Columns that are points in time; here, floats of seconds since 1970, or None."""

_MICROSECONDS: Final = 6
"""Decimals of a second that intervals and points in time keep."""

_NAMES: Final = {None: "null", True: "true", False: "false"}


def as_stored(column: str, value: Any) -> Any:
    """Return what is read from a column once a value is in it."""
    if column in DURATIONS or column in INSTANTS:
        return round(value, _MICROSECONDS) if type(value) is float else value
    return _as_jsonb(value)


def _as_jsonb(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return {
            name if type(name) is str else _NAMES[name]: _as_jsonb(inner)
            for name, inner in value.items()
        }
    if kind is list:
        return [_as_jsonb(inner) for inner in value]
    return _as_numeric(value) if kind is float else value


def _as_numeric(value: float) -> int | float:
    """Numbers lose their exponent (1e16 comes back without a point), and zero its sign."""
    text = repr(value)
    if "e" in text:
        text = f"{Decimal(text):f}"
        return float(text) if "." in text else int(text)
    return value or 0.0


def differ(a: Any, b: Any) -> bool:
    """Whether two JSON values are not the same."""
    if type(a) is not type(b):
        return True
    if type(a) is dict:
        return a.keys() != b.keys() or any(differ(a[name], b[name]) for name in a)
    if type(a) is list:
        return len(a) != len(b) or any(map(differ, a, b))
    return bool(a != b)
