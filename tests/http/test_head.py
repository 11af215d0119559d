"""Heads of requests."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.http.framing import CHUNKED, NO_BODY
from fengling_gateway.http.head import HeadError, HeadLimits, RequestHead, parse_request_head
from fengling_gateway.http.headers import request_roles

ROLES = request_roles()
TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def parse(raw: bytes, *, is_trusted: bool = False) -> RequestHead:
    head = RequestHead("http", "192.0.2.1", is_trusted)
    parse_request_head(raw, head, ROLES, HeadLimits())
    return head


def make(*lines: bytes, first: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: h") -> bytes:
    return b"\r\n".join([line for line in (first, host, *lines) if line]) + b"\r\n\r\n"


def refusal(raw: bytes) -> ForwardError:
    with pytest.raises(HeadError) as caught:
        parse(raw)
    return caught.value.error


class TestFirstLine:
    """What is asked for, how."""

    def test_first_line_is_split(self) -> None:
        """Method, path and query are what routes are matched against."""
        head = parse(make(first=b"DELETE /a/b?c=d?e HTTP/1.1"))
        assert (head.method, head.path, head.query) == (b"DELETE", b"/a/b", b"c=d?e")
        assert (head.host, head.framing, head.keep_alive) == (b"h", NO_BODY, True)

    @pytest.mark.parametrize(
        "first",
        [
            b"GET  / HTTP/1.1",
            b"GET / HTTP/1.1 ",
            b" GET / HTTP/1.1",
            b"GET /",
            b"GET / HTTP/1.2",
            b"GET / HTTP/2.0",
            b"GET / HTTP/0.9",
            b"GET / http/1.1",
            b"GET /\x00 HTTP/1.1",
            b"GET /\xff HTTP/1.1",
            b"GET\t/ HTTP/1.1",
            b"\r\nGET / HTTP/1.1",
            b"\nGET / HTTP/1.1",
            b"\rGET / HTTP/1.1",
            b"G@T / HTTP/1.1",
            b"PRI * HTTP/2.0",
            b"\x16\x03\x01\x02\x00",
            b"get / HTTP/1.1",
            b"X" * 1000 + b" / HTTP/1.1",
        ],
    )
    def test_what_is_no_request_line_is_refused(self, first: bytes) -> None:
        """One space, one target, one version, nothing else."""
        assert refusal(make(first=first)).status == 400

    @given(
        st.lists(
            st.sampled_from(
                [
                    *(b"GET", b"POST", b"/", b"/a", b"?", b"HTTP/1.1", b"HTTP/1.0", b" ", b"\t"),
                    *(b"\r", b"\n", b"\r\n", b"\x00", b"\x0b", b"#", b"http://h", b"\xff"),
                    b"Host: h",
                ]
            ),
            max_size=10,
        ).map(b"".join)
    )
    def test_nothing_hides_in_a_first_line(self, line: bytes) -> None:
        """Whatever is accepted has one method, one target, and no byte beside them."""
        raw = line + b"\r\nHost: h\r\n\r\n"
        if raw.find(b"\r\n\r\n") != len(raw) - 4:
            return
        try:
            head = parse(raw)
        except HeadError:
            return
        assert head.method in {b"GET", b"POST"}
        assert not set(head.target) & {*range(0x21), 0x23, 0x7F, *range(0x80, 0x100)}
        assert head.target.partition(b"?")[0] == head.path

    @pytest.mark.parametrize("method", [b"FOO", b"SETUP-X", b"GETS"])
    def test_unknown_method_is_501(self, method: bytes) -> None:
        """A well-formed method that llhttp does not know is not implemented."""
        assert refusal(make(first=method + b" / HTTP/1.1")) is ForwardError.METHOD_UNKNOWN

    @pytest.mark.parametrize("first", [b"TRACE /", b"CONNECT h:1", b"CONNECT /"])
    def test_refused_method_is_405(self, first: bytes) -> None:
        """Tunnels and echoes are not for a gateway."""
        assert refusal(make(first=first + b" HTTP/1.1")) is ForwardError.METHOD_REFUSED

    @pytest.mark.parametrize("method", [b"PROPFIND", b"PATCH", b"OPTIONS", b"SEARCH", b"PURGE"])
    def test_known_methods_pass(self, method: bytes) -> None:
        """Whatever llhttp knows is forwarded."""
        assert parse(make(first=method + b" / HTTP/1.1")).method == method

    @pytest.mark.parametrize(
        ("target", "path", "query"),
        [
            (b"http://h/a?b", b"/a", b"b"),
            (b"HTTP://H:80", b"/", b""),
            (b"https://h?b", b"/", b"b"),
        ],
    )
    def test_absolute_target_is_split(self, target: bytes, path: bytes, query: bytes) -> None:
        """The absolute form says the same as the origin form, if its host does."""
        head = parse(make(first=b"GET %b HTTP/1.1" % target))
        assert (head.path, head.query) == (path, query)
        assert head.target == path + (b"?" + query if query else b"")

    @pytest.mark.parametrize(
        "target",
        [b"*", b"ftp://h/", b"http:/h/", b"http://u@h/", b"/a#b", b"/a?b#c", b"/../a", b"//a"],
    )
    def test_other_targets_are_refused(self, target: bytes) -> None:
        """Fragments, other schemes, and paths with two readings are refused."""
        assert refusal(make(first=b"GET %b HTTP/1.1" % target)).status == 400


class TestFraming:
    """Where the body ends: one answer or none."""

    @pytest.mark.parametrize(
        ("lines", "framing"),
        [
            ([], NO_BODY),
            ([b"Content-Length: 0"], 0),
            ([b"Content-Length: 010"], 10),
            ([b"content-length:5"], 5),
            ([b"Transfer-Encoding: CHUNKED"], CHUNKED),
        ],
    )
    def test_framing(self, lines: Sequence[bytes], framing: int) -> None:
        """A length, chunks, or nothing."""
        assert parse(make(*lines)).framing == framing

    @pytest.mark.parametrize(
        "lines",
        [
            [b"Content-Length: 5", b"Transfer-Encoding: chunked"],
            [b"Transfer-Encoding: chunked", b"Content-Length: 5"],
            [b"Content-Length: 5", b"Content-Length: 5"],
            [b"Content-Length: 5, 5"],
            [b"Content-Length: 5,6"],
            [b"Content-Length: +5"],
            [b"Content-Length: -0"],
            [b"Content-Length: 0x5"],
            [b"Content-Length: 5_0"],
            [b"Content-Length: 5\xa0"],
            [b"Content-Length:"],
            [b"Content-Length: 1Z"],
            [b"Content-Length: " + 5000 * b"9"],
            [b"Content-Length: 18446744073709551616"],
            [b"Transfer-Encoding: xchunked"],
            [b"Transfer-Encoding: ,chunked"],
            [b"Transfer-Encoding: chunked,"],
            [b"Transfer-Encoding: identity"],
            [b"Transfer-Encoding: chunked, chunked"],
            [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
            [b"Transfer-Encoding: gzip, chunked"],
            [b"Transfer-Encoding: chunked;q=1"],
            [b"Transfer-Encoding: \x0bchunked"],
            [b"Transfer-Encoding: chunked\xa0"],
            [b"Transfer-Encoding:\r\n chunked"],
            [b"Content-Length : 5"],
            [b" Content-Length: 5"],
        ],
    )
    def test_ambiguity_is_refused(self, lines: Sequence[bytes]) -> None:
        """Two framings, or one that can be read in two ways, are none."""
        assert refusal(make(*lines)) is ForwardError.MALFORMED_REQUEST

    def test_chunks_in_http_1_0_are_refused(self) -> None:
        """HTTP/1.0 has no chunks: whoever sends them is not understood by all."""
        raw = make(b"Transfer-Encoding: chunked", first=b"POST / HTTP/1.0")
        assert refusal(raw) is ForwardError.MALFORMED_REQUEST


class TestLine:
    """Header lines."""

    @pytest.mark.parametrize(
        "line",
        [
            b": x",
            b" : x",
            b"X Y: z",
            b"X\x00: z",
            b"X: \x00",
            b"X: a\rb",
            b"X: a\nb",
            b"X: \x01",
            b"X: \x7f",
            b"X",
            b"X\t: y",
            b"\xc3\xa9: x",
            b"X: a\r\n b",
        ],
    )
    def test_malformed_lines_are_refused(self, line: bytes) -> None:
        """Names are tokens, values have no control characters, nothing is folded."""
        assert refusal(make(line)) is ForwardError.MALFORMED_REQUEST

    def test_underscore_aliases_are_dropped(self) -> None:
        """What becomes one of the gateway's names somewhere is treated like it."""
        head = parse(make(b"X_Tenant-Id: a", b"Content_Length: 5", b"X_Y: kept"))
        assert head.forward == [(b"X_Y", b"kept")]
        assert head.framing == NO_BODY

    def test_header_joins_values(self) -> None:
        """Routes see all values of a name, in order; cookies are joined as cookies."""
        head = parse(make(b"A: 1", b"a: 2", b"Cookie: x=1", b"Cookie: y=2"))
        assert head.header(b"a") == b"1, 2"
        assert head.header(b"cookie") == b"x=1; y=2"
        assert head.header(b"b") is None

    def test_connection_decides_about_keep_alive(self) -> None:
        """Each version has its default, and Connection its exceptions."""
        for first, connection, expected in [
            (b"GET / HTTP/1.1", b"", True),
            (b"GET / HTTP/1.1", b"Connection: Close", False),
            (b"GET / HTTP/1.1", b"Connection: x, close", False),
            (b"GET / HTTP/1.1", b"Connection: keep-alive, x", True),
            (b"GET / HTTP/1.0", b"", False),
            (b"GET / HTTP/1.0", b"Connection:", False),
            (b"GET / HTTP/1.1", b"Connection:", True),
            (b"GET / HTTP/1.0", b"Connection: Keep-Alive", True),
            (b"GET / HTTP/1.0", b"Connection: keep-alive, x", True),
        ]:
            assert parse(make(connection, first=first)).keep_alive is expected

    def test_request_id_of_a_trusted_peer_is_kept_if_it_is_one(self) -> None:
        """An id is short and printable, or it is ours."""
        assert parse(make(b"X-Request-Id: a-1"), is_trusted=True).request_id == b"a-1"
        assert parse(make(b"X-Request-Id: a-1")).request_id is None
        for odd in (b"", b"a b", b"\xff", 129 * b"a"):
            assert parse(make(b"X-Request-Id: " + odd), is_trusted=True).request_id is None

    def test_chain_of_a_trusted_peer_is_joined(self) -> None:
        """Several X-Forwarded-For lines are one chain."""
        head = parse(make(b"X-Forwarded-For: a", b"X-Forwarded-For: b, c"), is_trusted=True)
        assert head.forwarded_for == b"a, b, c"

    def test_upgrade_with_a_body_is_an_ordinary_request(self) -> None:
        """Upgrade does not change where a body ends, and the body is no beginning of a tunnel."""
        lines = [b"Upgrade: x", b"Connection: upgrade", b"Content-Length: 5"]
        head = parse(make(*lines))
        assert (head.framing, head.upgrade, head.forward) == (5, None, [])

    @given(
        st.lists(
            st.tuples(
                st.lists(st.sampled_from(list(TOKEN)), min_size=1, max_size=12).map(bytes),
                st.binary(max_size=30),
            ),
            max_size=8,
        )
    )
    def test_whatever_is_forwarded_was_sent(self, pairs: list[tuple[bytes, bytes]]) -> None:
        """Of any lines, a head is refused or forwards only lines it had, clean ones."""
        raw = make(*[name + b": " + value for name, value in pairs])
        try:
            head = parse(raw)
        except HeadError:
            return
        sent = [(name, value.strip(b" \t")) for name, value in pairs]
        for name, value in head.forward:
            assert (name, value) in sent
            assert not set(value) & ({*range(0x20), 0x7F} - {0x09})
