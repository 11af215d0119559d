"""The policy ``auth``: what is accepted, and what of it is effective."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.auth.requirement import Requirement
from fengling_gateway.model.authorization import MODES, auth
from fengling_gateway.model.entity import Key, canonical
from fengling_gateway.model.policies import policies
from fengling_gateway.model.problems import Report
from fengling_gateway.model.validation import Accepted, validate
from fengling_gateway.model.who_may_ask import OPENNESS, WhoMayAsk
from fengling_gateway.routing.plan import compile_plan
from tests.model.strategies import any_json

DEFAULTS = {
    "methods": ["api_key", "jwt"],
    "issuers": None,
    "scopes": [],
    "roles": [],
    "claims": {},
    "cookie": None,
    "query": None,
    "api_key_header": "X-Api-Key",
    "forward": False,
}


def judged(policy: Any) -> Any:
    report = Report()
    checked = auth(policy, report)
    assert report.found == []
    return checked


def refused(policy: Any) -> list[str]:
    report = Report()
    auth(policy, report)
    return [str(problem) for problem in report.problems("auth")]


class AcceptedTests:
    @pytest.mark.parametrize("mode", MODES)
    def test_mode_is_enough(self, mode: str) -> None:
        """All else has a default: any issuer, tokens in their header only, and no forwarding."""
        assert judged({"mode": mode}) == {"mode": mode, **DEFAULTS}

    def test_all_is_taken_and_put_in_order(self) -> None:
        """Order and repetition say nothing; equal policies have equal bytes."""
        policy = {
            "mode": "required",
            "methods": ["jwt", "jwt"],
            "issuers": ["b", "a", "b"],
            "scopes": ["orders.read", "a"],
            "roles": ["staff"],
            "claims": {"/org/department": ["sales", "finance"]},
            "cookie": "session",
            "query": "access_token",
            "api_key_header": "X-Key",
            "forward": True,
        }
        checked = judged(policy)
        assert (checked["methods"], checked["issuers"]) == (["jwt"], ["a", "b"])
        assert checked["scopes"] == ["a", "orders.read"]
        assert checked["claims"] == {"/org/department": ["finance", "sales"]}
        assert judged(checked) == checked

    def test_null_is_off(self) -> None:
        """As of every policy."""
        report = Report()
        assert policies({"auth": None}, report) == {"auth": None}
        assert report.found == []


class RefusedTests:
    @pytest.mark.parametrize(
        ("policy", "why"),
        [
            ({}, "auth: mode: is required"),
            ("required", "must be an object"),
            ({"mode": "none"}, "mode: must be one of anonymous, optional, required"),
            ({"mode": None}, "mode: must be one of"),
            ({"mode": "required", "scope": ["a"]}, 'did you mean "scopes"?'),
            ({"mode": "required", "methods": []}, "methods: must name at least one"),
            ({"mode": "required", "methods": ["basic"]}, "methods[0]: must be one of api_key, jwt"),
            ({"mode": "required", "issuers": []}, "issuers: must name at least one, or be null"),
            ({"mode": "required", "issuers": ["a b"]}, "issuers[0]"),
            ({"mode": "required", "scopes": ["a b"]}, "scopes[0]: must be 1 to 200 visible ASCII"),
            ({"mode": "required", "scopes": ['a"']}, "scopes[0]"),
            ({"mode": "required", "roles": [""]}, "roles[0]"),
            ({"mode": "required", "claims": {"a": []}}, "claims.a: must have at least one value"),
            ({"mode": "required", "claims": {"/": ["x"]}}, "must be a name like"),
            ({"mode": "required", "claims": {"a": "x"}}, "claims.a: must be a list"),
            ({"mode": "required", "cookie": "a=b"}, "cookie: must be 1 to 100"),
            ({"mode": "required", "query": ""}, "query: must be 1 to 100"),
            ({"mode": "required", "api_key_header": "X Key"}, "api_key_header"),
            ({"mode": "required", "forward": "yes"}, "forward: must be true or false"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, policy: Any, why: str) -> None:
        """With where it is."""
        assert any(why in one for one in refused(policy)), refused(policy)

    @pytest.mark.parametrize("mode", ["anonymous", "optional"])
    @pytest.mark.parametrize(
        "wanted", [{"scopes": ["a"]}, {"roles": ["a"]}, {"claims": {"a": ["b"]}}]
    )
    def test_wanting_something_of_those_who_need_not_show_anything_is_refused(
        self, mode: str, wanted: dict[str, Any]
    ) -> None:
        """Whoever shows nothing would pass, which nobody means who writes this."""
        [problem] = refused({"mode": mode, **wanted})
        assert problem.startswith(f"auth: {next(iter(wanted))}: needs the mode")

    @given(any_json | st.dictionaries(st.sampled_from(["mode", *DEFAULTS]), any_json, max_size=4))
    def test_anything_is_judged(self, policy: Any) -> None:
        """It is refused, or compiles; never does it raise."""
        report = Report()
        checked = auth(policy, report)
        if not report.found:
            assert judged(checked) == checked
            assert Requirement(checked).mode == MODES.index(checked["mode"])


levels = st.sampled_from(
    [
        {},
        {"auth": None},
        {"auth": judged({"mode": "anonymous"})},
        {"auth": judged({"mode": "optional"})},
        {"auth": judged({"mode": "required"})},
        {"auth": judged({"mode": "required", "scopes": ["a"]})},
        {"retry": {"attempts": 2}},
    ]
)


def route_body(**fields: Any) -> dict[str, Any]:
    verdict = validate(Key("route", "r"), fields)
    assert isinstance(verdict, Accepted), verdict
    body: dict[str, Any] = json.loads(verdict.body)
    return body


def service_bodies(**by_id: Any) -> dict[Key, bytes]:
    found = {}
    for name, said in by_id.items():
        verdict = validate(Key("service", name), {"policies": said})
        assert isinstance(verdict, Accepted), verdict
        found[Key("service", name)] = verdict.body
    return found


class EffectiveTests:
    """defaults, then service, then route, as a whole."""

    @given(levels, levels, levels)
    def test_route_is_as_open_as_its_plan(
        self, defaults: dict[str, Any], service: dict[str, Any], own: dict[str, Any]
    ) -> None:
        """What is shown is what is done."""
        bodies = service_bodies(s=service)
        setting = Key("setting", "defaults")
        bodies[setting] = canonical({"key": "defaults", "value": defaults})
        who_may_ask = WhoMayAsk(bodies)
        for target in ({"service_id": "s"}, {"respond": {}}):
            route = route_body(policies=own, **target)
            of_service = service if "service_id" in target else {}
            plan = compile_plan(route, of_service, defaults)
            guards = plan.guards
            mode = 0 if guards is None or guards.requirement is None else guards.requirement.mode
            assert who_may_ask.openness(route) == OPENNESS[mode]

    @given(levels, levels, levels)
    def test_split_is_as_open_as_its_most_open_way(
        self, one: dict[str, Any], other: dict[str, Any], own: dict[str, Any]
    ) -> None:
        """Some requests go there."""
        who_may_ask = WhoMayAsk(service_bodies(a=one, b=other))
        split = route_body(split={"a": 1, "b": 0}, policies=own)
        ways = [who_may_ask.openness(route_body(service_id=name, policies=own)) for name in "ab"]
        assert who_may_ask.openness(split) == min(ways, key=OPENNESS.index)
        assert len(who_may_ask.policies(split)) == 2

    def test_service_that_is_not_there_says_nothing(self) -> None:
        """Nor does a setting that is not."""
        assert WhoMayAsk({}).openness(route_body(service_id="gone")) == "public"
