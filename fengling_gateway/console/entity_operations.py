"""The operations on entities, as the document describes them: the same of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fengling_gateway.access.openapi import Schema, whole
from fengling_gateway.access.parameters import ID
from fengling_gateway.configsource.file_entities import SECTIONS
from fengling_gateway.console import answers
from fengling_gateway.console.answers import list_of, page, taking, told
from fengling_gateway.console.api import ROOT
from fengling_gateway.console.call import MERGE_PATCH
from fengling_gateway.console.entities import FORMS, SETTING_FORMS, EntityForms
from fengling_gateway.console.entity_api import READ_SCOPES, WRITE_SCOPES
from fengling_gateway.console.filters import parameters_of
from fengling_gateway.console.openapi import JSON, Body, Operation, ref
from fengling_gateway.model.management_tokens import READ, WRITE


def of_entities() -> Iterator[Operation]:
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
        parameters=parameters_of(kind),
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
        parameters=("take_over",),
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
        parameters=("take_over",),
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
        parameters=("take_over",),
        conditional=True,
        changes=True,
        **one,
    )
    history: dict[str, Any] = {"path": f"{ROOT}/{section}/{{id}}/history", "tag": section}
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


def _any(forms: tuple[EntityForms, ...], which: str) -> Schema:
    return ref(*(getattr(one, which) for one in forms))


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def document_of_entities() -> Schema:
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
