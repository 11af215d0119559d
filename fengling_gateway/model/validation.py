"""
Judges an entity as somebody wrote it, and gives it its canonical body.

Intrinsic only: whether what an entity refers to exists is decided in
`fengling_gateway.model.effective`. `validate` is total: whatever a row holds,
it says *accepted* or *rejected*, and never raises. A canonical body validates
to itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from fengling_gateway.model.authorization import CLOSED, keeps_out
from fengling_gateway.model.certificates import (
    CERTIFICATE,
    SECRET,
    certificate_refs,
    finish_certificate,
    service_refs,
)
from fengling_gateway.model.checks import Field, Record, wrong_type
from fengling_gateway.model.clients import API_KEY, CLIENT, api_key_refs, client_refs
from fengling_gateway.model.entity import MAX_BODY_BYTES, Key, canonical
from fengling_gateway.model.hold import is_enabled
from fengling_gateway.model.issuers import ISSUER, finish_issuer, issuer_refs
from fengling_gateway.model.kinds import (
    INSTANCE,
    INSTANCE_HEALTH,
    SERVICE,
    SETTINGS,
    TENANT,
    instance_health_refs,
    instance_refs,
)
from fengling_gateway.model.management_tokens import MANAGEMENT_TOKEN
from fengling_gateway.model.names import is_slug, slug
from fengling_gateway.model.problems import Problem, Report, label, shown, suggestion
from fengling_gateway.model.routes import ROUTE, finish_route, route_refs

CANONICAL_FORM: Final = 1
"""Raised with every change of what canonical bodies look like; kept with stored ones."""

SOURCE_PROBLEMS: Final = "$problems"
"""
The field in which a config source tells what it finds wrong with an entity.

A list of sentences (with line numbers): an unknown field, a second definition,
a row that can't be read. They reject the entity along with everything that is
found here. No column of a table has this name by accident.
"""


@dataclass(frozen=True, slots=True)
class Accepted:
    """An entity that is right in itself: its canonical body, and the keys it refers to."""

    body: bytes
    refs: frozenset[Key]


@dataclass(frozen=True, slots=True)
class Rejected:
    """
    An entity that is wrong, with everything that is wrong with it.

    ``enabled`` says whether its row counts for the hold rule. ``refs`` are the references that can
    be made out all the same, so that a missing one is told along with the rest. ``stand_in`` is
    served where there is no earlier version: nothing, but for what would leave all open.
    """

    problems: tuple[Problem, ...]
    enabled: bool = True
    refs: frozenset[Key] = frozenset()
    stand_in: bytes | None = None


Verdict = Accepted | Rejected

_DEFAULTS: Final = Key("setting", "defaults")
_NO_REFS: Final[frozenset[Key]] = frozenset()


def _no_refs(_body: dict[str, Any]) -> frozenset[Key]:
    return _NO_REFS


def _finished(_body: dict[str, Any], _row: dict[str, Any], _report: Report) -> None:
    """Nothing is left to judge."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one kind is judged: the columns its id may be in, its fields, and the rest."""

    record: Record
    refs: Callable[[dict[str, Any]], frozenset[Key]] = _no_refs
    finish: Callable[[dict[str, Any], dict[str, Any], Report], None] = _finished
    id_columns: tuple[str, ...] = ("id",)


_KINDS: Final = {
    "tenant": _Kind(TENANT),
    "secret": _Kind(SECRET),
    "certificate": _Kind(CERTIFICATE, certificate_refs, finish_certificate),
    "issuer": _Kind(ISSUER, issuer_refs, finish_issuer),
    "client": _Kind(CLIENT, client_refs),
    "api_key": _Kind(API_KEY, api_key_refs),
    "management_token": _Kind(MANAGEMENT_TOKEN),
    "service": _Kind(SERVICE, service_refs),
    "instance": _Kind(INSTANCE, instance_refs),
    "instance_health": _Kind(
        INSTANCE_HEALTH, instance_health_refs, id_columns=("id", "instance_id")
    ),
    "route": _Kind(ROUTE, route_refs, finish_route),
}

_SETTINGS: Final = {
    name: _Kind(Record(Field("value", check), open_ended=True), id_columns=("key",))
    for name, check in SETTINGS.items()
}

KNOWN_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    **{name: kind.id_columns + kind.record.names for name, kind in _KINDS.items()},
    "setting": ("key", "value"),
}
"""The fields of each kind that validation reads; a row may have others, which it ignores."""


def validate(key: Key, values: object) -> Verdict:
    """
    Judge one entity.

    Args:
        key: Its key. Where ``values`` name an id too, it must be the same.
        values: A row as JSON: of a table, of a YAML file, or a canonical body.

    Returns:
        All problems at once, or the canonical body. Fields that have a default
        may be missing; null is a value and not a missing one.
    """
    report = Report()
    body, refs = None, _NO_REFS
    try:
        body, refs = _judge(key, values, report)
    except Exception as error:  # one entity that surprises us must not stop all the others
        report.add("internal_error", f"could not be judged: {type(error).__name__}")
    if body is None:
        problems = report.problems(_subject(key))
        return Rejected(problems, is_enabled(values), refs, _stand_in(key, values))
    return Accepted(body, refs)


def defaults_of(kind: str) -> dict[str, Any]:
    """Return what the fields of a kind hold that have a default, when nothing is said of them."""
    return {} if kind == "setting" else _KINDS[kind].record.defaults


def _stand_in(key: Key, values: object) -> bytes | None:
    """Return what is served of defaults that were to keep somebody out, and can't be read."""
    if key != _DEFAULTS or type(values) is not dict or not keeps_out(values.get("value")):
        return None
    closed = validate(key, {"key": key.id, "value": CLOSED})
    return closed.body if isinstance(closed, Accepted) else None


def refs_of(key: Key, body: bytes) -> frozenset[Key]:
    """Return what a canonical body refers to."""
    kind = _KINDS.get(key.kind)
    return kind.refs(json.loads(body)) if kind is not None else _NO_REFS


def _subject(key: Key) -> str:
    return f"{label(key.kind)} {label(key.id)}"


def _judge(key: Key, values: object, report: Report) -> tuple[bytes | None, frozenset[Key]]:
    """Return the canonical body, None where there are problems, and what it refers to."""
    kind = _kind_of(key, report)
    if kind is None:
        return None, _NO_REFS
    if type(values) is not dict:
        wrong_type(values, "an object", report)
        return None, _NO_REFS
    _add_source_problems(values.get(SOURCE_PROBLEMS), report)
    if report.found and values.keys() <= {SOURCE_PROBLEMS, *kind.id_columns}:
        # Nothing else is known of it, and what is missing is not the point.
        return None, _NO_REFS
    _check_id(key, values, kind.id_columns, report)
    body = kind.record(values, report)
    kind.finish(body, values, report)
    if report.found:
        return None, _refs_despite_problems(key, kind, body)
    body[kind.id_columns[0]] = key.id
    encoded = canonical(body)
    if len(encoded) > MAX_BODY_BYTES:
        report.add(
            "too_large", f"must have at most {MAX_BODY_BYTES} bytes in all, not {len(encoded)}"
        )
        return None, kind.refs(body)
    return encoded, kind.refs(body)


_REFERRING: Final = ("service_id", "tenant_id", "key_secret", "client_id")


def _refs_despite_problems(key: Key, kind: _Kind, body: dict[str, Any]) -> frozenset[Key]:
    """Return the references of a body with problems: those whose names are ids."""
    named = {name: body.get(name) for name in _REFERRING}
    fields: dict[str, Any] = {n: v if type(v) is str else None for n, v in named.items()}
    split = body.get("split")
    fields["split"] = split if type(split) is dict else None
    tls = body.get("tls")
    fields["tls"] = tls if type(tls) is dict else None
    refs = kind.refs({**fields, kind.id_columns[0]: key.id})
    return frozenset(ref for ref in refs if is_slug(ref.id))


def _add_source_problems(sentences: object, report: Report) -> None:
    if type(sentences) is list:
        for sentence in sentences:
            told = type(sentence) is str and sentence.isprintable()
            report.add("source", sentence[:500] if told else shown(sentence))


def _kind_of(key: Key, report: Report) -> _Kind | None:
    if key.kind == "setting":
        setting = _SETTINGS.get(key.id)
        if setting is None:
            report.add(
                "unknown_setting",
                f"is not a known setting; {suggestion(key.id, tuple(_SETTINGS))}",
            )
        return setting
    kind = _KINDS.get(key.kind)
    if kind is None:
        report.add("unknown_kind", f"is of no known kind; {suggestion(key.kind, tuple(_KINDS))}")
    return kind


def _check_id(key: Key, values: dict[Any, Any], columns: tuple[str, ...], report: Report) -> None:
    start = len(report.found)
    if key.kind != "setting":
        slug(key.id, report)
    for column in columns:
        if column in values and values[column] != key.id:
            report.add("conflict", f"must be {shown(key.id)}, not {shown(values[column])}")
    report.locate(start, columns[0])
