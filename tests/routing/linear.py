"""
The order of routes written down once more, as plainly as possible.

This is what RouteCache is compared with. It reads canonical bodies, knows
nothing of the compiled form, asks every route of every request and sorts all
that take it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from tests.routing.builders import Body, Request


def choose(bodies: Iterable[Body], request: Request, tenant: str | None, now: float) -> str | None:
    """Return the id of the route that takes a request."""
    own: list[tuple[tuple[Any, ...], str]] = []
    common: list[tuple[tuple[Any, ...], str]] = []
    for body in bodies:
        if not body["enabled"]:
            continue
        keys = [
            sort_key(body, pattern)
            for pattern in body["hosts"] or [""]
            if host_matches(pattern, request.host.decode())
        ]
        if not keys or not takes(body, request, now):
            continue
        if body["tenant_id"] is None:
            common.append((min(keys), body["id"]))
        elif body["tenant_id"] == tenant:
            own.append((min(keys), body["id"]))
    for found in (own, common):
        if found:
            return min(found)[1]
    return None


def sort_key(body: Body, host_pattern: str) -> tuple[Any, ...]:
    return (
        -body["priority"],
        host_key(host_pattern),
        path_key(body["path"]),
        0 if body["methods"] else 1,
        -count_conditions(body),
        body["id"],
    )


def host_key(pattern: str) -> tuple[int, int]:
    if not pattern:
        return (2, 0)
    return (1, -len(pattern)) if pattern.startswith("*") else (0, 0)


def path_key(path: str) -> tuple[Any, ...]:
    if path.startswith("~"):
        return (3,)
    segments = path.split("/")[1:]
    is_prefix = segments[-1].startswith("{**")
    if is_prefix:
        segments.pop()
    shape = [segment.startswith("{") for segment in segments]
    if is_prefix:
        return (2, -len(segments), shape)
    return (1, -len(segments), shape) if any(shape) else (0,)


def count_conditions(body: Body) -> int:
    match = body["match"]
    if match.get("counts_as") is not None:
        return int(match["counts_as"])
    return (
        len(match["headers"])
        + len(match["query"])
        + len(match["cookies"])
        + bool(match["client_ip"])
        + bool(match["listeners"])
        + (body["valid_from"] is not None or body["valid_to"] is not None)
    )


def takes(body: Body, request: Request, now: float) -> bool:
    match = body["match"]
    return bool(
        path_matches(body["path"], request.path)
        and (not body["methods"] or request.method.decode() in body["methods"])
        and (body["valid_from"] is None or body["valid_from"] <= now)
        and (body["valid_to"] is None or now < body["valid_to"])
        and (not match["listeners"] or request.listener in match["listeners"])
        and (not match["client_ip"] or client_matches(match["client_ip"], request.peer))
        and all(passes(test, request.header(test["name"].encode())) for test in match["headers"])
        and all(passes(test, query_value(request, test["name"])) for test in match["query"])
        and all(passes(test, cookie_value(request, test["name"])) for test in match["cookies"])
    )


def host_matches(pattern: str, host: str) -> bool:
    if pattern.startswith("*"):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    return pattern in ("", host)


def path_matches(template: str, path: bytes) -> bool:
    return expression_of(template).fullmatch(same_spelling(path)) is not None


@lru_cache(maxsize=10_000)
def expression_of(template: str) -> re.Pattern[str]:
    if template.startswith("~"):
        return re.compile(template[1:])
    expression = ""
    for segment in template.split("/")[1:]:
        if segment.startswith("{**"):
            expression += "(/.*)?"
        elif segment.startswith("{"):
            expression += "/[^/]+"
        else:
            expression += "/" + re.escape(same_spelling(segment.encode()))
    return re.compile(expression, re.DOTALL)


@lru_cache(maxsize=1000)
def same_spelling(path: bytes) -> str:
    """Decode everything but what would mean something else decoded, then encode it anew."""
    parts = re.split(rb"(%(?:2[FfsS5]|3[BbFf]|5[Cc]|23|00))", path)
    spelled = [
        part.upper().decode()
        if index % 2
        else quote(unquote_to_bytes(part), safe="/!$&'()*+,=:@;-._~")
        for index, part in enumerate(parts)
    ]
    return "".join(spelled)


def client_matches(networks: list[str], peer: str) -> bool:
    return any(ipaddress.ip_address(peer) in ipaddress.ip_network(net) for net in networks)


def query_value(request: Request, name: str) -> bytes | None:
    pairs = parse_qsl(request.query.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
    values = [value.encode("latin-1") for key, value in pairs if key == name]
    return values[0] if values else None


def cookie_value(request: Request, name: str) -> bytes | None:
    for pair in request.headers.get(b"cookie", b"").split(b"; "):
        key, _, value = pair.partition(b"=")
        if key == name.encode():
            return value
    return None


def passes(test: Body, value: bytes | None) -> bool:
    op = test["op"]
    if value is None or op in ("exists", "absent"):
        return (op == "absent") if value is None else (op == "exists")
    wanted = test["value"].encode()
    if test["ignore_case"]:
        wanted, value = wanted.lower(), value.lower()
    if op == "equals":
        return bool(value == wanted)
    return bool(value.startswith(wanted) if op == "prefix" else wanted in value)
