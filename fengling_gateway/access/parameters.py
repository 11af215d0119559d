"""What a request asks for, read from its query and body, each value checked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from fengling_gateway.access.problems import ProblemError
from fengling_gateway.auth.strict_json import StrictJSONError, loads

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000
"""Entities on a page."""

MAX_BODY_BYTES: Final = 64 * 1024

DEFAULT_TIMEOUT: Final = "5s"
MAX_TIMEOUT_SECONDS: Final = 60.0

_MAX_NUMBER_DIGITS: Final = 9

_HALF: Final = re.compile(rb"\\u[dD][89a-fA-F]")
"""How half of a pair of surrogates begins, and a whole one, too."""

# What can be said by a pattern is: the document shows them, and is taken at its word.
TIMEOUT: Final = (
    r"(?:[0-5]?[0-9](?:\.[0-9]{1,3})?|60(?:\.0{1,3})?)s?"
    r"|(?:[0-5]?[0-9]{1,4}(?:\.[0-9]{1,3})?|60000(?:\.0{1,3})?)ms"
)
"""Up to `MAX_TIMEOUT_SECONDS`."""

ID: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
KEY: Final = r"[a-z_]{1,50}/[\x01-\uffff]{1,1000}"
"""Of an entity that is rejected, so that its id may be anything."""

LINE: Final = r"[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]*"
"""Text that is on one line and shows itself: nothing that moves, hides or turns what is beside it."""

MAX_REVISION: Final = 2**63 - 1

_TIMEOUT: Final = re.compile(TIMEOUT)
_ID: Final = re.compile(ID)
_LINE: Final = re.compile(LINE)
_KEY: Final = re.compile(KEY)

Checks = Mapping[str, Callable[[Any], bool]]


def query_value(
    request: Any, name: str, default: str, check: Callable[[str], bool], expected: str
) -> str:
    """
    Return a parameter of the query, or the default.

    Raises:
        ProblemError: it occurs twice, or fails the check; `expected` says why.
    """
    values = request.args.get(name.encode())
    if values is None:
        return default
    try:
        (text,) = (value.decode() for value in values)
    except ValueError:
        raise ProblemError("invalid_parameter", f"{name} must be {expected}") from None
    if not check(text):
        raise ProblemError("invalid_parameter", f"{name} must be {expected}")
    return text


def page_limit(request: Any) -> int:
    """Return how many entities a page is to have."""

    def is_limit(text: str) -> bool:
        return is_number(text) and 1 <= int(text) <= MAX_LIMIT

    expected = f"a number from 1 to {MAX_LIMIT}"
    return int(query_value(request, "limit", str(DEFAULT_LIMIT), is_limit, expected))


def timeout_seconds(request: Any) -> float:
    """Return how long a caller is willing to wait."""

    def is_timeout(text: str) -> bool:
        return _TIMEOUT.fullmatch(text) is not None

    expected = f"a duration such as 5s, up to {MAX_TIMEOUT_SECONDS:g}s"
    text = query_value(request, "timeout", DEFAULT_TIMEOUT, is_timeout, expected)
    if text.endswith("ms"):
        return float(text.removesuffix("ms")) * 0.001
    return float(text.removesuffix("s"))


def no_other_parameters(request: Any, known: set[str]) -> None:
    """
    Raises:
        ProblemError: a parameter that would otherwise be ignored in silence.
    """
    if request.args.keys() - {name.encode() for name in known}:
        allowed = ", ".join(sorted(known)) or "none"
        raise ProblemError("invalid_parameter", f"unknown query parameter; known: {allowed}")


def json_body(request: Any, checks: Checks, *, required: set[str]) -> dict[str, Any]:
    """
    Return the fields of a body that is a JSON object; an empty body is an empty object.

    Raises:
        ProblemError: it is too large, malformed, or a field is unknown,
            missing or of the wrong kind.
    """
    text = request.content.read(MAX_BODY_BYTES + 1)
    if len(text) > MAX_BODY_BYTES:
        raise ProblemError("body_too_large")
    fields = _parse(request, text) if text.strip() else {}
    if not isinstance(fields, dict):
        raise ProblemError("invalid_parameter", "the body must be an object")
    if fields.keys() - checks.keys():
        raise ProblemError("invalid_parameter", f"unknown field; known: {', '.join(checks)}")
    for name in sorted(required - fields.keys()):
        raise ProblemError("invalid_parameter", f"{name} is missing")
    for name, value in fields.items():
        if not checks[name](value):
            raise ProblemError("invalid_parameter", f"{name} has a value of the wrong kind")
    return fields


def _parse(request: Any, text: bytes) -> Any:
    kind = request.requestHeaders.getRawHeaders(b"content-type", [b""])[0]
    # Also keeps a web page from sending this without asking (a "simple" request).
    if kind.partition(b";")[0].strip().lower() != b"application/json":
        raise ProblemError("unsupported_media_type")
    return read_json(text)


def read_json(text: bytes) -> Any:
    """
    Return the value of a body's JSON.

    Raises:
        ProblemError: it is none, or says what can't be written down anywhere.
    """
    try:
        found = loads(text)
        if _HALF.search(text):
            # (Python takes half of a pair of surrogates for a character, and nobody else does.)
            json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ProblemError("malformed_json", "half of a character") from None
    except StrictJSONError as error:
        raise ProblemError("malformed_json", str(error)) from None
    return found


def text_up_to(length: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and len(value) <= length


def is_revision(value: Any) -> bool:
    # (To JSON, 7.0 is a whole number.)
    whole = type(value) is int or (type(value) is float and value.is_integer())
    return whole and 0 <= value <= MAX_REVISION


def is_boolean(value: Any) -> bool:
    return type(value) is bool


def is_headers(value: Any) -> bool:
    """Names and values of headers; at most as many as a request may have."""
    return (
        isinstance(value, dict)
        and len(value) <= 100
        and all(isinstance(text, str) and len(text) <= 8192 for text in value.values())
        and all(len(name) <= 8192 for name in value)
    )


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def is_key(text: str) -> bool:
    return _KEY.fullmatch(text) is not None


def is_line(text: str) -> bool:
    return _LINE.fullmatch(text) is not None


def is_number(text: str) -> bool:
    # (Bounded first: int() of thousands of digits raises, or takes its time.)
    return text.isascii() and text.isdigit() and len(text) <= _MAX_NUMBER_DIGITS
