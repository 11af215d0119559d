"""
What each kind of entity holds, except routes: see `fengling_gateway.model.routes`.

The names here are those of the tables' columns and of the canonical bodies.
"""

from __future__ import annotations

from typing import Any, Final

from fengling_gateway.model.certificates import service_tls
from fengling_gateway.model.checks import (
    Check,
    Field,
    Record,
    boolean,
    choice,
    integer,
    list_of,
    number,
    optional,
    some_text,
    text,
    unique,
    unsupported,
)
from fengling_gateway.model.entity import Key
from fengling_gateway.model.health_checks import health_check
from fengling_gateway.model.hold import DEFAULT_MAX_REMOVED_SHARE
from fengling_gateway.model.names import (
    IDENTITY_HEADERS,
    address,
    display_name,
    host,
    host_header,
    identity_header,
    network,
    slug,
)
from fengling_gateway.model.paths import plain_path
from fengling_gateway.model.policies import connect_timeout, policies, timeout
from fengling_gateway.model.problems import Report

MAX_WEIGHT: Final = 65535
MAX_HOSTS: Final = 500
BALANCING: Final = (
    "power_of_two",
    "weighted_round_robin",
    "round_robin",
    "least_requests",
    "random",
)

NAME: Final = Field("name", display_name, "")
ENABLED: Final = Field("enabled", boolean, True)

# Rows are open-ended: a newer schema may have more columns than this code knows.

TENANT: Final = Record(
    NAME,
    ENABLED,
    Field("hosts", list_of(host, MAX_HOSTS, as_set=True), []),
    Field("path_prefix", optional(plain_path), None),
    Field("limits", Record(), {}),
    open_ended=True,
)

SERVICE: Final = Record(
    NAME,
    ENABLED,
    Field("balancing", choice(*BALANCING), "power_of_two"),
    Field("protocol", choice("http1"), "http1"),
    Field("host_header", host_header, "client"),
    Field("connect_timeout", connect_timeout, 3.0),
    Field("first_byte_timeout", timeout, 30.0),
    Field("idle_timeout", timeout, 60.0),
    Field("tenant_spill", boolean, False),
    Field("health_check", health_check, None),
    Field("affinity", unsupported("affinity"), None),
    Field("tls", service_tls, None),
    Field("policies", policies, {}),
    open_ended=True,
)

INSTANCE: Final = Record(
    Field("service_id", slug),
    Field("tenant_id", optional(slug), None),
    Field("address", address),
    Field("weight", integer(0, MAX_WEIGHT), 1),
    Field("state", choice("ready", "drain", "maintenance"), "ready"),
    Field("zone", optional(some_text(100)), None),
    open_ended=True,
)

INSTANCE_HEALTH: Final = Record(
    Field("health", choice("unknown", "healthy", "unhealthy"), "unknown"),
    Field("reason", optional(text(1000)), None),
    open_ended=True,
)
"""Since when, and by whom, is of no use to a gateway: it stays in the table."""

_identity_fields: Final = Record(
    *(Field(claim, identity_header, name) for claim, name in IDENTITY_HEADERS.items())
)


def _identity_headers(value: Any, report: Report) -> Any:
    before = len(report.found)
    headers = _identity_fields(value, report)
    if len(report.found) == before:
        unique(headers.values(), "header", report)
    return headers


SETTINGS: Final[dict[str, Check]] = {
    "defaults": policies,
    "hold": Record(Field("max_removed_share", number(0.0, 1.0), DEFAULT_MAX_REMOVED_SHARE)),
    "identity_headers": _identity_headers,
    "trusted_proxies": list_of(network, MAX_HOSTS, as_set=True),
}
"""The known settings, by key, and the check of their values."""


def instance_refs(body: dict[str, Any]) -> frozenset[Key]:
    service = Key("service", body["service_id"])
    if body["tenant_id"] is None:
        return frozenset((service,))
    return frozenset((service, Key("tenant", body["tenant_id"])))


def instance_health_refs(body: dict[str, Any]) -> frozenset[Key]:
    return frozenset((Key("instance", body["id"]),))
