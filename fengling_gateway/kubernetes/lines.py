"""A stream cut into lines. Pure."""

from __future__ import annotations


class LineTooLongError(Exception):
    """A line has more bytes than anybody wants."""


class Lines:
    r"""
    Takes bytes as they come, and gives lines without their ``\n``.

    Args:
        limit: bytes of the longest line.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = bytearray()
        self._start = 0
        self._searched = 0

    def feed(self, data: bytes) -> None:
        if self._start:
            del self._bytes[: self._start]
            self._searched -= self._start
            self._start = 0
        self._bytes += data

    def next(self) -> bytes | None:
        """
        Return the next line; None where it is not whole yet.

        Raises:
            LineTooLongError: it is too long, whole or not.
        """
        end = self._bytes.find(b"\n", self._searched)
        self._searched = len(self._bytes) if end < 0 else end + 1
        if (len(self._bytes) if end < 0 else end) - self._start > self._limit:
            raise LineTooLongError
        if end < 0:
            return None
        line = bytes(self._bytes[self._start : end])
        self._start = end + 1
        return line

    @property
    def has_more(self) -> bool:
        """Whether there is a whole line, or too much of one, left."""
        if len(self._bytes) - self._start > self._limit:
            return True
        return self._bytes.find(b"\n", self._searched) >= 0

    @property
    def has_rest(self) -> bool:
        """Whether there is anything left."""
        return len(self._bytes) > self._start
