"""The settings that change with revisions: rows of the table ``setting``, compiled."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final, NamedTuple

from fengling_gateway.http.transforms import plain_name
from fengling_gateway.model.entity import Key
from fengling_gateway.routing.plan import NO_POLICIES, Policies

Network = IPv4Network | IPv6Network

IDENTITY_HEADERS: Final[Mapping[str, str]] = {
    "tenant": "X-Tenant-Id",
    "user": "X-User-Id",
    "name": "X-User-Name",
    "roles": "X-Roles",
}


class LiveSettings(NamedTuple):
    """
    What holds for all requests of one revision.

    Attributes:
        defaults: policies beneath those of services and routes.
        trusted_proxies: networks whose word on the client's address is taken.
        identity_headers: the header for each fact about who is asking.
    """

    defaults: Policies = NO_POLICIES
    trusted_proxies: tuple[Network, ...] = ()
    identity_headers: Mapping[str, str] = IDENTITY_HEADERS

    @property
    def identity_names(self) -> frozenset[bytes]:
        """The `plain_name` of every identity header."""
        return frozenset(
            plain_name(name.encode("latin-1")) for name in self.identity_headers.values()
        )


def compile_live_settings(
    body_of: Callable[[str], bytes | None],
    compile_it: Callable[[Key, Callable[[], Any]], Any],
) -> LiveSettings:
    """
    Compile the canonical setting bodies.

    Args:
        body_of: the body of a setting by its key; None where it is not set.
        compile_it: calls what compiles one setting; None where that failed.
    """
    found: dict[str, Any] = {}
    for key, compile_value in _COMPILERS.items():
        body = body_of(key)
        if body is None:
            continue
        value = compile_it(
            Key("setting", key),
            lambda body=body, compile_value=compile_value: compile_value(json.loads(body)["value"]),  # type: ignore[misc]
        )
        if value is not None:
            found[key] = value
    return LiveSettings(**found)


def _networks(networks: list[str]) -> tuple[Network, ...]:
    return tuple(ip_network(network, strict=False) for network in networks)


_COMPILERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "defaults": dict,
    "trusted_proxies": _networks,
    "identity_headers": lambda headers: {**IDENTITY_HEADERS, **headers},
}
"""Settings that mean something to a worker. The others are the supervisor's."""
