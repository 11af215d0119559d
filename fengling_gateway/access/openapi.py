"""What the OpenAPI documents of our APIs have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from fengling_gateway.access.problems import TITLES

Schema = dict[str, Any]

OBJECT: Final[Schema] = {"type": "object"}
TEXT: Final[Schema] = {"type": "string"}

PROBLEM_REF: Final[Schema] = {"$ref": "#/components/schemas/Problem"}

PROBLEM: Final[Schema] = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": TEXT,
        "status": {"type": "integer"},
        "code": {"enum": sorted(TITLES)},
        "detail": TEXT,
        "request_id": {
            **TEXT,
            "description": "That of the answer's X-Request-Id, and of the log.",
        },
    },
}

TOKEN: Final[Schema] = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


def text(length: int) -> Schema:
    """Return the schema of text of bounded length; no JSON of ours has a NUL in it."""
    return {"type": "string", "maxLength": length, "pattern": r"^[^\x00]*$"}


def whole(pattern: str) -> Schema:
    """Return the schema of text that matches a pattern from end to end."""
    return {"type": "string", "pattern": f"^(?:{pattern})$"}


def parameter(name: str, schema: Schema, description: str = "") -> Schema:
    """Return a parameter of the query, which may be missing."""
    told = {"description": description} if description else {}
    return {"name": name, "in": "query", "schema": schema, **told}


def in_path(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def by_status(codes: Iterable[str]) -> dict[int, list[str]]:
    """Return the codes of problems by the status that they are answered with."""
    found: dict[int, list[str]] = {}
    for code in codes:
        found.setdefault(TITLES[code][0], []).append(code)
    return dict(sorted(found.items()))


def problem_answer(codes: Iterable[str]) -> Schema:
    """Return an answer that is one of these problems."""
    content = {"application/problem+json": {"schema": PROBLEM_REF}}
    return {"description": ", ".join(codes), "content": content}


EXPLAIN: Final[Schema] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        **{
            name: text(length)
            for name, length in (
                ("method", 32),
                ("host", 255),
                ("path", 8192),
                ("query", 8192),
                ("listener", 100),
                ("peer", 64),
            )
        },
        "route": {
            **text(100),
            "description": "The id of a route to be told about, in `asked` of the answer.",
        },
        "headers": {
            "type": "object",
            "maxProperties": 100,
            "propertyNames": text(8192),
            "additionalProperties": text(8192),
        },
    },
}
"""A request that somebody asks about."""
