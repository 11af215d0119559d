"""
The policies: one shape in services, routes and the setting ``defaults``.

Every known policy is an object with all its fields, or null for *off*. Which
one is effective is decided key by key when a route is compiled; here each is
judged for itself.
"""

from __future__ import annotations

import re
from typing import Any, Final

from fengling_gateway.model.access import access
from fengling_gateway.model.authorization import auth
from fengling_gateway.model.browsers import cors, security_headers
from fengling_gateway.model.checks import (
    Check,
    Field,
    Record,
    boolean,
    free_value,
    integer,
    list_of,
    mapping_of,
    refuse_unknown,
    unique,
    wrong_type,
)
from fengling_gateway.model.checks import optional as or_null
from fengling_gateway.model.ejection import ejection
from fengling_gateway.model.limits import concurrency, rate_limit
from fengling_gateway.model.names import (
    edited_request_header,
    edited_response_header,
    header_value,
    literal_host,
    upgrade_protocol,
)
from fengling_gateway.model.paths import plain_path, whole_path
from fengling_gateway.model.problems import Report
from fengling_gateway.model.times import duration

MAX_EDITS: Final = 100
MAX_PROTOCOLS: Final = 20
MAX_RETRY_ATTEMPTS: Final = 3
MAX_TIMEOUT: Final = 86400.0
"""A day: longer than that a connection is a leak."""

MIN_TIMEOUT: Final = 0.001
MAX_CONNECT_TIMEOUT: Final = 300.0
MAX_BODY_LIMIT: Final = 2**50

_FREE_NAME: Final = re.compile(r"x-[A-Za-z0-9._-]{1,98}")

timeout: Final = duration(MIN_TIMEOUT, MAX_TIMEOUT)
connect_timeout: Final = duration(MIN_TIMEOUT, MAX_CONNECT_TIMEOUT)

_path_fields: Final = Record(
    Field("strip", or_null(plain_path), None),
    Field("prefix", or_null(plain_path), None),
    Field("replace", or_null(whole_path), None),
    Field("encoded_slashes", boolean, False),
)


def _path(value: Any, report: Report) -> Any:
    before = len(report.found)
    edit = _path_fields(value, report)
    if len(report.found) == before:
        if not any(edit.values()):
            report.add("empty", "must have strip, prefix, replace or encoded_slashes")
        elif edit["replace"] and (edit["strip"] or edit["prefix"]):
            report.add("conflict", "must not have strip or prefix beside replace")
    # (Bodies of before it came have no such key, and stay as they are.)
    if edit.get("replace") is None:
        edit.pop("replace", None)
    return edit


def _header_edits(name: Check) -> Check:
    fields = Record(
        Field("set", mapping_of(name, header_value, MAX_EDITS), {}),
        Field("add", mapping_of(name, header_value, MAX_EDITS), {}),
        Field("remove", list_of(_lowered(name), MAX_EDITS, as_set=True), []),
    )

    def check(value: Any, report: Report) -> Any:
        before = len(report.found)
        edits = fields(value, report)
        if len(report.found) == before:
            unique(edits["set"], "header", report)
            unique(edits["add"], "header", report)
            _refuse_contradiction(edits, report)
        return edits

    return check


def _lowered(name: Check) -> Check:
    def check(value: Any, report: Report) -> Any:
        checked = name(value, report)
        return checked.lower() if type(checked) is str else None

    return check


def _refuse_contradiction(edits: dict[str, Any], report: Report) -> None:
    removed = frozenset(edits["remove"])
    for kind in ("set", "add"):
        for name in edits[kind]:
            if name.lower() in removed:
                report.add("conflict", f"must not both {kind} and remove {name}")


POLICIES: Final[dict[str, Check]] = {
    "access": or_null(access),
    "auth": or_null(auth),
    "concurrency": or_null(concurrency),
    "cors": or_null(cors),
    "ejection": or_null(ejection),
    "host_header": or_null(Record(Field("value", literal_host))),
    "limits": or_null(Record(Field("max_request_body", or_null(integer(0, MAX_BODY_LIMIT))))),
    "path": or_null(_path),
    "rate_limit": or_null(rate_limit),
    "request_headers": or_null(_header_edits(edited_request_header)),
    "response_headers": or_null(_header_edits(edited_response_header)),
    "retry": or_null(Record(Field("attempts", integer(0, MAX_RETRY_ATTEMPTS)))),
    "security_headers": or_null(security_headers),
    "timeouts": or_null(
        Record(
            Field("connect", or_null(connect_timeout), None),
            Field("first_byte", or_null(timeout), None),
            Field("idle", or_null(timeout), None),
            Field("total", or_null(timeout), None),
            Field("tunnel", or_null(timeout), None),
        )
    ),
    "upgrade": or_null(
        Record(Field("protocols", list_of(upgrade_protocol, MAX_PROTOCOLS, as_set=True)))
    ),
}
"""The known policies."""

_NAMES: Final = tuple(POLICIES)


def policies(value: Any, report: Report) -> Any:
    """The policies of one entity; names that begin with ``x-`` are free, for filters."""
    if type(value) is not dict:
        wrong_type(value, "an object", report)
        return None
    checked = {}
    unknown = {}
    for name, policy in value.items():
        check = POLICIES.get(name)
        if check is None:
            if not (type(name) is str and _FREE_NAME.fullmatch(name)):
                unknown[name] = policy
                continue
            check = free_value
        start = len(report.found)
        checked[name] = check(policy, report)
        report.locate(start, name)
    refuse_unknown(unknown, _NAMES, "unknown_policy", report)
    return checked
