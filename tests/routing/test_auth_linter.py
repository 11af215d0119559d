"""What is odd about who may ask."""

from __future__ import annotations

from typing import Any

import pytest

from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Accepted, validate
from fengling_gateway.routing.auth_linter import lint_auth, public_routes

CORP = {"issuer": "https://id.example", "audiences": ["a"], "discovery": True}
OFF = {**CORP, "issuer": "https://off.example", "enabled": False}


def bodies(**sections: dict[str, Any]) -> dict[Key, bytes]:
    found = {}
    for kind, entities in sections.items():
        for name, fields in entities.items():
            key = Key(kind, name)
            verdict = validate(key, fields)
            assert isinstance(verdict, Accepted), verdict
            found[key] = verdict.body
    return found


def route(auth: Any = ..., **fields: Any) -> dict[str, Any]:
    said = {} if auth is ... else {"auth": auth}
    return {"service_id": "s", "policies": said, **fields}


def findings(**sections: Any) -> list[tuple[str, str, str]]:
    return [(one.code, one.route, one.message) for one in lint_auth(bodies(**sections))]


REQUIRED = {"mode": "required"}
TOKENS = {**REQUIRED, "methods": ["jwt"]}
KEYS = {**REQUIRED, "methods": ["api_key"]}


class IssuerTests:
    @pytest.mark.parametrize("mode", ["required", "optional"])
    def test_issuer_that_nobody_hears_of_is_named(self, mode: str) -> None:
        """One that is not there, and one that is disabled; the third is all right."""
        policy = {"mode": mode, "issuers": ["corp", "gone", "off"]}
        assert findings(issuer={"corp": CORP, "off": OFF}, route={"r": route(policy)}) == [
            ("no_issuer", "r", "takes tokens of issuer gone, which is not there"),
            ("no_issuer", "r", "takes tokens of issuer off, which is disabled"),
        ]

    def test_issuers_of_a_route_that_takes_no_tokens_are_not_missed(self) -> None:
        """Nor of one that lets everybody in, nor of one that is disabled."""
        named = {"issuers": ["gone"]}
        client = {"client": {"c": {}}, "api_key": {"k": {"client_id": "c", "digest": "ab" * 32}}}
        assert not findings(
            **client,
            route={
                "a": route({**KEYS, **named}),
                "b": route({"mode": "anonymous", **named}),
                "c": route({**TOKENS, **named}, enabled=False),
            },
        )

    def test_two_ways_of_a_split_are_told_of_once(self) -> None:
        """And what only one of them wants, too."""
        split = {"service_id": None, "split": {"a": 1, "b": 1}}
        services = {
            "a": {"policies": {"auth": {**REQUIRED, "issuers": ["corp", "gone"]}}},
            "b": {"policies": {"auth": {**REQUIRED, "issuers": ["corp", "gone"], "roles": ["x"]}}},
        }
        found = findings(issuer={"corp": CORP}, service=services, route={"r": route(**split)})
        assert [code for code, _, _ in found] == ["no_issuer"]


class NobodyTests:
    @pytest.mark.parametrize(
        ("policy", "why"),
        [
            (REQUIRED, "no issuer and no API key"),
            (TOKENS, "no issuer"),
            (KEYS, "no API key"),
        ],
    )
    def test_route_that_nobody_can_ask_is_named(self, policy: Any, why: str) -> None:
        """Disabled issuers and keys, and keys of disabled clients, are none."""
        digest = {"digest": "ab" * 32}
        assert findings(
            issuer={"off": OFF},
            client={"c": {}, "d": {"enabled": False}},
            api_key={
                "k": {"client_id": "c", "enabled": False, **digest},
                "l": {"client_id": "d", **digest},
            },
            route={"r": route(policy), "open": route({**policy, "mode": "optional"})},
        ) == [("nobody", "r", f"lets nobody in: there is {why} that it takes")]

    def test_one_way_in_is_enough(self) -> None:
        """Whichever."""
        key = {"k": {"client_id": "c", "digest": "ab" * 32}}
        routes = {"a": route(REQUIRED), "b": route({**REQUIRED, "scopes": ["nobody.has"]})}
        assert findings(issuer={"corp": CORP}, route=routes) == []
        assert findings(client={"c": {}}, api_key=key, route=routes) == []
        assert [
            code for code, _, _ in findings(issuer={"corp": CORP}, route={"r": route(KEYS)})
        ] == ["nobody"]

    def test_what_the_defaults_want_counts(self) -> None:
        """For every route that does not say otherwise."""
        setting = {"defaults": {"value": {"auth": TOKENS}}}
        routes = {"a": route(), "b": route(None)}
        assert [name for _, name, _ in findings(setting=setting, route=routes)] == ["a"]


class PublicTests:
    def test_public_routes_are_those_that_anybody_may_ask(self) -> None:
        """Also where nobody has said so, or has switched off what was said before."""
        found = bodies(
            service={"s": {"policies": {"auth": REQUIRED}}, "t": {}},
            route={
                "a": route(),
                "b": route(None),
                "c": route({"mode": "anonymous"}),
                "d": route({"mode": "optional"}),
                "e": route(service_id="t"),
                "f": route(service_id="t", enabled=False),
                "g": route(service_id=None, split={"s": 99, "t": 1}),
            },
        )
        assert public_routes(found, lambda _: True) == ["b", "c", "e", "g"]
        assert public_routes(found, lambda route: route["id"] != "c") == ["b", "e", "g"]
