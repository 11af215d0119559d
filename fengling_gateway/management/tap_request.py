"""What somebody asks for who wants to look on at requests."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from fengling_gateway.access.openapi import Schema, whole
from fengling_gateway.access.parameters import ID
from fengling_gateway.access.problems import ProblemError
from fengling_gateway.records.tap_filter import TapFilter, network, statuses

MAX_SECONDS: Final = 600
MAX_VALUES: Final = 100
MAX_LIMIT: Final = 1_000_000
MAX_CLIENT: Final = 64
"""Characters."""

STATUS: Final = r"[0-9][xX]{2}|[0-9]{3}(?:-[0-9]{3})?"
METHOD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}"
PATH_PREFIX: Final = r"/[\x21-\x7e]{0,1023}"
_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
IPV4: Final = rf"{_OCTET}(?:\.{_OCTET}){{3}}(?:/(?:3[0-2]|[12]?[0-9]))?"


def _listed(one: Schema) -> Schema:
    return {"type": "array", "maxItems": MAX_VALUES, "items": one}


BODY: Final[Schema] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["seconds"],
    "properties": {
        "seconds": {"type": "number", "minimum": 1, "maximum": MAX_SECONDS},
        "limit": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
        "routes": _listed(whole(ID)),
        "services": _listed(whole(ID)),
        "statuses": _listed({**whole(STATUS), "example": "5xx"}),
        "slower_than": {"type": "number", "minimum": 0, "maximum": 86400},
        "clients": _listed({"anyOf": [whole(IPV4), {"type": "string", "format": "ipv6"}]}),
        "methods": _listed(whole(METHOD)),
        "path_prefix": whole(PATH_PREFIX),
    },
}


def _texts(pattern: str) -> Callable[[Any], bool]:
    matches = re.compile(pattern).fullmatch
    return lambda value: type(value) is str and matches(value) is not None


def _list_of(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: type(value) is list and len(value) <= MAX_VALUES and all(map(check, value))


def _number(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: type(value) in (int, float) and low <= value <= high


def _is_limit(value: Any) -> bool:
    # (To JSON, 7.0 is a whole number.)
    return _number(1, MAX_LIMIT)(value) and value == int(value)


def _is_client(value: Any) -> bool:
    if type(value) is not str or len(value) > MAX_CLIENT:
        return False
    try:
        return bool(network(value))
    except ValueError:
        return False


FIELDS: Final = {
    "seconds": _number(1, MAX_SECONDS),
    "limit": _is_limit,
    "routes": _list_of(_texts(ID)),
    "services": _list_of(_texts(ID)),
    "statuses": _list_of(_texts(STATUS)),
    "slower_than": _number(0, 86400),
    "clients": _list_of(_is_client),
    "methods": _list_of(_texts(METHOD)),
    "path_prefix": _texts(PATH_PREFIX),
}
_ASKED: Final = ("routes", "services", "statuses", "clients", "methods", "slower_than")


class TapAsked(NamedTuple):
    """
    What was asked for.

    Attributes:
        limit: requests, after which it ends; None: as many as there are.
        what: the same, for the audit trail.
    """

    filter: TapFilter
    seconds: float
    limit: int | None
    what: str


def tap_asked(fields: Mapping[str, Any], tenants: frozenset[str] | None) -> TapAsked:
    """
    Return what a body asks for whose fields have been checked.

    Args:
        tenants: those whose requests alone may be seen.

    Raises:
        ProblemError: one of the statuses is none.
    """
    pairs = [statuses(one) for one in fields.get("statuses", ())]
    if None in pairs:
        raise ProblemError("invalid_parameter", "statuses has one that is none")
    found = TapFilter(
        routes=fields.get("routes", ()),
        services=fields.get("services", ()),
        statuses=[one for one in pairs if one is not None],
        slower_than=float(fields.get("slower_than", 0)),
        clients=fields.get("clients", ()),
        methods=fields.get("methods", ()),
        path_prefix=fields.get("path_prefix", ""),
        tenants=None if tenants is None else sorted(tenants),
    )
    seconds, limit = float(fields["seconds"]), fields.get("limit")
    what = "; ".join((f"tap for {seconds:g} s", *_said(fields)))
    return TapAsked(found, seconds, None if limit is None else int(limit), what)


def _said(fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield which requests are asked for. (Not by which path: people put anything into those.)"""
    for name in _ASKED:
        value = fields.get(name)
        if value:
            yield f"{name} {', '.join(value) if type(value) is list else value}"
    if "path_prefix" in fields:
        yield "of a path"
