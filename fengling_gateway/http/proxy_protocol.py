"""The PROXY protocol, versions 1 and 2: who the client behind a load balancer is.

The header comes before everything else on a connection, TLS included. It may
only be believed from peers that are known to send it, and from those it is
required: without one, what they send is nothing.
"""

from __future__ import annotations

import re
import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

MAX_HEADER_BYTES: Final = 4096
"""Longest header of version 2 that is accepted. Its addresses take 52 bytes, the rest are notes."""

_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_FIXED: Final = struct.Struct("!12sBBH")
_MAX_LINE_BYTES: Final = 107

_LINE: Final = re.compile(
    rb"PROXY (?:(TCP4|TCP6) ([0-9A-Fa-f.:]{2,45}) ([0-9A-Fa-f.:]{2,45})"
    rb" (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})|UNKNOWN[^\r\n]*)\r\n"
)
_FAMILIES: Final = {b"TCP4": IPv4Address, b"TCP6": IPv6Address}

_LOCAL, _PROXY = 0x20, 0x21
_STREAMS: Final = {0x11: (IPv4Address, 4), 0x21: (IPv6Address, 16)}
_OTHERS: Final = frozenset({0x00, 0x12, 0x22, 0x31, 0x32})
"""What else a family may be: none, datagrams, Unix sockets. They say nothing of use here."""

_CHECKSUM: Final = 0x03


class Header(NamedTuple):
    """
    A header.

    ``source`` is the client's address, None where the header does not say (the
    balancer's own health checks): then the peer is the client. ``length`` is
    that of the header in bytes.
    """

    source: str | None
    length: int


def read_header(data: bytes) -> Header | None:
    """
    Read the header at the beginning of `data`; None while it is not complete.

    Raises:
        ValueError: there is none, or a malformed one.
    """
    if data[:12] == _SIGNATURE[: len(data)]:
        return _read_binary(data)
    if data[:6] == b"PROXY "[: len(data)]:
        return _read_line(data)
    raise ValueError("no PROXY protocol header")


def _read_line(data: bytes) -> Header | None:
    end = data.find(b"\n", 0, _MAX_LINE_BYTES)
    if end < 0:
        if len(data) >= _MAX_LINE_BYTES:
            raise ValueError("a line without an end")
        return None
    match = _LINE.fullmatch(data[: end + 1])
    if match is None:
        raise ValueError("malformed line")
    family, source, destination, *ports = match.groups()
    if family is None:
        return Header(None, end + 1)
    if any(int(port) > 65_535 for port in ports):
        raise ValueError("malformed port")
    address_of = _FAMILIES[family]
    address_of(destination.decode())
    return Header(_text(address_of(source.decode())), end + 1)


def _read_binary(data: bytes) -> Header | None:
    if len(data) < _FIXED.size:
        return None
    _, command, family, size = _FIXED.unpack_from(data)
    length = _FIXED.size + size
    if length > MAX_HEADER_BYTES:
        raise ValueError("header too long")
    if command not in {_LOCAL, _PROXY}:
        raise ValueError("unknown version or command")
    if len(data) < length:
        return None
    # A balancer that speaks for itself may say whatever it likes of addresses.
    source = _binary_source(data[:length], family) if command == _PROXY else None
    return Header(source, length)


def _binary_source(header: bytes, family: int) -> str | None:
    stream = _STREAMS.get(family)
    if stream is None:
        if family not in _OTHERS:
            raise ValueError("unknown address family")
        return None
    address_of, width = stream
    at = _FIXED.size
    after = at + 2 * width + 4
    if after > len(header):
        raise ValueError("addresses too short")
    _check_notes(header, after)
    return _text(address_of(header[at : at + width]))


def _text(address: object) -> str:
    """Return an address as text, an IPv4-mapped one in IPv4 form: networks are written so."""
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _check_notes(header: bytes, at: int) -> None:
    """Check the form of the type-length-value notes, and the checksum if there is one."""
    while at < len(header):
        if at + 3 > len(header):
            raise ValueError("a note too short")
        kind, size = header[at], int.from_bytes(header[at + 1 : at + 3])
        after = at + 3 + size
        if after > len(header):
            raise ValueError("a note too short")
        if kind == _CHECKSUM:
            blank = header[: at + 3] + bytes(size) + header[after:]
            if header[at + 3 : after] != _crc32c(blank).to_bytes(4):
                raise ValueError("wrong checksum")
        at = after


def _crc32c(data: bytes) -> int:
    """Return the checksum of RFC 3720, which the standard library does not have."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
