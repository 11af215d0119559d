"""However bytes are cut on their way, the same requests and answers come out."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.dataplane.rig import GET, OK, Transport, make_rig

CUTS = st.lists(st.integers(0, 10_000), max_size=12)

REQUESTS = (
    b"POST /1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nT: 1\r\n\r\n"
    b"GET /2 HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n"
    b"\r\nPUT /3 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nworld"
    b"HEAD /4 HTTP/1.1\r\nHost: h\r\n\r\n"
)
ANSWERS = [
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nDate: d\r\n\r\n",
    b"HTTP/1.1 103 Hint\r\nLink: x\r\n\r\nHTTP/1.1 404 Not Found\r\nDate: d\r\nContent-Length: 0\r\n\r\n",
]


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % len(data) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges) if start < end]


def deliver(end: Transport, data: bytes, cuts: list[int]) -> None:
    for piece in pieces(data, cuts):
        if end.ended is None:
            end.deliver(piece)


def joined_chunks(data: bytes) -> bytes:
    """The bytes of a chunked message without the borders of its chunks."""
    head, _, body = data.partition(b"\r\n\r\n")
    if b"chunked" not in head:
        return data
    whole = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        if not int(size, 16):
            return head + b"\r\n\r\n" + whole + body.removesuffix(b"\r\n")
        whole += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]


def forwarded(cuts: list[int]) -> list[bytes]:
    """What an instance gets of `REQUESTS`, one by one."""
    rig = make_rig()
    client = rig.ask()
    upstream = rig.accept()
    upstream.deliver(OK)
    upstream.take()
    got: list[bytes] = []
    for piece in pieces(REQUESTS, cuts):
        client.deliver(piece)
        while is_complete(upstream.sent):
            got.append(joined_chunks(upstream.take()))
            upstream.deliver(b"HTTP/1.1 204 No Content\r\n\r\n")
    rig.close()
    return got


def is_complete(sent: bytes) -> bool:
    head, end, body = sent.partition(b"\r\n\r\n")
    if b"chunked" in head:
        return b"\r\n0\r\n" in b"\r\n" + body and body.endswith(b"\r\n\r\n")
    if b"Content-Length: 5" in head:
        return len(body) == 5
    return bool(end)


WHOLE = forwarded([])


def test_requests_are_what_they_are() -> None:
    """The requests that are cut below are the four that were meant."""
    lines = [request.split(b" HTTP")[0] for request in WHOLE]
    assert lines == [b"POST /1", b"GET /2", b"PUT /3", b"HEAD /4"]
    assert [request.partition(b"\r\n\r\n")[2] for request in WHOLE] == [
        *(b"hello!T: 1\r\n", b""),
        *(b"world", b""),
    ]


@given(CUTS)
def test_requests_do_not_depend_on_cuts(cuts: list[int]) -> None:
    """Pipelined requests with all kinds of bodies, cut anywhere."""
    assert forwarded(cuts) == WHOLE


@given(CUTS, st.sampled_from(ANSWERS))
def test_answers_do_not_depend_on_cuts(cuts: list[int], answer: bytes) -> None:
    """Interim heads, chunks and lengths, cut anywhere."""
    received = []
    for some in ([], cuts):
        rig = make_rig()
        client = rig.ask(GET)
        deliver(rig.accept(), answer, some)
        interim, _, final = client.sent.rpartition(b"HTTP/1.1 ")
        received.append((interim, joined_chunks(final)))
        rig.close()
    assert received[0] == received[1]
    assert received[0][1]
