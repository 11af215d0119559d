"""
What a Service's annotations ask for beyond what its namespace may have. Pure.

What an approver has set is not judged: who may approve may write routes as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fengling_gateway.kubernetes.annotations import PREFIX, Asked
from fengling_gateway.kubernetes.limits import Limits, named
from fengling_gateway.kubernetes.objects import Service


def outside(
    service: Service, asked: Asked, wish: Mapping[str, Any], limits: Limits, *, is_seen: bool
) -> Iterator[str]:
    """
    Return problems.

    Args:
        wish: what an approver has set: ``hosts``, ``tenant_id``, which may be any and none.
        is_seen: whether somebody looks at annotations before they count.
    """
    namespace = service.name.namespace
    if "hosts" not in wish:
        yield from _hosts(namespace, asked, wish, limits)
    if "tenant_id" not in wish:
        yield from _tenant(namespace, asked.tenant_id, limits)
    highest = limits.max_priority
    if highest is not None and asked.priority > highest:
        yield f"{PREFIX}priority: {asked.priority} is more than {highest} (the setting kubernetes.max_priority of the console)"
    if not is_seen and _shows_certificate(asked):
        yield (
            f"{PREFIX}service: tls.client_certificate has to be approved by somebody; "
            "a rule's approval is not enough"
        )


def _hosts(namespace: str, asked: Asked, wish: Mapping[str, Any], limits: Limits) -> Iterator[str]:
    if asked.hosts is None and not (wish.get("path") or asked.path):
        return  # (There is no route, which is a problem of its own.)
    found = limits.hosts_outside(namespace, asked.hosts or (None,))
    if not found:
        return
    if asked.hosts is None:
        yield (
            f"{PREFIX}hosts is required: a route for any host is not for namespace {namespace} "
            "(the setting kubernetes.hosts of the console)"
        )
    else:
        verb = "is" if len(found) == 1 else "are"
        yield (
            f"{PREFIX}hosts: {named(found)} {verb} not for namespace {namespace} "
            "(the setting kubernetes.hosts of the console)"
        )


def _tenant(namespace: str, tenant: str | None, limits: Limits) -> Iterator[str]:
    if limits.may_have_tenant(namespace, tenant):
        return
    if tenant is None:
        yield (
            f"{PREFIX}tenant is required: a route of no tenant is not for namespace {namespace} "
            "(the setting kubernetes.tenants of the console)"
        )
    else:
        yield (
            f"{PREFIX}tenant: {tenant[:100]} is not for namespace {namespace} "
            "(the setting kubernetes.tenants of the console)"
        )


def _shows_certificate(asked: Asked) -> bool:
    tls = asked.service.get("tls")
    return isinstance(tls, Mapping) and tls.get("client_certificate") is not None
