"""The document of the API: whether it is one, and of what is served."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, cast

import jsonschema_rs
import pytest
from schemathesis.specs.openapi import definitions

from fengling_gateway.access.problems import TITLES
from fengling_gateway.console.api import ROOT
from fengling_gateway.console.endpoints import Operations, endpoints
from fengling_gateway.console.entities import FORMS, SETTING_FORMS
from fengling_gateway.console.entity_api import KINDS
from fengling_gateway.console.filters import parameters_of
from fengling_gateway.console.operations import OPERATIONS, described
from fengling_gateway.console.query_parameters import PARAMETERS
from fengling_gateway.signin.session_api import LINKS, SESSION
from tests.console.test_entities import MINIMAL
from tests.model.strategies import GOOD

SIGN_IN = {("GET", SESSION), ("POST", SESSION), ("DELETE", SESSION), ("POST", LINKS)}


class Anything:
    """Stands for whoever carries out an operation."""

    def __getattr__(self, name: str) -> Any:
        return Anything()


def served() -> Iterator[tuple[str, str]]:
    """Yield methods and paths of all endpoints, as the document writes them."""
    parts = {name: Anything() for name in Operations.__dataclass_fields__}
    for one in endpoints(Operations(**cast("Any", parts))):
        path = one.path[1:] if one.path.startswith("//") else ROOT + one.path
        for kind in KINDS if ":kind>" in path else ("",):
            named = re.sub(r"<[^>]*:kind>", kind, path)
            yield one.method, re.sub(r"<[^>]*?:(\w+)>", r"{\1}", named)
    yield from SIGN_IN


def refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for inner in value.values():
            yield from refs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from refs(inner)


def test_document_is_one() -> None:
    """By the schema of OpenAPI 3.1."""
    definitions.OPENAPI_31_VALIDATOR.validate(json.loads(json.dumps(described())))


def test_references_lead_somewhere() -> None:
    """And everything that is shared is used."""
    document = described()
    found = set(refs(document))
    for one in found:
        value: Any = document
        for step in one.removeprefix("#/").split("/"):
            value = value[step]
    for section in ("schemas", "parameters", "headers"):
        assert {f"#/components/{section}/{name}" for name in document["components"][section]} <= (
            found
        )


def test_operations_are_those_that_are_served() -> None:
    """Each of them, and no other."""
    assert sorted((one.method, one.path) for one in OPERATIONS) == sorted(served())
    assert len({one.id for one in OPERATIONS}) == len(OPERATIONS)


def test_filters_of_lists_are_those_that_are_known() -> None:
    """Of each kind some, and all of them of some kind."""
    for one in OPERATIONS:
        kind = KINDS.get(one.id.removeprefix("list_"))
        if kind is not None:
            assert one.parameters == parameters_of(kind)
            assert set(one.parameters) <= PARAMETERS.keys()


def test_every_problem_is_described() -> None:
    """With its code and title."""
    responses = json.dumps(described()["components"]["responses"])
    assert all(f"`{code}`: {title}" in responses for code, (_, title) in TITLES.items())


def validator(name: str) -> Any:
    """Return what judges by one of the document's schemas."""
    document = described()
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return jsonschema_rs.Draft202012Validator(schema)


@pytest.mark.parametrize("kind", FORMS)
def test_schemas_take_what_is_right(kind: str) -> None:
    """And nothing that has other fields."""
    forms = FORMS[kind]
    for row in (GOOD.get(kind, {}), MINIMAL[kind]):
        new = {"id": "a", **row}
        assert validator(forms.created.__name__).is_valid(new)
        assert validator(forms.patch.__name__).is_valid(row)
        assert not validator(forms.created.__name__).is_valid({**new, "other": 1})
        assert not validator(forms.patch.__name__).is_valid({"other": 1})
    assert validator(forms.patch.__name__).is_valid({})
    assert validator(forms.created.__name__).is_valid({}) is False


def test_policies_have_known_names_and_free_ones() -> None:
    """As validation takes them."""
    policies = validator("Policies")
    assert policies.is_valid({"x-own": [1], "cors": None, "timeouts": {"total": "5s"}})
    for wrong in (
        *({"y-own": 1}, {"cors": {}}, {"timeouts": {"total": "soon"}}, {"retry": 1}),
        {"request_headers": {"set": {"a b": "c"}}},
    ):
        assert not policies.is_valid(wrong), wrong


def test_settings_have_a_value_of_their_own() -> None:
    """Told apart by their keys."""
    for key, forms in SETTING_FORMS.items():
        judge = validator(forms.created.__name__)
        assert judge.is_valid({"key": key, "value": [] if key == "trusted_proxies" else {}})
        assert not judge.is_valid({"key": "other", "value": {}})


@pytest.mark.parametrize(("kind", "name"), [("secret", "value"), ("api_key", "digest")])
def test_what_is_hidden_is_written_only(kind: str, name: str) -> None:
    """It is in no answer."""
    schemas = described()["components"]["schemas"]
    forms = FORMS[kind]
    assert name not in schemas[forms.shown.__name__]["properties"]
    for form in (forms.created, forms.wanted, forms.patch):
        assert schemas[form.__name__]["properties"][name]["writeOnly"] is True
        assert schemas[form.__name__]["properties"]["version"]["readOnly"] is True
    assert name in schemas[forms.created.__name__]["required"]
    assert name not in schemas[forms.wanted.__name__].get("required", ())
