"""What a route holds: conditions, exactly one target, policies, and a time in which it is valid."""

from __future__ import annotations

from typing import Any, Final

from fengling_gateway.model.checks import (
    Check,
    Field,
    Record,
    boolean,
    choice,
    integer,
    list_of,
    mapping_of,
    optional,
    text,
    unique,
    unsupported,
)
from fengling_gateway.model.ejection import refuse_on_route
from fengling_gateway.model.entity import MAX_BODY_BYTES, Key
from fengling_gateway.model.kinds import ENABLED, MAX_HOSTS, MAX_WEIGHT
from fengling_gateway.model.names import (
    METHODS,
    edited_response_header,
    header_value,
    host,
    lower_token,
    method,
    network,
    query_name,
    slug,
    token,
)
from fengling_gateway.model.paths import location, plain_path, route_path
from fengling_gateway.model.policies import MAX_EDITS, policies
from fengling_gateway.model.problems import Report
from fengling_gateway.model.times import beginning, ending

MAX_CONDITIONS: Final = 50
MAX_SPLIT: Final = 100
MAX_COUNTS_AS: Final = 2**53 - 1
"""The largest whole number that everybody who reads JSON has."""

TARGETS: Final = ("service_id", "split", "redirect", "respond")

_PRIORITY: Final = 2**31
_BODILESS: Final = (204, 205, 304)
_WITHOUT_VALUE: Final = ("exists", "absent")


def _condition(name: Check) -> Check:
    fields = Record(
        Field("name", name),
        Field("op", choice("equals", "prefix", "contains", *_WITHOUT_VALUE), "equals"),
        Field("value", optional(text(4096)), None),
        Field("ignore_case", boolean, False),
    )

    def check(value: Any, report: Report) -> Any:
        before = len(report.found)
        condition = fields(value, report)
        if len(report.found) != before:
            return condition
        needs_value = condition["op"] not in _WITHOUT_VALUE
        if needs_value and condition["value"] is None:
            report.add("required", f"must have a value to compare with, for {condition['op']}")
        elif not needs_value and condition["value"] is not None:
            report.add("conflict", f"must have no value, for {condition['op']}")
        return condition

    return check


NO_MATCH: Final[dict[str, Any]] = {
    "headers": [],
    "query": [],
    "cookies": [],
    "client_ip": [],
    "listeners": [],
}

_match_fields: Final = Record(
    Field("headers", list_of(_condition(lower_token), MAX_CONDITIONS), []),
    Field("query", list_of(_condition(query_name), MAX_CONDITIONS), []),
    Field("cookies", list_of(_condition(token), MAX_CONDITIONS), []),
    Field("client_ip", list_of(network, MAX_HOSTS, as_set=True), []),
    Field("listeners", list_of(slug, MAX_CONDITIONS, as_set=True), []),
    Field("counts_as", optional(integer(0, MAX_COUNTS_AS)), None),
    Field("claims", unsupported("matching on claims"), None),
)


def _match(value: Any, report: Report) -> Any:
    if value is None or value == {}:
        return NO_MATCH
    match = _match_fields(value, report)
    match.pop("claims", None)
    # (Bodies of before it came have no such key, and stay as they are.)
    if match.get("counts_as") is None:
        match.pop("counts_as", None)
    return match


_weights: Final = mapping_of(slug, integer(0, MAX_WEIGHT), MAX_SPLIT)


def _split(value: Any, report: Report) -> Any:
    before = len(report.found)
    weights = _weights(value, report)
    if len(report.found) == before:
        if not weights:
            report.add("empty", "must name at least one service")
        elif not any(weights.values()):
            report.add("zero_weights", "must have at least one weight above 0")
    return weights


_redirected_path: Final = Record(
    Field("strip", optional(plain_path), None),
    Field("prefix", optional(plain_path), None),
)


def _path_of_redirect(value: Any, report: Report) -> Any:
    before = len(report.found)
    edit = _redirected_path(value, report)
    if len(report.found) == before and not any(edit.values()):
        report.add("empty", "must have strip or prefix")
    return edit


_redirect: Final = Record(
    Field("status", integer(301, 308), 302),
    Field("location", location),
    Field("path", optional(_path_of_redirect), None),
)


def _redirect_with_status(value: Any, report: Report) -> Any:
    redirect = _redirect(value, report)
    # (Bodies of before it came have no such key, and stay as they are.)
    if redirect.get("path") is None:
        redirect.pop("path", None)
    if redirect.get("status") in {304, 305, 306}:
        before = len(report.found)
        report.add("not_allowed", "must be one of 301, 302, 303, 307, 308")
        report.locate(before, "status")
    return redirect


_response_header_values: Final = mapping_of(edited_response_header, header_value, MAX_EDITS)


def _response_headers(value: Any, report: Report) -> Any:
    before = len(report.found)
    headers = _response_header_values(value, report)
    if len(report.found) == before:
        unique(headers, "header", report)
    return headers


_respond_fields: Final = Record(
    Field("status", integer(200, 599), 200),
    Field("headers", _response_headers, {}),
    Field("body", text(MAX_BODY_BYTES), ""),
)


def _respond(value: Any, report: Report) -> Any:
    response = _respond_fields(value, report)
    if response.get("status") in _BODILESS and response.get("body"):
        report.add("body_not_allowed", f"must have no body, for status {response['status']}")
    return response


ROUTE: Final = Record(
    Field("tenant_id", optional(slug), None),
    ENABLED,
    Field("priority", integer(-_PRIORITY, _PRIORITY - 1), 0),
    Field("hosts", list_of(host, MAX_HOSTS, as_set=True), []),
    Field("path", route_path, "/{**rest}"),
    Field("methods", list_of(method, len(METHODS), as_set=True), []),
    Field("match", _match, NO_MATCH),
    Field("service_id", optional(slug), None),
    Field("split", optional(_split), None),
    Field("redirect", optional(_redirect_with_status), None),
    Field("respond", optional(_respond), None),
    Field("policies", policies, {}),
    Field("valid_from", beginning, None),
    Field("valid_to", ending, None),
    open_ended=True,
)


def finish_route(body: dict[str, Any], row: dict[str, Any], report: Report) -> None:
    """Judge what only the whole route shows; `row` is what was given, right or wrong."""
    given = [target for target in TARGETS if row.get(target) is not None]
    if len(given) != 1:
        found = " and ".join(given) if given else "none of them"
        report.add("one_target", f"must have exactly one of {', '.join(TARGETS)}; it has {found}")
    refuse_on_route(row.get("policies"), report)
    start, end = body.get("valid_from"), body.get("valid_to")
    # (To the microsecond, as a database keeps them.)
    if start is not None and end is not None and round(start, 6) >= round(end, 6):
        report.add("conflict", "must have a valid_to after its valid_from")


def route_refs(body: dict[str, Any]) -> frozenset[Key]:
    refs = [Key("service", name) for name in body["split"] or ()]
    if body["service_id"] is not None:
        refs.append(Key("service", body["service_id"]))
    if body["tenant_id"] is not None:
        refs.append(Key("tenant", body["tenant_id"]))
    return frozenset(refs)
