"""The policy ``ejection``: what is accepted, and where."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fengling_gateway.model.ejection import DEFAULT_EJECTION
from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Accepted, Rejected, validate


def of_service(policy: Any) -> Any:
    verdict = validate(Key("service", "s"), {"policies": {"ejection": policy}})
    assert isinstance(verdict, Accepted), verdict
    return json.loads(verdict.body)["policies"]["ejection"]


def problems(kind: str, **given: Any) -> list[tuple[str, str]]:
    verdict = validate(Key(kind, "x"), given)
    assert isinstance(verdict, Rejected), verdict
    return [(problem.path.partition(": ")[2], problem.code) for problem in verdict.problems]


def test_what_is_left_out_is_what_holds_by_default() -> None:
    """And null is off."""
    assert of_service({}) == DEFAULT_EJECTION
    assert of_service({"base": "1m"}) == {**DEFAULT_EJECTION, "base": 60.0}
    assert of_service(None) is None


@pytest.mark.parametrize(
    ("policy", "path", "code"),
    [
        ({"consecutive": 0}, ".consecutive", "out_of_range"),
        ({"base": "500ms"}, ".base", "out_of_range"),
        ({"base": "6m"}, ".base", "out_of_range"),
        ({"max_share": 0.6}, ".max_share", "out_of_range"),
        ({"share": 0.5}, ".share", "unknown_field"),
        (5, "", "wrong_type"),
    ],
)
def test_what_makes_no_sense_is_refused(policy: Any, path: str, code: str) -> None:
    """By its place."""
    assert problems("service", policies={"ejection": policy}) == [
        (f"policies.ejection{path}", code)
    ]


@pytest.mark.parametrize("policy", [None, {}])
def test_routes_have_none(policy: Any) -> None:
    """Their services' instances are others' as well."""
    found = problems("route", service_id="s", policies={"ejection": policy})
    assert found == [("policies.ejection", "not_allowed")]
