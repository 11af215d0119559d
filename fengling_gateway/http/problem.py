"""Answers of the gateway's own as RFC 9457 problem documents."""

from __future__ import annotations

import json
from typing import Final

from fengling_gateway.http.forward_error import ForwardError

CONTENT_TYPE: Final = b"application/problem+json"

DOCUMENTATION: Final = "urn:fengling:error:"
"""A problem's type, completed by its code; docs/errors.md describes each."""

REASONS: Final[dict[int, bytes]] = {
    200: b"OK",
    201: b"Created",
    202: b"Accepted",
    204: b"No Content",
    301: b"Moved Permanently",
    302: b"Found",
    303: b"See Other",
    304: b"Not Modified",
    307: b"Temporary Redirect",
    308: b"Permanent Redirect",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    409: b"Conflict",
    410: b"Gone",
    413: b"Content Too Large",
    414: b"URI Too Long",
    417: b"Expectation Failed",
    418: b"I'm a Teapot",
    421: b"Misdirected Request",
    422: b"Unprocessable Content",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    451: b"Unavailable For Legal Reasons",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    508: b"Loop Detected",
}
"""Reason phrases for the statuses that the gateway answers with by itself."""


def problem_body(error: ForwardError, request_id: bytes) -> bytes:
    """
    Return the problem document of a failure.

    It contains nothing that came from the request except its id, which the
    caller has made or checked, so that an error page reflects nothing.
    """
    document = {
        "type": DOCUMENTATION + error.code,
        "title": error.title,
        "status": error.status,
        "code": error.code,
        "request_id": request_id.decode("latin-1"),
    }
    return json.dumps(document).encode()
