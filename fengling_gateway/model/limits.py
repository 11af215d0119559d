"""
The policies ``rate_limit`` and ``concurrency``: how much one may ask for.

A rate is a number of requests and the time that they are meant for. Whose
requests count together is the ``key``; who can't be told by it is told by the
address.
"""

from __future__ import annotations

import re
from typing import Any, Final

from fengling_gateway.model.checks import (
    Check,
    Field,
    Record,
    boolean,
    choice,
    integer,
    list_of,
    optional,
    wrong_type,
)
from fengling_gateway.model.names import lower_token
from fengling_gateway.model.problems import Report, shown

MAX_LIMITS: Final = 5
"""Of one policy. Each is asked for each request."""

MAX_COUNT: Final = 1_000_000_000
MAX_PER_SECOND: Final = 1_000_000
"""More than a host serves; floats of a clock tell shorter times apart badly."""

MAX_SECONDS: Final = 86400
"""A day: what is counted does not outlive the processes, so that longer ones would be a quota."""

MAX_AT_ONCE: Final = 1_000_000

BUCKET: Final = "token_bucket"
WINDOW: Final = "sliding_window"
KEYS: Final = ("all", "api_key", "client_ip", "route", "subject", "tenant")
HEADER_KEY: Final = "header:"

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_RATE: Final = re.compile(r"([0-9]{1,10})/([0-9]{0,5})([smhd])")


def parse_rate(text: str) -> tuple[int, int] | None:
    """Return the requests and the seconds of ``100/s`` or ``5/10m``; None for anything else."""
    match = _RATE.fullmatch(text)
    if match is None:
        return None
    return int(match[1]), int(match[2] or 1) * _UNITS[match[3]]


def _rate(value: Any, report: Report) -> Any:
    """In its shortest spelling: ``60/60s`` is ``60/m``."""
    if type(value) is not str:
        wrong_type(value, "a rate like 100/s, 1000/m or 5/10s", report)
        return None
    parsed = parse_rate(value)
    if parsed is None:
        report.add("bad_rate", f"must be a rate like 100/s, 1000/m or 5/10s, not {shown(value)}")
        return None
    count, seconds = parsed
    most = min(MAX_COUNT, MAX_PER_SECOND * seconds)
    if not 1 <= seconds <= MAX_SECONDS:
        report.add("out_of_range", f"must be for a second to a day, not {shown(value)}")
        return None
    if not 1 <= count <= most:
        report.add("out_of_range", f"must be 1 to {most} requests, not {shown(value)}")
        return None
    unit = next(name for name in "dhms" if seconds % _UNITS[name] == 0)
    times = seconds // _UNITS[unit]
    return f"{count}/{'' if times == 1 else times}{unit}"


def _key(value: Any, report: Report) -> Any:
    """Whose requests count together; a header's name in lower case."""
    if type(value) is str and value.startswith(HEADER_KEY):
        return f"{HEADER_KEY}{lower_token(value.removeprefix(HEADER_KEY), report)}"
    if type(value) is not str:
        wrong_type(value, f"one of {', '.join(KEYS)}, or {HEADER_KEY}Name", report)
    elif value not in KEYS:
        wanted = f"must be one of {', '.join(KEYS)}, or {HEADER_KEY}Name"
        report.add("not_allowed", f"{wanted}, not {shown(value)}")
    return value


_rate_fields: Final = Record(
    Field("rate", _rate),
    Field("burst", optional(integer(1, MAX_COUNT)), None),
    Field("algorithm", choice(BUCKET, WINDOW), BUCKET),
    Field("key", _key, "client_ip"),
    Field("where", choice("local", "global"), "local"),
    Field("on_redis_failure", choice("local", "allow", "deny"), "local"),
    Field("headers", boolean, True),
)


def _one_rate_limit(value: Any, report: Report) -> Any:
    before = len(report.found)
    limit = _rate_fields(value, report)
    if len(report.found) > before:
        return limit
    if limit["algorithm"] == WINDOW:
        if limit["burst"] is not None:
            _conflict("burst", "is of a token_bucket: a window lets its rate in at once", report)
    elif limit["burst"] is None:
        limit["burst"] = int(limit["rate"].partition("/")[0])
    if limit["where"] == "local" and limit["on_redis_failure"] != "local":
        _conflict("on_redis_failure", 'needs where "global": else Redis is not asked', report)
    return limit


def _conflict(field: str, message: str, report: Report) -> None:
    report.add("conflict", message)
    report.locate(len(report.found) - 1, field)


_rate_limits: Final[Check] = list_of(_one_rate_limit, MAX_LIMITS)


def rate_limit(value: Any, report: Report) -> Any:
    """One limit, or a list of them that all must let a request pass; always a list afterwards."""
    if type(value) is dict:
        return [_one_rate_limit(value, report)]
    if value == []:
        report.add("empty", "must have at least one limit, or be null for none")
    elif type(value) is not list:
        wrong_type(value, "an object or a list of them", report)
        return None
    return _rate_limits(value, report)


concurrency: Final = Record(
    Field("limit", integer(1, MAX_AT_ONCE)),
    Field("key", _key, "client_ip"),
)
"""How many requests of one key may be under way at a time."""
