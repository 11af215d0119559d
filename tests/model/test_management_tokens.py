"""What may be kept of a management token."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Accepted, Rejected, refs_of, validate

KEY = Key("management_token", "t1")


def test_id_is_enough() -> None:
    """Of a token that was never registered, a revocation is all there is to write."""
    verdict = validate(KEY, {"id": "t1", "revoked_at": "2026-11-22T00:00:00Z"})
    assert isinstance(verdict, Accepted)
    body = json.loads(verdict.body)
    assert body["revoked_at"] == 1795305600.0
    assert (body["scopes"], body["tenants"]) == (None, None)


@pytest.mark.parametrize("when", ["infinity", "-infinity", "1970-01-01T00:00:00+00:00", 0])
def test_whatever_time_it_is_revoked_at_it_is_revoked(when: Any) -> None:
    """Also at those that PostgreSQL has and calendars have not."""
    verdict = validate(KEY, {"revoked_at": when})
    assert isinstance(verdict, Accepted)
    assert json.loads(verdict.body)["revoked_at"] is not None


def test_it_refers_to_nothing() -> None:
    """A revocation does not wait for a tenant to be there."""
    verdict = validate(KEY, {"tenants": ["acme"]})
    assert isinstance(verdict, Accepted)
    assert refs_of(KEY, verdict.body) == frozenset()


@pytest.mark.parametrize(
    "fields",
    [
        {"scopes": []},
        {"scopes": ["gateway:root"]},
        {"scopes": "gateway:read"},
        {"tenants": []},
        {"tenants": ["a b"]},
        {"revoked_at": "yesterday"},
    ],
)
def test_what_limits_nothing_is_rejected(fields: dict[str, Any]) -> None:
    """An empty list would look like no limit, and so would an unknown scope."""
    assert isinstance(validate(KEY, fields), Rejected)
