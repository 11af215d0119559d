"""What is shown of a row: as people write it, and without what nobody is to see. Pure, and total."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from fengling_gateway.auth.sealing import sealed_with
from fengling_gateway.console.entities import BOOKKEEPING, WRITE_ONLY
from fengling_gateway.editing.changes import Planned, shown_fields
from fengling_gateway.editing.stored import DURATIONS, INSTANTS
from fengling_gateway.model.certificates import is_reference
from fengling_gateway.model.clients import fingerprint
from fengling_gateway.model.entity import Key
from fengling_gateway.model.times import parse_duration, shortest
from fengling_gateway.model.validation import KNOWN_FIELDS, Accepted, validate

Row = Mapping[str, Any]

_POLICY_DURATIONS: Final = {
    "timeouts": ("connect", "first_byte", "idle", "total", "tunnel"),
    "cors": ("max_age",),
    "ejection": ("base",),
}


def shown(kind: str, row: Row) -> dict[str, Any]:
    """
    Return an entity as the API shows it: with defaults, and what the database keeps of it.

    A value that is refused is shown as it is. Of a secret there is where it is, or with which key it
    is encrypted; of an API key what tells its digest from others.
    """
    fields = own_fields(kind, row)
    hidden = WRITE_ONLY.get(kind)
    if hidden is not None:
        value = fields.pop(hidden, None)
        fields |= _of_secret(value) if kind == "secret" else _of_api_key(value)
    elif kind == "certificate":
        fields |= _of_certificate(row)
    for name in BOOKKEEPING:
        if name in row:
            fields[name] = row[name] if name == "version" else _instant(row[name])
    return fields


def own_fields(kind: str, row: Row) -> dict[str, Any]:
    """Return what can be written of an entity, in the order and the spelling of people."""
    fields = {name: _as_written(name, row[name]) for name in KNOWN_FIELDS[kind] if name in row}
    fields["labels"] = row.get("labels") or {}
    fields["managed_by"] = row.get("managed_by")
    return fields


def etag(row: Row) -> str:
    """Return the ETag of an entity: its version."""
    return f'"{row["version"]}"'


def _of_secret(value: Any) -> dict[str, Any]:
    return {
        "reference": value if is_reference(value) else None,
        "key": sealed_with(value) if type(value) is str else None,
    }


def _of_api_key(digest: Any) -> dict[str, Any]:
    return {"fingerprint": fingerprint(digest) if type(digest) is str else ""}


def _of_certificate(row: Row) -> dict[str, Any]:
    verdict = validate(Key("certificate", str(row.get("id"))), dict(row))
    body = json.loads(verdict.body) if isinstance(verdict, Accepted) else {}
    return {
        "names": body.get("names", []),
        "not_before": _instant(body.get("not_before")),
        "not_after": _instant(body.get("not_after")),
        "fingerprint": body.get("fingerprint"),
    }


def _as_written(name: str, value: Any) -> Any:
    if name in DURATIONS:
        return _duration(value)
    if name in INSTANTS:
        return _instant(value)
    if name == "policies" and type(value) is dict:
        return {policy: _policy(policy, fields) for policy, fields in value.items()}
    return value


def _policy(name: str, fields: Any) -> Any:
    durations = _POLICY_DURATIONS.get(name, ())
    if not durations or type(fields) is not dict:
        return fields
    return {
        part: _duration(value) if part in durations else value for part, value in fields.items()
    }


def _duration(value: Any) -> Any:
    """Return a duration as text like 3s; what is none, and what text can't say, as it is."""
    if type(value) is str:
        seconds = parse_duration(value)
    else:
        seconds = float(value) if type(value) in {int, float} and 0 <= value < 1e9 else None
    text = None if seconds is None else shortest(seconds)
    return value if text is None or parse_duration(text) != seconds else text


def _instant(value: Any) -> Any:
    """Return a time in UTC as ISO 8601; what is none, like infinity, as it is."""
    try:
        if type(value) is str:
            moment = datetime.fromisoformat(value).astimezone(UTC)
        elif type(value) in {int, float}:
            moment = datetime.fromtimestamp(value, UTC)
            if moment.timestamp() != value:
                return value
        else:
            return value
    except (ValueError, OverflowError, OSError):
        return value
    return moment.isoformat().replace("+00:00", "Z")


def changes_shown(changes: Iterable[Planned]) -> list[dict[str, Any]]:
    """Return planned changes as anybody may see them."""
    return [
        {
            "action": one.action,
            "kind": one.key.kind,
            "id": one.key.id,
            "fields": {
                field.name: [_as_written(field.name, side) for side in (field.before, field.after)]
                for field in shown_fields(one)
            },
        }
        for one in changes
    ]
