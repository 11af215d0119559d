"""What is odd about who may ask: routes that nobody can ask, and those that anybody can."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fengling_gateway.model.entity import Key
from fengling_gateway.model.who_may_ask import PUBLIC, AuthPolicy, WhoMayAsk
from fengling_gateway.routing.linter import Finding

Bodies = Mapping[Key, bytes]


def lint_auth(bodies: Bodies) -> Iterator[Finding]:
    """
    Yield what enabled routes want that nobody has.

    Which scopes, roles and claims there are is not judged: issuers give them as they like.
    """
    callers = _Callers(bodies)
    who_may_ask = WhoMayAsk(bodies)
    for route in _enabled_routes(bodies):
        seen: set[tuple[str, str]] = set()
        for policy in who_may_ask.policies(route):
            for code, message in () if policy is None else callers.judge(policy):
                if (code, message) not in seen:
                    seen.add((code, message))
                    yield Finding(code, route["id"], None, message)


def public_routes(bodies: Bodies, is_meant: Callable[[Mapping[str, Any]], bool]) -> list[str]:
    """Return the ids of enabled routes that anybody may ask, of those that are meant."""
    who_may_ask = WhoMayAsk(bodies)
    return sorted(
        route["id"]
        for route in _enabled_routes(bodies)
        if is_meant(route) and who_may_ask.openness(route) == PUBLIC
    )


def _enabled_routes(bodies: Bodies) -> Iterator[dict[str, Any]]:
    for key, body in bodies.items():
        if key.kind == "route":
            route = json.loads(body)
            if route["enabled"]:
                yield route


class _Callers:
    """Who there is that could show who they are."""

    def __init__(self, bodies: Bodies) -> None:
        enabled: dict[str, dict[str, bool]] = {"issuer": {}, "client": {}}
        for key, body in bodies.items():
            if key.kind in enabled:
                enabled[key.kind][key.id] = json.loads(body)["enabled"]
        self._issuers = enabled["issuer"]
        self._has_keys = any(
            one["enabled"] and enabled["client"].get(one["client_id"])
            for one in (json.loads(body) for key, body in bodies.items() if key.kind == "api_key")
        )

    def judge(self, policy: AuthPolicy) -> Iterator[tuple[str, str]]:
        """Yield a code and a sentence for each thing that is odd about a policy."""
        takes_tokens = "jwt" in policy["methods"]
        if takes_tokens:
            for name in policy["issuers"] or ():
                if not self._issuers.get(name):
                    why = "is disabled" if name in self._issuers else "is not there"
                    yield "no_issuer", f"takes tokens of issuer {name}, which {why}"
        believed = self._issuers if policy["issuers"] is None else policy["issuers"]
        by_token = takes_tokens and any(map(self._issuers.get, believed))
        by_key = "api_key" in policy["methods"] and self._has_keys
        if policy["mode"] == "required" and not (by_token or by_key):
            lacking = " and ".join(
                what
                for method, what in (("jwt", "no issuer"), ("api_key", "no API key"))
                if method in policy["methods"]
            )
            yield "nobody", f"lets nobody in: there is {lacking} that it takes"
