"""
Every operation of the API, as the document describes it.

A test compares the table with what is served (`fengling_gateway.console.endpoints`).
"""

from __future__ import annotations

from functools import cache
from typing import Final

from fengling_gateway.access.openapi import EXPLAIN, OBJECT, TEXT, Schema, text
from fengling_gateway.console import answers
from fengling_gateway.console.answers import having, list_of, page, taking
from fengling_gateway.console.api import ROOT
from fengling_gateway.console.call import YAML
from fengling_gateway.console.entity_operations import document_of_entities, of_entities
from fengling_gateway.console.kubernetes_operations import KUBERNETES
from fengling_gateway.console.openapi import JSON, Body, Operation, document
from fengling_gateway.model.management_tokens import ADMIN, WRITE
from fengling_gateway.signin.session_api import LINKS, SESSION

_REVISION: Final = {"revision": answers.REVISION}
_NODE: Final = {"node": {"type": "string", "minLength": 1, "maxLength": 100}}
_SWITCHED: Final = {"switched": {"enum": ["route", "instance"]}}


@cache
def described() -> Schema:
    """Return the document; shared, to be read only."""
    return document(OPERATIONS)


_OTHERS: Final = (
    Operation(
        method="POST",
        path=f"{ROOT}/apply",
        id="apply",
        summary="Change several entities in one transaction",
        description="Entities with a version must be there in that version. YAML is as files have "
        "it. Some kinds need more than this scope.",
        tag="changes",
        answers={200: answers.changed()},
        body=Body(content={JSON: document_of_entities(), **dict.fromkeys(YAML, OBJECT)}),
        scope=WRITE,
        parameters=("managed_by", "prune", "take_over"),
        changes=True,
        problems=("not_found", "precondition_failed"),
    ),
    Operation(
        method="GET",
        path=f"{ROOT}/export",
        id="export",
        summary="The configuration as a file",
        tag="changes",
        answers={200: OBJECT},
        media="application/yaml",
        parameters=("managed_by", "full"),
    ),
    Operation(
        method="GET",
        path=f"{ROOT}/revisions",
        id="list_revisions",
        summary="What was committed, newest first",
        tag="history",
        answers={
            200: page(
                answers.shared("Revision"),
                is_shortened={"type": "boolean"},
                newest={"type": "integer"},
            )
        },
        parameters=(
            *("kind", "author", "without", "db_user", "entity", "text", "since", "until"),
            *("limit", "before"),
        ),
    ),
    Operation(
        method="GET",
        path=f"{ROOT}/revisions/diff",
        id="diff_revisions",
        summary="What lies between two revisions",
        tag="history",
        answers={
            200: having(
                **{
                    "from": {"type": "integer"},
                    "to": {"type": "integer"},
                    "changes": list_of(answers.shared("EntityChange")),
                    "change_count": {
                        "type": "integer",
                        "description": "How many there are; the first 1,000 are shown.",
                    },
                }
            )
        },
        parameters=("from", "to"),
        problems=("forgotten",),
    ),
    Operation(
        method="GET",
        path=f"{ROOT}/revisions/{{revision}}",
        id="get_revision",
        summary="One revision, and what it changed",
        tag="history",
        answers={200: answers.shared("Revision")},
        in_path=_REVISION,
        parameters=("limit", "ordinal"),
        problems=("forgotten",),
    ),
    Operation(
        method="POST",
        path=f"{ROOT}/revisions/{{revision}}/confirm",
        id="confirm_revision",
        summary="Serve a held revision after all",
        tag="history",
        answers={200: having(confirmed={"type": "integer"})},
        in_path=_REVISION,
        scope=WRITE,
        problems=("conflict", "refused"),
    ),
    Operation(
        method="POST",
        path=f"{ROOT}/revisions/{{revision}}/undo",
        id="undo_revision",
        summary="Make the opposite changes of one revision",
        tag="history",
        answers={200: answers.changed()},
        in_path=_REVISION,
        scope=ADMIN,
        changes=True,
        problems=("forgotten",),
    ),
    Operation(
        method="POST",
        path=f"{ROOT}/rollback",
        id="rollback",
        summary="Have everything as it was at a revision, or make the opposite changes of some",
        description="Either `to` or `of`. With the `plan` of a dry run, only what that has shown.",
        tag="history",
        answers={200: answers.changed()},
        body=Body(content={JSON: answers.GOING_BACK}),
        scope=ADMIN,
        changes=True,
        problems=("forgotten", "precondition_failed"),
    ),
    Operation(
        method="GET",
        path=f"{ROOT}/retention",
        id="get_retention",
        summary="For how long history is kept",
        tag="history",
        answers={200: answers.RETENTION},
    ),
    Operation(
        method="PUT",
        path=f"{ROOT}/retention",
        id="set_retention",
        summary="Say for how long history is to be kept",
        description="What is left out stays as it is.",
        tag="history",
        answers={200: answers.RETENTION},
        body=Body(content={JSON: answers.KEEP}),
        scope=ADMIN,
    ),
    Operation(
        method="GET",
        path=f"{ROOT}/summary",
        id="get_summary",
        summary="How everything is",
        tag="fleet",
        answers={200: OBJECT},
    ),
    Operation(
        method="GET",
        path=f"{ROOT}/fleet",
        id="get_fleet",
        summary="Every node and its workers, and what they serve",
        tag="fleet",
        answers={200: answers.FLEET},
    ),
    Operation(
        method="POST",
        path=f"{ROOT}/fleet/{{node}}/drain",
        id="drain_node",
        summary="Have a node say that it is not ready, or that it is again",
        tag="fleet",
        answers={202: answers.ASKED},
        in_path=_NODE,
        body=Body(content={JSON: taking(on={"type": "boolean", "default": True})}, required=False),
        scope=ADMIN,
        problems=("bus_unavailable",),
    ),
    Operation(
        method="POST",
        path=f"{ROOT}/fleet/{{node}}/restart",
        id="restart_node",
        summary="Have a node replace its workers, one after the other",
        tag="fleet",
        answers={202: answers.ASKED},
        in_path=_NODE,
        scope=ADMIN,
        problems=("bus_unavailable",),
    ),
    Operation(
        method="POST",
        path=f"{ROOT}/gateway/reload",
        id="reload",
        summary="Have every gateway look at the database now",
        tag="fleet",
        answers={200: having(position=OBJECT)},
        body=Body(content={JSON: taking(comment=text(1000))}, required=False),
        scope=WRITE,
        parameters=("wait", "timeout"),
        problems=("not_converged",),
    ),
    Operation(
        method="GET",
        path=f"{ROOT}/switches",
        id="list_switches",
        summary="What is switched off beside the configuration",
        tag="fleet",
        answers={200: having(items=list_of(answers.SWITCH))},
        problems=("bus_unavailable",),
    ),
    Operation(
        method="PUT",
        path=f"{ROOT}/switches/{{switched}}/{{id}}",
        id="switch_off",
        summary="Have no gateway use a route or an instance, at once",
        tag="fleet",
        answers={200: answers.SWITCH},
        in_path=_SWITCHED,
        scope=WRITE,
        parameters=("comment",),
        problems=("bus_unavailable",),
    ),
    Operation(
        method="DELETE",
        path=f"{ROOT}/switches/{{switched}}/{{id}}",
        id="switch_on",
        summary="Have gateways use it again",
        tag="fleet",
        answers={200: answers.SWITCH},
        in_path=_SWITCHED,
        scope=WRITE,
        parameters=("comment",),
        problems=("bus_unavailable",),
    ),
    Operation(
        method="GET",
        path=f"{ROOT}/health",
        id="get_health",
        summary="What probes have found, and who probes",
        tag="health",
        answers={200: having(prober={}, instances=OBJECT)},
    ),
    Operation(
        method="GET",
        path=f"{ROOT}/instances/{{id}}/health",
        id="get_instance_health",
        summary="What probes have found of one instance, and what was before",
        tag="health",
        answers={200: having(instance=TEXT, verdict=OBJECT, probes={}, history=list_of(OBJECT))},
        parameters=("limit",),
    ),
    Operation(
        method="POST",
        path=f"{ROOT}/instances/{{id}}/probe",
        id="probe_instance",
        summary="Probe an instance now",
        tag="health",
        answers={200: OBJECT},
        scope=WRITE,
        problems=("conflict",),
    ),
    Operation(
        method="POST",
        path=f"{ROOT}/explain",
        id="explain",
        summary="Which route a request would take, and why",
        tag="routing",
        answers={200: answers.EXPLAINED},
        body=Body(content={JSON: EXPLAIN}, required=False),
    ),
    Operation(
        method="POST",
        path=f"{ROOT}/try",
        id="try_request",
        summary="Send a real request through a gateway, and tell what became of it",
        tag="routing",
        answers={200: answers.TRIED},
        body=Body(content={JSON: answers.TRY}, required=False),
        scope=WRITE,
        problems=("conflict",),
    ),
    Operation(
        method="GET",
        path=f"{ROOT}/events",
        id="listen",
        summary="What happens, as it does",
        description="Server-sent events: `revision`, `fleet`, `summary`.",
        tag="events",
        answers={200: TEXT},
        media="text/event-stream",
    ),
    Operation(
        method="GET",
        path=SESSION,
        id="get_session",
        summary="Who asks, by a session or a token",
        tag="session",
        answers={200: answers.PERSON},
    ),
    Operation(
        method="POST",
        path=SESSION,
        id="begin_session",
        summary="Sign in by a link that was not used before",
        tag="session",
        answers={200: answers.PERSON},
        body=Body(content={JSON: taking(("link",), link=text(4096))}),
        scope=None,
        problems=("link_refused", "foreign_origin", "too_many_failures", "source_unavailable"),
    ),
    Operation(
        method="DELETE",
        path=SESSION,
        id="end_session",
        summary="Sign out",
        tag="session",
        answers={204: OBJECT},
        problems=("conflict",),
    ),
    Operation(
        method="POST",
        path=LINKS,
        id="make_login_link",
        summary="Make a link that signs somebody in, once",
        description="For no more than the credential itself allows.",
        tag="session",
        answers={201: answers.LINK},
        body=Body(content={JSON: answers.NEW_LINK}, required=False),
    ),
    Operation(
        method="GET",
        path=f"{ROOT}/openapi.json",
        id="get_document",
        summary="This document",
        tag="this",
        answers={200: OBJECT},
    ),
)


_PROBES: Final = (
    Operation(
        method="GET",
        path="/livez",
        id="is_live",
        summary="Whether the process answers",
        tag="probes",
        answers={200: having(live={"const": True})},
        scope=None,
    ),
    Operation(
        method="GET",
        path="/readyz",
        id="is_ready",
        summary="Whether the configuration is known",
        tag="probes",
        answers={200: having(ready={"const": True}), 503: having(ready={"const": False})},
        scope=None,
    ),
    Operation(
        method="GET",
        path="/metrics",
        id="get_metrics",
        summary="Metrics for Prometheus",
        tag="probes",
        answers={200: TEXT},
        media="text/plain",
        scope=None,
    ),
)

OPERATIONS: Final[tuple[Operation, ...]] = (*of_entities(), *_OTHERS, *KUBERNETES, *_PROBES)
"""In the order of the document."""
