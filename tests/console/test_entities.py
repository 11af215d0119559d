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
    "host_header": {"value": "a"},
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


LATER: dict[str, set[str]] = {"path": {"replace"}}


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
    # (What came later is in a body only where it is said.)
    assert model.model_fields.keys() == body.keys() | LATER.get(name, set())
    for field, default in defaults_of(model).items():
        if field not in given:
            assert body.get(field) == default


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


SLUG = "a" * 100
EXTREMES: list[tuple[str, dict[str, Any]]] = [
    ("instance", {"weight": 0, "zone": "z"}),
    ("instance", {"weight": 65535, "zone": "z" * 100, "service_id": SLUG}),
    ("route", {"priority": -(2**31), "path": "/" + "p" * 999, "hosts": ["a"] * 500}),
    ("route", {"priority": 2**31 - 1, "path": "~" + "p" * 1000, "methods": ["get"] * 33}),
    ("route", {"service_id": None, "split": {SLUG: 65535, "b": 0}}),
    ("route", {"service_id": None, "redirect": {"status": 308, "location": "/" + "a" * 1999}}),
    ("route", {"service_id": None, "respond": {"status": 599, "body": "b" * 50_000}}),
    ("route", {"match": {"query": [{"name": "ü" * 200, "value": "v" * 4096}]}}),
    ("route", {"match": {"cookies": [{"name": "c", "op": "exists"}] * 50, "client_ip": []}}),
    ("route", {"valid_from": "-infinity", "valid_to": "infinity"}),
    ("route", {"valid_from": 0, "valid_to": 253402300799}),
    ("tenant", {"name": "n" * 200, "path_prefix": "/" + "p" * 999, "hosts": ["*." + "a" * 63]}),
    ("service", {"connect_timeout": 0.001, "idle_timeout": "1ms", "host_header": "a:65535"}),
    ("service", {"connect_timeout": 300, "first_byte_timeout": "1d", "idle_timeout": "PT24H"}),
    ("service", {"health_check": {"interval": 0.1, "timeout": 0.01, "rise": 1, "fall": 100}}),
    ("service", {"health_check": {"interval": "1h", "timeout": 60, "jitter": 0.5, "path": "/"}}),
    ("service", {"health_check": {"expected": [200, "201-599"] * 25, "body": "b" * 1000}}),
    ("service", {"health_check": {"type": "tcp", "jitter": 0}}),
    ("service", {"policies": {"ejection": {"consecutive": 1000, "base": 300, "max_share": 0.5}}}),
    ("service", {"policies": {"ejection": {"consecutive": 1, "base": 1, "max_share": 0}}}),
    ("route", {"policies": {"concurrency": {"limit": 1_000_000, "key": "header:" + "k" * 100}}}),
    ("route", {"policies": {"limits": {"max_request_body": 2**50}, "retry": {"attempts": 3}}}),
    ("route", {"policies": {"limits": {"max_request_body": None}, "retry": {"attempts": 0}}}),
    ("route", {"policies": {"rate_limit": [{"rate": "1/86400s"}] * 5}}),
    ("route", {"policies": {"rate_limit": {"rate": "1000000000/d", "burst": 10**9}}}),
    ("route", {"policies": {"cors": {"origins": ["*"] * 200, "max_age": 0, "headers": ["*"]}}}),
    ("route", {"policies": {"cors": {"origins": ["null"], "max_age": 86400, "methods": ["*"]}}}),
    ("route", {"policies": {"access": {"allow": ["::1"], "deny": ["10.0.0.0/8"] * 1000}}}),
    ("route", {"policies": {"request_headers": {"add": {"h" * 100: "v" * 4096}}}}),
    ("route", {"policies": {"security_headers": {"headers": {"X": None, "Y": "\tv"}}}}),
    ("route", {"policies": {"upgrade": {"protocols": ["*", "p" * 50 + "/" + "v" * 50]}}}),
    ("route", {"policies": {"auth": {"mode": "required", "claims": {"/a" * 8: ["x" * 200]}}}}),
    ("issuer", {"refresh": 30, "leeway": 0, "max_lifetime": 1, "audiences": ["a" * 200] * 50}),
    ("issuer", {"refresh": "1d", "leeway": 30, "max_lifetime": "366d", "claims": {"name": "n"}}),
    ("client", {"roles": ["r" * 200] * 200}),
    ("api_key", {"expires_at": "-infinity"}),
    ("management_token", {"subject": "s" * 100, "created_by": "c" * 200, "tenants": [SLUG] * 50}),
]


@pytest.mark.parametrize(("kind", "fields"), EXTREMES)
def test_least_and_most_have_the_right_shape(kind: str, fields: dict[str, Any]) -> None:
    """The bounds of the models are those of validation, or wider."""
    row = {**MINIMAL[kind], **fields}
    verdict = validate(Key(kind, "x"), row)
    assert isinstance(verdict, Accepted), verdict
    check_accepted(Key(kind, "x"), row)


@pytest.mark.parametrize("kind", FORMS)
def test_good_rows_are_good(kind: str) -> None:
    """What the others are made of; or they would show nothing."""
    row = GOOD.get(kind, {"revoked_at": "2026-11-22T08:00:00Z"})
    assert isinstance(validate(Key(kind, row.get("id", "x")), row), Accepted)
    check_accepted(Key(kind, row.get("id", "x")), row)
