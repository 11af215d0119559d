"""What is read of the answer to a probe, and what it says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.health.answers import MAX_BODY_BYTES, MAX_HEAD_BYTES, AnswerReader
from fengling_gateway.health.targets import compile_check
from fengling_gateway.model.health_checks import health_check
from fengling_gateway.model.problems import Report


def read(answer: bytes, *, step: int = 1_000_000, **check: Any) -> tuple[bool, str, bool]:
    """Return whether an answer passes, what was seen, and whether it was read to its end."""
    reader = AnswerReader(compile_check(health_check(check, Report())))
    for start in range(0, len(answer), step):
        said = reader.feed(answer[start : start + step])
        if said is not None:
            break
    else:
        said = reader.end()
    return said.passes, said.seen, reader.is_whole


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup"


class AnswerTests:
    @pytest.mark.parametrize(
        ("answer", "check", "passes", "seen"),
        [
            (OK, {}, True, "HTTP 200"),
            (b"HTTP/1.1 204 No Content\r\n\r\n", {}, True, "HTTP 204"),
            (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", {}, True, "HTTP 302"),
            (b"HTTP/1.0 200 OK\r\n\r\nuntil it closes", {}, True, "HTTP 200"),
            (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", {}, False, "HTTP 503"),
            (OK, {"expected": [204]}, False, "HTTP 200"),
            (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", {"expected": [404]}, True, "HTTP 404"),
            (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, {}, True, "HTTP 200"),
            (b"HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n" + OK, {}, True, "HTTP 200"),
            (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", {}, False,
             "HTTP 101"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nup\r\n0\r\n\r\n",
             {"body": "up"}, True, "HTTP 200"),
            (OK, {"body": "down"}, False, 'HTTP 200, but its body does not contain "down"'),
            (OK, {"method": "HEAD"}, True, "HTTP 200"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", {"method": "HEAD"}, True, "HTTP 200"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nup", {}, False, "its answer breaks off"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nup\r\n", {}, False,
             "its answer breaks off"),
            (b"", {}, False, "it closed without an answer"),
            (b"HTTP/1.1 20", {}, False, "it closed the connection in the middle of an answer"),
            (b"SSH-2.0-OpenSSH\r\n", {}, False, "what it answers is not HTTP/1.1"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", {}, False,
             "what it answers is not HTTP/1.1"),
        ],
    )  # fmt: skip
    def test_answer_says(
        self, answer: bytes, check: dict[str, Any], passes: bool, seen: str
    ) -> None:
        """The same however it arrives."""
        for step in (1_000_000, 7, 1):
            assert read(answer, step=step, **check)[:2] == (passes, seen)

    def test_text_counts_within_the_first_64_kib(self) -> None:
        """And nobody reads on to find it."""
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"
        inside = b"x" * (MAX_BODY_BYTES - 2) + b"up"
        assert read(head + inside + b"x" * 1000, body="up") == (True, "HTTP 200", False)
        outside = b"x" * (MAX_BODY_BYTES - 1) + b"up"
        assert not read(head + outside, body="up")[0]
        assert read(head + b"x" * MAX_BODY_BYTES) == (True, "HTTP 200", False)

    def test_endless_head_is_no_answer(self) -> None:
        """It would be kept in memory."""
        endless = b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2 * MAX_HEAD_BYTES
        assert not read(endless, step=1000)[0]

    def test_whole_answer_is_known_as_such(self) -> None:
        """Its connection can be closed as usual."""
        assert read(OK)[2]

    @given(st.binary(max_size=300), st.integers(1, 300))
    def test_anything_is_judged(self, answer: bytes, step: int) -> None:
        """Whatever an instance sends, after a beginning that is right or none."""
        for prefix in (b"", b"HTTP/1.1 200 OK\r\n"):
            read(prefix + answer, step=step)
