"""What resolv.conf and hosts say, and which names to ask for: pure.

As glibc and musl do it, as far as it concerns a name that leads to an address:
nameservers (three, as theirs), search list, ``ndots``. Where they differ, musl
is followed: a name of the search list that nobody can tell about ends the
search, because the next one may be somebody else's host. Other options have no
effect: how long to wait is a setting of the gateway.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

PORT: Final = 53

MAX_SERVERS: Final = 3
MAX_SEARCH: Final = 32
"""Names of a search list that are tried; glibc has no bound any more, and each costs a round."""

MAX_NDOTS: Final = 15
MAX_NAME_CHARS: Final = 253
MAX_LABEL_CHARS: Final = 63

LOOPBACK: Final = ("127.0.0.1", "::1")
"""What ``localhost`` is where no file says otherwise (RFC 6761, 6.3)."""

Server = tuple[str, int]


class ResolverConfiguration(NamedTuple):
    """Whom to ask, and how to complete short names."""

    servers: tuple[Server, ...] = (("127.0.0.1", PORT),)
    search: tuple[str, ...] = ()
    ndots: int = 1


def read_resolv_conf(text: str) -> ResolverConfiguration:
    """Read a resolv.conf(5). What makes no sense in it is passed over, as everybody does."""
    servers: list[Server] = []
    search: tuple[str, ...] = ()
    ndots = 1
    for keyword, values in _directives(text):
        if keyword == "nameserver" and is_address(values[0].partition("%")[0]):
            servers.append((values[0], PORT))
        elif keyword == "domain":
            search = _domains(values[:1])
        elif keyword == "search":
            search = _domains(values)
        elif keyword == "options":
            for value in values:
                name, _, number = value.partition(":")
                if name == "ndots" and number.isascii() and number.isdigit():
                    ndots = min(int(number[:4]), MAX_NDOTS)
    default = ResolverConfiguration()
    return ResolverConfiguration(tuple(servers[:MAX_SERVERS]) or default.servers, search, ndots)


def _directives(text: str) -> Iterator[tuple[str, list[str]]]:
    for line in text.splitlines():
        if not line.startswith(("#", ";")):
            keyword, *values = line.split() or [""]
            if values:
                yield keyword, values


def _domains(values: list[str]) -> tuple[str, ...]:
    names = (value.strip(".").lower() for value in values if value[0] not in "#;")
    return tuple(name for name in names if name)[:MAX_SEARCH]


def read_hosts(text: str) -> Mapping[str, tuple[str, ...]]:
    """Read a hosts(5): the addresses of each name, in the order of its lines."""
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if names and is_address(address):
            for name in {name.lower().removesuffix(".") for name in names}:
                known = found.get(name, ())
                if address not in known:
                    found[name] = (*known, address)
    return found


def names_to_ask(name: str, configuration: ResolverConfiguration) -> list[str]:
    """
    Return what a name may stand for, likeliest first, by ``ndots`` and the search list.

    What no server can be asked for is left out: long names and labels, other than ASCII.
    """
    longer = [f"{name}.{domain}" for domain in configuration.search]
    names = [name, *longer] if name.count(".") >= configuration.ndots else [*longer, name]
    return [one for one in dict.fromkeys(names) if _can_be_asked(one)]


def _can_be_asked(name: str) -> bool:
    labels = name.split(".")
    return (
        name.isascii()
        and len(name) <= MAX_NAME_CHARS
        and all(0 < len(label) <= MAX_LABEL_CHARS for label in labels)
    )


def of_this_host(name: str, hosts: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the addresses of a name that this host knows by itself; nothing if it doesn't."""
    known = hosts.get(name)
    if known is not None:
        return known
    return LOOPBACK if name == "localhost" or name.endswith(".localhost") else ()


def is_address(text: str) -> bool:
    """Whether this is an IP address, and no name."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text)
        except (OSError, ValueError):
            continue
        return True
    return False
