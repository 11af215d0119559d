"""
Models made of models: what a patch may hold, and what is shown, of what may be written.

So a field is described once.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.fields import FieldInfo

from fengling_gateway.console.entity_parts import Part

Fields = Mapping[str, Any]
"""Names with pairs of a type and a `FieldInfo`, as `pydantic.create_model` takes them."""


class _Open(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


def fields_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the fields of a model, for another one."""
    return {name: (_whole_type(field), field) for name, field in model.model_fields.items()}


def combined(name: str, description: str | None, fields: Fields) -> type[Part]:
    """Return a model of fields in their order; others are refused."""
    model: type[Part] = create_model(name, __base__=Part, __doc__=description, **fields)
    return model


def shown_form(name: str, description: str | None, fields: Fields, more: Fields) -> type[BaseModel]:
    """Return the model in which every field is always there, and more may be."""
    given: dict[str, Any] = {
        field: (kind, _required(info)) for field, (kind, info) in fields.items()
    }
    given.update(more)
    model: type[BaseModel] = create_model(name, __base__=_Open, __doc__=description, **given)
    return model


@cache
def patch_form(model: type[BaseModel]) -> type[BaseModel]:
    """
    Return the model of a merge patch (RFC 7396): of an object any part, and null for its end.

    Lists are replaced as a whole.
    """
    fields: dict[str, Any] = {
        name: (_part_of(_whole_type(field)) | None, optional(field))
        for name, field in model.model_fields.items()
    }
    name = f"{model.__name__.removesuffix('Form')}Patch"
    doc = "What changes of it; null takes a field away."
    made: type[BaseModel] = create_model(name, __base__=model.__base__, __doc__=doc, **fields)
    return made


def _part_of(kind: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return patch_form(kind)
    if origin is Annotated:
        return Annotated[_part_of(arguments[0]), *arguments[1:]]
    if origin in {Union, types.UnionType}:
        return Union[tuple(map(_part_of, arguments))]  # noqa: UP007 (of a tuple)
    if origin is dict:
        name, value = arguments
        return dict.__class_getitem__((name, _part_of(value) | None))
    return kind


def _whole_type(field: FieldInfo) -> Any:
    """Return a field's type with what constrains it."""
    kind: Any = field.annotation
    return Annotated[kind, *field.metadata] if field.metadata else kind


def _required(field: FieldInfo) -> Any:
    return Field(description=field.description, examples=field.examples)


def optional(field: FieldInfo) -> Any:
    """Return the field as one that may be missing, which says nothing else than that."""

    def without_default(schema: dict[str, Any]) -> None:
        if isinstance(field.json_schema_extra, dict):
            schema.update(field.json_schema_extra)
        elif field.json_schema_extra is not None:
            field.json_schema_extra(schema)
        schema.pop("default", None)

    return Field(
        None,
        description=field.description,
        examples=field.examples,
        json_schema_extra=without_default,
    )
