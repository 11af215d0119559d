"""A request to the console's API as an operation sees it, and its answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fengling_gateway.access.granted import Access, access_of
from fengling_gateway.access.parameters import (
    is_id,
    is_line,
    no_other_parameters,
    page_limit,
    query_value,
    read_json,
    timeout_seconds,
)
from fengling_gateway.access.problems import ProblemError
from fengling_gateway.http.problem import CONTENT_TYPE
from fengling_gateway.model.entity import Key
from fengling_gateway.model.problems import Problem

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
"""A whole configuration of some 20,000 routes."""

_JSON: Final = ("application/json",)
MERGE_PATCH: Final = "application/merge-patch+json"
YAML: Final = ("application/yaml", "application/x-yaml", "text/yaml")

_ETAG: Final = re.compile(r'"([0-9]{1,18})"')
_BOOLEANS: Final = {"true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What an operation answers.

    Attributes:
        value: JSON, or text where ``content_type`` says so.
    """

    value: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    def written_to(self, request: Any) -> bytes:
        """Set status and headers of a request's answer, and return its body."""
        request.setResponseCode(self.status)
        for name, value in self.headers.items():
            request.setHeader(name.encode(), value.encode())
        if self.status == 204:
            return b""
        text = self.value if isinstance(self.value, str) else json.dumps(self.value, default=str)
        body = text.encode()
        request.setHeader(b"content-type", self.content_type.encode())
        request.setHeader(b"content-length", b"%d" % len(body))
        return b"" if request.method == b"HEAD" else body


class Call:
    """
    A request that has passed the gate.

    Attributes:
        request: Twisted's.
        path: the variable parts of its path, by name.
    """

    __slots__ = ("path", "request")

    def __init__(self, request: Any, path: Mapping[str, str]) -> None:
        self.request = request
        self.path = path

    @property
    def access(self) -> Access:
        return access_of(self.request)

    def only(self, *names: str) -> None:
        """
        Raises:
            ProblemError: there are other parameters than these in the query.
        """
        no_other_parameters(self.request, set(names))

    def text(self, name: str, default: str = "", *, most: int = 200) -> str:
        """Return a parameter that may be any text of some length."""
        return query_value(
            self.request,
            name,
            default,
            lambda text: len(text) <= most and is_line(text),
            f"text of at most {most} characters",
        )

    def id(self, name: str) -> str:
        """Return a parameter that is an id, or empty."""
        return query_value(self.request, name, "", is_id, "an id")

    def one_of(self, name: str, default: str, values: Sequence[str]) -> str:
        return query_value(self.request, name, default, values.__contains__, ", ".join(values))

    def flag(self, name: str) -> bool:
        """Return a parameter that is true or false; false without it."""
        return _BOOLEANS[self.one_of(name, "false", tuple(_BOOLEANS))]

    def whole(self, name: str, default: int | None = None) -> int | None:
        """Return a parameter that is a whole number, if it is there."""
        text = query_value(
            self.request,
            name,
            "",
            lambda text: text.isascii() and text.isdigit() and len(text) <= 18,
            "a whole number",
        )
        return int(text) if text else default

    def several(self, name: str, check: Callable[[str], bool], expected: str) -> list[str]:
        """Return the values of a parameter that may be given more than once."""
        try:
            values = [value.decode() for value in self.request.args.get(name.encode(), ())]
        except UnicodeDecodeError:
            values = [""]
        if len(values) > 20 or not all(map(check, values)):
            raise ProblemError("invalid_parameter", f"{name} must be {expected}")
        return values

    def limit(self) -> int:
        return page_limit(self.request)

    def timeout(self) -> float:
        """Return the seconds that the caller is willing to wait."""
        return timeout_seconds(self.request)

    def content_type(self) -> str:
        named = self.request.requestHeaders.getRawHeaders(b"content-type", [b""])[0]
        return str(named.decode("latin-1").partition(";")[0].strip().lower())

    def content(self) -> bytes:
        """Return the body; the gate has refused one that is too large."""
        content: bytes = self.request.content.read()
        return content

    def json(self, *also: str) -> Any:
        """
        Return the body's JSON.

        Args:
            also: content types that are taken besides application/json.

        Raises:
            ProblemError: it is none.
        """
        # (Also keeps a page of strangers from sending this without asking: a "simple" request.)
        if self.content_type() not in (*_JSON, *also):
            raise ProblemError("unsupported_media_type")
        return read_json(self.content())

    def fields(self, checks: Mapping[str, Callable[[Any], bool]]) -> dict[str, Any]:
        """
        Return the body's fields, each checked; none of an empty body.

        Raises:
            ProblemError: one is unknown, or has a value of the wrong kind.
        """
        if not self.request.content.getbuffer().nbytes:
            return {}
        found = self.json()
        if type(found) is not dict:
            raise ProblemError("invalid_parameter", "the body must be an object")
        if unknown := found.keys() - checks.keys():
            known = ", ".join(checks) or "none"
            shown = ", ".join(sorted(map(repr, unknown)))[:100]
            raise ProblemError("invalid_parameter", f"unknown field {shown}; known: {known}")
        for name, value in found.items():
            if not checks[name](value):
                raise ProblemError("invalid_parameter", f"{name} has a value of the wrong kind")
        return found

    def expected_version(self, *, required: bool = True) -> int | None:
        """
        Return the version that If-Match names; None for any (``*``).

        Raises:
            ProblemError: there is none where it is required, or it is malformed.
        """
        named = self.request.requestHeaders.getRawHeaders(b"if-match") or []
        if not named:
            if required:
                detail = (
                    "send the ETag that you have read as If-Match, so that nobody's change is lost"
                )
                raise ProblemError("precondition_required", detail)
            return None
        text = named[0].decode("latin-1").strip() if len(named) == 1 else ""
        if text == "*":
            return None
        match = _ETAG.fullmatch(text)
        if match is None:
            raise ProblemError(
                "precondition_failed", 'If-Match must be one ETag such as "42", or *'
            )
        return int(match[1])


def problems_of(found: Mapping[Key, Sequence[Problem]]) -> list[dict[str, str]]:
    """Return problems as an answer tells them, each with the entity that it is about."""
    return [
        {"entity": str(key), "path": one.path, "code": one.code, "message": one.message}
        for key, problems in found.items()
        for one in problems
    ]


__all__ = ["CONTENT_TYPE", "MAX_BODY_BYTES", "MERGE_PATCH", "YAML", "Answer", "Call", "problems_of"]
