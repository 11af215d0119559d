"""Whose rows are whose, for those whose access is limited to tenants. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from fengling_gateway.access.granted import Access
from fengling_gateway.access.problems import ProblemError
from fengling_gateway.console.showing import shown
from fengling_gateway.editing.history import EntityChange
from fengling_gateway.editing.refusals import Warned, subject
from fengling_gateway.editing.revisions import Revision
from fengling_gateway.model.entity import Key
from fengling_gateway.routing.linter import Finding

OF_A_TENANT: Final = frozenset(("client", "instance", "issuer", "route"))
"""Kinds whose ``tenant_id`` says whose they are."""

_LIMITS: Final = ("subject", "scopes", "tenants", "expires_at")
"""What a management token's record takes from it, but for being revoked."""

_BY_ANOTHER: Final = {
    "shadowed": "can never be chosen: a route that is not yours takes all its requests before",
    "tie": "is told from a route that is not yours by nothing but the id; set a priority",
}
"""What is said of a route because of one that somebody may not know of, by code."""

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


def only_shut_out(access: Access, before: Mapping[str, Any] | None, after: Any) -> None:
    """
    Let those whose access is limited say of tokens only that they are revoked.

    A token without a record is as good as it was issued: so whoever could take away his own would
    have no limits any more, and whoever could make one could shut out anybody.

    Args:
        before: the record as it is; None: there is none.
        after: as it is to be; None: it goes.

    Raises:
        ProblemError: it would be made, go, or say something else.
    """
    if access.operator.tenants is None:
        return
    if before is not None and after is not None:
        old, new = (shown("management_token", one) for one in (before, after))
        if all(old.get(name) == new.get(name) for name in _LIMITS):
            return
    detail = "with a credential that is limited to tenants, tokens can only be revoked"
    raise ProblemError("forbidden", detail)


def warnings_shown(warnings: Iterable[Warned], is_mine: Callable[[Key], bool]) -> Iterator[Warned]:
    """Yield what is about somebody's own entities, without the names of others'."""
    for one in warnings:
        if not is_mine(subject(one)):
            continue
        if isinstance(one, Finding) and one.other and not is_mine(Key("route", one.other)):
            yield Finding(one.code, one.route, None, _BY_ANOTHER.get(one.code, one.code))
        else:
            yield one


def entry_shown(revision: Revision, change: EntityChange, tenants: Tenants) -> dict[str, Any]:
    """Return a line of an entity's history; to some tenants' people, of the revision that alone."""
    said = revision.document()
    if tenants is not None:
        mine = {"action": change.action, **change.key._asdict()}
        said |= {"first": [mine], "changes": 1, "kept": 1}
    return {**said, "change": change.document()}
