"""
What a service's health check says: how its instances are probed, and when that changes a verdict.

Gateways carry it and do nothing with it; consoles probe by it
(`fengling_gateway.health`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from fengling_gateway.model.checks import (
    Check,
    Field,
    Record,
    choice,
    integer,
    list_of,
    mapping_of,
    number,
    optional,
    refuse_unknown,
    text,
    unique,
    wrong_type,
)
from fengling_gateway.model.names import edited_response_header, header_value, literal_host
from fengling_gateway.model.problems import Report, shown
from fengling_gateway.model.times import duration, shortest

MIN_INTERVAL: Final = 0.1
MAX_INTERVAL: Final = 3600.0
MIN_TIMEOUT: Final = 0.01
MAX_TIMEOUT: Final = 60.0
MAX_COUNT: Final = 100
MAX_JITTER: Final = 0.5
MAX_HEADERS: Final = 20
MAX_EXPECTED: Final = 50
MAX_BODY: Final = 1000

_PATH: Final = re.compile(r"/[\x21\x22\x24-\x7e]{0,1999}")
_STATUSES: Final = re.compile(r"([2-5][0-9][0-9])(?:-([2-5][0-9][0-9]))?")
_ADVICE: Final = 'must be a status from 200 to 599 or a range like "200-399"'


def _path(value: Any, report: Report) -> Any:
    if type(value) is not str:
        wrong_type(value, "a path like /health", report)
    elif not _PATH.fullmatch(value):
        report.add(
            "bad_path",
            "must begin with / and have at most 2000 visible ASCII characters without #, "
            f"not {shown(value)}",
        )
    return value


def _statuses(value: Any, report: Report) -> Any:
    """Judge one entry; returns its bounds."""
    given = str(value) if type(value) is int and 0 <= value < 1000 else value
    if type(given) is not str:
        wrong_type(value, 'a status or a range like "200-399"', report)
        return None
    found = _STATUSES.fullmatch(given)
    if found is None:
        report.add("not_allowed", f"{_ADVICE}, not {shown(value)}")
        return None
    low, high = int(found[1]), int(found[2] or found[1])
    if low > high:
        report.add("out_of_range", f"must end after it begins, not {shown(value)}")
    return low, high


_entries: Final = list_of(_statuses, MAX_EXPECTED)


def _expected(value: Any, report: Report) -> Any:
    """Judge what statuses pass; the canonical form has each once, in order."""
    before = len(report.found)
    ranges = _entries(value, report)
    if len(report.found) > before:
        return None
    if not ranges:
        report.add("empty", "must have at least one status")
        return None
    return [f"{low}-{high}" if high > low else str(low) for low, high in _joined(ranges)]


def _joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(high, joined[-1][1])
        else:
            joined.append((low, high))
    return joined


def _body(value: Any, report: Report) -> Any:
    if value == "":
        report.add("empty", "must not be empty; null looks at no body")
    return _some_text(value, report)


def _headers(value: Any, report: Report) -> Any:
    headers = _some_headers(value, report)
    if type(headers) is dict:
        unique((name for name in headers if type(name) is str), "header", report)
    return headers


_some_text: Final = text(MAX_BODY)
_some_headers: Final = mapping_of(edited_response_header, header_value, MAX_HEADERS)
_interval: Final = duration(MIN_INTERVAL, MAX_INTERVAL)

_PACE: Final = (
    Field("interval", _interval, 5.0),
    Field("timeout", duration(MIN_TIMEOUT, MAX_TIMEOUT), 2.0),
    Field("rise", integer(1, MAX_COUNT), 2),
    Field("fall", integer(1, MAX_COUNT), 3),
    Field("jitter", number(0.0, MAX_JITTER), 0.2),
    Field("unhealthy_interval", optional(_interval), None),
    Field("idle_interval", optional(_interval), None),
)

_TYPE: Final = Field("type", choice("http", "tcp"), "http")

HTTP: Final = Record(
    _TYPE,
    Field("path", _path, "/"),
    Field("method", choice("GET", "HEAD"), "GET"),
    Field("host", optional(literal_host), None),
    Field("headers", _headers, {}),
    Field("expected", _expected, ["200-399"]),
    Field("body", optional(_body), None),
    *_PACE,
)

TCP: Final = Record(_TYPE, *_PACE)

_ONLY_HTTP: Final = tuple(name for name in HTTP.names if name not in TCP.names)


def _tcp(value: dict[Any, Any], report: Report) -> dict[str, Any]:
    refuse_unknown(value, HTTP.names, "unknown_field", report)
    for name in _ONLY_HTTP:
        if name in value:
            start = len(report.found)
            report.add("conflict", "is of checks with type http; this one has type tcp")
            report.locate(start, name)
    return TCP({name: one for name, one in value.items() if name in TCP.names}, report)


def _judged(value: Any, report: Report) -> Any:
    before = len(report.found)
    is_tcp = type(value) is dict and value.get("type") == "tcp"
    check = _tcp(value, report) if is_tcp else HTTP(value, report)
    if len(report.found) == before:
        if "timeout" not in value:
            check["timeout"] = min(check["timeout"], check["interval"])
        _refuse_contradictions(check, report)
    return check


def _refuse_contradictions(check: dict[str, Any], report: Report) -> None:
    interval = check["interval"]
    if check["timeout"] > interval:
        _conflict("timeout", f"must be at most the interval, {shortest(interval)}", report)
    idle = check["idle_interval"]
    if idle is not None and idle < interval:
        _conflict("idle_interval", f"must be at least the interval, {shortest(interval)}", report)
    if check.get("method") == "HEAD" and check["body"] is not None:
        _conflict("body", "must be null: the answer to HEAD has none", report)


def _conflict(name: str, message: str, report: Report) -> None:
    start = len(report.found)
    report.add("conflict", message)
    report.locate(start, name)


health_check: Final[Check] = optional(_judged)
"""How the instances of a service are probed; null is not at all."""
