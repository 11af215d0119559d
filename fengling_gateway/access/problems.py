"""Errors of the management API, and of the console's, as RFC 9457 problem documents."""

from __future__ import annotations

import json
import re
import secrets
from http import HTTPStatus
from typing import Any, Final

from twisted.web.iweb import IRequest

from fengling_gateway.http.problem import CONTENT_TYPE, DOCUMENTATION

REQUEST_ID: Final = b"x-request-id"
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:+/=-]{1,128}")
"""What is written to the log as it is; uuids, ULIDs and trace ids are such."""

TITLES: Final = {
    "unauthorized": (401, "A bearer token is needed"),
    "insufficient_scope": (403, "The token does not allow this"),
    "forbidden": (403, "The token is limited to tenants"),
    "tenant_mismatch": (403, "The token is limited to other tenants"),
    "link_refused": (403, "The link lets nobody in"),
    "foreign_origin": (403, "It was not asked for by a page of the console"),
    "not_found": (404, "There is nothing here"),
    "not_served": (404, "It is not served here"),
    "not_kept": (404, "No such exchange is kept here"),
    "forgotten": (410, "The log no longer has it"),
    "method_not_allowed": (405, "The method is not supported here"),
    "conflict": (409, "It cannot be done in the present state"),
    "body_too_large": (413, "The request's body is too large"),
    "unsupported_media_type": (415, "The request's body must be JSON"),
    "malformed_request": (400, "The request is malformed"),
    "malformed_json": (400, "The request's body is not acceptable JSON"),
    "precondition_failed": (412, "It is not as you have read it"),
    "invalid": (422, "What is to be written has errors"),
    "refused": (422, "The database refuses it"),
    "invalid_parameter": (422, "A parameter is not acceptable"),
    "precondition_required": (428, "Say which version is to be changed"),
    "too_many_failures": (429, "Too many wrong tokens from this address"),
    "internal_error": (500, "The gateway made a mistake"),
    "source_unavailable": (503, "The config source does not answer"),
    "busy": (503, "Too much is asked of the database at the moment"),
    "bus_unavailable": (503, "Redis does not answer"),
    "uncertain": (503, "Nobody knows whether it is written"),
    "no_worker": (503, "No worker serves yet"),
    "not_converged": (504, "Not every worker serves it yet"),
}
"""Every code with its status and title."""


class ProblemError(Exception):
    """
    An answer other than success, raised by whoever finds the reason.

    Args:
        code: one of `TITLES`.
        detail: what is wrong with this request, for people; no secrets, and
            nothing that was sent, unless checked.
        members: further fields of the document.
    """

    def __init__(self, code: str, detail: str = "", **members: Any) -> None:
        super().__init__(detail or code)
        self.code = code
        self.detail = detail
        self.members = members
        self.status, self.title = TITLES[code]

    def document(self) -> dict[str, Any]:
        return {
            "type": DOCUMENTATION + self.code,
            "title": self.title,
            "status": self.status,
            "code": self.code,
            **({"detail": self.detail} if self.detail else {}),
            **self.members,
        }


def write_problem(request: IRequest, problem: ProblemError) -> bytes:
    """Set status and headers, and return the body."""
    request.setResponseCode(problem.status, HTTPStatus(problem.status).phrase.encode())
    request.setHeader(b"content-type", CONTENT_TYPE)
    document = {**problem.document(), "request_id": request_id(request)}
    return json.dumps(document, default=str).encode()


def identify(request: Any) -> None:
    """Give a request its id, which the answer shows: the caller's own if it can be one."""
    said = request.requestHeaders.getRawHeaders(REQUEST_ID) or []
    if len(said) != 1 or not _REQUEST_ID.fullmatch(said[0]):
        said = [secrets.token_hex(8).encode()]
    request.setHeader(REQUEST_ID, said[0])


def request_id(request: Any) -> str:
    """Return the id that `identify` has given a request."""
    [found] = request.responseHeaders.getRawHeaders(REQUEST_ID)
    return str(found.decode())
