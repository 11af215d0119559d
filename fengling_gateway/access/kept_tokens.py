"""What the configuration keeps of a token of the management API."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from fengling_gateway.model.entity import Key


class Configuration(Protocol):
    """See `fengling_gateway.model.effective.EffectiveConfig`."""

    @property
    def bodies(self) -> Mapping[Key, bytes]: ...

    @property
    def rejected(self) -> Mapping[Key, Any]: ...


def kept_token(
    configuration: Configuration | None, token_id: str, *, unread: Iterable[str]
) -> Mapping[str, Any] | None:
    """
    Return the fields of a ``management_token``; None where there is no such row.

    Args:
        configuration: None: it has not been read yet.
        unread: the scopes that every token has until then, for nobody can tell
            which have been revoked.
    """
    if configuration is None:
        return _fields(unread)
    key = Key("management_token", token_id)
    if key in configuration.rejected:
        # It may have been meant to be revoked.
        return {**_fields(unread), "revoked_at": 0.0}
    body = configuration.bodies.get(key)
    row: Mapping[str, Any] | None = None if body is None else json.loads(body)
    return row


def _fields(scopes: Iterable[str]) -> dict[str, Any]:
    return {"scopes": list(scopes), "tenants": None, "expires_at": None, "revoked_at": None}
