"""Whose rows are whose, for those whose access is limited to tenants. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from fengling_gateway.access.granted import Access
from fengling_gateway.access.problems import ProblemError

OF_A_TENANT: Final = frozenset(("client", "instance", "issuer", "route"))
"""Kinds whose ``tenant_id`` says whose they are."""

FindClient = Callable[[str], Mapping[str, Any] | None]

Tenants = frozenset[str] | None


def is_theirs(kind: str, row: Mapping[str, Any], tenants: Tenants, client: FindClient) -> bool:
    """Whether somebody sees an entity whose access is limited to some tenants; None: to none."""
    if tenants is None:
        return True
    if kind == "tenant":
        return row.get("id") in tenants
    if kind in OF_A_TENANT:
        return row.get("tenant_id") in tenants
    if kind == "api_key":
        owner = client(str(row.get("client_id")))
        return owner is not None and owner.get("tenant_id") in tenants
    if kind == "management_token":
        named = row.get("tenants")
        return named is not None and tenants.issuperset(named)
    return False


def only_theirs(access: Access, kind: str, row: Mapping[str, Any], client: FindClient) -> None:
    """
    Raises:
        ProblemError: what is to be written would not be of the tenants whose things they may write.
    """
    tenants = access.operator.tenants
    if tenants is None:
        return
    if kind == "tenant" or not is_theirs(kind, row, tenants, client):
        detail = f"what is written must be of one of your tenants: {', '.join(sorted(tenants))}"
        raise ProblemError("forbidden", detail)
