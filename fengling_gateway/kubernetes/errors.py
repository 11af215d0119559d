"""What an API server refuses, or fails to answer, in words for an operator. Pure."""

from __future__ import annotations

import json
from typing import Any, Final

MAX_MESSAGE: Final = 500
"""Characters of a message that are shown; the API's own take some 200."""

MAX_RETRY_AFTER_SECONDS: Final = 300.0
"""However long it would have us wait: who reads "3600" has forgotten us by then."""

UNREACHABLE: Final = "Unreachable"
BROKEN: Final = "Broken"
SILENT: Final = "Silent"
TOO_LARGE: Final = "TooLarge"
CREDENTIALS: Final = "Credentials"

_RIGHTS: Final = "(docs/kubernetes.md, settings and rights)"
_ADVICE: Final = {
    401: "the token of the console's ServiceAccount is not accepted",
    403: f"the console's ServiceAccount has not this right {_RIGHTS}",
}


class ApiError(Exception):
    """
    A request has failed.

    Attributes:
        status: of HTTP, or of an event that stands for one; 0 where nothing was answered.
        reason: a word: the API's (``Expired``, ``Conflict``), or one of this module's.
        message: what it says, or what is wrong.
        retry_after: seconds that are to pass before the next request; None if it doesn't say.
    """

    def __init__(
        self, status: int, reason: str, message: str, retry_after: float | None = None
    ) -> None:
        super().__init__(status, reason, message, retry_after)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after

    def __str__(self) -> str:
        if not self.status:
            return self.message
        advice = _ADVICE.get(self.status)
        said = f"{self.status}: {self.message}"
        return said if advice is None else f"{said}: {advice}"

    def needing(self, right: str) -> str:
        """Return the sentence where what is wanted is known, such as "list of services"."""
        if self.status != 403:
            return str(self)
        said = f"{self.status}: {self.message}"
        return f"{said}: the console's ServiceAccount needs {right} {_RIGHTS}"


def of_answer(status: int, content: bytes, retry_after: str | None) -> ApiError:
    """Return what an answer other than 2xx says: a ``Status`` of the API, or anything else."""
    try:
        said = json.loads(content)
    except ValueError:
        said = None
    error = of_status(said if isinstance(said, dict) else {}, status)
    if not error.message:
        error.message = _line(content.decode(errors="replace")) or "it does not say why"
    if error.retry_after is None:
        error.retry_after = _seconds(retry_after)
    return error


def of_status(said: dict[str, Any], status: int = 0) -> ApiError:
    """Return what a ``Status`` says, of an answer or of an ERROR event."""
    details = said.get("details")
    after = details.get("retryAfterSeconds") if isinstance(details, dict) else None
    code = said.get("code")
    return ApiError(
        status or (code if type(code) is int else 500),
        str(said.get("reason") or ""),
        _line(str(said.get("message") or "")),
        _seconds(str(after or "")),
    )


def _line(text: str) -> str:
    """Return a text in one line, without what a terminal would obey, and not too much of it."""
    plain = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return plain if len(plain) <= MAX_MESSAGE else plain[:MAX_MESSAGE] + "…"


def _seconds(said: str | None) -> float | None:
    """Read Retry-After in seconds; a date, which no API server sends, says nothing."""
    if said is None or not (said.isascii() and said.isdigit()) or said == "0":
        return None
    return min(float(said[:6]), MAX_RETRY_AFTER_SECONDS)
