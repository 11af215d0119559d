"""What the models say of entities, and what validation says."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from pydantic import BaseModel

from fengling_gateway.console.entities import (
    BOOKKEEPING,
    DERIVED,
    FORMS,
    OWNED,
    SETTING_FORMS,
    WRITE_ONLY,
    forms_of,
)
from fengling_gateway.console.entity_policies import Policies
from fengling_gateway.console.entity_routing import HealthCheck
from fengling_gateway.console.form_problems import shape_problems
from fengling_gateway.editing.planning import WRITABLE_KINDS
from fengling_gateway.model.entity import Key
from fengling_gateway.model.kinds import SETTINGS
from fengling_gateway.model.policies import POLICIES
from fengling_gateway.model.validation import KNOWN_FIELDS, Accepted, validate
from tests.cli.configurations import Rows, configurations
from tests.model.strategies import GOOD, rows, settings_rows

MINIMAL: dict[str, dict[str, Any]] = {
    **{kind: {} for kind in ("tenant", "service", "client", "management_token")},
    "secret": {"value": "env:SHOP"},
    "certificate": {name: GOOD["certificate"][name] for name in ("chain", "key_secret")},
    "issuer": {"issuer": "https://id.example", "audiences": ["api"], "discovery": True},
    "api_key": {"client_id": "batch", "digest": "ab" * 32},
    "instance": {"service_id": "orders", "address": "http://10.0.0.5:80"},
    "route": {"service_id": "orders"},
}

MINIMAL_POLICIES: dict[str, Any] = {
    "access": {"allow": ["10.0.0.0/8"]},
    "auth": {"mode": "optional"},
    "concurrency": {"limit": 1},
    "cors": {"origins": ["https://a.example"]},
    "ejection": {},
    "limits": {"max_request_body": 1},
    "path": {"strip": "/a"},
    "rate_limit": {"rate": "1/s", "burst": 1},
    "request_headers": {},
    "response_headers": {},
    "retry": {"attempts": 1},
    "security_headers": {},
    "timeouts": {},
    "upgrade": {"protocols": ["websocket"]},
}


def defaults_of(model: type[BaseModel]) -> dict[str, Any]:
    return {
        name: field.default for name, field in model.model_fields.items() if not field.is_required()
    }


def canonical(key: Key, row: dict[str, Any]) -> dict[str, Any]:
    verdict = validate(key, row)
    assert isinstance(verdict, Accepted), verdict
    body: dict[str, Any] = json.loads(verdict.body)
    return body


def test_every_kind_has_forms() -> None:
    """That can be written, and every setting."""
    assert {*FORMS, "setting"} == set(WRITABLE_KINDS)
    assert SETTING_FORMS.keys() == SETTINGS.keys()


@pytest.mark.parametrize("kind", FORMS)
def test_fields_are_those_that_validation_knows(kind: str) -> None:
    """And what everybody has; what is hidden is not shown."""
    own = KNOWN_FIELDS[kind]
    rest = (*OWNED, *DERIVED.get(kind, ()), *BOOKKEEPING)
    forms = FORMS[kind]
    found_out = {"route": ("access",), "instance": ("health",)}.get(kind, ())
    rest = (*rest, "rejected", *found_out)
    for model in (forms.wanted, forms.created, forms.patch):
        assert tuple(model.model_fields) == (*own, *rest)
    seen = tuple(name for name in own if name != WRITE_ONLY.get(kind))
    assert tuple(forms.shown.model_fields) == (*seen, *rest)


@pytest.mark.parametrize("key", SETTING_FORMS)
def test_fields_of_settings_are_those_that_validation_knows(key: str) -> None:
    """A key and a value."""
    forms = SETTING_FORMS[key]
    for model in (forms.wanted, forms.created, forms.patch, forms.shown):
        fields = (*KNOWN_FIELDS["setting"], *OWNED, *BOOKKEEPING, "rejected")
        assert tuple(model.model_fields) == fields


@pytest.mark.parametrize("kind", FORMS)
def test_defaults_are_those_of_validation(kind: str) -> None:
    """So that the document tells the truth of what is left out."""
    row = MINIMAL[kind]
    body = canonical(Key(kind, "x"), row)
    for name, default in defaults_of(FORMS[kind].created).items():
        if name in KNOWN_FIELDS[kind] and name != "id" and name not in row:
            assert canonical(Key(kind, "x"), {**row, name: default}) == body
            assert default == body[name] or default in ("", {}), name


@pytest.mark.parametrize("name", POLICIES)
def test_policies_are_those_of_validation(name: str) -> None:
    """Their fields and the defaults of these."""
    given = MINIMAL_POLICIES[name]
    body = canonical(Key("service", "x"), {"policies": {name: given}})["policies"][name]
    body = body[0] if name == "rate_limit" else body
    model = Policies.model_fields[name].annotation.__args__[0]  # type: ignore[union-attr]
    assert model.model_fields.keys() == body.keys()
    for field, default in defaults_of(model).items():
        if field not in given:
            assert body[field] == default


def test_health_checks_are_those_of_validation() -> None:
    """Their fields and defaults."""
    row = {"health_check": {}}
    body = canonical(Key("service", "x"), row)["health_check"]
    assert defaults_of(HealthCheck) == body


def test_policies_have_no_other_names() -> None:
    """And are in the same order."""
    assert tuple(Policies.model_fields) == tuple(POLICIES)


def check_accepted(key: Key, row: Any) -> None:
    """Have the models and the document take what validation takes."""
    verdict = validate(key, row)
    if not isinstance(verdict, Accepted):
        return
    forms = forms_of(*key)
    assert forms is not None
    known = (*KNOWN_FIELDS[key.kind], *OWNED)
    body = {name: value for name, value in row.items() if name in known}
    assert shape_problems(forms.wanted, body) == ()
    _validators(forms.wanted).validate(json.loads(json.dumps(body)))
    identity = "key" if key.kind == "setting" else "id"
    new = {**body, identity: key.id}
    assert shape_problems(forms.created, new) == ()
    _validators(forms.created).validate(json.loads(json.dumps(new)))
    assert shape_problems(forms.patch, body) == ()
    _validators(forms.patch).validate(json.loads(json.dumps(body)))


_made: dict[type[BaseModel], Any] = {}


def _validators(model: type[BaseModel]) -> Any:
    if model not in _made:
        _made[model] = jsonschema_rs.Draft202012Validator(model.model_json_schema())
    return _made[model]


@given(rows())
def test_what_is_right_has_the_right_shape(case: tuple[Key, Any]) -> None:
    """Good rows, and spoilt ones that are still good."""
    key, row = case
    if key.kind != "instance_health":
        check_accepted(key, row)


@given(settings_rows())
def test_settings_that_are_right_have_the_right_shape(case: tuple[Key, Any]) -> None:
    """Each has a shape of its own."""
    check_accepted(*case)


@given(configurations())
def test_configurations_have_the_right_shape(found: Rows) -> None:
    """Whole ones, with values that look like others."""
    for key, row in found.items():
        check_accepted(key, row)


@pytest.mark.parametrize("kind", FORMS)
def test_good_rows_are_good(kind: str) -> None:
    """What the others are made of; or they would show nothing."""
    row = GOOD.get(kind, {"revoked_at": "2026-11-22T08:00:00Z"})
    assert isinstance(validate(Key(kind, row.get("id", "x")), row), Accepted)
    check_accepted(Key(kind, row.get("id", "x")), row)
