"""The example of docs/routing.md is true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from fengling_gateway.routing.cache import RouteCache
from fengling_gateway.routing.route import compile_route
from tests.routing.builders import Request, make_body, make_match

PAGE = Path(__file__).parents[2] / "docs" / "routing.md"


def blocks() -> list[str]:
    """The first two fenced blocks: routes, and requests to them."""
    found = re.findall(r"^```\w*\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return found[:2]


def documented_routes(text: str) -> RouteCache:
    changes = []
    for route_id, fields in yaml.safe_load(text)["routes"].items():
        given: dict[str, Any] = {**fields}
        match = {
            key: [{"value": None, "ignore_case": False, **test} for test in tests]
            for key, tests in given.pop("match", {}).items()
        }
        body = make_body(route_id, match=make_match(**match), **given)
        changes.append((route_id, compile_route(body, None)))
    return RouteCache.empty().apply(changes)


def ask(cache: RouteCache, line: str) -> tuple[str, str]:
    """Return what one line of the second block says, and what is so."""
    words = line.split()
    extras: dict[str, str] = {}
    method, host, path = words[:3]
    rest = words[3:]
    while "=" in rest[0]:
        name, _, value = rest.pop(0).partition("=")
        extras[name] = value
    tenant = extras.pop("tenant", None)
    headers = {name.encode(): value.encode() for name, value in extras.items()}
    request = Request(path.encode(), host.encode(), method.encode(), headers=headers)
    route = cache.match(request, tenant, 0.0)
    return rest[0], "-" if route is None else route.id


class RoutingPageTests:
    def test_every_request_of_the_example_takes_the_route_it_says(self) -> None:
        """Both blocks agree, line by line."""
        routes, requests = blocks()
        cache = documented_routes(routes)
        asked = [ask(cache, line) for line in requests.splitlines()[1:]]
        assert len(asked) == 15
        assert [said for said, _ in asked] == [so for _, so in asked]
