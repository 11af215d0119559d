"""Ids of entities that stand for something in a cluster: readable, stable, and never two for one. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha256
from typing import Final

MAX_ID: Final = 100
"""Of every entity (`fengling_gateway.model.names.slug`)."""

_KEPT: Final = 87
_DIGEST: Final = 12
_NOT_IN_IDS: Final = re.compile(r"[^A-Za-z0-9._-]")


def entity_id(*parts: str, separator: str = ".") -> str:
    """
    Join parts to an id; what is too long keeps its beginning and gets a digest of the whole.

    Parts are names of the cluster's (or addresses), of which none has a ``_``.
    """
    whole = separator.join(parts)
    plain = _NOT_IN_IDS.sub("-", whole)
    if plain == whole and len(whole) <= MAX_ID and whole[:1].isalnum():
        return whole
    if len(plain) <= MAX_ID and plain[:1].isalnum() and _is_address(parts[-1]):
        return plain
    digest = sha256(whole.encode()).hexdigest()[:_DIGEST]
    return f"{plain[:_KEPT].lstrip('._-')}-{digest}"


def service_id(namespace: str, name: str, port: int | None = None) -> str:
    """Return the id of a service; with a port, of what a route of the cluster's own refers to."""
    return entity_id(namespace, name, *([] if port is None else [str(port)]))


@lru_cache(maxsize=20_000)
def instance_id(service: str, endpoint: str) -> str:
    """
    Return the id of an instance.

    Args:
        endpoint: the name of its pod; where there is none, its address.
    """
    # (No name of the cluster's has a _, so no pod is taken for another service's.)
    return entity_id(service, endpoint, separator="_")


def _is_address(part: str) -> bool:
    """Whether a part is an address of IPv6, whose colons may be written as dashes: no pod has that name."""
    return ":" in part
