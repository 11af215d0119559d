"""Route bodies and requests that are valid unless a test says otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fengling_gateway.routing.route import Route, compile_route

Body = dict[str, Any]


def make_match(**given: Any) -> Body:
    """A canonical ``match`` with the given lists in it."""
    empty = {"headers": [], "query": [], "cookies": [], "client_ip": [], "listeners": []}
    return {**empty, **given}


def make_test(name: str, op: str, value: str | None = None, *, ignore_case: bool = False) -> Body:
    """One header, query or cookie test of a canonical ``match``."""
    return {"name": name, "op": op, "value": value, "ignore_case": ignore_case}


def make_body(route_id: str = "r", path: str = "/{**rest}", **given: Any) -> Body:
    """A canonical route body."""
    body: Body = {
        "id": route_id,
        "tenant_id": None,
        "enabled": True,
        "priority": 0,
        "hosts": [],
        "path": path,
        "methods": [],
        "match": make_match(),
        "service_id": "s",
        "split": None,
        "redirect": None,
        "respond": None,
        "policies": {},
        "valid_from": None,
        "valid_to": None,
    }
    return {**body, **given}


def make_route(route_id: str = "r", path: str = "/{**rest}", **given: Any) -> Route:
    return compile_route(make_body(route_id, path, **given), None)


@dataclass
class Request:
    """A request as routing sees it."""

    path: bytes = b"/"
    host: bytes = b"example.com"
    method: bytes = b"GET"
    query: bytes = b""
    peer: str = "192.0.2.1"
    listener: str = "http"
    headers: dict[bytes, bytes] = field(default_factory=dict)

    def header(self, lower_name: bytes) -> bytes | None:
        return self.headers.get(lower_name)
