"""What looking a name up may come to: pure."""

from __future__ import annotations

from typing import NamedTuple


class Found(NamedTuple):
    """Addresses, and for how many seconds they hold; whole if both kinds could be told."""

    addresses: tuple[str, ...]
    ttl: float
    is_whole: bool = True


class Missing(NamedTuple):
    """There is no such name, or it ``exists`` and has no address; for how many seconds that holds."""

    ttl: float
    exists: bool = True


class Unknown(NamedTuple):
    """Nobody could tell."""

    reason: str


Outcome = Found | Missing | Unknown


def together(four: Outcome, six: Outcome) -> Outcome:
    """Return what the questions for the addresses of both kinds have told about a name."""
    found = [one for one in (four, six) if isinstance(one, Found)]
    if found:
        addresses = tuple(address for one in found for address in one.addresses)
        is_whole = not isinstance(four, Unknown) and not isinstance(six, Unknown)
        return Found(addresses, min(one.ttl for one in found), is_whole)
    missing = [one for one in (four, six) if isinstance(one, Missing)]
    if len(missing) == 2 or any(not one.exists for one in missing):
        return Missing(min(one.ttl for one in missing), all(one.exists for one in missing))
    return four if isinstance(four, Unknown) else six
