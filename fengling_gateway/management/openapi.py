"""The OpenAPI document of the management API, served at ``/api/gateway/openapi.json``."""

from __future__ import annotations

from functools import cache
from typing import Final

from fengling_gateway import __version__
from fengling_gateway.access.openapi import (
    EXPLAIN,
    OBJECT,
    PROBLEM,
    TEXT,
    TOKEN,
    Schema,
    by_status,
    in_path,
    parameter,
    problem_answer,
    text,
    whole,
)
from fengling_gateway.access.parameters import (
    DEFAULT_LIMIT,
    ID,
    KEY,
    MAX_LIMIT,
    MAX_REVISION,
    TIMEOUT,
)
from fengling_gateway.management.failures import (
    ANY_REQUEST_ID,
    ERROR,
    FAULTS,
    MAX_NUMBER,
    REQUEST_ID,
    STATUS,
    TIME,
)
from fengling_gateway.management.gateway import ROUTE_SORTS
from fengling_gateway.management.listing import KINDS
from fengling_gateway.management.tap_request import BODY as TAP
from fengling_gateway.management.tap_stream import CONTENT_TYPE as LINES
from fengling_gateway.model.management_tokens import ADMIN, READ, WRITE
from fengling_gateway.records import notable

_WORKERS: Final[Schema] = {
    "type": "object",
    "required": ["complete", "workers"],
    "properties": {
        "complete": {"type": "boolean", "description": "False: only this node's are known."},
        "reason": TEXT,
        "workers": {"type": "array", "items": OBJECT},
    },
}
_NAME: Final[Schema] = {
    "type": "object",
    "required": ["name", "addresses", "age_s", "ttl_s", "last_error", "refused"],
    "properties": {
        "name": TEXT,
        "addresses": {"type": "array", "items": TEXT},
        "age_s": {"type": ["number", "null"], "description": "Seconds since they were found."},
        "ttl_s": {"type": ["number", "null"], "description": "How long they hold, in seconds."},
        "last_error": {"type": ["string", "null"], "description": "Null: it did not fail."},
        "refused": {
            "type": "object",
            "additionalProperties": TEXT,
            "description": "Addresses that are not connected to, with the reason.",
        },
    },
}
_NAMES: Final[Schema] = {
    "type": "object",
    "required": ["workers"],
    "properties": {
        "workers": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["worker", "names"],
                "properties": {"worker": TEXT, "names": {"type": "array", "items": _NAME}},
            },
        }
    },
}
_PAGE: Final[Schema] = {
    "type": "object",
    "required": ["items", "next"],
    "properties": {
        "items": {"type": "array", "items": OBJECT},
        "next": {"type": ["string", "null"], "description": "Continue with after=<this>."},
    },
}
_WINDOW: Final[Schema] = {
    "type": "object",
    "required": ["requests_per_s", "errors_per_s", "error_ratio", "by_class", "p50_ms", "p95_ms"],
    "properties": {
        "requests_per_s": {"type": "number"},
        "errors_per_s": {
            "type": "number",
            "description": "Answers with 5xx, and what failed after its head was sent.",
        },
        "error_ratio": {"type": ["number", "null"], "description": "Null: no requests."},
        "by_class": {
            "type": "object",
            "additionalProperties": {"type": "integer"},
            "description": "Requests by the first digit of their answer's status.",
        },
        **{
            f"p{share}_ms": {
                "type": ["number", "null"],
                "description": "Of the route's service: routes have no histogram of their own.",
            }
            for share in (50, 95, 99)
        },
    },
}
_ROUTE_TRAFFIC: Final[Schema] = {
    "type": "object",
    "required": ["node", "windows", "routes", "items"],
    "properties": {
        "node": TEXT,
        "windows": {
            "type": "object",
            "additionalProperties": {"type": "number"},
            "description": "How many seconds each is really of.",
        },
        "routes": {"type": "integer", "description": "That had requests in the last 60 s."},
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["route", "service", "last_10s", "last_60s"],
                "properties": {
                    "route": {
                        "type": ["string", "null"],
                        "description": "Null: what came to none. `other`: those beyond the cap.",
                    },
                    "service": {"type": ["string", "null"]},
                    "last_10s": _WINDOW,
                    "last_60s": _WINDOW,
                },
            },
        },
    },
}
_PROCESS: Final[Schema] = {
    "type": "object",
    "required": ["pid"],
    "properties": {
        "pid": {"type": ["integer", "null"]},
        "threads": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "daemon", "stack"],
                "properties": {
                    "name": TEXT,
                    "daemon": {"type": ["boolean", "null"]},
                    "stack": {"type": "array", "items": TEXT, "description": "Innermost first."},
                },
            },
        },
        "delayed_calls": OBJECT,
        "selectables": OBJECT,
        "gc": OBJECT,
        "descriptors": OBJECT,
        "memory": OBJECT,
        "cpu_seconds": {"type": "number"},
        "longest_lag_ms": {"type": ["number", "null"]},
        "longest_blocked_ms": {"type": ["number", "null"]},
        "error": {**TEXT, "description": "Of a worker: why it does not say it itself."},
        "kernel": {"type": ["object", "null"], "description": "Of such a one."},
    },
}
_DEBUG: Final[Schema] = {
    "type": "object",
    "required": ["node", "supervisor", "workers"],
    "properties": {
        "node": TEXT,
        "supervisor": _PROCESS,
        "workers": {
            "type": "array",
            "items": {
                **_PROCESS,
                "required": ["worker"],
                "properties": {"worker": TEXT, "state": TEXT, **_PROCESS["properties"]},
            },
        },
    },
}
_NULL_TEXT: Final[Schema] = {"type": ["string", "null"]}
_NULL_NUMBER: Final[Schema] = {"type": ["number", "null"]}
_AT: Final[Schema] = {"type": "number", "description": "Seconds since the epoch."}
_FAULT: Final[Schema] = {
    "enum": list(FAULTS),
    "description": "Whose it most likely is; operator: of whoever configures.",
}
_ATTEMPT: Final[Schema] = {
    "type": "object",
    "required": ["instance", "address", "error", "began_ms", "connect_ms", "ms"],
    "properties": {
        "instance": _NULL_TEXT,
        "address": _NULL_TEXT,
        "error": {**_NULL_TEXT, "description": "Null: it was answered, or was not to blame."},
        "began_ms": {"type": "number", "description": "After the request."},
        "connect_ms": {**_NULL_NUMBER, "description": "Until it had a connection."},
        "ms": {**_NULL_NUMBER, "description": "Until its answer began, or it failed."},
    },
}
_EXCHANGE: Final[Schema] = {
    "type": "object",
    "description": "An exchange that failed (error), was answered with 500 or more, or was slow.",
    "required": [
        *("number", "kind", "at", "request_id", "status", "error", "fault", "means", "route"),
        *("service", "attempts", "duration_ms", "waited_ms"),
    ],
    "properties": {
        "number": {"type": "integer"},
        "kind": {"enum": list(notable.KINDS)},
        "at": _AT,
        "request_id": TEXT,
        "status": {"type": "integer"},
        "error": {**_NULL_TEXT, "description": "Its code."},
        "fault": _FAULT,
        "means": TEXT,
        "duration_ms": {"type": "number"},
        "waited_ms": {"type": "number", "description": "Until the answer's first byte."},
        "attempts": {"type": "array", "items": _ATTEMPT},
        **dict.fromkeys(
            (
                *("method", "host", "target", "protocol", "user_agent", "route", "service"),
                *("tenant", "subject", "trace_id", "worker", "peer", "listener"),
            ),
            _NULL_TEXT,
        ),
    },
}
_LEFT_OUT: Final[Schema] = {
    "type": ["object", "null"],
    "additionalProperties": {"type": "integer"},
    "description": "By error or kind, how many there were in a flood that are not kept; null for "
    "who sees some tenants only.",
}
_ERRORS: Final[Schema] = {
    "type": "object",
    "required": ["items", "next", "count", "summary", "groups", "now", "ring", "left_out"],
    "properties": {
        "items": {"type": "array", "items": _EXCHANGE},
        "next": {"type": ["integer", "null"], "description": "Continue with after=<this>."},
        "count": {"type": "integer", "description": "That were found, on all pages."},
        "summary": {
            "type": "array",
            "description": "By error, service and instance, most frequent first.",
            "items": {
                "type": "object",
                "required": ["kind", "error", "fault", "means", "count", "first_at", "last_at"],
                "properties": {
                    "kind": {"enum": list(notable.KINDS)},
                    "error": _NULL_TEXT,
                    "status": {"type": ["integer", "null"]},
                    "service": _NULL_TEXT,
                    "instance": _NULL_TEXT,
                    "fault": _FAULT,
                    "means": TEXT,
                    "count": {"type": "integer"},
                    "first_at": _AT,
                    "last_at": _AT,
                    "newest": {**TEXT, "description": "The request id of the newest."},
                    "routes": {"type": "array", "items": TEXT},
                },
            },
        },
        "groups": {"type": "integer", "description": "How many, also beyond the summary."},
        "now": _AT,
        "ring": {"type": ["object", "null"], "description": "How much is kept."},
        "left_out": _LEFT_OUT,
    },
}
_EXCHANGES: Final[Schema] = {
    "type": "object",
    "required": ["items"],
    "properties": {
        "items": {
            "type": "array",
            "items": _EXCHANGE,
            "description": "Newest first: a client may send a request id more than once.",
        }
    },
}
_AUDIT: Final[Schema] = {
    "type": "object",
    "required": ["items", "next"],
    "properties": {
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["number", "at", "event", "what", "outcome", "address", "who"],
                "properties": {
                    "number": {"type": "integer"},
                    "at": {"type": "number", "description": "Seconds since the epoch."},
                    "event": {"enum": ["change", "refusal"]},
                    "what": TEXT,
                    "outcome": {
                        "type": "string",
                        "description": "done, failed, under way, or why it was refused.",
                    },
                    "address": TEXT,
                    "request_id": TEXT,
                    "who": {"type": ["object", "null"], "description": "Null: nobody knows."},
                    "before": {"description": "What was served before a change."},
                    "after": {"description": "What was served after it."},
                    "count": {"type": "integer", "description": "Refusals that are the same."},
                    "last_at": {"type": "number", "description": "Of them, the last."},
                },
            },
        },
        "next": {"type": ["integer", "null"], "description": "Continue with after=<this>."},
    },
}
_RELOADED: Final[Schema] = {
    "type": "object",
    "properties": {
        "position": {"type": ["object", "null"]},
        "held": {"type": ["string", "null"], "description": "What is read and not served."},
        "behind": {"type": "array", "items": TEXT},
        "complete": {"type": "boolean"},
        "pinned": {"type": "array", "items": TEXT, "description": "Nodes not waited for."},
        "took_ms": {"type": "number"},
        "looking": {"type": "boolean"},
    },
}
_PINNED: Final[Schema] = {
    "type": "object",
    "required": ["pinned", "position", "problem"],
    "properties": {
        "pinned": {"type": ["object", "null"], "description": "Null: what is newest is served."},
        "position": {"type": ["object", "null"]},
        "problem": {
            "type": ["string", "null"],
            "description": "Why it ends with this process; null: it does not.",
        },
        "complete": {"type": "boolean", "description": "False: others could not be told."},
        "reason": TEXT,
        "told": {"type": "integer", "description": "Other nodes that listen."},
    },
}
_DRAIN: Final[Schema] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["on"],
    "properties": {"on": {"type": "boolean"}},
}
_DRAINED: Final[Schema] = {
    "type": "object",
    "required": ["drained"],
    "properties": {"drained": {"type": "boolean"}},
}
_RESTARTED: Final[Schema] = {
    "type": "object",
    "required": ["restarting", "restarts"],
    "properties": {
        "restarting": {"type": "boolean", "description": "Former workers still drain, too."},
        "restarts": {"type": "integer", "description": "Begun since the gateway was started."},
    },
}


@cache
def document() -> Schema:
    """Return the document; shared, to be read only."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Fengling Gateway management API",
            "version": __version__,
            "description": "What one gateway serves, and how to make it look again.",
        },
        "security": [{"token": []}],
        "paths": {**_probes(), **_reads(), **_writes()},
        "components": {
            "securitySchemes": {"token": TOKEN},
            "schemas": {"Problem": PROBLEM},
        },
    }


def _probes() -> Schema:
    def probe(summary: str, media: str, *statuses: int) -> Schema:
        answers = {str(s): {"description": summary, "content": {media: {}}} for s in statuses}
        return {"get": {"summary": summary, "security": [], "responses": answers}}

    return {
        "/livez": probe("Whether the process answers", "application/json", 200),
        "/readyz": probe("Whether every worker serves", "application/json", 200, 503),
        "/metrics": probe("Metrics for Prometheus", "text/plain", 200),
    }


def _reads() -> Schema:
    paths = {
        "/api/gateway/openapi.json": {"get": _operation("This document", READ, OBJECT)},
        "/api/gateway/status": {"get": _operation("Everything about this node", READ, OBJECT)},
        "/api/gateway/workers": {
            "get": _operation(
                "Every worker of every node, and what it serves",
                READ,
                _WORKERS,
                parameters=[parameter("node", {"enum": ["all", "self"], "default": "all"})],
            )
        },
        "/api/gateway/names": {
            "get": _operation(
                "The names of instances that each worker of this node has looked up: their "
                "addresses, how old they are, and why the last lookup failed",
                READ,
                _NAMES,
            )
        },
    }
    limit = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
    paths["/api/gateway/rejected"] = {
        "get": _operation(
            "The entities whose newest version is rejected, and why, by kind and id",
            READ,
            _PAGE,
            parameters=[
                parameter("limit", limit),
                parameter("after", {**whole(KEY), "example": "route/orders"}),
            ],
        )
    }
    paths["/api/gateway/traffic/routes"] = {
        "get": _operation(
            "What routes of this node have served in the last 10 s and 60 s, the first by rate, by "
            "errors a second, or by the 95th percentile of their service's latency; of a route that "
            "is split, a row for each service",
            READ,
            _ROUTE_TRAFFIC,
            parameters=[
                parameter("sort", {"enum": list(ROUTE_SORTS), "default": "rate"}),
                parameter("limit", limit),
            ],
        )
    }
    paths["/api/gateway/debug"] = {
        "get": _operation(
            "What each process of this node is doing now: the stacks of its threads, calls that are "
            "to come, what its reactor waits for, garbage, memory and descriptors",
            ADMIN,
            _DEBUG,
        )
    }
    paths |= _failures(limit)
    paths["/api/gateway/audit"] = {
        "get": _operation(
            "Who changed what here, and who tried and was refused, the newest first",
            ADMIN,
            _AUDIT,
            parameters=[
                parameter("limit", limit),
                parameter("after", {"type": "integer", "minimum": 0, "maximum": 999_999_999}),
            ],
        )
    }
    for name, kind in KINDS.items():
        scope = ADMIN if name == "tokens" else READ
        paths[f"/api/gateway/{name}"] = {
            "get": _operation(
                f"The {kind.replace('_', ' ')}s served here, by id",
                scope,
                _PAGE,
                parameters=[parameter("limit", limit), parameter("after", whole(ID))],
            )
        }
        paths[f"/api/gateway/{name}/{{id}}"] = {
            "get": _operation(
                f"One {kind.replace('_', ' ')} as it is served here",
                scope,
                OBJECT,
                parameters=[in_path("id", whole(ID))],
                problems=("not_served",),
            )
        }
    return paths


def _failures(limit: Schema) -> Schema:
    when = "Seconds since the epoch, or how long ago: 10m."
    parameters = [
        parameter("since", whole(TIME), when),
        parameter("until", whole(TIME), when),
        parameter("kind", {"enum": list(notable.KINDS)}),
        parameter("error", whole(ERROR)),
        parameter("fault", {"enum": list(FAULTS)}),
        parameter("status", whole(STATUS)),
        *(parameter(name, whole(ID)) for name in ("route", "service", "instance")),
        parameter("request_id", whole(ANY_REQUEST_ID)),
        parameter("limit", limit),
        parameter("after", {"type": "integer", "minimum": 0, "maximum": MAX_NUMBER}),
    ]
    return {
        "/api/gateway/errors": {
            "get": _operation(
                "Exchanges that failed or were slow on this node, newest first, and whose fault "
                "that was; who sees some tenants only is told of theirs, and who is no admin "
                "neither who asked nor queries",
                READ,
                _ERRORS,
                parameters=parameters,
            )
        },
        "/api/gateway/exchanges/{id}": {
            "get": _operation(
                "One such exchange, by its request id",
                READ,
                _EXCHANGES,
                parameters=[in_path("id", whole(REQUEST_ID))],
                problems=("not_kept",),
            )
        },
    }


def _writes() -> Schema:
    reload_parameters = [
        parameter("wait", {"enum": ["none", "node", "all"], "default": "node"}),
        parameter("timeout", {**whole(TIMEOUT), "default": "5s"}),
    ]
    comment = {
        "type": "object",
        "additionalProperties": False,
        "properties": {"comment": text(1000)},
    }
    number: Schema = {"type": "integer", "minimum": 0, "maximum": MAX_REVISION}
    revision = {
        "type": "object",
        "additionalProperties": False,
        "required": ["revision"],
        "properties": {"revision": number},
    }
    return {
        "/api/gateway/reload": {
            "post": _operation(
                "Look at the config source now",
                WRITE,
                _RELOADED,
                parameters=reload_parameters,
                body=comment,
                problems=("source_unavailable", "not_converged"),
            )
        },
        "/api/gateway/confirm": {
            "post": _operation(
                "Serve a held revision after all",
                WRITE,
                OBJECT,
                body=revision,
                problems=("not_found", "conflict", "source_unavailable"),
            )
        },
        "/api/gateway/drain": {
            "post": _operation(
                "Send clients elsewhere: not ready, and connections end with their next answer; "
                "or no longer. Who comes all the same is served",
                ADMIN,
                _DRAINED,
                body=_DRAIN,
            )
        },
        "/api/gateway/restart": {
            "post": _operation(
                "Replace the workers, one after the other, while all of them serve",
                ADMIN,
                _RESTARTED,
                body={"type": "object", "additionalProperties": False},
                problems=("conflict",),
            )
        },
        "/api/gateway/pin": {
            "post": _operation(
                "Serve a revision until it is unpinned, whatever is committed; without a number, "
                "what is served now. Kept over restarts; with `all`, on every node that hears it",
                ADMIN,
                _PINNED,
                body={
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "revision": number,
                        "all": {"type": "boolean"},
                        "comment": text(1000),
                    },
                },
                problems=("not_found", "conflict", "source_unavailable"),
            )
        },
        "/api/gateway/unpin": {
            "post": _operation(
                "Serve what is newest again, at once",
                ADMIN,
                _PINNED,
                body={
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"all": {"type": "boolean"}},
                },
                problems=("conflict",),
            )
        },
        "/api/gateway/tap": {
            "post": _operation(
                "Requests as they end, of all or of one's tenants, by a filter: what fits everything "
                "that is said. A line of JSON for each thing that `event` names: began, request, "
                "left_out (so many requests), alive (nothing to say), ended (why)",
                ADMIN,
                OBJECT,
                body=TAP,
                media=LINES,
                problems=("not_served", "conflict"),
            )
        },
        "/api/gateway/explain": {
            "post": _operation(
                "Which route a request would take, and why",
                READ,
                OBJECT,
                body=EXPLAIN,
                problems=("no_worker",),
            )
        },
    }


def _operation(
    summary: str,
    scope: str,
    answer: Schema,
    *,
    parameters: list[Schema] | None = None,
    body: Schema | None = None,
    media: str = "application/json",
    problems: tuple[str, ...] = (),
) -> Schema:
    codes = ["unauthorized", "insufficient_scope", "forbidden", "tenant_mismatch"]
    codes += ["malformed_request", "not_found", "too_many_failures", "invalid_parameter"]
    if body is not None:
        codes += ["malformed_json", "unsupported_media_type", "body_too_large"]
    operation: Schema = {
        "summary": summary,
        "description": f"Needs the scope `{scope}`.",
        "parameters": parameters or [],
        "responses": {
            "200": {
                "description": "Done",
                "content": {media: {"schema": answer}},
            },
            **{
                str(status): problem_answer(names)
                for status, names in by_status([*codes, *problems]).items()
            },
        },
    }
    if answer is _RELOADED:
        operation["responses"]["202"] = {"description": "Looking; with wait=none"}
    if body is not None:
        operation["requestBody"] = {
            "required": "required" in body,
            "content": {"application/json": {"schema": body}},
        }
    return operation
