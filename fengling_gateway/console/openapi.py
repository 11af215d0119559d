"""
The OpenAPI document of the API, made of the table of its operations.

See `fengling_gateway.console.operations` for the table, and
`fengling_gateway.console.entities` for the models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from fengling_gateway import __version__
from fengling_gateway.access.openapi import (
    PROBLEM,
    TOKEN,
    Schema,
    by_status,
    in_path,
    problem_answer,
    whole,
)
from fengling_gateway.access.parameters import ID
from fengling_gateway.access.problems import TITLES
from fengling_gateway.console.answers import PROBLEMS, SHARED, shared
from fengling_gateway.console.entities import FORMS, SETTING_FORMS
from fengling_gateway.console.query_parameters import (
    CHANGE_PARAMETERS,
    ETAG,
    IF_MATCH,
    PARAMETERS,
)
from fengling_gateway.model.management_tokens import READ
from fengling_gateway.signin.sessions import COOKIE

JSON: Final = "application/json"
_SESSION: Final[Schema] = {
    "type": "apiKey",
    "in": "cookie",
    "name": COOKIE,
    "description": "What signing in gives a browser. The name goes on with a mark of the key, and "
    "begins with `__Host-` over HTTPS. Changes need a header `Origin` that is the console's own.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What an operation takes, by content type; where it is not needed, none may be sent."""

    content: Mapping[str, Schema]
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """
    One operation, as the document describes it.

    Attributes:
        path: from the root, with its variable parts in braces.
        id: unique; what generated clients call it.
        scope: that a credential needs; None: none is needed.
        parameters: of the query, by their names in `PARAMETERS`.
        in_path: schemas of the variable parts of the path, where they are no ids.
        body: None takes none.
        answers: by status; one that succeeds comes first.
        media: the content type of what succeeds.
        tagged: whether its answer has an ETag.
        conditional: whether it needs If-Match.
        changes: whether it writes: then it has the parameters of all that does.
        problems: codes beside those of all operations.
    """

    method: str
    path: str
    id: str
    summary: str
    tag: str
    answers: Mapping[int, Schema]
    description: str = ""
    scope: str | None = READ
    parameters: tuple[str, ...] = ()
    in_path: Mapping[str, Schema] = field(default_factory=dict)
    body: Body | None = None
    media: str = JSON
    tagged: bool = False
    conditional: bool = False
    changes: bool = False
    problems: tuple[str, ...] = ()


_ALWAYS: Final = ("malformed_request", "invalid_parameter", "not_found")
_WITH_CREDENTIAL: Final = (
    *("unauthorized", "insufficient_scope", "forbidden", "tenant_mismatch", "foreign_origin"),
    *("too_many_failures", "source_unavailable", "busy"),
)
_WITH_BODY: Final = ("malformed_json", "body_too_large", "unsupported_media_type", "invalid")
_WITH_CHANGE: Final = ("conflict", "invalid", "refused", "uncertain", "not_converged")
_WITH_CONDITION: Final = ("precondition_failed", "precondition_required")


def document(operations: Iterable[Operation]) -> Schema:
    """Return the document."""
    made = tuple(operations)
    paths: dict[str, Schema] = {}
    for one in made:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Fengling Gateway console API",
            "version": __version__,
            "description": "Where the configuration is written, and all gateways are seen.",
        },
        "security": [{"token": []}, {"session": []}],
        "tags": [{"name": name} for name in dict.fromkeys(one.tag for one in made)],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": TOKEN,
                "session": _SESSION,
            },
            "schemas": {"Problem": _problem(), **SHARED, **_models()},
            "responses": {_reason(status): answer for status, answer in _answers().items()},
            "parameters": {**PARAMETERS, "IfMatch": IF_MATCH},
            "headers": {"ETag": ETAG},
        },
    }


def _operation(one: Operation) -> Schema:
    names = (*one.parameters, *(CHANGE_PARAMETERS if one.changes else ()))
    parameters: list[Schema] = [
        in_path(name, one.in_path.get(name, whole(ID))) for name in _variables(one.path)
    ]
    parameters += [{"$ref": f"#/components/parameters/{name}"} for name in names]
    if one.conditional:
        parameters.append({"$ref": "#/components/parameters/IfMatch"})
    needs = "Needs no credential." if one.scope is None else f"Needs the scope `{one.scope}`."
    described: Schema = {
        "operationId": one.id,
        "summary": one.summary,
        "description": f"{one.description} {needs}".strip(),
        "tags": [one.tag],
        "parameters": parameters,
        "responses": {
            **{
                str(status): _success(one, status, schema) for status, schema in one.answers.items()
            },
            **_refusals(one),
        },
    }
    if one.scope is None:
        described["security"] = []
    if one.body is not None:
        described["requestBody"] = {
            "required": one.body.required,
            "content": {media: {"schema": schema} for media, schema in one.body.content.items()},
        }
    return described


def _variables(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


def _success(one: Operation, status: int, schema: Schema) -> Schema:
    answer: Schema = {"description": one.summary}
    if status != 204:
        answer["content"] = {one.media: {"schema": schema}}
    if one.tagged:
        answer["headers"] = {"ETag": {"$ref": "#/components/headers/ETag"}}
    return answer


def _refusals(one: Operation) -> Schema:
    codes = [*_ALWAYS, *one.problems]
    codes += () if one.scope is None else _WITH_CREDENTIAL
    codes += () if one.body is None else _WITH_BODY
    codes += _WITH_CHANGE if one.changes else ()
    codes += _WITH_CONDITION if one.conditional else ()
    return {
        str(status): {"$ref": f"#/components/responses/{_reason(status)}"}
        for status in by_status(codes)
        if status not in one.answers
    }


def _answers() -> dict[int, Schema]:
    """Return an answer for each status of a problem, shared by all operations."""
    found = {}
    for status, codes in by_status(TITLES).items():
        found[status] = problem_answer(codes)
        titles = "; ".join(f"`{code}`: {TITLES[code][1]}" for code in codes)
        found[status]["description"] = f"{titles}."
    return found


_REASONS: Final = {
    400: "Malformed",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    410: "Gone",
    412: "PreconditionFailed",
    413: "TooLarge",
    415: "UnsupportedMediaType",
    422: "Invalid",
    428: "PreconditionRequired",
    429: "TooMany",
    500: "InternalError",
    502: "BadGateway",
    503: "Unavailable",
    504: "NotInTime",
}


def _reason(status: int) -> str:
    return _REASONS.get(status, f"Status{status}")


def _problem() -> Schema:
    more = {
        "problems": PROBLEMS,
        "entities": {"type": "array", "items": {"type": "string"}},
        "hint": {"type": "string"},
        "convergence": shared("Convergence"),
    }
    return {**PROBLEM, "properties": {**PROBLEM["properties"], **more}}


# Models


def ref(*models: type[BaseModel]) -> Schema:
    """Return what refers to the schema of a model, or of any of some."""
    refs: list[Schema] = [{"$ref": f"#/components/schemas/{one.__name__}"} for one in models]
    return refs[0] if len(refs) == 1 else {"anyOf": refs}


def _models() -> dict[str, Schema]:
    """Return the schemas of all forms of entities, and of what is in them."""
    forms = (*FORMS.values(), *SETTING_FORMS.values())
    models = [model for one in forms for model in (one.shown, one.created, one.wanted, one.patch)]
    _, made = models_json_schema(
        [(model, "validation") for model in models],
        ref_template="#/components/schemas/{model}",
        schema_generator=_Untitled,
    )
    return {name: _tidy(schema) for name, schema in sorted(made["$defs"].items())}


class _Untitled(GenerateJsonSchema):
    """Without titles, which only repeat names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _tidy(schema: Any) -> Any:
    """Return a schema in which an object has no other names than its patterns allow."""
    if isinstance(schema, list):
        return [_tidy(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    # (A title is text; what else is called so is a field.)
    kept = {n: v for n, v in schema.items() if n != "title" or not isinstance(v, str)}
    tidy = {name: _tidy(value) for name, value in kept.items()}
    if "patternProperties" in tidy:
        tidy.setdefault("additionalProperties", False)
        tidy.pop("propertyNames", None)
    return tidy
