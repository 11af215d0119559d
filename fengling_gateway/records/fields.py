"""
The fields of records: what each is called, what it says, and how it is had of an `Ended`. Pure.

A field is an expression in Python, in terms of `LOCALS`: a line is made by one
function that is put together of them (`line_source`), because with a call for each field it
would take three times as long.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, overload

from fengling_gateway.records.ended import Attempt, Ended

SAFE, TEXT, BYTES, NAME = "safe", "text", "bytes", "name"
NUMBER, SECONDS, LIST = "number", "seconds", "list"
"""
Kinds of values: text that can't hold anything odd; any text; any bytes; either of these, or a number, that
comes again and again, so that what is written of it is remembered; a number; seconds (written as
milliseconds); a list for JSON. But for the first, None is where there is none.
"""

LOCALS: Final = (
    f"({', '.join(Ended._fields)}) = one",
    "last = attempts[-1] if attempts else NOBODY",
)
"""What expressions may use, beside the functions of this module and of the line's maker."""

NOBODY: Final = Attempt(None, None, None, 0.0, None, None)  # type: ignore[arg-type]


class Field(NamedTuple):
    """A field: its expression, the kind of its value, and what it says."""

    expression: str
    kind: str
    says: str


FIELDS: Final = {
    "time": Field("time_of(at)", SAFE, "when it ended, as `2026-11-22T14:05:06.789Z`"),
    "time_common": Field("common_time_of(at)", SAFE, "the same, as `22/Nov/2026:14:05:06 +0000`"),
    "request_id": Field("request_id", BYTES, "also in the answers of failures"),
    "trace_id": Field("trace_id", BYTES, "of the trace, recorded or not, where there is tracing"),
    "client": Field("client", SAFE, "the client's address, by what trusted proxies say"),
    "peer": Field("peer", SAFE, "the address that the connection came from"),
    "listener": Field("listener", SAFE, "by its name in the settings"),
    "scheme": Field("scheme", NAME, "`http` or `https`, as the client came to the gateway"),
    "protocol": Field("PROTOCOLS[head.minor] if head else None", NAME, "`HTTP/1.1`"),
    "tls_version": Field(
        "tls[1] if tls else None", NAME, "as `TLSv1.3`, where the client speaks TLS"
    ),
    "tls_cipher": Field("tls[2] if tls else None", NAME, "by its name, as OpenSSL has it"),
    "method": Field("head.method if head else None", NAME, "as it was sent"),
    "host": Field("head.host_header if head else None", NAME, "of the Host header"),
    "target": Field("redacted(head.target) if head else None", BYTES, "path and query, redacted"),
    "path": Field("head.target.partition(b'?')[0] if head else None", BYTES, "as it was sent"),
    "query": Field(
        "redacted(head.target).partition(b'?')[2] or None if head else None",
        BYTES,
        "without the question mark, redacted",
    ),
    "status": Field("status", NAME, "of the answer; 499: the client left before there was one"),
    "error": Field(
        "error.code if error else None", NAME, "its name, of what failed ([errors](errors.md))"
    ),
    "route": Field("route or None", NAME, "its id"),
    "service": Field("service or None", NAME, "its id"),
    "tenant": Field("tenant", NAME, "its id"),
    "subject": Field("subject", TEXT, "who asked, by token or API key"),
    "revision": Field("revision", NAME, "of the configuration that it was served by"),
    "instance": Field("last.instance", NAME, "that was asked last"),
    "address": Field("last.address", NAME, "of that instance"),
    "attempts": Field("len(attempts)", NAME, "how many instances were asked"),
    "tried": Field(
        "[document(each) for each in attempts[:-1]] if len(attempts) > 1 else None",
        LIST,
        "those before the last: instance, address, error, began_ms, connect_ms, ms",
    ),
    "received": Field("received", NUMBER, "bytes of the request's body, or of a tunnel's"),
    "sent": Field("sent", NUMBER, "bytes of the answer's body, or of a tunnel's"),
    "duration_ms": Field("seconds", SECONDS, "from the end of the head to the end of the answer"),
    "connect_ms": Field("last.connect", SECONDS, "waited for a connection, in the last attempt"),
    "first_byte_ms": Field(
        "last.seconds if last.error is None else last.first_byte",
        SECONDS,
        "from the last attempt's beginning to its answer's",
    ),
    "user_agent": Field(
        "said(head.headers, b'user-agent') if head else None", NAME, "of the client"
    ),
    "referer": Field("told(head, b'referer')", TEXT, "of the request, redacted"),
}

_PLAIN: Final = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]*")

_PLAIN_BYTES: Final = bytes(set(range(32, 127)) - set(b'"\\'))
"""What stands for itself wherever it is quoted."""

PROTOCOLS: Final = ("HTTP/1.0", "HTTP/1.1")

HEADER: Final = "header:"
"""What fields that are a request's header begin with: ``header:X-Version``."""


@overload
def text(raw: bytes) -> str: ...


@overload
def text(raw: bytes | None) -> str | None: ...


def text(raw: bytes | None) -> str | None:
    """Return bytes of a request as text; what is no UTF-8 is written as hexadecimal digits."""
    return None if raw is None else raw.decode("utf-8", "backslashreplace")


def ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


quoted: Final = json.encoder.encode_basestring_ascii
"""Writes text as JSON has it."""


def quoted_bytes(raw: bytes) -> str:
    """Write bytes of a request as JSON has text."""
    return quoted(text(raw)) if raw.translate(None, _PLAIN_BYTES) else f'"{raw.decode()}"'


def plain_bytes(raw: bytes) -> str:
    """Return bytes of a request as a quoted field has them."""
    return plain(text(raw)) if raw.translate(None, _PLAIN_BYTES) else raw.decode()


def listed(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


_ESCAPES: Final = [
    chr(byte) if _PLAIN.fullmatch(chr(byte)) else f"\\x{byte:02X}" for byte in range(256)
]


def plain(value: str) -> str:
    """Return text as a quoted field has it."""
    if _PLAIN.fullmatch(value):
        return value
    # (All of it at once: a client may send 8 KiB of quotes, as often as it likes.)
    return value.encode("utf-8", "surrogatepass").decode("latin-1").translate(_ESCAPES)


def document(one: Attempt) -> dict[str, Any]:
    """Return an attempt as JSON has it."""
    return {
        "instance": one.instance,
        "address": one.address,
        "error": None if one.error is None else one.error.code,
        "began_ms": ms(one.began),
        "connect_ms": ms(one.connect),
        "ms": ms(one.seconds),
    }


_THREE_DIGITS: Final = [f"{number:03d}" for number in range(1000)]

MAX_REMEMBERED: Final = 2000
MAX_REMEMBERED_CHARACTERS: Final = 256


class Written(dict[Any, str]):
    """
    What is written of values that come again and again; the others are written anew each time.

    Args:
        write: writes text.
        nothing: what is written of None.
    """

    def __init__(self, write: Callable[[str], str], nothing: str) -> None:
        self._write = write
        self._nothing = nothing
        self[None] = nothing

    def __missing__(self, value: bytes | str | int) -> str:
        if isinstance(value, int):
            written = str(value)
        else:
            written = self._write(value if isinstance(value, str) else text(value))
        if len(written) <= MAX_REMEMBERED_CHARACTERS:
            if len(self) >= MAX_REMEMBERED:  # clients may choose some
                self.clear()
                self[None] = self._nothing
            self[value] = written
        return written


def milliseconds(seconds: float) -> str:
    microseconds = int(seconds * 1_000_000 + 0.5)
    return f"{microseconds // 1000}.{_THREE_DIGITS[microseconds % 1000]}"


class Times:
    """Writes times; those of one second are alike."""

    def __init__(self) -> None:
        self._second = self._common_second = -1
        self._written = self._common = ""

    def time_of(self, at: float) -> str:
        second = int(at)
        if second != self._second:
            self._second = second
            self._written = _written(second, "%Y-%m-%dT%H:%M:%S.")
        return f"{self._written}{_THREE_DIGITS[int((at - second) * 1000)]}Z"

    def common_time_of(self, at: float) -> str:
        second = int(at)
        if second != self._common_second:
            self._common_second = second
            self._common = _written(second, "%d/%b/%Y:%H:%M:%S +0000")
        return self._common


def _written(second: int, form: str) -> str:
    return datetime.fromtimestamp(second, UTC).strftime(form)


def field(name: str) -> Field:
    """
    Return a field by its name.

    Raises:
        KeyError: there is none of that name.
    """
    header = name.removeprefix(HEADER)
    if header == name:
        return FIELDS[name]
    if not header.isascii() or not header:
        raise KeyError(name)
    # (As a constant: what settings say never becomes code.)
    lower = header.lower().encode()
    return Field(f"told(head, {lower!r})", TEXT, "a header of the request, redacted")
