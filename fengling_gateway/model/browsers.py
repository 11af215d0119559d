"""Policies that speak to browsers: ``cors`` and ``security_headers``."""

from __future__ import annotations

import re
from typing import Any, Final

from fengling_gateway.model.checks import (
    Field,
    Record,
    boolean,
    choice,
    list_of,
    mapping_of,
    optional,
    unique,
    wrong_type,
)
from fengling_gateway.model.names import (
    canonical_host,
    edited_response_header,
    header_value,
    method,
    token,
)
from fengling_gateway.model.problems import Report, shown
from fengling_gateway.model.times import duration

MAX_ORIGINS: Final = 200
MAX_NAMES: Final = 100
MAX_AGE: Final = 86400.0
"""Browsers keep a preflight's answer no longer, whatever they are told."""

ANY: Final = "*"
NOWHERE: Final = "null"
"""What browsers say of pages without an origin: any page can make a frame that has none."""

_ORIGIN: Final = re.compile(
    r"([a-z][a-z0-9+.-]{0,30})://(\*\.)?(\[[0-9a-f:.]+\]|[^:/\[\]]+)(:\d+)?"
)
_USUAL_PORTS: Final = {"http": ":80", "https": ":443"}


def origin(value: Any, report: Report) -> Any:
    """
    An origin as browsers say it (RFC 6454, 6.2), ``https://*.name`` for all below a name,
    ``*`` for any, or ``null``, which pages from nowhere are.
    """
    if type(value) is not str:
        wrong_type(value, "an origin like https://app.example", report)
        return None
    if value in {ANY, NOWHERE}:
        return value
    parts = _ORIGIN.fullmatch(value.lower()) if len(value) <= 300 and value.isprintable() else None
    host = canonical_host(parts[3]) if parts else None
    if parts is None or host is None or (parts[2] and (host[0] == "[" or host[-1].isdigit())):
        report.add(
            "bad_origin",
            "must be an origin like https://app.example or https://*.app.example, without a "
            f"path, not {shown(value)}",
        )
        return None
    port = "" if parts[4] == _USUAL_PORTS.get(parts[1]) else parts[4] or ""
    return f"{parts[1]}://{parts[2] or ''}{host}{port}"


def _header(value: Any, report: Report) -> Any:
    return value if value == ANY else token(value, report)


def _method(value: Any, report: Report) -> Any:
    return value if value == ANY else method(value, report)


_names: Final = list_of(_header, MAX_NAMES, as_set=True)

_cors: Final = Record(
    Field("origins", list_of(origin, MAX_ORIGINS, as_set=True)),
    Field("methods", list_of(_method, 20, as_set=True), ["GET", "HEAD", "POST"]),
    Field("headers", _names, []),
    Field("expose", _names, []),
    Field("credentials", boolean, False),
    Field("max_age", duration(0.0, MAX_AGE), 600.0),
)


def cors(value: Any, report: Report) -> Any:
    """Judge which pages of other origins may ask a route (the Fetch standard, section 3.2)."""
    before = len(report.found)
    policy = _cors(value, report)
    if len(report.found) > before:
        return policy
    if not policy["origins"]:
        report.add("empty", "must name at least one")
        report.locate(before, "origins")
    if policy["credentials"]:
        # A browser takes a star for nothing then; and any page could ask in its user's name.
        for name in ("origins", "methods", "headers", "expose"):
            if ANY in policy[name]:
                start = len(report.found)
                report.add("conflict", "can't be * together with credentials: name them")
                report.locate(start, name)
        if NOWHERE in policy["origins"]:
            start = len(report.found)
            report.add("conflict", "can't have null together with credentials: any page can be it")
            report.locate(start, "origins")
    return policy


PRESETS: Final = {
    "api": {
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    },
    "web": {
        "Cross-Origin-Opener-Policy": "same-origin-allow-popups",
        "Referrer-Policy": "strict-origin-when-cross-origin",
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "SAMEORIGIN",
    },
}
"""
What each preset says: ``api`` for answers that no browser is to show, ``web`` for pages.

None of it changes what an ordinary page does; a Content-Security-Policy would,
so a page's own is left alone.
"""

REMOVED: Final = ("Server", "X-Powered-By", "X-AspNet-Version", "X-AspNetMvc-Version")
"""What tells strangers which programs there are; the policy takes it off."""

_security_headers: Final = Record(
    Field("preset", choice(*PRESETS), "web"),
    Field("headers", mapping_of(edited_response_header, optional(header_value), MAX_NAMES), {}),
)


def security_headers(value: Any, report: Report) -> Any:
    """Judge the policy: a preset, and what differs from it; null leaves a header alone."""
    before = len(report.found)
    policy = _security_headers(value, report)
    if len(report.found) == before:
        unique(policy["headers"], "header", report)
    return policy
