"""What the API answers and takes beside entities, as JSON Schema."""

from __future__ import annotations

from typing import Any, Final

from fengling_gateway.access.openapi import EXPLAIN, OBJECT, TEXT, Schema, text
from fengling_gateway.access.parameters import MAX_REVISION
from fengling_gateway.auth.operators import ROLES
from fengling_gateway.model.management_tokens import MAX_TENANTS
from fengling_gateway.signin.links import MAX_SECONDS

REVISION: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": MAX_REVISION}
_WHOLE: Final[Schema] = {"type": "integer"}
_TRUTH: Final[Schema] = {"type": "boolean"}
_OBJECT_OR_NULL: Final[Schema] = {"type": ["object", "null"]}
_TEXT_OR_NULL: Final[Schema] = {"type": ["string", "null"]}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_TIME_OR_NULL: Final[Schema] = {"anyOf": [_TIME, {"type": "null"}]}


def shared(name: str) -> Schema:
    """Return what refers to one of `SHARED`."""
    return {"$ref": f"#/components/schemas/{name}"}


def having(description: str = "", /, **fields: Any) -> Schema:
    """Return an object that always has these fields, and may have others."""
    told = {"description": description} if description else {}
    return {"type": "object", **told, "required": list(fields), "properties": fields}


def taking(required: tuple[str, ...] = (), /, **fields: Any) -> Schema:
    """Return an object that has no other fields than these."""
    needed = {"required": list(required)} if required else {}
    return {"type": "object", **needed, "properties": fields, "additionalProperties": False}


def maybe(schema: Schema, /, **fields: Schema) -> Schema:
    """Return an object that may have these fields, too."""
    return {**schema, "properties": {**schema["properties"], **fields}}


def list_of(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def told(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


PROBLEMS: Final = told(
    list_of(having(entity=TEXT, path=TEXT, code=TEXT, message=TEXT)),
    "Everything that is wrong with what was sent (`invalid`).",
)

POSITION: Final = having("A revision of one database.", epoch=TEXT, revision=REVISION, token=TEXT)

CONVERGENCE: Final = having(
    "Who serves it.",
    served=_WHOLE,
    workers=_WHOLE,
    behind=told(list_of(TEXT), "Workers that don't yet."),
    complete=told(_TRUTH, "False: nobody tells, and `reason` says why."),
)

CHANGE: Final = having(
    action={"enum": ["create", "update", "delete"]},
    kind=TEXT,
    id=TEXT,
    fields=told(OBJECT, "By name, what was there and what is then."),
)

WARNING: Final = having("What is valid, and looks wrong.", code=TEXT, message=TEXT)


CHANGED: Final = maybe(
    having(
        "What came of a change, or would come of it.",
        changes=list_of(shared("Change")),
        warnings=list_of(shared("Warning")),
        public=told(list_of(TEXT), "The routes among them that anybody may ask then."),
    ),
    dry_run=told({"const": True}, "Nothing is written."),
    revision=told({"type": ["integer", "null"]}, "Null: nothing had to change."),
    held=told(_TEXT_OR_NULL, "Why it is written, and not served until it is confirmed."),
    convergence=shared("Convergence"),
)


def changed(entity: Schema | None = None) -> Schema:
    """Return what is answered to a change, with the entity as it is then, if it is of one."""
    if entity is None:
        return shared("Changed")
    return {"allOf": [shared("Changed"), {"properties": {"entity": entity}}]}


def page(item: Schema, **more: Schema) -> Schema:
    """Return a page of items; ``next`` is where the list goes on."""
    following = told({"type": ["string", "integer", "null"]}, "Null: this is the last page.")
    return having(items=list_of(item), next=following, **more)


REVISION_SHOWN: Final = having(
    id=REVISION,
    kind={"enum": ["config", "health"]},
    committed_at=_TIME,
    author=TEXT,
    author_verified=told(_TRUTH, "False: it is what the writer claims."),
    db_user=TEXT,
    application=TEXT,
    client_addr=_TEXT_OR_NULL,
    comment=_TEXT_OR_NULL,
    state=TEXT,
    changes=told({}, "How many it made, or they themselves."),
)

ENTITY_CHANGE: Final = having(
    action={"enum": ["create", "update", "delete"]},
    kind=TEXT,
    id=TEXT,
    revision=REVISION,
    fields=OBJECT,
    before=_OBJECT_OR_NULL,
    after=_OBJECT_OR_NULL,
)

ENTRY: Final = {
    "allOf": [
        shared("Revision"),
        having("What it did to the entity.", change=shared("EntityChange")),
    ]
}

DISCOVERED: Final = having(
    "A service of the cluster that asks to be routed to.",
    namespace=TEXT,
    name=TEXT,
    state={"enum": ["pending", "approved", "rejected"]},
    decision=told(_WHOLE, "Grows with each decision of any service; 0: nobody has decided."),
    decided_by=told(_TEXT_OR_NULL, "Somebody, or `rule` and the rule."),
    decided_at=_TIME_OR_NULL,
    comment=_TEXT_OR_NULL,
    asked=told(
        OBJECT, "What was set in place of what the cluster says; no hosts: any, tenant null: none."
    ),
    approved=told(_OBJECT_OR_NULL, "The annotations that somebody has approved."),
    seen_at=told(_TIME_OR_NULL, "Since when it is there."),
    gone_at=told(_TIME_OR_NULL, "Since when it is not any more."),
    offer=told(_OBJECT_OR_NULL, "What would come, or comes, of it, and what is wrong with it."),
    result=told(_OBJECT_OR_NULL, "What came of the `decision` that it names."),
)

SHARED: Final = {
    "Change": CHANGE,
    "Changed": CHANGED,
    "Convergence": CONVERGENCE,
    "DiscoveredService": DISCOVERED,
    "EntityChange": ENTITY_CHANGE,
    "Revision": REVISION_SHOWN,
    "Warning": WARNING,
}
"""Schemas of the document that several operations refer to, by name."""

RETENTION: Final = having(
    keep=told(_TEXT_OR_NULL, "Null: for good."),
    keep_health=told(_TEXT_OR_NULL, "Of health alone; null: as the rest."),
    known_from=told(REVISION, "The oldest revision of which everything is known."),
    pruned_to=REVISION,
    shortened_at=_TIME_OR_NULL,
)

_UNDONE: Final = {**list_of(REVISION), "minItems": 1, "maxItems": 100}
_SEEN: Final = text(100)

GOING_BACK: Final = {
    "oneOf": [
        taking(("to",), to=REVISION, plan=_SEEN),
        taking(("of",), of=_UNDONE, plan=_SEEN),
    ],
    "examples": [{"to": 411}, {"of": [412, 415]}],
}

_DURATION: Final[Schema] = {"anyOf": [text(50), {"type": "null"}]}

KEEP: Final = {
    **taking(keep=_DURATION, keep_health=_DURATION),
    "minProperties": 1,
    "examples": [{"keep": "1 year", "keep_health": "30 days"}],
}

FLEET: Final = having(
    position={"anyOf": [POSITION, {"type": "null"}]},
    convergence={"anyOf": [shared("Convergence"), {"type": "null"}]},
    problem=told(TEXT, "Why nothing is known; empty: something is."),
    nodes=told(list_of(having(node=TEXT)), "As each has said itself."),
)

ASKED: Final = having(
    node=TEXT, asked=TEXT, heard_by=told(_WHOLE, "How many have heard it; 0: it is not there.")
)

SWITCH: Final = having(kind=TEXT, id=TEXT, off=_TRUTH, by=TEXT, at={"type": "number"}, comment=TEXT)

EXPLAINED: Final = having(
    revision={"type": ["integer", "null"]},
    tenant=_TEXT_OR_NULL,
    route=told(_TEXT_OR_NULL, "That takes it."),
    candidates=told(list_of(having(route=TEXT, chosen=_TRUTH, reason=TEXT)), "In order."),
    action=_OBJECT_OR_NULL,
)

TRY: Final = taking(
    method={"type": "string", "pattern": "^[A-Za-z]*$", "maxLength": 32},
    host=text(255),
    path={"type": "string", "pattern": r"^(?:/[\x01-\x1f!-\x7f]*)?$", "maxLength": 8192},
    headers=EXPLAIN["properties"]["headers"],
    body=text(65536),
    node=told(text(100), "Through this one; else through any."),
)

TRIED: Final = having(
    "Either an answer, or an error.",
    sent=having(method=TEXT, url=TEXT),
    total_ms={"type": "number"},
    explain=EXPLAINED,
)

PERSON: Final = having(
    subject=TEXT,
    name=TEXT,
    role={"enum": [*ROLES, ""]},
    tenants={"type": ["array", "null"], "items": TEXT},
    source=TEXT,
    ends_at=_TIME,
)

LINK: Final = having(url=TEXT, subject=TEXT, role=TEXT, expires_at=_TIME)

NEW_LINK: Final = taking(
    role={"enum": list(ROLES)},
    subject={**text(100), "minLength": 1},
    name=text(200),
    tenants={"type": "array", "items": TEXT, "minItems": 1, "maxItems": MAX_TENANTS},
    seconds={"type": "integer", "minimum": 1, "maximum": MAX_SECONDS},
)
