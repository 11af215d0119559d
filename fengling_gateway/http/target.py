"""What a request is for: the target's path and query, and the host.

What is matched is what is forwarded, so a path that two programs could read
differently is refused rather than normalised: dot segments, empty segments,
back-slashes, encoded delimiters, double and overlong encodings. The query is
forwarded byte for byte and never judged.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_PERCENT: Final = re.compile(rb"%(..)?", re.DOTALL)
_HEX_PAIR: Final = re.compile(rb"[0-9A-Fa-f]{2}")
_ENCODED: Final = re.compile(rb"%[0-9A-Fa-f]{2}")
_NEVER_ENCODED: Final = frozenset(b"\\;?#\x7f") | frozenset(range(0x20))
_EMPTY_WITH_PARAMETERS: Final = re.compile(rb"/;[^/]*/")
_ENCODED_SLASH: Final = re.compile(rb"%2[Ff]")
_OVERLONG: Final = re.compile(rb"[\xc0\xc1\xf5-\xff]|\xe0[\x80-\x9f]|\xf0[\x80-\x8f]")

_HOST_BYTES: Final = b"abcdefghijklmnopqrstuvwxyz0123456789-._~"
_IP_LITERAL: Final = re.compile(rb"\[([0-9a-f:.]{2,45})\](?::([0-9]{0,5}))?")
_MAX_HOST_BYTES: Final = 255


def check_path(path: bytes) -> bool:
    """
    Refuse a path with more than one reading.

    Returns:
        Whether it has encoded slashes, which a route may let pass. It has one
        reading then for those who decode them, and another for those who don't.

    Raises:
        ValueError: saying which rule it breaks, in either reading.
    """
    if b"\\" in path:
        raise ValueError("back-slash")
    if b"%" not in path:
        _check_segments(path)
        return False
    _check_encoding(path)
    decoded, slashes = _ENCODED_SLASH.subn(b"/", path)
    _check_segments(decoded)
    return slashes > 0


def _check_segments(path: bytes) -> None:
    if b"//" in path or _EMPTY_WITH_PARAMETERS.search(path):
        raise ValueError("empty segment")
    if b"/." in path or b"%2" in path:
        segments = path.replace(b"%2e", b".").replace(b"%2E", b".").split(b"/")
        if any(segment.partition(b";")[0] in {b".", b".."} for segment in segments):
            raise ValueError("dot segment")


def _check_encoding(path: bytes) -> None:
    decoded = bytearray()
    end = 0
    for match in _PERCENT.finditer(path):
        pair = match[1]
        if pair is None or not _HEX_PAIR.fullmatch(pair):
            raise ValueError("broken percent-encoding")
        byte = int(pair, 16)
        if byte in _NEVER_ENCODED:
            raise ValueError("encoded delimiter or control character")
        decoded += path[end : match.start()]
        decoded.append(byte)
        end = match.end()
    decoded += path[end:]
    if _ENCODED.search(decoded):
        raise ValueError("double encoding")
    if _OVERLONG.search(decoded):
        raise ValueError("overlong encoding")


def split_absolute(target: bytes) -> tuple[bytes, bytes]:
    """
    Split an absolute-form target into its authority and the origin-form of the rest.

    Raises:
        ValueError: it is not an http(s) URL with a plain authority.
    """
    scheme, separator, rest = target.partition(b"://")
    if not separator or scheme.lower() not in {b"http", b"https"}:
        raise ValueError("neither origin-form nor absolute-form")
    cut = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
    authority, origin = rest[:cut], rest[cut:]
    return authority, origin if origin.startswith(b"/") else b"/" + origin


@lru_cache(maxsize=1024)
def normal_host(value: bytes) -> bytes:
    """
    Return the host of a Host header or authority: lower case, no port, no final dot.

    Clients repeat themselves: what is asked for often is remembered.

    Raises:
        ValueError: it is not a host with an optional port.
    """
    host = value.lower()
    if host[:1] == b"[":
        match = _IP_LITERAL.fullmatch(host)
        if match is None:
            raise ValueError("malformed IP literal")
        return match[1]
    if b":" in host:
        host, _, port = host.partition(b":")
        if port.strip(b"0123456789") or len(port) > 5:
            raise ValueError("malformed port")
    if host[-1:] == b".":
        host = host[:-1]
    if not host or len(host) > _MAX_HOST_BYTES or host.translate(None, _HOST_BYTES):
        raise ValueError("malformed host")
    return host
