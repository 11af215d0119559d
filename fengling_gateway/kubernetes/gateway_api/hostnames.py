"""Hostnames of listeners and routes, and what is common to them. Pure; None is any host."""

from __future__ import annotations

from collections.abc import Sequence


def covers(wide: str | None, narrow: str | None) -> bool:
    """Whether every host of one is a host of the other."""
    if wide is None or wide == narrow:
        return True
    if narrow is None or not wide.startswith("*."):
        return False
    # "*.example.com" is any number of labels before, and never example.com itself.
    return narrow.endswith(wide[1:])


def common(one: str | None, other: str | None) -> tuple[str | None, ...]:
    """Return the hosts that are both's: one name (or None for any), or nothing."""
    if covers(one, other):
        return (other,)
    return (one,) if covers(other, one) else ()


def intersection(listener: str | None, route: Sequence[str]) -> tuple[str | None, ...]:
    """Return the hosts of a route that a listener has; of a route without any, the listener's."""
    if not route:
        return (listener,)
    found = [name for host in route for name in common(listener, host)]
    return tuple(dict.fromkeys(found))
