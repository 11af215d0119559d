"""In which order the addresses of a name are tried: pure."""

from __future__ import annotations

from collections.abc import Container, Sequence


def in_turn(addresses: Sequence[str], turn: int, last: Container[str]) -> list[str]:
    """
    Return addresses in the order to try them.

    Each turn begins at another one, so that connections spread. IPv6 comes after
    IPv4: both mostly lead to the same machines, and networks of containers
    often have no route for it.

    Args:
        last: those that have failed of late, which are tried when all others have.
    """
    four = [address for address in addresses if ":" not in address]
    six = [address for address in addresses if ":" in address]
    return sorted(_rotated(four, turn) + _rotated(six, turn), key=lambda one: one in last)


def _rotated(addresses: list[str], turn: int) -> list[str]:
    start = turn % len(addresses) if addresses else 0
    return addresses[start:] + addresses[:start]
