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
    parameter,
    problem_answer,
    whole,
)
from fengling_gateway.access.parameters import DEFAULT_LIMIT, ID, LINE, MAX_LIMIT, TIMEOUT
from fengling_gateway.access.problems import TITLES
from fengling_gateway.console.answers import PROBLEMS, SHARED, shared
from fengling_gateway.console.entities import FORMS, SETTING_FORMS
from fengling_gateway.model.management_tokens import READ

JSON: Final = "application/json"
SESSION_COOKIE: Final = "fengling_session"


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


_LINE: Final = whole(LINE)
_FLAG: Final = {"enum": ["true", "false", "1", "0"], "default": "false"}
_NUMBER: Final = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
_OR_NONE: Final = "An id, or `-` for none."
_ID_OR_NONE: Final = whole(f"-|{ID}")


def _line(length: int) -> Schema:
    return {**_LINE, "maxLength": length}


PARAMETERS: Final = {
    "after": parameter(
        "after", whole(ID), "The id after which the page begins: `next` of another."
    ),
    "limit": parameter(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        "How many there are on a page.",
    ),
    "q": parameter("q", _line(200), "Words that are all in ids, names, hosts, paths or addresses."),
    "tenant": parameter("tenant", _ID_OR_NONE, _OR_NONE),
    "service": parameter("service", _ID_OR_NONE, _OR_NONE),
    "client": parameter("client", whole(ID), "The id of the client that they are of."),
    "enabled": parameter("enabled", {"enum": ["true", "false"]}, "Whether they are enabled."),
    "label": parameter(
        "label",
        {
            "type": "array",
            "items": {**whole(f"(?=[^:]){LINE}"), "maxLength": 200},
            "maxItems": 20,
            "examples": [["team:shop"]],
        },
        "Labels that they all have: `name:value`, or `name` with any value.",
    ),
    "managed_by": parameter("managed_by", _line(200), "Whose they are; empty: nobody's."),
    "rejected": parameter("rejected", _FLAG, "Only those of which the newest version is rejected."),
    "dry_run": parameter("dry_run", _FLAG, "Say what would change, and write nothing."),
    "wait": parameter(
        "wait",
        {"enum": ["none", "all"], "default": "none"},
        "all: answer when every live worker serves it.",
    ),
    "timeout": parameter("timeout", {**whole(TIMEOUT), "default": "5s"}, "How long to wait."),
    "comment": parameter("comment", _line(2000), "Why; for the history."),
    "force": parameter("force", _FLAG, "Also if it removes so much that it would be held."),
    "prune": parameter("prune", _FLAG, "Delete what is `managed_by` the same and not in the body."),
    "take_over": parameter("take_over", _FLAG, "Also what somebody else manages."),
    "full": parameter("full", _FLAG, "With everything that is as by default."),
    "kind": parameter("kind", {"enum": ["config", "health", "all"], "default": "config"}),
    "author": parameter("author", _line(200), "Who made them."),
    "db_user": parameter("db_user", _line(200), "As whom they were written."),
    "entity": parameter(
        "entity", {**_line(200), "examples": ["route/orders"]}, "What they changed: a kind, or one."
    ),
    "text": parameter("text", _line(200), "What their comments have in them."),
    "since": parameter("since", {"type": "string", "format": "date-time"}),
    "until": parameter("until", {"type": "string", "format": "date-time"}),
    "before": parameter("before", _NUMBER, "The revision before which the page begins."),
    "ordinal": parameter("after", _NUMBER, "The change after which the page begins."),
    "from": {**parameter("from", _NUMBER, "The revision to begin with."), "required": True},
    "to": parameter("to", _NUMBER, "The revision to end with; the newest without it."),
}
"""Of queries. Each but `ordinal` has its own name."""

CHANGE_PARAMETERS: Final = ("dry_run", "wait", "timeout", "comment", "force")

_IF_MATCH: Final[Schema] = {
    "name": "If-Match",
    "in": "header",
    "required": True,
    "description": "The ETag that was read, so that nobody's change is lost; `*` takes any.",
    "schema": {"type": "string", "pattern": r'^(?:"[0-9]{1,18}"|\*)$', "examples": ['"42"']},
}
_ETAG: Final[Schema] = {
    "description": "The version of the entity.",
    "schema": {"type": "string", "examples": ['"42"']},
}

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
                "session": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE},
            },
            "schemas": {"Problem": _problem(), **SHARED, **_models()},
            "responses": {_reason(status): answer for status, answer in _answers().items()},
            "parameters": {**PARAMETERS, "IfMatch": _IF_MATCH},
            "headers": {"ETag": _ETAG},
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
