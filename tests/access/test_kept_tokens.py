"""What is kept of tokens, and what holds while nobody can tell."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fengling_gateway.access.kept_tokens import kept_token
from fengling_gateway.access.verifiers import RevokedError, as_kept
from fengling_gateway.auth.operators import Operator
from fengling_gateway.model.entity import Key

NOW = 1_700_000_000.0
ADMIN = Operator(
    subject="ada",
    scopes=frozenset(("gateway:read", "gateway:write", "gateway:admin")),
    source="token k1",
    token_id="t1",
    expires_at=NOW + 3600,
)
ROW = b'{"scopes":["gateway:write"],"tenants":["acme"],"expires_at":null,"revoked_at":null}'


def configuration(row: bytes | None = None, *, is_rejected: bool = False) -> Any:
    key = Key("management_token", "t1")
    return SimpleNamespace(
        bodies={} if row is None else {key: row}, rejected={key: "why"} if is_rejected else {}
    )


def left_of(configuration: Any) -> Operator:
    row = kept_token(configuration, "t1", unread=("gateway:read",))
    return as_kept(ADMIN, row, NOW)


def test_token_without_a_row_is_as_it_was_signed() -> None:
    """Whoever has the key may make them without telling anybody."""
    assert left_of(configuration()) == ADMIN


def test_row_limits_it() -> None:
    """To its scopes and tenants."""
    operator = left_of(configuration(ROW))
    assert (operator.role, operator.tenants) == ("editor", {"acme"})


def test_little_is_allowed_before_rows_have_been_read() -> None:
    """It may have been revoked."""
    assert left_of(None).role == "viewer"


@pytest.mark.parametrize("row", [None, ROW])
def test_rejected_row_revokes(row: bytes | None) -> None:
    """Whatever was served of it before: it may be what was to be revoked."""
    with pytest.raises(RevokedError):
        left_of(configuration(row, is_rejected=True))
