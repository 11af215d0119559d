"""Chunked bodies."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.http.chunked import ChunkedDecoder, encode_chunk

PIECES = st.lists(st.binary(min_size=1, max_size=40), max_size=5)


def decode(data: bytes, cuts: list[int] | None = None) -> tuple[bytes, ChunkedDecoder]:
    """Decode data cut at some places."""
    decoder = ChunkedDecoder()
    body = b""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts or []), len(data)]
    for start, end in pairwise(edges):
        if decoder.is_done:
            decoder.rest += data[start:end]
        else:
            body += b"".join(decoder.feed(data[start:end]))
    return body, decoder


def test_body_with_everything() -> None:
    """Extensions are dropped, trailers kept apart, what follows left alone."""
    data = b'3;a=b;c="d e" ;f\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX: 1 \r\nY:\r\n\r\nGET /'
    body, decoder = decode(data)
    assert body == b"abc0123456789"
    assert decoder.trailers == [(b"X", b"1"), (b"Y", b"")]
    assert decoder.is_done
    assert decoder.rest == b"GET /"


@given(PIECES, st.lists(st.integers(0, 10_000), max_size=8), st.binary(max_size=5))
def test_any_cut_gives_the_same(pieces: list[bytes], cuts: list[int], rest: bytes) -> None:
    """However a body arrives, it is the same body, and the rest the same rest."""
    data = b"".join(map(encode_chunk, pieces)) + b"0\r\n\r\n" + rest
    body, decoder = decode(data, cuts)
    assert body == b"".join(pieces)
    assert decoder.is_done
    assert decoder.rest == rest


@pytest.mark.parametrize(
    "data",
    [
        *(b"0x5\r\n", b"+5\r\n", b"-0\r\n", b"5_0\r\n", b" 5\r\n", b"5 \r\n", b"\r\n", b"5;\r\n"),
        *(b"12345678901234567\r\n", b"5;a\rb\r\n", b"5;a\nb\r\n", b"5\n", b"5;a=\r\n", b"g\r\n"),
        *(b"1\r\nab", b"1\r\na\n", b"1\r\na\r1", b"0\n\r\n", b"0\r\n\n", b"0\r\nX\r\n\r\n"),
        *(b"0\r\n X: y\r\n", b"0\r\nX : y\r\n", b"0\r\nX: \x00\r\n", b"0\r\n: y\r\n"),
        *(b"5" + 2000 * b";a", b"0\r\nX: " + 9000 * b"y", b"0\r\n" + 4000 * b"X:\r\n"),
    ],
)
def test_broken_framing_is_refused(data: bytes) -> None:
    """Sizes are hexadecimal digits, lines end with CR LF, limits hold."""
    with pytest.raises(ValueError, match=r"\w"):
        decode(data)


@given(
    st.lists(
        st.sampled_from(
            [
                b"0",
                b"1",
                b"a",
                b"5",
                b"\r\n",
                b"\r",
                b"\n",
                b";",
                b" ",
                b"x=y",
                b"X: y",
                b"-",
                b"0x",
            ]
        ),
        max_size=14,
    ).map(b"".join)
)
def test_whatever_passes_here_passes_llhttp(data: bytes) -> None:
    """This decoder accepts no more than llhttp does, and reads the same body."""
    data += b"\r\n0\r\n\r\n"
    try:
        body, decoder = decode(data)
    except ValueError:
        return
    if not decoder.is_done:
        return
    judge = Judge()
    parser = httptools.HttpRequestParser(judge)
    used = data[: len(data) - len(decoder.rest)]
    parser.feed_data(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + used)
    assert judge.is_complete
    assert judge.body == body


class Judge:
    """What llhttp makes of a body."""

    def __init__(self) -> None:
        self.body = b""
        self.is_complete = False

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> Any:
        self.is_complete = True
