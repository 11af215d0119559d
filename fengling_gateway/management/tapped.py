"""What somebody may see of a request whose access is limited to tenants. Pure."""

from __future__ import annotations

from typing import Any

from fengling_gateway.access.tenancy import Bodies, is_visible
from fengling_gateway.model.entity import Key


def as_seen_by(
    tenants: frozenset[str] | None, one: dict[str, Any], bodies: Bodies
) -> dict[str, Any]:
    """
    Return a request of a tenant's, as of `fengling_gateway.records.plain`, to somebody of it.

    Routes, services and instances that are nobody's, or another's, are not his to see, nor what is
    in front of the gateway; of attempts at such instances he sees how long they took, and what
    they failed by.
    """
    if tenants is None:
        return one

    def sees(kind: str, entity_id: str | None) -> bool:
        key = Key(kind, entity_id or "")
        return key in bodies and is_visible(bodies, key, tenants)

    attempts = [
        each if sees("instance", each["instance"]) else {**each, "instance": None, "address": None}
        for each in one["attempts"]
    ]
    return {
        **one,
        "route": one["route"] if sees("route", one["route"]) else None,
        "service": one["service"] if sees("service", one["service"]) else None,
        "attempts": attempts,
        **dict.fromkeys(("peer", "listener")),
    }
