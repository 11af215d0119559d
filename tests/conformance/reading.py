"""What requests there are in the bytes of a client, read by the letter and by nothing of the gateway's."""

from __future__ import annotations

import re
from typing import NamedTuple

from tests.conformance.judge import Pair

_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]+)[ \t]*(?:;.*)?", re.DOTALL)
_ABSOLUTE = re.compile(rb"https?://[^/?]*(.*)", re.DOTALL | re.IGNORECASE)


class Reading(NamedTuple):
    """A request; its body is None where that has no end, or none that is well-formed."""

    method: bytes
    target: bytes
    body: bytes | None


def readings(raw: bytes) -> list[Reading]:
    """
    The requests in `raw`, up to the first whose end nobody could tell.

    A gateway may refuse any of them, and everything after it; it may find no other.
    """
    found: list[Reading] = []
    while True:
        head, end, rest = raw.lstrip(b"\r\n").partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        words = first.split(b" ")
        if not end or len(words) != 3:
            return found
        body, raw = _body([_pair(line) for line in lines], rest)
        found.append(Reading(words[0], _origin(words[1]), body))
        if body is None:
            return found


def _pair(line: bytes) -> Pair:
    name, _, value = line.partition(b":")
    return name.lower(), value.strip(b" \t")


def _origin(target: bytes) -> bytes:
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        return target
    return match[1] if match[1][:1] == b"/" else b"/" + match[1]


def _body(headers: list[Pair], rest: bytes) -> tuple[bytes | None, bytes]:
    """The body at the beginning of `rest`, and what follows it."""
    framing = [pair for pair in headers if pair[0] in (b"content-length", b"transfer-encoding")]
    if not framing:
        return b"", rest
    name, value = framing[0]
    if len(framing) > 1:
        return None, b""
    if name == b"transfer-encoding":
        return _chunks(rest) if value.lower() == b"chunked" else (None, b"")
    if not re.fullmatch(rb"[0-9]+", value) or len(rest) < int(value):
        return None, b""
    return rest[: int(value)], rest[int(value) :]


def _chunks(rest: bytes) -> tuple[bytes | None, bytes]:
    body = b""
    while True:
        line, _, rest = rest.partition(b"\r\n")
        match = _CHUNK_LINE.fullmatch(line)
        size = int(match[1], 16) if match else 0
        if match is None or (size and rest[size : size + 2] != b"\r\n"):
            return None, b""
        if not size:
            break
        body, rest = body + rest[:size], rest[size + 2 :]
    while line:
        line, end, rest = rest.partition(b"\r\n")
        if not end:
            return None, b""
    return body, rest
