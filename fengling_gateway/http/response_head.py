"""Heads of answers, from bytes to values. On the path of every request, like `head`."""

from __future__ import annotations

import re
from typing import Any, Final

import httptools

from fengling_gateway.http import headers as roles_of
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.http.framing import content_length
from fengling_gateway.http.head import HeadError, HeadLimits
from fengling_gateway.http.headers import Pair, nominated, valid_value, without
from fengling_gateway.http.trailers import announced

_IDLE_SECONDS: Final = re.compile(
    rb"(?:^|[,;])[ \t]*timeout=([0-9]{1,6})(?:[ \t]*(?:[,;]|$))", re.IGNORECASE
)

_SPACES: Final = (0x20, 0x09)

_DROP: Final = roles_of.DROP
_CONTENT_LENGTH: Final = roles_of.CONTENT_LENGTH
_TRANSFER_ENCODING: Final = roles_of.TRANSFER_ENCODING
_CONNECTION: Final = roles_of.CONNECTION
_DATE: Final = roles_of.DATE
_KEEP_ALIVE: Final = roles_of.KEEP_ALIVE
_TRAILER: Final = roles_of.TRAILER
_UPGRADE: Final = roles_of.UPGRADE
_ROLES: Final = roles_of.RESPONSE_ROLES


class ResponseHead:
    """
    An answer's head.

    Attributes:
        status, reason: of the first line.
        headers: every line, as received.
        forward: the lines that are passed on as they are.
        content_length: of its header; negative without one.
        keep_alive: whether the instance can be asked again on this connection.
        has_date: whether the instance dated its answer.
        upgrade: the protocol that it goes on in, where it says so.
        idle_seconds: how long it keeps an unused connection; negative where it does not say.
    """

    __slots__ = (
        "chunked",
        "connection",
        "content_length",
        "forward",
        "has_date",
        "headers",
        "idle_seconds",
        "keep_alive",
        "minor",
        "reason",
        "status",
        "trailer",
        "upgrade",
    )

    def __init__(self) -> None:
        self.headers: list[Pair] = []
        self.forward: list[Pair] = []
        self.status = 0
        self.reason = b""
        self.content_length = -1
        self.chunked = False
        self.minor = 1
        self.keep_alive = True
        self.connection: bytes | None = None
        self.has_date = False
        self.upgrade: bytes | None = None
        self.trailer: bytes | None = None
        self.idle_seconds = -1

    # llhttp asks for each of these; finding None is ten times cheaper than not finding it.
    on_status = on_message_begin = on_headers_complete = None
    on_body = on_message_complete = on_chunk_header = on_chunk_complete = None

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one line from llhttp, which leaves the white space after a value to us."""
        if value and value[-1] in _SPACES:
            value = value.rstrip(b" \t")
        self.headers.append((name, value))

    def __repr__(self) -> str:
        return f"<ResponseHead {self.status}>"


def parse_response_head(raw: bytes, limits: HeadLimits) -> ResponseHead:
    """
    Return the head in `raw`, its empty line included.

    Raises:
        HeadError: the answer must not be forwarded, and its connection closed.
    """
    head = ResponseHead()
    parser: Any = httptools.HttpResponseParser(head)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise HeadError(ForwardError.MALFORMED_RESPONSE, str(error)) from None
    if len(head.headers) > limits.headers:
        raise HeadError(ForwardError.RESPONSE_HEADERS_TOO_LARGE)
    version = raw[:9]
    if version != b"HTTP/1.1 ":
        if version != b"HTTP/1.0 ":
            raise HeadError(ForwardError.MALFORMED_RESPONSE, "version")
        head.minor = 0
        head.keep_alive = False
    head.status = parser.get_status_code()
    if head.status < 200 and (head.status < 100 or not head.minor):
        raise HeadError(ForwardError.MALFORMED_RESPONSE, "status")
    head.reason = b"OK" if raw[13:17] == b"OK\r\n" else _reason(raw)
    _sort_headers(head)
    if head.connection is not None:
        _settle_connection(head)
    if head.trailer is not None and head.chunked:
        names = announced(head.trailer)
        if names:
            head.forward.append((b"Trailer", names))
    return head


def _reason(raw: bytes) -> bytes:
    """Return the first line's text, in which llhttp lets any control character pass."""
    reason = raw[13 : raw.find(b"\r\n")]
    if not valid_value(reason):
        raise HeadError(ForwardError.MALFORMED_RESPONSE, "reason")
    return reason


def _sort_headers(head: ResponseHead) -> None:
    """Tell apart what is forwarded, what is for the gateway, and what is dropped."""
    forward = head.forward
    for pair in head.headers:
        role = _ROLES.get(pair[0].lower())
        if role is None:
            forward.append(pair)
        elif role == _CONTENT_LENGTH:
            _take_content_length(head, pair[1])
        elif role == _DATE:
            head.has_date = True
            forward.append(pair)
        elif role != _DROP:
            _take_special(head, role, pair[1])


def _take_content_length(head: ResponseHead, value: bytes) -> None:
    if head.content_length >= 0 or head.chunked:
        raise HeadError(ForwardError.MALFORMED_RESPONSE, "two framings")
    try:
        head.content_length = content_length(value)
    except ValueError:
        raise HeadError(ForwardError.MALFORMED_RESPONSE, "content length") from None


def _take_special(head: ResponseHead, role: int, value: bytes) -> None:
    if role == _CONNECTION:
        head.connection = value if head.connection is None else head.connection + b"," + value
    elif role == _TRANSFER_ENCODING:
        if head.chunked or head.content_length >= 0 or head.minor == 0:
            raise HeadError(ForwardError.MALFORMED_RESPONSE, "two framings")
        if value.lower() != b"chunked":
            raise HeadError(ForwardError.MALFORMED_RESPONSE, "transfer encoding")
        head.chunked = True
    elif role == _KEEP_ALIVE:
        match = _IDLE_SECONDS.search(value)
        if match is not None:
            head.idle_seconds = int(match[1])
    elif role == _TRAILER:
        head.trailer = value if head.trailer is None else head.trailer + b"," + value
    elif role == _UPGRADE:
        head.upgrade = value if head.upgrade is None else head.upgrade + b"," + value


def _settle_connection(head: ResponseHead) -> None:
    connection = (head.connection or b"").lower()
    if connection == b"keep-alive":
        head.keep_alive = True
        return
    tokens = {token.strip(b" \t") for token in connection.split(b",")}
    head.keep_alive = b"close" not in tokens and (head.minor == 1 or b"keep-alive" in tokens)
    names = nominated(connection)
    if names:
        head.forward = without(head.forward, names)
