"""
Every operation of the API, as the document describes it.

A test compares the table with what is served (`fengling_gateway.console.endpoints`).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from fengling_gateway.access.openapi import EXPLAIN, OBJECT, TEXT, Schema, text, whole
from fengling_gateway.access.parameters import ID
from fengling_gateway.configsource.file_entities import SECTIONS
from fengling_gateway.console import answers
from fengling_gateway.console.answers import having, list_of, page, taking, told
from fengling_gateway.console.call import MERGE_PATCH, YAML
from fengling_gateway.console.entities import FORMS, SETTING_FORMS, EntityForms
from fengling_gateway.console.filters import FILTERS
from fengling_gateway.console.openapi import JSON, Body, Operation, document, ref
from fengling_gateway.model.management_tokens import ADMIN, READ, WRITE

ROOT: Final = "/api/console"

READ_SCOPES: Final = {"management_token": ADMIN}
WRITE_SCOPES: Final = dict.fromkeys(("setting", "issuer", "secret", "management_token"), ADMIN)
"""Kinds of which who may write could give himself, or anybody, all other rights."""

_REVISION: Final = {"revision": answers.REVISION}
_NODE: Final = {"node": {"type": "string", "minLength": 1, "maxLength": 100}}
_SWITCHED: Final = {"switched": {"enum": ["route", "instance"]}}


@cache
def described() -> Schema:
    """Return the document; shared, to be read only."""
    return document(OPERATIONS)


# Entities


def _of_entities() -> Iterator[Operation]:
    for section, kind in SECTIONS.items():
        yield from _of_kind(section, kind)


def _of_kind(section: str, kind: str) -> Iterator[Operation]:
    noun, nouns = kind.replace("_", " "), section.replace("_", " ")
    forms = tuple(SETTING_FORMS.values()) if kind == "setting" else (FORMS[kind],)
    shown = _any(forms, "shown")
    changed = answers.changed(shown)
    write = WRITE_SCOPES.get(kind, WRITE)
    one: dict[str, Any] = {"path": f"{ROOT}/{section}/{{id}}", "tag": section}
    some: dict[str, Any] = {"path": f"{ROOT}/{section}", "tag": section}
    scope: dict[str, Any] = {"scope": READ_SCOPES.get(kind, READ)}
    if kind == "setting":
        one["in_path"] = {"id": {"enum": list(SETTING_FORMS)}}
    yield Operation(
        method="GET",
        id=f"list_{section}",
        summary=f"The {nouns}, a page at a time",
        description="In the order of ids.",
        answers={200: page(shown, total=told({"type": "integer"}, "On all pages."))},
        parameters=_filters(kind),
        **some,
        **scope,
    )
    yield Operation(
        method="POST",
        id=f"create_{kind}",
        summary=f"Make {_a(noun)}",
        answers={201: changed, 200: changed},
        description="200 with dry_run.",
        body=Body(content={JSON: _any(forms, "created")}),
        scope=write,
        changes=True,
        **some,
    )
    yield Operation(
        method="GET",
        id=f"get_{kind}",
        summary=f"One {noun}",
        answers={200: shown},
        tagged=True,
        **one,
        **scope,
    )
    yield Operation(
        method="PUT",
        id=f"replace_{kind}",
        summary=f"Replace {_a(noun)}",
        description="What is left out is as by default, but for what is hidden: that stays.",
        answers={200: changed},
        body=Body(content={JSON: _any(forms, "wanted")}),
        scope=write,
        tagged=True,
        conditional=True,
        changes=True,
        **one,
    )
    patch = _any(forms, "patch")
    yield Operation(
        method="PATCH",
        id=f"patch_{kind}",
        summary=f"Change {_a(noun)}",
        description="By a merge patch (RFC 7396) of what is shown: null takes a field away, at any "
        "depth. A policy that is to be null, which is off, needs a PUT.",
        answers={200: changed},
        body=Body(content={MERGE_PATCH: patch, JSON: patch}),
        scope=write,
        tagged=True,
        conditional=True,
        changes=True,
        **one,
    )
    yield Operation(
        method="DELETE",
        id=f"delete_{kind}",
        summary=f"Delete {_a(noun)}",
        answers={200: answers.changed()},
        scope=write,
        conditional=True,
        changes=True,
        **one,
    )
    history = {**one, "path": f"{ROOT}/{section}/{{id}}/history"}
    yield Operation(
        method="GET",
        id=f"list_{kind}_history",
        summary=f"Who changed {_a(noun)}, and how",
        description="Newest first; also of one that is gone.",
        answers={200: page(answers.ENTRY, is_shortened={"type": "boolean"})},
        parameters=("limit", "before"),
        **history,
        **scope,
    )


def _filters(kind: str) -> tuple[str, ...]:
    own = tuple(name for name, kinds in FILTERS.items() if kind in kinds)
    return ("q", *own, "label", "managed_by", "rejected", "after", "limit")


def _any(forms: tuple[EntityForms, ...], which: str) -> Schema:
    return ref(*(getattr(one, which) for one in forms))


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _document_of_entities() -> Schema:
    """Return what apply takes as JSON: entities of any kind, and what is to go."""
    sections = {
        section: list_of(ref(*(one.created for one in SETTING_FORMS.values())))
        if kind == "setting"
        else list_of(ref(FORMS[kind].created))
        for section, kind in SECTIONS.items()
    }
    kinds = "|".join(SECTIONS.values())
    gone = list_of({**whole(f"(?:{kinds})/{ID}"), "examples": ["route/orders"]})
    return taking(**sections, delete=gone)


# All others

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
        body=Body(content={JSON: _document_of_entities(), **dict.fromkeys(YAML, TEXT)}),
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
        answers={200: TEXT},
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
            *("kind", "author", "db_user", "entity", "text", "since", "until"),
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
        summary="Have everything as it was at a revision",
        tag="history",
        answers={200: answers.changed()},
        body=Body(content={JSON: taking(("to",), to=answers.REVISION)}),
        scope=ADMIN,
        changes=True,
        problems=("forgotten",),
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
        parameters=("wait", "timeout", "comment"),
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
        path=f"{ROOT}/openapi.json",
        id="get_document",
        summary="This document",
        tag="this",
        answers={200: OBJECT},
    ),
)


OPERATIONS: Final[tuple[Operation, ...]] = (*_of_entities(), *_OTHERS)
"""In the order of the document."""
