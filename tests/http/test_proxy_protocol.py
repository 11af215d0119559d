"""Who the client behind a load balancer is, by the PROXY protocol."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.http.proxy_protocol import MAX_HEADER_BYTES, Header, read_header

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def binary(
    rest: bytes, *, command: int = 0x21, family: int = 0x11, size: int | None = None
) -> bytes:
    length = len(rest) if size is None else size
    return SIGNATURE + bytes((command, family)) + length.to_bytes(2) + rest


def ports() -> bytes:
    return (4000).to_bytes(2) + (443).to_bytes(2)


V4 = socket.inet_aton("192.0.2.7") + socket.inet_aton("203.0.113.1") + ports()
V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::7") * 2 + ports()
CHECKSUM = b"\x03\x00\x04"  # type and length of that note

GOOD = [
    ("line-v4", b"PROXY TCP4 192.0.2.7 203.0.113.1 4000 443\r\n", "192.0.2.7"),
    ("line-v6", b"PROXY TCP6 2001:DB8::7 2001:db8::1 4000 443\r\n", "2001:db8::7"),
    ("line-unknown", b"PROXY UNKNOWN\r\n", None),
    ("line-unknown-more", b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None),
    ("v4", binary(V4), "192.0.2.7"),
    ("v6", binary(V6, family=0x21), "2001:db8::7"),
    ("local", binary(b"", command=0x20, family=0), None),
    ("local-with-addresses", binary(V4, command=0x20), None),
    ("local-with-anything", binary(b"anything", command=0x20, family=0x11), None),
    ("local-of-no-family", binary(b"anything", command=0x20, family=0x99), None),
    ("datagrams", binary(V4, family=0x12), None),
    ("unspecified", binary(b"anything", family=0), None),
    ("unix", binary(bytes(216), family=0x31), None),
    ("notes", binary(V4 + b"\x04\x00\x02hi"), "192.0.2.7"),
]

BAD = [
    ("nothing-of-it", b"GET / HTTP/1.1\r\n"),
    ("other-signature", b"\r\n\r\nGET / HTTP/1.1\r\n"),
    ("family-of-another", b"PROXY TCP4 2001:db8::7 2001:db8::1 4000 443\r\n"),
    ("address", b"PROXY TCP4 192.0.2.256 203.0.113.1 4000 443\r\n"),
    ("leading-nought", b"PROXY TCP4 192.0.2.07 203.0.113.1 4000 443\r\n"),
    ("port", b"PROXY TCP4 192.0.2.7 203.0.113.1 65536 443\r\n"),
    ("port-nought", b"PROXY TCP4 192.0.2.7 203.0.113.1 04000 443\r\n"),
    ("too-few", b"PROXY TCP4 192.0.2.7 203.0.113.1 4000\r\n"),
    ("too-many", b"PROXY TCP4 192.0.2.7 203.0.113.1 4000 443 1\r\n"),
    ("two-spaces", b"PROXY  TCP4 192.0.2.7 203.0.113.1 4000 443\r\n"),
    ("bare-lf", b"PROXY TCP4 192.0.2.7 203.0.113.1 4000 443\n"),
    ("udp", b"PROXY UDP4 192.0.2.7 203.0.113.1 4000 443\r\n"),
    ("endless", b"PROXY UNKNOWN " + b"a" * 200),
    ("version", binary(V4, command=0x11)),
    ("command", binary(V4, command=0x22)),
    ("family", binary(V4, family=0x41)),
    ("protocol", binary(V4, family=0x13)),
    ("short", binary(V4[:-1])),
    ("note-without-length", binary(V4 + b"\x04\x00")),
    ("note-too-short", binary(V4 + b"\x04\x00\x09hi")),
    ("checksum", binary(V4 + CHECKSUM + b"\x00\x00\x00\x00")),
    ("too-long", binary(b"", size=MAX_HEADER_BYTES)),
]


@pytest.mark.parametrize(
    ("header", "source"), [case[1:] for case in GOOD], ids=[c[0] for c in GOOD]
)
def test_header_says_who_the_client_is(header: bytes, source: str | None) -> None:
    """Whatever follows it stays for others, and no beginning of it is taken for it."""
    assert read_header(header + b"\x16\x03\x01") == Header(source, len(header))
    assert all(read_header(header[:size]) is None for size in range(len(header)))


@pytest.mark.parametrize("data", [case[1] for case in BAD], ids=[case[0] for case in BAD])
def test_anything_else_is_refused(data: bytes) -> None:
    """A peer that should send a header and does not is not who we think."""
    with pytest.raises(ValueError, match=r"\w"):
        read_header(data)


def test_right_checksum_is_accepted() -> None:
    """CRC32c over the header with noughts in its place; of "123456789" it is e3069283."""
    from fengling_gateway.http.proxy_protocol import _crc32c

    assert _crc32c(b"123456789") == 0xE3069283
    blank = binary(V4 + CHECKSUM + bytes(4))
    assert read_header(blank[:-4] + _crc32c(blank).to_bytes(4)) == Header("192.0.2.7", len(blank))


@given(st.binary(max_size=300), st.sampled_from([b"", SIGNATURE, b"PROXY ", b"PROXY TCP4 "]))
def test_no_bytes_do_harm(data: bytes, start: bytes) -> None:
    """A header, not yet, or a refusal."""
    try:
        header = read_header(start + data)
    except ValueError:
        return
    assert header is None or 0 < header.length <= len(start + data)
