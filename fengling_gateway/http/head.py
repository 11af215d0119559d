"""Heads of requests, from bytes to values; `response_head` has those of answers.

A head arrives here whole (whoever reads the connection finds its end and counts
its bytes first), and is parsed by llhttp, which refuses what is not HTTP/1.1
byte by byte. What llhttp does not judge is judged here: the form of the first
line, versions, hosts, lengths, codings, limits. See `docs/architecture.md`.

This is on the path of every request. Anything rare is in a function of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

import httptools

from fengling_gateway.http import headers as roles_of
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.http.framing import CHUNKED, NO_BODY, content_length
from fengling_gateway.http.headers import Pair, headers_by_name, is_disguised, nominated, without
from fengling_gateway.http.target import check_path, normal_host, split_absolute
from fengling_gateway.http.trailers import announced

_METHOD: Final = re.compile(rb"[A-Z][A-Z_-]{0,31}")
_REFUSED_METHODS: Final = frozenset({b"CONNECT", b"TRACE"})
_REQUEST_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}")

# Looking for a byte by its number is cheap. Looking for a byte string with "in"
# is not: CPython first takes it for a number, and formats an error message.
_PERCENT: Final = 0x25
_BACKSLASH: Final = 0x5C
_DOT: Final = 0x2E
_SEMICOLON: Final = 0x3B
_HASH: Final = 0x23
_UNDERSCORE: Final = 0x5F
_SPACES: Final = (0x20, 0x09)
_LINE_END: Final = b"\r\n"

_DROP: Final = roles_of.DROP
_HOST: Final = roles_of.HOST
_CONTENT_LENGTH: Final = roles_of.CONTENT_LENGTH
_TRANSFER_ENCODING: Final = roles_of.TRANSFER_ENCODING
_CONNECTION: Final = roles_of.CONNECTION
_FOR_LATER: Final = frozenset(
    {
        roles_of.AUTHORIZATION,
        roles_of.PREFLIGHT,
        roles_of.TENANT,
        roles_of.DEBUG,
        roles_of.TRACEPARENT,
        roles_of.TRACESTATE,
    }
)


class HeadLimits(NamedTuple):
    """
    Largest head that is accepted; the defaults are those of `DataPlaneSettings`.

    A line is one header line; the first line is limited by `target_bytes`.
    """

    head_bytes: int = 32 * 1024
    line_bytes: int = 8 * 1024
    target_bytes: int = 8 * 1024
    headers: int = 100


class HeadError(Exception):
    """A head is refused; `error` says why."""

    def __init__(self, error: ForwardError, reason: str = "") -> None:
        super().__init__(reason or error.title)
        self.error = error


class RequestHead:
    """
    A request's head: what routes are matched against, and what is forwarded.

    Attributes:
        listener, is_trusted: where it came in, and whether the word on forwarded
            headers counts of whoever brought it.
        peer: the client's address, as far as those are trusted who say it.
        method, target, path, query: of the first line; `target` in origin form.
        has_encoded_slash: whether the path holds a ``%2F``, which few routes take.
        host: normalised; `host_header` as it was written.
        headers: every line, as received.
        forward: the lines that are passed on as they are.
        framing: of the body that follows; see `http.framing`.
        keep_alive: whether the client can be served again on this connection.
        upgrade: protocols that the client offers to go on in; None without a valid offer.
        takes_trailers: whether the client asks for an answer's trailers.
        trailer: names of trailers that it announces.
        via: who has forwarded the request so far.
        authorization: credentials; those of several lines joined with a comma.
        preflight: the method that a browser asks leave for (Fetch, section 3.2.2); None
            once it has turned out that it is not for the gateway to give.
        debug: with which a console asks how the request is served; nobody has verified it.
        said_tenant: which tenant the client says it is of; nobody believes it.
        minor: 1, or 0 for HTTP/1.0.
    """

    __slots__ = (
        "_by_name",
        "authorization",
        "connection",
        "debug",
        "expects_continue",
        "forward",
        "forwarded_for",
        "forwarded_host",
        "forwarded_proto",
        "framing",
        "has_encoded_slash",
        "headers",
        "host",
        "host_header",
        "is_trusted",
        "keep_alive",
        "listener",
        "method",
        "minor",
        "path",
        "peer",
        "preflight",
        "query",
        "request_id",
        "said_tenant",
        "takes_trailers",
        "target",
        "traceparent",
        "tracestate",
        "trailer",
        "upgrade",
        "via",
    )

    def __init__(self, listener: str, peer: str, is_trusted: bool) -> None:
        self.listener = listener
        self.peer = peer
        self.is_trusted = is_trusted
        self.headers: list[Pair] = []
        self._by_name: dict[bytes, bytes] | None = None
        self.forward: list[Pair] = []
        self.method = b""
        self.target = b""
        self.path = b""
        self.query = b""
        self.host = b""
        self.host_header: bytes | None = None
        self.has_encoded_slash = False
        self.framing = NO_BODY
        self.minor = 1
        self.keep_alive = True
        self.connection: bytes | None = None
        self.expects_continue = False
        self.forwarded_for: bytes | None = None
        self.forwarded_proto: bytes | None = None
        self.forwarded_host: bytes | None = None
        self.request_id: bytes | None = None
        self.upgrade: bytes | None = None
        self.takes_trailers = False
        self.trailer: bytes | None = None
        self.via: bytes | None = None
        self.authorization: bytes | None = None
        self.preflight: bytes | None = None
        self.said_tenant: bytes | None = None
        self.debug: bytes | None = None
        self.traceparent: bytes | None = None
        self.tracestate: tuple[bytes, ...] = ()

    # llhttp asks for each of these; finding None is ten times cheaper than not finding it.
    on_url = on_message_begin = on_headers_complete = None
    on_body = on_message_complete = on_chunk_header = on_chunk_complete = None

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one line from llhttp, which leaves the white space after a value to us."""
        if value and value[-1] in _SPACES:
            value = value.rstrip(b" \t")
        self.headers.append((name, value))

    def header(self, lower_name: bytes) -> bytes | None:
        """Return all values of a header joined with a comma; None where it is absent."""
        if self._by_name is None:
            self._by_name = headers_by_name(self.headers)
        return self._by_name.get(lower_name)

    def __repr__(self) -> str:
        return f"<RequestHead {self.method!r} {self.host!r} {self.path!r}>"


def parse_request_head(
    raw: bytes, head: RequestHead, roles: Mapping[bytes, int], limits: HeadLimits
) -> None:
    """
    Fill `head` from the bytes of a request's head, its empty line included.

    Raises:
        HeadError: the request must be refused, and its connection closed.
    """
    parser = httptools.HttpRequestParser(head)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise _refusal(raw, error) from None
    _take_first_line(raw, head)
    if len(head.target) > limits.target_bytes:
        raise HeadError(ForwardError.TARGET_TOO_LONG)
    if len(raw) > limits.line_bytes or len(head.headers) > limits.headers:
        _check_limits(raw, head, limits)
    _sort_headers(head, roles, _UNDERSCORE in raw)
    _settle_target(head)
    if head.connection is not None:
        _settle_connection(head)
    if head.upgrade is not None:
        _settle_upgrade(head)
    if head.trailer is not None:
        _settle_trailer(head)
    if head.method in _REFUSED_METHODS:
        raise HeadError(ForwardError.METHOD_REFUSED)


def _take_first_line(raw: bytes, head: RequestHead) -> None:
    # Exactly two spaces, or what follows the second is no version. llhttp skips
    # line ends before the method; here they would become part of it.
    line = raw.split(b" ", 2)
    if len(line) != 3 or raw[0] in _LINE_END:
        raise HeadError(ForwardError.MALFORMED_REQUEST, "request line")
    head.method, head.target, rest = line
    version = rest[:10]
    if version != b"HTTP/1.1\r\n":
        if version != b"HTTP/1.0\r\n":
            raise HeadError(ForwardError.MALFORMED_REQUEST, "version")
        head.minor = 0
        head.keep_alive = False


def _sort_headers(head: RequestHead, roles: Mapping[bytes, int], has_underscore: bool) -> None:
    """Tell apart what is forwarded, what is for the gateway, and what is dropped."""
    forward = head.forward
    for pair in head.headers:
        lower = pair[0].lower()
        role = roles.get(lower)
        if role is None:
            if not has_underscore or _UNDERSCORE not in lower or not is_disguised(lower, roles):
                forward.append(pair)
        elif role == _HOST:
            if head.host_header is not None:
                raise HeadError(ForwardError.INVALID_HOST, "two Host headers")
            head.host_header = pair[1]
        elif role != _DROP:
            _take_special(head, role, pair)


def _take_special(head: RequestHead, role: int, pair: Pair) -> None:
    """Take a header that means something to the gateway."""
    value = pair[1]
    if role == _CONNECTION:
        head.connection = value if head.connection is None else head.connection + b"," + value
    elif role == _CONTENT_LENGTH:
        _take_content_length(head, value)
    elif role == _TRANSFER_ENCODING:
        if head.framing != NO_BODY or head.minor == 0 or value.lower() != b"chunked":
            raise HeadError(ForwardError.MALFORMED_REQUEST, "transfer encoding")
        head.framing = CHUNKED
    elif role == roles_of.EXPECT:
        _take_expect(head, value)
    elif role == roles_of.UPGRADE:
        head.upgrade = value if head.upgrade is None else head.upgrade + b"," + value
    elif role == roles_of.TE:
        head.takes_trailers |= head.minor == 1 and b"trailers" in _tokens(value)
    elif role == roles_of.TRAILER:
        head.trailer = value if head.trailer is None else head.trailer + b"," + value
    elif role == roles_of.VIA:
        head.via = value if head.via is None else head.via + b", " + value
    elif role in _FOR_LATER:
        _take_for_later(head, role, pair)
    elif head.is_trusted:
        _take_from_trusted(head, role, pair)


def _take_for_later(head: RequestHead, role: int, pair: Pair) -> None:
    """Take a header that the guards of a route may look at, or compare, or that is a console's."""
    value = pair[1]
    if role == roles_of.DEBUG:
        head.debug = value
        return
    if role == roles_of.TRACEPARENT:
        head.traceparent = value if head.traceparent is None else b""
        return
    if role == roles_of.TRACESTATE:
        head.tracestate = (*head.tracestate, value)
        return
    if role == roles_of.TENANT:
        head.said_tenant = value if head.said_tenant is None else head.said_tenant + b", " + value
        return
    if role == roles_of.AUTHORIZATION:
        before = head.authorization
        head.authorization = value if before is None else before + b", " + value
    else:
        head.preflight = value
    head.forward.append(pair)


def _take_from_trusted(head: RequestHead, role: int, pair: Pair) -> None:
    """Take a header that counts only where it comes from a trusted peer."""
    value = pair[1]
    if role == roles_of.FORWARDED_FOR:
        before = head.forwarded_for
        head.forwarded_for = value if before is None else before + b", " + value
    elif role == roles_of.FORWARDED_PROTO:
        head.forwarded_proto = value
    elif role == roles_of.FORWARDED_HOST:
        head.forwarded_host = value
    elif role == roles_of.TRUSTED_TRACEPARENT:
        _take_for_later(head, roles_of.TRACEPARENT, pair)
    elif role == roles_of.TRUSTED_TRACESTATE:
        _take_for_later(head, roles_of.TRACESTATE, pair)
    elif role == roles_of.REQUEST_ID:
        if _REQUEST_ID.fullmatch(value):
            head.request_id = value
    else:
        head.forward.append(pair)


def _take_content_length(head: RequestHead, value: bytes) -> None:
    if head.framing != NO_BODY:
        raise HeadError(ForwardError.MALFORMED_REQUEST, "two framings")
    try:
        head.framing = content_length(value)
    except ValueError:
        raise HeadError(ForwardError.MALFORMED_REQUEST, "content length") from None


def _take_expect(head: RequestHead, value: bytes) -> None:
    """Take an Expect header; HTTP/1.0 has none, so there it means nothing."""
    if head.minor == 0:
        return
    if value.lower() != b"100-continue":
        raise HeadError(ForwardError.EXPECTATION_FAILED)
    head.expects_continue = True


def _settle_target(head: RequestHead) -> None:
    """Split the target, and judge path and host."""
    target = head.target
    host = head.host_header
    if host is None and head.minor == 1:
        raise HeadError(ForwardError.INVALID_HOST, "no Host header")
    try:
        if host is not None:
            head.host = normal_host(host)
        if target[:1] != b"/":
            target = _from_absolute(head)
        path, _, head.query = target.partition(b"?")
        if (
            (_PERCENT in path or _BACKSLASH in path or _DOT in path)
            or (_SEMICOLON in path or path.find(b"//") >= 0)
        ):  # fmt: skip
            head.has_encoded_slash = check_path(path)
    except ValueError as error:
        kind = ForwardError.INVALID_TARGET if head.host else ForwardError.INVALID_HOST
        raise HeadError(kind, str(error)) from None
    if _HASH in target:
        raise HeadError(ForwardError.INVALID_TARGET, "fragment")
    head.path = path


def _from_absolute(head: RequestHead) -> bytes:
    """Return the origin form of an absolute-form target, whose authority must be the Host."""
    if head.method in _REFUSED_METHODS:
        raise HeadError(ForwardError.METHOD_REFUSED)
    authority, head.target = split_absolute(head.target)
    if head.host_header is None:
        head.host_header = authority
        head.host = normal_host(authority)
    elif normal_host(authority) != head.host:
        raise HeadError(ForwardError.INVALID_HOST, "target and Host differ")
    return head.target


def _settle_connection(head: RequestHead) -> None:
    """Apply the Connection header."""
    connection = (head.connection or b"").lower()
    if connection == b"keep-alive":
        head.keep_alive = True
        return
    if connection == b"close":
        head.keep_alive = False
        return
    tokens = _tokens(connection)
    head.keep_alive = b"close" not in tokens and (head.minor == 1 or b"keep-alive" in tokens)
    names = nominated(connection)
    if names:
        head.forward = without(head.forward, names)


def _tokens(value: bytes) -> set[bytes]:
    """Return what a list of tokens holds, in lower case."""
    return {token.strip(b" \t") for token in value.lower().split(b",")}


def _settle_upgrade(head: RequestHead) -> None:
    """
    Drop an offer that is none: without the Connection header's word, by HTTP/1.0 or with a body.

    A body would stand between the request and the other protocol. Some clients
    offer HTTP/2 with every request, so that one is served as if it had not.
    """
    if (
        head.minor == 0
        or head.framing not in {NO_BODY, 0}
        or b"upgrade" not in _tokens(head.connection or b"")
    ):
        head.upgrade = None


def _settle_trailer(head: RequestHead) -> None:
    """Announce to the instance what may be passed on of the trailers, if there can be any."""
    names = announced(head.trailer or b"") if head.framing == CHUNKED else b""
    if names:
        head.forward.append((b"Trailer", names))


def _refusal(raw: bytes, error: httptools.HttpParserError) -> HeadError:
    """Say how to answer what llhttp refused."""
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        line = raw[: raw.find(b"\r\n")].split(b" ")
        if len(line) == 3 and _METHOD.fullmatch(line[0]) and line[2].startswith(b"HTTP/1."):
            return HeadError(ForwardError.METHOD_UNKNOWN)
    return HeadError(ForwardError.MALFORMED_REQUEST, str(error))


def _check_limits(raw: bytes, head: RequestHead, limits: HeadLimits) -> None:
    if len(raw) > limits.head_bytes or len(head.headers) > limits.headers:
        raise HeadError(ForwardError.HEADERS_TOO_LARGE)
    if any(len(line) + 2 > limits.line_bytes for line in raw.split(b"\r\n")[1:]):
        raise HeadError(ForwardError.HEADERS_TOO_LARGE)
