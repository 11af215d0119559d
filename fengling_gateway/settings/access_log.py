"""The settings of the access log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final

from pydantic import Field, field_validator

from fengling_gateway.http.redacting import SECRET_PARAMETERS
from fengling_gateway.records.line_source import DEFAULT_FIELDS, LineError
from fengling_gateway.records.lines import make_line
from fengling_gateway.records.redaction import Redaction
from fengling_gateway.settings.section import Section
from fengling_gateway.settings.values import HIDDEN, Grace, Name, may_hold_secret, refuse

STDOUT: Final = "stdout"

_STATUSES: Final = re.compile(r"([0-9]{3})(?:-([0-9]{3}))?")


class AccessLogSettings(Section):
    """A line for each request. Workers write it themselves, each by a thread of its own."""

    path: str = Field(
        default="",
        description="Where to: a file, relative to this one, or stdout. Empty: there is none. A "
        "file that is renamed or removed is made anew.",
        examples=["/var/log/fengling/access.log"],
    )
    format: str = Field(
        default="json",
        description="json, common, combined, or a template: "
        "{client} {method} {target} {status} {duration_ms}.",
        max_length=2000,
    )
    fields: list[str] = Field(
        default=list(DEFAULT_FIELDS),
        description="Of a line of JSON (docs/access-log.md has them all); header:X-Version is a "
        "header of the request.",
        min_length=1,
        max_length=100,
    )
    statuses: list[str] = Field(
        default=[],
        description="Answers that always have a line, whatever the sample. What fails has one "
        "anyway.",
        examples=[["400-599"]],
        max_length=100,
    )
    slower_than: Grace = Field(
        default=0.0, description="Requests that take so long always have a line. 0s: none."
    )
    sample: Annotated[float, Field(ge=0, le=1)] = Field(
        default=1.0, description="Of all other requests, the share that have a line."
    )
    routes: list[Name] = Field(
        default=[], description="Only requests of these routes. Empty: of all.", max_length=1000
    )
    redact_query: list[str] = Field(
        default=list(SECRET_PARAMETERS),
        description="Parameters of targets whose values are written as REDACTED.",
        max_length=100,
    )
    redact_headers: list[str] = Field(
        default=[],
        description="Headers whose values are, besides Authorization, Proxy-Authorization and "
        "Cookie.",
        max_length=100,
    )

    @field_validator("statuses")
    @classmethod
    def _statuses(cls, value: list[str]) -> list[str]:
        for one in value:
            found = _STATUSES.fullmatch(one)
            if found is None or int(found[1]) > int(found[2] or found[1]):
                raise refuse("malformed", 'must be statuses like "404" or "500-599"')
        return value

    @field_validator("format")
    @classmethod
    def _format(cls, value: str) -> str:
        _try_out(value, DEFAULT_FIELDS)
        return value

    @field_validator("fields")
    @classmethod
    def _fields(cls, value: list[str]) -> list[str]:
        _try_out("json", value)
        return value

    def data_plane(self) -> dict[str, Any] | None:
        """What of it concerns a worker's data plane; None where nothing was said of it."""
        if self == AccessLogSettings():
            return None
        pairs = [one.partition("-")[::2] for one in self.statuses]
        return {
            **self.model_dump(),
            "statuses": [[int(low), int(high or low)] for low, high in pairs],
            "slower_than": self.slower_than or 1e9,
        }


def _try_out(form: str, names: Sequence[str]) -> None:
    """
    Make lines of these fields, or by this format.

    Raises:
        Refused: there can be none.
    """
    try:
        make_line(form, names, Redaction((), ()))
    except LineError as error:
        message = str(error)
        raise refuse(
            "malformed", f"is not usable: {HIDDEN if may_hold_secret(message) else message}"
        ) from None
