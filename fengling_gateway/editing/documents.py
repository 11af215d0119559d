"""Configuration as files have it: entities written as YAML, with no more than has to be said."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from fengling_gateway.configsource.file_dump import write_yaml
from fengling_gateway.configsource.file_entities import SECTIONS
from fengling_gateway.editing.stored import DURATIONS, INSTANTS, differ
from fengling_gateway.model.certificates import CERTIFICATE, SECRET, is_reference
from fengling_gateway.model.clients import API_KEY, CLIENT
from fengling_gateway.model.entity import KIND_INDEX, Key
from fengling_gateway.model.issuers import CLAIMS, ISSUER
from fengling_gateway.model.management_tokens import MANAGEMENT_TOKEN
from fengling_gateway.model.times import parse_duration, shortest
from fengling_gateway.model.validation import KNOWN_FIELDS, Accepted, validate

_REQUIRED: Final[dict[str, dict[str, Any]]] = {
    "instance": {"service_id": "s", "address": "http://a:1"},
    "route": {"service_id": "s"},
}
_DEFAULTS: Final = {
    "secret": SECRET.defaults,
    "certificate": CERTIFICATE.defaults,
    "issuer": ISSUER.defaults,
    "client": CLIENT.defaults,
    "api_key": API_KEY.defaults,
    "management_token": MANAGEMENT_TOKEN.defaults,
}
_SECTION_OF: Final = {kind: section for section, kind in SECTIONS.items()}
_KEPT: Final = ("labels", "managed_by")


def write_document(rows: Mapping[Key, Mapping[str, Any]], *, full: bool) -> str:
    """
    Return rows as the YAML that `fenglingctl apply` takes.

    Args:
        full: with defaults; otherwise what is as by default is left out.
    """
    document: dict[str, Any] = {}
    for key in sorted(rows, key=lambda key: (KIND_INDEX[key.kind], key.id)):
        section = _SECTION_OF.get(key.kind)
        if section is None:
            continue
        fields = written(key, rows[key], full=full)
        if key.kind == "setting":
            document.setdefault(section, {})[key.id] = fields["value"]
        else:
            document.setdefault(section, []).append({"id": key.id, **fields})
    return write_yaml(document)


def written(key: Key, row: Mapping[str, Any], *, full: bool) -> dict[str, Any]:
    """Return an entity's fields as people write them; of a secret, a reference or no value."""
    fields = {name: row[name] for name in _KEPT if row.get(name)}
    verdict = validate(key, dict(row))
    if key.kind == "secret" and not is_reference(row.get("value")):
        row = {name: value for name, value in row.items() if name != "value"}
    if not isinstance(verdict, Accepted):
        # Left as it is, so that nothing is lost; it is rejected wherever it goes.
        bookkeeping = {"id", "key", "version", "created_at", "updated_at", *_KEPT}
        return {**{n: v for n, v in row.items() if n not in bookkeeping}, **fields}
    body = body_fields(key, verdict.body)
    if not full:
        usual = default_fields(key.kind)
        body = {n: v for n, v in body.items() if n not in usual or differ(usual[n], v)}
    body.pop("id", None)
    body.pop("key", None)
    if key.kind == "secret" and "value" not in row:
        del body["value"]
    texts = {name: _as_written(name, value, full=full) for name, value in body.items()}
    return (texts if full else _without_nulls(key, texts)) | fields


def _without_nulls(key: Key, fields: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is null within policies, where that says the same."""
    policies = fields.get("policies") or {}
    shorter = {
        name: {part: value for part, value in policy.items() if value is not None}
        if isinstance(policy, dict)
        else policy
        for name, policy in policies.items()
    }
    shortened = {**fields, "policies": shorter}
    same = policies and validate(key, shortened) == validate(key, fields)
    return shortened if same else fields


def body_fields(key: Key, body: bytes) -> dict[str, Any]:
    """Return a canonical body's fields in the order in which people write them."""
    fields = json.loads(body)
    return {name: fields[name] for name in KNOWN_FIELDS[key.kind] if name in fields}


def default_fields(kind: str) -> dict[str, Any]:
    """Return what the fields of a kind hold when nothing is said of them."""
    if kind == "setting":
        return {}
    if kind in _DEFAULTS:
        return _DEFAULTS[kind]
    given = _REQUIRED.get(kind, {})
    key = Key(kind, "x")
    verdict = validate(key, given)
    assert isinstance(verdict, Accepted)
    fields = body_fields(key, verdict.body)
    if kind == "route":
        given = {}
        fields["service_id"] = None
    return {name: value for name, value in fields.items() if name not in given and name != "id"}


def _as_written(name: str, value: Any, *, full: bool) -> Any:
    if name in DURATIONS:
        return _duration(value)
    if name in INSTANTS:
        return _instant(value)
    if name == "claims" and not full:
        return {what: claim for what, claim in value.items() if claim != CLAIMS.get(what)}
    if name == "match" and not full:
        return {part: conditions for part, conditions in value.items() if conditions}
    if name == "policies" and isinstance(value.get("timeouts"), dict):
        timeouts = {part: _duration(seconds) for part, seconds in value["timeouts"].items()}
        return {**value, "timeouts": timeouts}
    return value


def _duration(value: Any) -> Any:
    """Return seconds as text, and as they are where text would be another time."""
    text = shortest(value) if isinstance(value, float) else None
    return value if text is None or parse_duration(text) != value else text


def _instant(value: Any) -> Any:
    """Return seconds since the epoch as text, and as they are where text would be another time."""
    if not isinstance(value, float):
        return value
    moment = datetime.fromtimestamp(value, UTC)
    return moment.isoformat().replace("+00:00", "Z") if moment.timestamp() == value else value
