"""
Entities between the API and the tables: rows of what is sent, and what is shown of rows.

What is sent is judged as a whole: its shape by the models (`fengling_gateway.console.entities`),
all else by `fengling_gateway.model.validation`, and everything that is wrong is told at once. Rows
are of the form that `fengling_gateway.editing` takes: fields as people write them. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from fengling_gateway.configsource.file_entities import instance_id
from fengling_gateway.configsource.postgres_rows import ID_COLUMN
from fengling_gateway.console.entities import DERIVED, OWNED, WRITE_ONLY, forms_of
from fengling_gateway.console.form_problems import (
    judge_owned,
    merge_problems,
    relative,
    shape_problems,
)
from fengling_gateway.console.showing import etag, own_fields, shown
from fengling_gateway.model.entity import Key
from fengling_gateway.model.problems import Problem
from fengling_gateway.model.problems import shown as described
from fengling_gateway.model.validation import KNOWN_FIELDS, Rejected, validate

Row = dict[str, Any]

_STAYS: Final = {"management_token": ("revoked_at",)}
"""By kind, what stays as it is once it is there."""


class FormError(Exception):
    """What was sent is not acceptable; ``problems`` are all that is wrong, by entity."""

    def __init__(self, problems: Mapping[Key, tuple[Problem, ...]]) -> None:
        told = [f"{key}: {one}" for key, found in problems.items() for one in found]
        super().__init__("; ".join(told[:5]))
        self.problems = problems


class Form(NamedTuple):
    """
    What was sent, read.

    ``row`` can be planned only if there are no ``problems``; their paths are within the entity.
    """

    key: Key
    row: Row
    problems: tuple[Problem, ...]

    def accepted(self) -> Row:
        """
        Return the row.

        Raises:
            FormError: there are problems.
        """
        if self.problems:
            raise FormError({self.key: self.problems})
        return self.row


def row_of(
    kind: str, body: Any, *, entity_id: str | None = None, present: Mapping[str, Any] | None = None
) -> Row:
    """
    Return the row of an entity as somebody sends it; see `read_form`.

    Raises:
        FormError: it is not acceptable.
    """
    return read_form(kind, body, entity_id=entity_id, present=present).accepted()


def merged(kind: str, row: Mapping[str, Any], patch: Any) -> Row:
    """
    Return the row that a merge patch (RFC 7396) of what is shown makes of a row.

    Raises:
        FormError: the patch, or what it makes, is not acceptable.
    """
    return read_patch(kind, row, patch).accepted()


def read_form(
    kind: str, body: Any, *, entity_id: str | None = None, present: Mapping[str, Any] | None = None
) -> Form:
    """
    Read an entity as it is sent as a whole: what is not there is as by default.

    Args:
        entity_id: where the request names it; else the body does (see `key_in`).
        present: the row that is replaced, whose hidden values stay where none are sent. None: it
            is made.
    """
    key = key_in(kind, body) if entity_id is None else Key(kind, entity_id)
    forms = forms_of(*key)
    shape: tuple[Problem, ...] = ()
    if forms is not None and type(body) is dict:
        is_new = entity_id is None and present is None
        model = forms.created if is_new else forms.wanted
        shape = shape_problems(model, body)
    return _judged(key, _with_hidden(key.kind, body, present), present, shape)


def read_patch(kind: str, row: Mapping[str, Any], patch: Any) -> Form:
    """Read a merge patch of an entity, which is there as ``row``."""
    key = Key(kind, row[ID_COLUMN.get(kind, "id")])
    forms = forms_of(*key)
    if type(patch) is not dict or forms is None:
        return _judged(key, patch, row, ())
    problems = shape_problems(forms.patch, patch)
    return _judged(key, merge_patch(own_fields(kind, row), patch), row, problems)


def merge_patch(target: Any, patch: Any) -> Any:
    """Return what a merge patch makes of a value (RFC 7396, section 2)."""
    if type(patch) is not dict:
        return patch
    result = dict(target) if type(target) is dict else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def key_in(kind: str, body: Any) -> Key:
    """Return whose a body is; without an id where it says none. An instance gets one of its address."""
    if type(body) is not dict:
        return Key(kind, "")
    given = body.get(ID_COLUMN.get(kind, "id"))
    if kind == "instance" and "id" not in body:
        return Key(kind, instance_id(body))
    return Key(kind, given if type(given) is str else "")


def _judged(
    key: Key, body: Any, present: Mapping[str, Any] | None, shape: tuple[Problem, ...]
) -> Form:
    if type(body) is not dict:
        problem = Problem("", "wrong_type", f"must be an object, not {_described(key.kind, body)}")
        return Form(key, {}, (problem,))
    row = _row(key, body)
    verdict = validate(key, row)
    found = relative(key, verdict.problems) if isinstance(verdict, Rejected) else ()
    if not key.id:
        found = _without_id(key.kind, body, found)
    told = [*found, *judge_owned(body), *_immutable(key, body, row, present)]
    return Form(key, row, merge_problems(told, shape))


def _without_id(kind: str, body: dict[str, Any], found: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """Say of what has no id just that."""
    column = ID_COLUMN.get(kind, "id")
    problem = Problem(column, "required", "is required")
    if type(body.get(column)) is str:
        return found
    if column in body:
        problem = Problem(column, "wrong_type", f"must be text, not {described(body[column])}")
    return (problem, *(one for one in found if one.path != column))


def _with_hidden(kind: str, body: Any, present: Mapping[str, Any] | None) -> Any:
    """Return a body with what can't be known to who sends it, or has to stay."""
    if type(body) is not dict or present is None:
        return body
    names = (WRITE_ONLY.get(kind), *_STAYS.get(kind, ()))
    return {**{name: present[name] for name in names if name in present}, **body}


def _row(key: Key, body: dict[str, Any]) -> Row:
    """Return the fields that can be written."""
    known = (*KNOWN_FIELDS.get(key.kind, ()), *OWNED)
    row: Row = {ID_COLUMN.get(key.kind, "id"): key.id, "labels": {}, "managed_by": None}
    return row | {name: body[name] for name in known if name in body}


def _immutable(
    key: Key, body: dict[str, Any], row: Row, present: Mapping[str, Any] | None
) -> list[Problem]:
    """Refuse what can't be written, where it is not as it was or will be."""
    if key.kind not in DERIVED and key.kind not in _STAYS:
        return []
    before = {} if present is None else shown(key.kind, present)
    after = shown(key.kind, {**before, **row})
    derived = [
        Problem(name, "conflict", "is read only; leave it as it is, or out")
        for name in DERIVED.get(key.kind, ())
        if name in body and body[name] not in (before.get(name), after.get(name))
    ]
    stays = [
        Problem(name, "conflict", f"must stay {described(before[name])} once it is set")
        for name in _STAYS.get(key.kind, ())
        if before.get(name) is not None and after.get(name) != before[name]
    ]
    return derived + stays


def _described(kind: str, value: Any) -> str:
    """Describe what was sent in place of an entity, unless it may be what nobody is to see."""
    return f"a {type(value).__name__}" if kind in WRITE_ONLY else described(value)


__all__ = [
    "Form",
    "FormError",
    "etag",
    "key_in",
    "merge_patch",
    "merged",
    "read_form",
    "read_patch",
    "row_of",
    "shown",
]
