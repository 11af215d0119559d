"""
What a match asks of a request, as a route has it. Pure.

Among routes of one host and one path the Gateway API has an order of its own: method, number of
headers, number of parameters, age of the HTTPRoute. The last three are one number here
(``match.counts_as``), so that no row changes because another HTTPRoute comes or goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from fengling_gateway.http.spelling import canonical_path
from fengling_gateway.kubernetes.gateway_api.http_routes import Comparison, Match
from fengling_gateway.kubernetes.gateway_api.world import Problem
from fengling_gateway.model.names import METHODS

_AGES: Final = 2**33
"""Seconds since 1970 are fewer until the year 2242."""

_MANY: Final = 17
"""One more than the most headers, and the most parameters, that a match may have."""

_EVERY_PATH: Final = "/{**rest}"
_EVERY_PATH_LAST: Final = "~^/.*$"
"""The same as a regular expression: it comes after all other paths of a host."""


class CompiledMatch(NamedTuple):
    """
    A match, as fields of a route.

    Attributes:
        prefix: the path of a PathPrefix without a slash at its end, empty for all;
            None for the other types.
        identity: equal for matches that take the same requests.
    """

    path: str
    methods: tuple[str, ...]
    headers: tuple[dict[str, Any], ...]
    query: tuple[dict[str, Any], ...]
    counts_as: int
    prefix: str | None
    identity: tuple[Any, ...]


def has_regex(matches: Sequence[Match]) -> bool:
    return any(match.path_type == "RegularExpression" for match in matches)


def compile_match(
    match: Match, where: str, *, created: int, after_regexes: bool, problems: list[Problem]
) -> CompiledMatch | None:
    """
    Return a match as a route has it; None where it can't be said, and what is wrong is added.

    Args:
        where: like ``rules[0].matches[1]``.
        created: when the HTTPRoute was created, in seconds since 1970.
        after_regexes: whether a prefix of ``/`` comes after regular expressions: there are some
            in the same HTTPRoute, which would else never be asked.
    """
    found = _faults(match, where)
    problems += found
    if found:
        return None
    path, prefix = _path(match, after_regexes=after_regexes)
    rank = (_is_regex(match) * _MANY + len(match.headers)) * _MANY + len(match.query)
    return CompiledMatch(
        path=path,
        methods=() if match.method is None else (match.method,),
        headers=tuple(map(_condition, match.headers)),
        query=tuple(map(_condition, match.query)),
        counts_as=rank * _AGES + _AGES - 1 - min(max(created, 0), _AGES - 1),
        prefix=prefix,
        identity=_identity(match, prefix),
    )


def _faults(match: Match, where: str) -> list[Problem]:
    said = []
    if match.path_type not in ("Exact", "PathPrefix", "RegularExpression"):
        said.append(f"{where}.path.type: {match.path_type} is not supported")
    elif not _is_regex(match) and not match.path.startswith("/"):
        said.append(f"{where}.path.value: must begin with /")
    elif not _is_regex(match) and ("{" in match.path or "}" in match.path):
        said.append(f"{where}.path.value: braces are to be percent-encoded")
    if match.method is not None and match.method not in METHODS:
        said.append(f"{where}.method: {match.method} is not supported")
    for kind, comparisons in (("headers", match.headers), ("queryParams", match.query)):
        said += [
            f"{where}.{kind}[{at}].type: {one.type} is not supported, only Exact"
            for at, one in enumerate(comparisons)
            if one.type != "Exact"
        ]
    return [Problem("UnsupportedValue", one) for one in said]


def _is_regex(match: Match) -> bool:
    return match.path_type == "RegularExpression"


def _path(match: Match, *, after_regexes: bool) -> tuple[str, str | None]:
    """Return the path of a route, and the prefix that it is."""
    if _is_regex(match):
        return f"~{match.path}", None
    path = encoded(match.path)
    if match.path_type == "Exact":
        return path, None
    prefix = path.rstrip("/")
    if prefix:
        return prefix + _EVERY_PATH, prefix
    return (_EVERY_PATH_LAST if after_regexes else _EVERY_PATH), ""


def encoded(path: str) -> str:
    """Return a path with the one character encoded that means something in a route's."""
    return path.replace("*", "%2A")


def _condition(comparison: Comparison) -> dict[str, Any]:
    return {"name": comparison.name, "op": "equals", "value": comparison.value}


def _identity(match: Match, prefix: str | None) -> tuple[Any, ...]:
    path = match.path if prefix is None else prefix
    return (
        match.path_type,
        path if _is_regex(match) else canonical_path(encoded(path).encode()),
        match.method,
        frozenset(match.headers),
        frozenset(match.query),
    )
