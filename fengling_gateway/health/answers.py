"""
The answer to a probe: what is read of it, and what it says. No I/O.

Bytes come in as they arrive, until enough is known.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from fengling_gateway.health.targets import Check

MAX_HEAD_BYTES: Final = 65536
MAX_BODY_BYTES: Final = 65536
"""As much as is read of a body: what it says of its health, an instance says early."""

_SHOWN_BYTES: Final = 60


class Said(NamedTuple):
    """Whether an answer passes, and what was seen of it."""

    passes: bool
    seen: str


class AnswerReader:
    """
    Reads one answer.

    Attributes:
        has_begun: whether anything has arrived.
        is_whole: whether the connection may be closed as usual: nothing is still to come.
    """

    def __init__(self, check: Check) -> None:
        self._check = check
        self._parser = HttpResponseParser(self)
        self._status = 0
        self._head_bytes = 0
        self._body_bytes = 0
        self._body: list[bytes] = []
        self._is_delimited = False
        self._said: Said | None = None
        self.has_begun = False
        self.is_whole = False

    def feed(self, data: bytes) -> Said | None:
        """Take what has arrived; None: go on."""
        self.has_begun = True
        if not self._status:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            self._judge(self._parser.get_status_code())
        except HttpParserError:
            # It also tells of what comes after an answer that is whole.
            if self._said is None:
                self._say(False, "what it answers is not HTTP/1.1")
        if self._said is None and not self._status and self._head_bytes > MAX_HEAD_BYTES:
            self._say(False, f"the head of its answer has more than {MAX_HEAD_BYTES} bytes")
        return self._said

    def end(self) -> Said:
        """Take note that nothing more will come."""
        if self._status and not self._is_delimited:
            self.on_message_complete()
        elif self._status:
            self._say(False, "its answer breaks off")
        else:
            what = "closed the connection in the middle of" if self.has_begun else "closed without"
            self._say(False, f"it {what} an answer")
        assert self._said is not None, "or nothing would be said"
        return self._said

    # What the parser tells

    def on_header(self, name: bytes, _value: bytes) -> None:
        if name.lower() in {b"content-length", b"transfer-encoding"}:
            self._is_delimited = True

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200 and status != 101:
            self._is_delimited = False  # the answer itself is still to come (RFC 9110, 15.2)
            self._head_bytes = 0
            return
        self._status = status
        if self._check.is_head:
            self.is_whole = True
            self._judge(status)

    def on_body(self, data: bytes) -> None:
        if self._said is not None:
            return
        if self._check.body is not None:
            self._body.append(data[: MAX_BODY_BYTES - self._body_bytes])
        self._body_bytes += len(data)
        if self._body_bytes >= MAX_BODY_BYTES:
            self._judge(self._status)

    def on_message_complete(self) -> None:
        if self._status and self._said is None:
            self.is_whole = True
            self._judge(self._status)

    # What that says

    def _judge(self, status: int) -> None:
        check = self._check
        if not check.expects(status):
            self._say(False, f"HTTP {status}")
        elif check.body is not None and check.body not in b"".join(self._body):
            wanted = check.body.decode()
            shown = wanted if len(wanted) <= _SHOWN_BYTES else f"{wanted[:_SHOWN_BYTES]}…"
            self._say(False, f'HTTP {status}, but its body does not contain "{shown}"')
        else:
            self._say(True, f"HTTP {status}")

    def _say(self, passes: bool, seen: str) -> None:
        if self._said is None:
            self._said = Said(passes, seen)
