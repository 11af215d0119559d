"""What entities stand for in a cluster, as people write it: ``shop/orders``, ``HTTPRoute shop/orders``. Pure."""

from __future__ import annotations

from typing import Final

from fengling_gateway.kubernetes.objects import ObjectName

GATEWAY_API: Final = "Gateway API"
"""Of services, to which several of its routes may refer."""


def is_of_gateway_api(origin: str) -> bool:
    return origin == GATEWAY_API or origin.startswith(("HTTPRoute ", "Gateway "))


def service_of(origin: str) -> ObjectName:
    """Return the Service that an origin names, of which it is not sure that there is one."""
    namespace, _, name = origin.partition("/")
    return ObjectName(namespace, name)
