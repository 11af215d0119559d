"""
Checks of paths: templates and regular expressions of routes, prefixes, locations.

Literal parts are compared with the bytes of a request's path, so their
canonical form is as these arrive: percent-encoded beyond ASCII.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

import re2

from fengling_gateway.model.checks import wrong_type
from fengling_gateway.model.problems import Report, shown

MAX_PATH: Final = 1000
MAX_SEGMENTS: Final = 100
MAX_REGEX: Final = 1000

# A path of so few characters has no more than the most segments allowed.
_SURELY_FEW: Final = 2 * MAX_SEGMENTS
_LITERAL: Final = re.compile(r"(?:[A-Za-z0-9._~!$&'()+,;=:@-]|%[0-9A-Fa-f]{2})*")
_PARAMETER: Final = re.compile(r"\{(?:\*\*)?([A-Za-z_][A-Za-z0-9_]{0,49})\}")
_PLAIN_PATH: Final = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+/?")
_ENCODED_DOTS: Final = re.compile(r"(?:\.|%2[Ee]){1,2}")
_PLACEHOLDER: Final = re.compile(r"\{(?:path|query|host|hostname)\}")
_LOCATION_TEXT: Final = re.compile(r"[!#-;=?-\[\]_a-z{}~]{1,2000}")
_LOCATION: Final = re.compile(
    r"(?:https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:[/?#].*)?|/(?![/\\]).*)"
)
# A third of RE2's default budget: what compiles with it compiles in the request
# path too, where many expressions are joined into one set.
_RE2_BYTES: Final = 8 * 1024 * 1024 // 3


def _re2_options() -> Any:
    options = re2.Options()
    options.log_errors = False  # RE2 would write to the process's stderr itself
    options.max_mem = _RE2_BYTES
    return options


_RE2_OPTIONS: Final = _re2_options()


def route_path(value: Any, report: Report) -> Any:
    """A path template, or a regular expression after ``~``."""
    if type(value) is not str:
        wrong_type(value, "a path like /orders/{**rest}", report)
        return None
    if value.startswith("~"):
        _check_regex(value[1:], report)
        return value
    if len(value) <= _SURELY_FEW and _PLAIN_PATH.fullmatch(value):
        return value
    return _template(value, report)


def _check_regex(pattern: str, report: Report) -> None:
    if len(pattern) > MAX_REGEX:
        report.add("too_long", f"must have at most {MAX_REGEX} characters, not {len(pattern)}")
    elif not pattern:
        report.add("empty", "must have a regular expression after ~")
    elif not pattern.isascii() or not pattern.isprintable():
        report.add("bad_regex", "must be printable ASCII: paths arrive percent-encoded")
    else:
        try:
            re2.compile(pattern, _RE2_OPTIONS)
        except re2.error as error:
            reason = error.args[0] if error.args else b"unknown"
            told = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
            report.add("bad_regex", f"is no RE2 expression: {told[:200]}")


def _template(value: str, report: Report) -> str | None:
    if not value.startswith("/"):
        report.add("bad_path", f"must begin with / (or ~ for a regex), not {shown(value)}")
        return None
    value = _percent_encoded(value)
    if len(value) > MAX_PATH:
        report.add("too_long", f"must have at most {MAX_PATH} characters, not {len(value)}")
        return None
    segments = value[1:].split("/")
    if len(segments) > MAX_SEGMENTS:
        report.add("too_long", f"must have at most {MAX_SEGMENTS} segments, not {len(segments)}")
        return None
    if segments[-1] == "**":
        segments[-1] = "{**rest}"
    names: set[str] = set()
    for position, segment in enumerate(segments, 1):
        _check_segment(segment, position == len(segments), names, report)
    return "/" + "/".join(segments)


def _percent_encoded(value: str) -> str:
    """Spell what is beyond ASCII as clients do; the rest, and what nobody can see, stays."""
    if value.isascii() or len(value) > MAX_PATH or not value.isprintable():
        return value
    return "".join(one if one.isascii() else quote(one) for one in value)


def _check_segment(segment: str, is_last: bool, names: set[str], report: Report) -> None:
    parameter = _PARAMETER.fullmatch(segment)
    if parameter is None:
        fault = _literal_fault(segment, is_last)
        if fault is not None:
            report.add("bad_path", f"{fault}, at segment {shown(segment)}")
        return
    name = parameter[1]
    if segment.startswith("{**") and not is_last:
        report.add("bad_path", f"can only end with {segment}: it takes the rest of the path")
    if name in names:
        report.add("duplicate", f"has two parameters of the name {name}")
    names.add(name)


def _literal_fault(segment: str, is_last: bool) -> str | None:
    """Say why requests can't have this segment; None if they can."""
    if not segment:
        return None if is_last else "must not have // (such requests are refused)"
    if _ENCODED_DOTS.fullmatch(segment):
        return "must not have . or .. (such requests are refused)"
    if _LITERAL.fullmatch(segment):
        return "must not have an encoded NUL" if "%00" in segment else None
    if "?" in segment or "#" in segment:
        return "must be a path alone (match.query looks at the query)"
    if "{" in segment or "}" in segment:
        return "must have parameters as whole segments, {name} or at the end {**name}"
    if "*" in segment:
        return "must use {name} for any segment, {**rest} at the end for any rest"
    return "has a character that is to be percent-encoded (a space is %20)"


def plain_path(value: Any, report: Report) -> Any:
    """A literal path prefix on a segment border: ``/api``, never ``/`` or ``/api/``."""
    if type(value) is not str:
        wrong_type(value, "a path like /api", report)
        return None
    path = _percent_encoded(value)
    if len(path) <= MAX_PATH:
        path = path.rstrip("/")
    if len(path) > MAX_PATH:
        report.add("too_long", f"must have at most {MAX_PATH} characters, not {len(value)}")
    elif not path.startswith("/"):
        report.add("bad_path", f"must begin with / and go on, like /api, not {shown(value)}")
    elif not _PLAIN_PATH.fullmatch(path):
        faults = ((one, _literal_fault(one, is_last=False)) for one in path[1:].split("/"))
        wrong = ((segment, fault) for segment, fault in faults if fault is not None)
        for segment, fault in islice(wrong, MAX_SEGMENTS):
            report.add("bad_path", f"{fault}, at segment {shown(segment)}")
    return path


def whole_path(value: Any, report: Report) -> Any:
    """A literal path, which may be ``/`` alone or have one at its end."""
    if type(value) is not str:
        wrong_type(value, "a path like /api/", report)
        return None
    if value == "/":
        return value
    path = plain_path(value, report)
    return path + "/" if path and value.endswith("/") else path


def location(value: Any, report: Report) -> Any:
    """
    Where a redirect leads: a URL or a path, with {path}, {query}, {host} and {hostname}.

    What a client sent must not decide the host: ``{path}`` and ``/{path}`` could
    send it to ``//anywhere``, and are refused.
    """
    if type(value) is not str:
        wrong_type(value, "a URL like https://new.example{path}{query}", report)
    elif not _LOCATION_TEXT.fullmatch(value):
        report.add("bad_location", f"must be 1 to 2000 URL characters, not {shown(value)}")
    elif "{" in (rest := _PLACEHOLDER.sub("", value)) or "}" in rest:
        report.add(
            "bad_location",
            "must have no placeholder but {path}, {query}, {host} and {hostname}, "
            f"not {shown(value)}",
        )
    else:
        example = value.replace("{host}", "h").replace("{hostname}", "h")
        example = example.replace("{path}", "/p").replace("{query}", "?q")
        if value.startswith("{") or not _LOCATION.fullmatch(example):
            report.add(
                "bad_location",
                f"must begin with https://host, http://host or one /, not {shown(value)}",
            )
    return value
