"""Where a request begins and ends has one reading, or it is refused."""

from __future__ import annotations

import pytest

from tests.conformance.client import post, post_chunks, request
from tests.conformance.scene import Scene

CHUNKED = b"Transfer-Encoding: chunked"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: example.com\r\n\r\n"


def posting(*lines: bytes, body: bytes = b"0\r\n\r\n", version: bytes = b"HTTP/1.1") -> bytes:
    return request(*lines, method=b"POST", body=body, version=version)


@pytest.mark.parametrize(
    "coding", [b"Transfer-Encoding", b"transfer-encoding", b"TRANSFER-ENCODING"]
)
@pytest.mark.parametrize("is_length_first", [True, False])
def test_length_beside_coding_is_refused(
    scene: Scene, coding: bytes, is_length_first: bool
) -> None:
    """Content-Length and Transfer-Encoding in one request are refused, in any order and case."""
    lines = (b"Content-Length: 5", coding + b": chunked")
    scene.refuses(posting(*(lines if is_length_first else lines[::-1])) + SMUGGLED)


@pytest.mark.parametrize(
    "lines",
    [
        (b"Content-Length: 5", b"Content-Length: 5"),
        (b"Content-Length: 5", b"Content-Length: 6"),
        (b"Content-Length: 5", b"X: y", b"content-length: 0"),
        (b"Content-Length: 5, 5",),
        (b"Content-Length: 5,6",),
        (b"Content-Length: 5,",),
    ],
)
def test_two_lengths_are_refused(scene: Scene, lines: tuple[bytes, ...]) -> None:
    """Two lengths are refused even if they are the same."""
    scene.refuses(posting(*lines, body=b"hello"))


@pytest.mark.parametrize(
    "length",
    [
        *(
            b"+5",
            b"-0",
            b"-5",
            b"0x5",
            b"5_0",
            b"5\xa0",
            b"\xa05",
            b"",
            b"1Z",
            b"5 5",
            b"5.0",
            b"5;",
        ),
        *(b"9" * 5000, b"18446744073709551616", b"18446744073709551621", b'"5"', b"\xef\xbc\x95"),
    ],
)
def test_length_that_is_no_number_is_refused(scene: Scene, length: bytes) -> None:
    """A length is digits, and fits into 64 bits."""
    scene.refuses(posting(b"Content-Length: " + length, body=b"hello"))


@pytest.mark.parametrize("length", [2**31, 2**32, 2**53, 10**18 - 1])
def test_length_that_no_route_takes_is_too_large(scene: Scene, length: int) -> None:
    """It is a length, however large, and none that wraps into a small one."""
    raw = posting(b"Content-Length: %d" % length, body=b"")
    scene.refuses(raw, 413, "body_too_large")


def test_length_is_decimal_whatever_its_zeros(scene: Scene) -> None:
    """A length of 010 is ten, and is forwarded as 10."""
    got = scene.forwards(posting(b"Content-Length: 010", body=b"0123456789"))
    assert got.body == b"0123456789"
    assert got.one("Content-Length") == b"10"


@pytest.mark.parametrize(
    "coding",
    [
        *(b"xchunked", b"chunkedx", b",chunked", b"chunked,", b"identity", b"chunked, chunked"),
        *(b"chunked;q=1", b"chunked ;", b"gzip, chunked", b"chunked, gzip", b"gzip", b""),
        *(b"\x0bchunked", b"\x0cchunked", b"chunked\x0b", b"\xa0chunked", b"chunked\x85"),
        *(b'"chunked"', b"chunked\x00", b"chu nked", b"cow, chunked", b"identity, chunked"),
    ],
)
def test_coding_that_is_not_chunked_is_refused(scene: Scene, coding: bytes) -> None:
    """The one coding is chunked, by itself and undisguised."""
    scene.refuses(posting(b"Transfer-Encoding: " + coding) + SMUGGLED)


@pytest.mark.parametrize(
    "lines",
    [
        (CHUNKED, CHUNKED),
        (CHUNKED, b"Transfer-Encoding: identity"),
        (b"Transfer-Encoding: identity", CHUNKED),
        (b"Transfer-Encoding:", CHUNKED),
    ],
)
def test_two_codings_are_refused(scene: Scene, lines: tuple[bytes, ...]) -> None:
    """Two lines of Transfer-Encoding are refused whatever they say."""
    scene.refuses(posting(*lines) + SMUGGLED)


@pytest.mark.parametrize("coding", [b"Chunked", b"CHUNKED", b"\t chunked", b"chunked"])
def test_chunked_is_known_in_any_case(scene: Scene, coding: bytes) -> None:
    """Codings are compared without case, and white space before a value is none of it."""
    got = scene.forwards(posting(b"Transfer-Encoding: " + coding, body=b"2\r\nhi\r\n0\r\n\r\n"))
    assert got.body == b"hi"


@pytest.mark.parametrize(
    "disguised",
    [b"Transfer_Encoding: chunked", b"Content_Length: 5", b"X-Transfer-Encoding: chunked"],
)
def test_disguised_framing_frames_nothing(scene: Scene, disguised: bytes) -> None:
    """A header that only looks like framing frames nothing, and an underscored one is dropped."""
    got = scene.forwards(posting(disguised, b"Content-Length: 2", body=b"hi"))
    assert got.body == b"hi"
    assert not {b"transfer_encoding", b"content_length"} & set(got.names)


@pytest.mark.parametrize(
    "lines", [(CHUNKED,), (CHUNKED, b"Connection: keep-alive"), (CHUNKED, b"Content-Length: 5")]
)
def test_coding_in_http_1_0_is_refused(scene: Scene, lines: tuple[bytes, ...]) -> None:
    """HTTP/1.0 has no transfer codings."""
    scene.refuses(posting(*lines, version=b"HTTP/1.0") + SMUGGLED)


def test_request_of_http_1_0_without_length_has_no_body(scene: Scene) -> None:
    """The end of a request is never the end of its connection."""
    with scene.client() as client:
        client.send(posting(b"Connection: keep-alive", body=b"", version=b"HTTP/1.0"))
        assert client.answer().status == 200
    assert scene.instance.whole_request().body == b""


@pytest.mark.parametrize("line", [b": x", b" : x", b":", b":x: y"])
def test_empty_name_is_refused(scene: Scene, line: bytes) -> None:
    """A header without a name is refused, so that what follows it can't vanish."""
    scene.refuses(request(line, b"Content-Length: 5", method=b"POST", body=b"hello"))


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\n Host: example.com\r\n\r\n",
        b"GET / HTTP/1.1\r\n\tX: y\r\nHost: example.com\r\n\r\n",
        request(b"X: y", b" z"),
        request(b"X: y", b"\tz"),
        request(b"X:", b" z"),
        posting(b"Transfer-Encoding:", b" chunked") + SMUGGLED,
        posting(b"Content-Length:", b" 5", body=b"hello"),
        posting(b"Content-Length: 5", b" ", body=b"hello"),
    ],
)
def test_folded_line_is_refused(scene: Scene, raw: bytes) -> None:
    """A line that begins with white space is refused, be it the first or a continuation."""
    scene.refuses(raw)


@pytest.mark.parametrize("bad", [b"\r", b"\n", b"\0"], ids=["CR", "LF", "NUL"])
@pytest.mark.parametrize(
    "raw",
    [
        b"GE%bT / HTTP/1.1\r\nHost: example.com\r\n\r\n",
        b"GET /a%bb HTTP/1.1\r\nHost: example.com\r\n\r\n",
        b"GET /%b HTTP/1.1\r\nHost: example.com\r\n\r\n",
        b"GET / HTTP/1.1%bX: y\r\nHost: example.com\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: example.com\r\nX%bY: z\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: example.com\r\nX: y%bz\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: example.com\r\nX: y%b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: example.com\r\nX:%by\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: example.com%bX: y\r\n\r\n",
    ],
)
def test_bare_line_end_or_nul_in_a_head_is_refused(scene: Scene, raw: bytes, bad: bytes) -> None:
    """CR and LF come only together, and NUL never."""
    scene.refuses(raw % bad)


@pytest.mark.parametrize(
    "line",
    [b"Content-Length : 5", b"Content-Length\t: 5", b"Transfer-Encoding : chunked", b"X : y"],
)
def test_space_before_the_colon_is_refused(scene: Scene, line: bytes) -> None:
    """White space between a name and its colon is refused."""
    scene.refuses(posting(line, body=b"hello"))
    scene.refuses(b"GET / HTTP/1.1\r\nHost\t: example.com\r\n\r\n")


@pytest.mark.parametrize("byte", [*sorted(set(range(0x20)) - {0x09, 0x0A, 0x0D, 0x00}), 0x7F])
def test_control_character_in_a_value_is_refused(scene: Scene, byte: int) -> None:
    """No control character but the tab is forwarded."""
    scene.refuses(request(b"X: a%cb" % byte))


@pytest.mark.parametrize("byte", b'"(),/;<=>?@[\\]{}\x7f\x80\xff ')
def test_name_that_is_no_token_is_refused(scene: Scene, byte: int) -> None:
    """Names of headers are tokens."""
    scene.refuses(request(b"X%cY: z" % byte))


@pytest.mark.parametrize(
    "line",
    [
        *(b"GET /", b"GET  / HTTP/1.1", b"GET / HTTP/1.1 ", b" GET / HTTP/1.1", b"GET /  HTTP/1.1"),
        *(b"GET\t/ HTTP/1.1", b"GET / http/1.1", b"GET / HTTP/1.2", b"GET / HTTP/2.0"),
        *(b"GET / HTTP/1.10", b"GET / HTTP/0.9", b"GET / HTTP/01.1", b"GET / XTTP/1.1", b"GET"),
        *(b"GET / HTTP/1.1 x", b"GET /a b HTTP/1.1", b"", b"/ HTTP/1.1", b"GET / HTTP/1"),
        *(b"GET / HTTP/11", b"GET / HTTP/1,1", b"GET HTTP/1.1", b"G\xc3\x89T / HTTP/1.1"),
    ],
)
def test_first_line_in_another_form_is_refused(scene: Scene, line: bytes) -> None:
    """A first line is a method, a target and a version, with one space between each."""
    if line:
        scene.refuses(line + b"\r\nHost: example.com\r\n\r\n")
    else:
        scene.refuses(b"\r\n\n" + request())


def test_preface_of_http_2_is_refused(scene: Scene) -> None:
    """Whoever begins with HTTP/2 on a listener for HTTP/1.1 is told so in HTTP/1.1."""
    scene.refuses(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")


@pytest.mark.parametrize(
    "lines",
    [
        *(b"0x5\r\nhello\r\n", b"+5\r\nhello\r\n", b"-0\r\n\r\n", b"5_0\r\nhello\r\n"),
        *(b" 5\r\nhello\r\n", b"5 \r\nhello\r\n", b"\r\nhello\r\n", b"5;\r\nhello\r\n"),
        *(b"5;a\rb\r\nhello\r\n", b"5;a\nb\r\nhello\r\n", b"5\nhello\r\n", b"5;a\n\r\nhello\r\n"),
        *(b"5\r\nhello", b"5\r\nhelloX\r\n", b"5\r\nhello\n", b"5\r\nhello\rX", b"5\rhello\r\n"),
        *(b"0000000000000005\r\nhello\r\n0\r\n\r\n", b"10000000000000005\r\nhello\r\n"),
        *(b"fffffffffffffffff\r\nhello\r\n", b"5;a=\x00\r\nhello\r\n", b"5\x00\r\nhello\r\n"),
        *(
            b"5h\r\nhello\r\n",
            b"\xef\xbc\x95\r\nhello\r\n",
            b"5,5\r\nhello\r\n",
            b"5\t\r\nhello\r\n",
        ),
    ],
)
def test_malformed_chunk_is_refused(scene: Scene, lines: bytes) -> None:
    """A chunk that two programs could read differently breaks its request and its connection."""
    with scene.client() as client:
        client.send(posting(CHUNKED, body=lines + b"0\r\n\r\n") + SMUGGLED)
        answer = client.answer()
        assert answer.status == 400
        assert answer.code == "malformed_request_body"
        assert answer.is_last
        assert client.ends()
    assert not any(got.is_complete for got in scene.instance.requests)
    assert all(got.target == b"/" for got in scene.instance.requests)


@pytest.mark.parametrize("end", [b"0\n\r\n", b"0\r\n\n", b"0\r\n\r", b"0\r\nX\r\n\r\n", b"00\n\n"])
def test_malformed_last_chunk_is_refused(scene: Scene, end: bytes) -> None:
    """What ends a body is the last chunk, trailers and an empty line, and nothing like it."""
    with scene.client() as client:
        client.send(posting(CHUNKED, body=b"5\r\nhello\r\n" + end) + SMUGGLED)
        assert client.answer().status == 400
        assert client.ends()
    assert not any(got.is_complete for got in scene.instance.requests)


@pytest.mark.parametrize(
    "line", [b"X Y: z", b": z", b" X: y", b"X: a\0b", b"X: a\rb", b"X: a\nb", b"X : y", b"X"]
)
def test_malformed_trailer_is_refused(scene: Scene, line: bytes) -> None:
    """Trailers are judged like headers."""
    with scene.client() as client:
        client.send(posting(CHUNKED, body=b"0\r\n" + line + b"\r\n\r\n") + SMUGGLED)
        assert client.answer().status == 400
        assert client.ends()
    assert not any(got.is_complete for got in scene.instance.requests)


@pytest.mark.parametrize(
    "extension", [b";a", b";a=b", b' ; a="b c"', b";a;b=c", b";a=%b" % (b"b" * 500)]
)
def test_chunk_extensions_are_dropped(scene: Scene, extension: bytes) -> None:
    """Chunk extensions are read and never relayed."""
    body = b"5" + extension + b"\r\nhello\r\n0" + extension + b"\r\n\r\n"
    assert scene.forwards(posting(CHUNKED, body=body)).body == b"hello"


def test_chunks_are_made_anew(scene: Scene) -> None:
    """Chunk lines that a client wrote in its own way reach the instance in the canonical one."""
    body = b"05\r\nhello\r\n0A\r\n0123456789\r\n000\r\n\r\n"
    got = scene.forwards(posting(CHUNKED, body=body))
    assert got.body == b"hello0123456789"
    assert got.chunks in ([5, 10], [15])


def test_head_is_written_anew(scene: Scene) -> None:
    """White space around values and the spelling of a coding don't reach the instance."""
    got = scene.forwards(posting(b"Transfer-Encoding:\tChunked", b"X:   y\t", b"Y:z"))
    assert got.one("Transfer-Encoding") == b"chunked"
    assert got.one("X") == b"y"
    assert got.one("Y") == b"z"


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"DELETE"])
@pytest.mark.parametrize("is_chunked", [True, False])
def test_body_of_a_method_that_needs_none_is_forwarded(
    scene: Scene, method: bytes, is_chunked: bool
) -> None:
    """A body with any method is forwarded with its framing, never one without the other."""
    raw = post_chunks(SMUGGLED) if is_chunked else post(SMUGGLED)
    got = scene.forwards(raw.replace(b"POST", method, 1), method)
    assert got.method == method
    assert got.body == SMUGGLED
    assert (got.one("Content-Length") is None) is is_chunked


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"DELETE", b"OPTIONS"])
def test_no_body_is_invented(scene: Scene, method: bytes) -> None:
    """A request without a body gets no framing of one."""
    got = scene.forwards(request(method=method), method)
    assert got.body == b""
    assert not {b"content-length", b"transfer-encoding"} & set(got.names)


def test_empty_body_stays_an_empty_body(scene: Scene) -> None:
    """A length of 0 is passed on, and nothing is sent after it."""
    got = scene.forwards(post(b""))
    assert got.one("Content-Length") == b"0"
    assert got.body == b""


def test_bytes_after_the_last_chunk_are_the_next_request_or_none(scene: Scene) -> None:
    """What follows a body is read as a request, and refused if it is none; nobody resynchronises."""
    with scene.client() as client:
        client.send(post_chunks(b"hello") + b"X\r\n\r\n" + SMUGGLED)
        assert client.answer().status == 200
        assert client.answer().status == 400
        assert client.ends()
    assert [got.target for got in scene.instance.requests] == [b"/"]


def test_bytes_after_the_length_are_the_next_request_or_none(scene: Scene) -> None:
    """A body longer than its length leaves something that is no request, and is refused."""
    with scene.client() as client:
        client.send(post(b"hello") + b" world" + SMUGGLED)
        assert client.answer().status == 200
        assert client.answer().status == 400
        assert client.ends()
    assert [got.target for got in scene.instance.requests] == [b"/"]


@pytest.mark.parametrize("size", [8 * 1024, 20 * 1024, 31 * 1024])
def test_long_name_never_wraps_a_length(scene: Scene, size: int) -> None:
    """A name that is longer than any counter of a parser is refused by its size."""
    name = b"Content-Length0" + b"a" * size
    scene.refuses(posting(name + b":", b"Content-Length: 0") + SMUGGLED, 431)


def test_head_that_is_longer_than_any_limit_is_refused(scene: Scene) -> None:
    """A header of 65,535 bytes is refused by its size."""
    scene.refuses(request(b"X" * 65535 + b": y"), 431)


@pytest.mark.parametrize("empty", [b"\r\n", b"\r\n\r\n"])
def test_empty_lines_before_a_request_are_skipped(scene: Scene, empty: bytes) -> None:
    """Old clients send an empty line after a body; it is not forwarded."""
    assert scene.forwards(empty + request(target=b"/after")).target == b"/after"


@pytest.mark.parametrize("odd", [b"\n", b"\r\r\n", b"\r\n\n", b"\r\n\r\r", b"\rGET /\r"])
def test_odd_line_ends_before_a_request_are_refused(scene: Scene, odd: bytes) -> None:
    """Empty lines end like others, wherever a read has cut them."""
    scene.refuses(odd)
