"""Where a message's body ends.

A framing is an integer: a length in bytes, or one of the three constants. It
is decided once, from the head, and then used for reading on one side and for
writing on the other.
"""

from __future__ import annotations

from typing import Final

CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2
TUNNEL: Final = -4
"""Whatever follows is no longer HTTP (after a 101)."""
NO_BODY: Final = -3
"""Nothing follows, and no header says so (a GET, a 304): not the same as a length of 0."""

_MAX_LENGTH_DIGITS: Final = 18


def content_length(value: bytes) -> int:
    """
    Return the number in a Content-Length header.

    Raises:
        ValueError: anything but digits, or more than 18 of them; int() alone
            would take signs, spaces and underscores.
    """
    if not value.isdigit() or len(value) > _MAX_LENGTH_DIGITS:
        raise ValueError("not a length")
    return int(value)


def response_framing(status: int, method: bytes, length: int, *, chunked: bool) -> int:
    """
    Return how the body of an answer is framed (RFC 9112, 6.3).

    Args:
        length: of its Content-Length header; negative without one.
    """
    if method == b"HEAD" or status in {204, 304} or status < 200:
        return NO_BODY
    if chunked:
        return CHUNKED
    return length if length >= 0 else UNTIL_CLOSE
