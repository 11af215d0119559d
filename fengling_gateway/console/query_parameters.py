"""The parameters and headers of the API, as the document describes them."""

from __future__ import annotations

from typing import Final

from fengling_gateway.access.openapi import Schema, parameter, whole
from fengling_gateway.access.parameters import DEFAULT_LIMIT, ID, LINE, MAX_LIMIT, TIMEOUT
from fengling_gateway.console.asked import OBJECT_NAME
from fengling_gateway.kubernetes.discovered import FILTERS

_LINE: Final = whole(LINE)
_FLAG: Final = {"enum": ["true", "false", "1", "0"], "default": "false"}
_NUMBER: Final = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
_OR_NONE: Final = "An id, or `-` for none; empty: any."
_ID_OR_NONE: Final = whole(f"|-|{ID}")
_TIME: Final = {"anyOf": [{"type": "string", "format": "date-time"}, {"const": ""}]}


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
    "without": parameter(
        "without",
        {**_line(200), "examples": ["kubernetes"]},
        "Who made none of them: `kubernetes`, for what people have done.",
    ),
    "db_user": parameter("db_user", _line(200), "As whom they were written."),
    "entity": parameter(
        "entity", {**_line(200), "examples": ["route/orders"]}, "What they changed: a kind, or one."
    ),
    "text": parameter("text", _line(200), "What their comments have in them."),
    "since": parameter("since", _TIME),
    "until": parameter("until", _TIME),
    "before": parameter("before", _NUMBER, "The revision before which the page begins."),
    "ordinal": parameter("after", _NUMBER, "The change after which the page begins."),
    "from": {**parameter("from", _NUMBER, "The revision to begin with."), "required": True},
    "state": parameter(
        "state", {"enum": list(FILTERS), "default": ""}, "What was decided, or what is wrong."
    ),
    "namespace": parameter("namespace", _line(253), "Of the cluster; empty: any."),
    "object_after": parameter(
        "after",
        whole(f"|{OBJECT_NAME}/{OBJECT_NAME}"),
        "The service after which the page begins: `next` of another.",
    ),
    "result_wait": parameter(
        "wait",
        {"enum": ["none", "result"], "default": "none"},
        "result: answer when something has come of it, or when the time is over.",
    ),
    "to": parameter("to", _NUMBER, "The revision to end with; the newest without it."),
}
"""Of queries. Each but `ordinal`, `object_after` and `result_wait` has its own name."""

CHANGE_PARAMETERS: Final = ("dry_run", "wait", "timeout", "comment", "force")

IF_MATCH: Final[Schema] = {
    "name": "If-Match",
    "in": "header",
    "required": True,
    "description": "The ETag that was read, so that nobody's change is lost; `*` takes any.",
    "schema": {"type": "string", "pattern": r'^(?:"[0-9]{1,18}"|\*)$', "examples": ['"42"']},
}
ETAG: Final[Schema] = {
    "description": "The version of the entity.",
    "schema": {"type": "string", "examples": ['"42"']},
}
