"""The operations on services of a Kubernetes cluster, as the document describes them."""

from __future__ import annotations

from typing import Final

from fengling_gateway.access.openapi import OBJECT, Schema, text, whole
from fengling_gateway.access.parameters import ID, LINE
from fengling_gateway.console.answers import having, list_of, maybe, page, shared, taking, told
from fengling_gateway.console.api import ROOT
from fengling_gateway.console.asked import MAX_HOSTS, OBJECT_NAME
from fengling_gateway.console.openapi import JSON, Body, Operation
from fengling_gateway.kubernetes.removal import BECAME
from fengling_gateway.model.management_tokens import WRITE

_WHOLE: Final[Schema] = {"type": "integer"}
_TEXT_OR_NULL: Final[Schema] = {"type": ["string", "null"]}
_OBJECT_OR_NULL: Final[Schema] = {"type": ["object", "null"]}
_TIME_OR_NULL: Final[Schema] = {
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]
}

_PLACE: Final = {"namespace": whole(OBJECT_NAME), "name": whole(OBJECT_NAME)}
_ONE: Final = f"{ROOT}/kubernetes/services/{{namespace}}/{{name}}"

_STATUS: Final = having(
    enabled=told(
        {"type": "boolean"}, "Whether any console has ever watched a cluster, or this one is to."
    ),
    leader=having(
        "The console that watches.",
        term=_WHOLE,
        holder=_TEXT_OR_NULL,
        since=_TIME_OR_NULL,
        heartbeat_age_s={"type": ["number", "null"]},
        is_mine=told({"type": "boolean"}, "Whether it is the one that answers."),
        problem=told(_TEXT_OR_NULL, "Why the one that answers can't watch; null: it could."),
    ),
    status=told(_OBJECT_OR_NULL, "How it gets on, as it has said itself."),
    counts=told(
        having(
            **dict.fromkeys(("pending", "approved", "rejected"), _WHOLE),
            **dict.fromkeys(("gone", "problems", "changed"), _WHOLE),
        ),
        "By the filters of the list.",
    ),
)

_CONFIRMED: Final = maybe(
    _STATUS,
    confirmed=having(
        "What became of it.",
        id=told({"type": "string"}, "As it was given."),
        state=told(
            {"type": "string", "enum": list(BECAME)},
            "Whether its routes are gone or are waited for; unknown: something else waits by now,"
            " or another console watches and asks anew.",
        ),
    ),
)

_COMMENT: Final = {
    "anyOf": [{**whole(LINE), "maxLength": 1000}, {"type": "null"}],
    "description": "Why; for who looks at it later.",
}
_APPROVE: Final = {
    **taking(
        comment=_COMMENT,
        hosts={
            "anyOf": [{**list_of(text(300)), "maxItems": MAX_HOSTS}, {"type": "null"}],
            "description": "Of its route; none: any host. Null, or not set: as the cluster says.",
        },
        path={
            "anyOf": [text(1001), {"type": "null"}],
            "description": "Of its route. Null, or not set: as the cluster says.",
        },
        tenant_id={
            "anyOf": [whole(ID), {"type": "null"}],
            "description": "Whose route it is; null: of no tenant. Not set: as the cluster says.",
        },
        annotations={
            "anyOf": [
                {"type": "object", "additionalProperties": {"type": "string"}},
                {"type": "null"},
            ],
            "description": "What was looked at, as in offer: where they are others by now, 409.",
        },
    ),
    "examples": [
        {"comment": "as agreed", "hosts": ["orders.example"]},
        {"hosts": [], "path": "/orders/{**rest}", "tenant_id": None},
    ],
}

_CONFIRM: Final = {
    **taking(
        ("removal",),
        removal={**whole(LINE), "maxLength": 100, "description": "The id that was shown."},
    ),
    "examples": [{"removal": "3f9a0c51"}],
}

KUBERNETES: Final = (
    Operation(
        method="GET",
        path=f"{ROOT}/kubernetes",
        id="get_kubernetes",
        summary="Who watches a Kubernetes cluster, and how that goes",
        tag="kubernetes",
        answers={200: _STATUS},
    ),
    Operation(
        method="POST",
        path=f"{ROOT}/kubernetes/confirm",
        id="confirm_removal",
        summary="Let routes go that the cluster has no more, although they are many",
        description="They are kept until then: see `status.writing.removal`. Another id: 409.",
        tag="kubernetes",
        answers={200: _CONFIRMED},
        body=Body(content={JSON: _CONFIRM}),
        scope=WRITE,
        parameters=("result_wait", "timeout"),
        problems=("conflict", "refused"),
    ),
    Operation(
        method="GET",
        path=f"{ROOT}/kubernetes/services",
        id="list_discovered_services",
        summary="Services of the cluster that ask to be routed to",
        tag="kubernetes",
        answers={200: page(shared("DiscoveredService"), total=told(_WHOLE, "On all pages."))},
        parameters=("state", "namespace", "q", "limit", "object_after"),
    ),
    Operation(
        method="GET",
        path=_ONE,
        id="get_discovered_service",
        summary="One of them",
        tag="kubernetes",
        answers={200: shared("DiscoveredService")},
        in_path=_PLACE,
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/approve",
        id="approve_service",
        summary="Let a service of the cluster be routed to",
        description="Again, to have it tried again. What is not set is as the cluster says.",
        tag="kubernetes",
        answers={200: shared("DiscoveredService")},
        in_path=_PLACE,
        body=Body(content={JSON: _APPROVE}, required=False),
        scope=WRITE,
        parameters=("result_wait", "timeout"),
        problems=("conflict", "refused"),
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/reject",
        id="reject_service",
        summary="Let it not be routed to, and not be asked about any more",
        tag="kubernetes",
        answers={200: shared("DiscoveredService")},
        in_path=_PLACE,
        body=Body(content={JSON: taking(comment=_COMMENT)}, required=False),
        scope=WRITE,
        parameters=("result_wait", "timeout"),
        problems=("refused",),
    ),
    Operation(
        method="DELETE",
        path=_ONE,
        id="forget_service",
        summary="Take a decision back",
        description="If it is there, it waits for another one (200), else nothing is left of it (204).",
        tag="kubernetes",
        answers={200: shared("DiscoveredService"), 204: OBJECT},
        in_path=_PLACE,
        scope=WRITE,
        problems=("refused",),
    ),
)
"""In the order of the document."""
