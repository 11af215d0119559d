"""Whose an entity is, and so who may see it whose access is limited to tenants."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from fengling_gateway.model.entity import Key

Bodies = Mapping[Key, bytes]

_OWNED: Final = frozenset(("client", "instance", "issuer", "route"))
"""Kinds whose ``tenant_id`` says whose they are."""

OF_TENANTS: Final = _OWNED | {"api_key", "management_token", "tenant"}
"""Kinds of which anything is a tenant's; all others are nobody's."""


def is_visible(bodies: Bodies, key: Key, tenants: frozenset[str]) -> bool:
    """
    Whether somebody sees an entity that is there whose access is limited to these tenants.

    What is nobody's (services, settings, routes for all) is not theirs to see either.
    """
    if key.kind == "tenant":
        return key.id in tenants
    if key.kind in _OWNED:
        return _may_be(bodies[key], tenants) and _fields(bodies, key)["tenant_id"] in tenants
    if key.kind == "api_key":
        client = Key("client", _fields(bodies, key)["client_id"])
        return client in bodies and is_visible(bodies, client, tenants)
    if key.kind == "management_token":
        named = _fields(bodies, key)["tenants"]
        return named is not None and tenants.issuperset(named)
    return False


def _may_be(body: bytes, tenants: frozenset[str]) -> bool:
    """Rule most bodies out without reading them: canonical ones have one spelling."""
    return any(b'"tenant_id":"%s"' % tenant.encode() in body for tenant in tenants)


def _fields(bodies: Bodies, key: Key) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(bodies[key])
    return fields
