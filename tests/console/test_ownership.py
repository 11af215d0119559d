"""Whose is what, for those whose access is limited to tenants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from fengling_gateway.access.granted import Access
from fengling_gateway.access.problems import ProblemError
from fengling_gateway.console.ownership import (
    OF_A_TENANT,
    entry_shown,
    is_theirs,
    only_shut_out,
    only_theirs,
    warnings_shown,
)
from fengling_gateway.editing.planning import WRITABLE_KINDS
from fengling_gateway.model.entity import Key
from fengling_gateway.routing.linter import Finding
from tests.console.asking import Asked
from tests.signin.requests import person

ACME = frozenset(("acme",))
BOTH = frozenset(("acme", "beta"))
CLIENTS = {
    "batch": {"tenant_id": "acme"},
    "cron": {"tenant_id": None},
    "theirs": {"tenant_id": "beta"},
}


def client(client_id: str) -> Mapping[str, Any] | None:
    return CLIENTS.get(client_id)


def access(tenants: frozenset[str] | None = ACME) -> Access:
    return Asked("PUT", "/", operator=person(tenants=tenants)).call().access


MINE: list[tuple[str, dict[str, Any]]] = [
    ("tenant", {"id": "acme"}),
    *((kind, {"id": "x", "tenant_id": "acme"}) for kind in sorted(OF_A_TENANT)),
    ("api_key", {"id": "x", "client_id": "batch"}),
    ("management_token", {"id": "x", "tenants": ["acme"]}),
]
OTHERS: list[tuple[str, dict[str, Any]]] = [
    ("tenant", {"id": "beta"}),
    ("tenant", {}),
    *((kind, {"tenant_id": "beta"}) for kind in sorted(OF_A_TENANT)),
    *((kind, {"tenant_id": None}) for kind in sorted(OF_A_TENANT)),
    *((kind, {}) for kind in sorted(OF_A_TENANT)),
    ("api_key", {"client_id": "theirs"}),
    ("api_key", {"client_id": "cron"}),
    ("api_key", {"client_id": "gone", "tenant_id": "acme"}),
    ("api_key", {}),
    ("management_token", {"tenants": ["acme", "beta"]}),
    ("management_token", {"tenants": None}),
    ("management_token", {}),
    *((kind, {"id": "acme", "tenant_id": "acme"}) for kind in ("service", "secret", "setting")),
    ("certificate", {"tenant_id": "acme"}),
]


@pytest.mark.parametrize(("kind", "row"), MINE)
def test_what_is_theirs_they_see(kind: str, row: dict[str, Any]) -> None:
    """As those do who are limited to more, or to nothing."""
    for tenants in (ACME, BOTH, None):
        assert is_theirs(kind, row, tenants, client)
    assert not is_theirs(kind, row, frozenset(("beta",)), client)
    assert not is_theirs(kind, row, frozenset(), client)


@pytest.mark.parametrize(("kind", "row"), OTHERS)
def test_what_is_others_or_everybodys_they_do_not_see(kind: str, row: dict[str, Any]) -> None:
    """Nor may they write what is so."""
    assert not is_theirs(kind, row, ACME, client)
    assert is_theirs(kind, row, None, client)
    with pytest.raises(ProblemError) as caught:
        only_theirs(access(), kind, row, client)
    assert caught.value.code == "forbidden"
    assert "beta" not in caught.value.detail
    only_theirs(access(None), kind, row, client)


def test_every_kind_is_somebodys_or_everybodys() -> None:
    """A new one has to be put somewhere, or nobody with limits sees it."""
    tested = {kind for kind, _ in (*MINE, *OTHERS)}
    assert tested == set(WRITABLE_KINDS)


def test_they_write_what_is_theirs() -> None:
    """But for the tenants themselves, which say what they may."""
    for kind, row in MINE:
        if kind == "tenant":
            with pytest.raises(ProblemError, match="one of your tenants: acme"):
                only_theirs(access(), kind, row, client)
        else:
            only_theirs(access(), kind, row, client)


TOKEN: dict[str, Any] = {
    "id": "t",
    "subject": "eve",
    "scopes": ["gateway:read"],
    "tenants": ["acme"],
    "expires_at": 1_800_000_000.0,
    "revoked": False,
    "name": "",
    "version": 7,
}


def test_they_only_revoke_tokens() -> None:
    """And name them; or take that back."""
    for changed in ({"revoked": True}, {"name": "Eve's"}, {}, {"version": 9}):
        only_shut_out(access(), TOKEN, {**TOKEN, **changed})
    only_shut_out(access(), {**TOKEN, "revoked": True}, TOKEN)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, TOKEN),
        (TOKEN, None),
        (None, None),
        (TOKEN, {**TOKEN, "subject": "ada"}),
        (TOKEN, {**TOKEN, "scopes": ["gateway:admin"]}),
        (TOKEN, {**TOKEN, "scopes": []}),
        (TOKEN, {**TOKEN, "tenants": None}),
        (TOKEN, {**TOKEN, "tenants": ["acme", "beta"]}),
        (TOKEN, {**TOKEN, "expires_at": None}),
        (TOKEN, {**TOKEN, "expires_at": 1_900_000_000.0}),
        (TOKEN, {name: value for name, value in TOKEN.items() if name != "tenants"}),
    ],
)
def test_they_make_no_token_and_lift_no_limit(before: Any, after: Any) -> None:
    """A token without a record is as good as it was issued."""
    with pytest.raises(ProblemError) as caught:
        only_shut_out(access(), before, after)
    assert caught.value.code == "forbidden"
    only_shut_out(access(None), before, after)


def test_time_may_be_spelt_otherwise() -> None:
    """As people write it; it is the same limit."""
    spelt = {**TOKEN, "expires_at": "2027-01-15T08:00:00Z"}
    only_shut_out(access(), TOKEN, spelt)
    with pytest.raises(ProblemError):
        only_shut_out(access(), TOKEN, {**spelt, "expires_at": "2027-01-15T08:00:01Z"})


def test_warnings_tell_nothing_of_others() -> None:
    """Of one's own it is told that another is in the way, and not which."""

    def is_mine(key: Key) -> bool:
        return key.id.startswith("mine")

    found = [
        Finding("shadowed", "mine-1", "mine-2", "shadowed by route mine-2"),
        Finding("shadowed", "mine-1", "theirs", "shadowed by route theirs, path /secret"),
        Finding("tie", "mine-1", "theirs", "ties with theirs"),
        Finding("new", "mine-1", "theirs", "something about theirs"),
        Finding("new", "mine-1", None, "something else"),
        Finding("shadowed", "theirs", "mine-1", "shadowed by route mine-1"),
    ]
    told: list[Any] = list(warnings_shown(found, is_mine))
    assert [(one.code, one.other) for one in told] == [
        ("shadowed", "mine-2"),
        *(("shadowed", None), ("tie", None), ("new", None), ("new", None)),
    ]
    assert told[0] is found[0]
    assert "theirs" not in str(told)
    assert "secret" not in str(told)
    assert list(warnings_shown(found, lambda _: True)) == found


class Revision:
    """One that has changed other things, too."""

    def document(self) -> dict[str, Any]:
        return {"id": 9, "first": [{"id": "theirs"}, {"id": "mine"}], "changes": 2, "kept": 2}


def test_history_tells_nothing_of_what_else_a_revision_did() -> None:
    """To those who are limited; nor how much it was."""
    change: Any = Change()
    revision: Any = Revision()
    told = entry_shown(revision, change, ACME)
    assert told["first"] == [{"action": "update", "kind": "route", "id": "mine"}]
    assert (told["id"], told["changes"], told["kept"]) == (9, 1, 1)
    assert "theirs" not in str(told)
    assert entry_shown(revision, change, None) == {**revision.document(), "change": {"x": 1}}


class Change:
    """Of one entity."""

    action = "update"
    key = Key("route", "mine")

    def document(self) -> dict[str, Any]:
        return {"x": 1}
