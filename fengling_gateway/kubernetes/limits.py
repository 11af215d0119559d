"""
What a namespace's objects may take of what all of a cluster share: hosts, tenants, priorities. Pure.

A limit that is empty limits nothing. One that is not gives nothing to a namespace that none of
its patterns matches, and to one that several match all of theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final, NamedTuple

from fengling_gateway.kubernetes.gateway_api.hostnames import covers
from fengling_gateway.model.names import host as host_of
from fengling_gateway.model.problems import Report

ANY: Final = "*"

_NAMED: Final = 5
"""Hosts that a message names; an annotation may have thousands."""

_MAX_CHARACTERS: Final = 100
"""Of a host in a message."""

_REMEMBERED: Final = 1024
"""Namespaces whose lists are not looked for again; clusters have hundreds."""

Host = str | None
"""A host, or ``*.`` and one; None is any host, and none."""

Lists = tuple[tuple[str, tuple[str, ...]], ...]
"""What namespaces may have, by patterns of their names; ``*`` is anything, and nothing."""


class Limits(NamedTuple):
    """
    What the console's settings say.

    Attributes:
        hosts, tenants: in their canonical form.
        gateway_namespaces: patterns of those whose Gateways are served; empty: all.
        max_priority: the highest that an annotation may ask for; None: any.
    """

    hosts: Lists = ()
    tenants: Lists = ()
    gateway_namespaces: tuple[str, ...] = ()
    max_priority: int | None = None

    def hosts_outside(self, namespace: str, hosts: Iterable[Host]) -> tuple[Host, ...]:
        """Return those of some hosts that a namespace may not have, each once."""
        if not self.hosts:
            return ()
        own = _of(self.hosts, namespace)
        if ANY in own:
            return ()
        return tuple(host for host in dict.fromkeys(hosts) if not _is_among(host, own))

    def may_have_tenant(self, namespace: str, tenant: str | None) -> bool:
        """
        Whether a namespace may have routes of a tenant.

        Args:
            tenant: None: of none; such a route takes requests of every tenant.
        """
        if not self.tenants:
            return True
        own = _of(self.tenants, namespace)
        return ANY in own or tenant in own

    def may_have_gateways(self, namespace: str) -> bool:
        """Whether Gateways of a namespace are served."""
        patterns = self.gateway_namespaces
        return not patterns or any(fnmatchcase(namespace, one) for one in patterns)


NO_LIMITS: Final = Limits()


def named(hosts: Sequence[Host]) -> str:
    """Return hosts as a message names them."""
    found = ["any host" if one is None else one[:_MAX_CHARACTERS] for one in hosts[:_NAMED]]
    more = [f"{len(hosts) - _NAMED} more"] if len(hosts) > _NAMED else []
    return ", ".join(found + more)


@lru_cache(maxsize=_REMEMBERED)
def _of(lists: Lists, namespace: str) -> frozenset[str]:
    return frozenset(
        one for pattern, values in lists if fnmatchcase(namespace, pattern) for one in values
    )


def _is_among(host: Host, own: frozenset[str]) -> bool:
    """Whether a host is one that is covered; what is no host is covered by nothing."""
    if host is None:
        return False
    canonical = host_of(host, Report())
    if type(canonical) is not str:
        return False
    return canonical in own or any(covers(one, canonical) for one in own)
