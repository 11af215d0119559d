"""Where WebSocket frames end (RFC 6455, 5.2), and the frame that closes a connection.

A tunnel relays bytes and reads nothing into them. Only to end one in good order
must the gateway know where a frame of its own may stand: between two frames.
"""

from __future__ import annotations

from typing import Final

GOING_AWAY: Final = 1001
"""The status that says: nothing is wrong, but this server goes (RFC 6455, 7.4.1)."""

_CLOSE: Final = 0x8
_MASKED: Final = 0x80
_LENGTH: Final = 0x7F


class FrameBorders:
    """
    Follows the frames of one direction, fed in pieces of any size.

    Attributes:
        has_closed: whether a close frame has begun; nothing may follow it.
    """

    __slots__ = ("_begun", "_left", "has_closed")

    def __init__(self) -> None:
        self._begun = b""  # of a frame's head
        self._left = 0  # of a frame's payload
        self.has_closed = False

    @property
    def is_between(self) -> bool:
        """Whether what was fed last ended a frame."""
        return not self._left and not self._begun

    def feed(self, data: bytes) -> None:
        """Follow what is relayed."""
        at = 0
        while at < len(data):
            at = self._step(data, at)

    def end_of_frame(self, data: bytes) -> int:
        """
        Follow `data` to the end of the frame that is under way.

        Returns:
            Where it ends; -1 where all of `data` belongs to it.
        """
        at = 0
        while not self.is_between:
            if at == len(data):
                return -1
            at = self._step(data, at)
        return at

    def _step(self, data: bytes, at: int) -> int:
        """Take payload, or a head; return where to go on."""
        if self._left:
            taken = min(self._left, len(data) - at)
            self._left -= taken
            return at + taken
        known = len(self._begun)
        head = self._begun + data[at : at + 14 - known]
        size = _head_size(head)
        if len(head) < size:
            self._begun = head
            return len(data)
        self._begun = b""
        self._left = _payload_size(head)
        self.has_closed = self.has_closed or head[0] & 0x0F == _CLOSE
        return at + size - known


def _head_size(head: bytes) -> int:
    """Return the size of the head that begins so, or that of its smallest part."""
    if len(head) < 2:
        return 2
    length = head[1] & _LENGTH
    extended = 2 if length == 126 else 8 if length == 127 else 0
    return 2 + extended + (4 if head[1] & _MASKED else 0)


def _payload_size(head: bytes) -> int:
    length = head[1] & _LENGTH
    if length == 126:
        return int.from_bytes(head[2:4])
    if length == 127:
        return int.from_bytes(head[2:10])
    return length


def close_frame(code: int, mask: bytes = b"") -> bytes:
    """
    Return a close frame.

    Args:
        mask: four random bytes towards a server; nothing towards a client.
    """
    payload = code.to_bytes(2)
    if not mask:
        return bytes((0x80 | _CLOSE, len(payload))) + payload
    masked = bytes(byte ^ key for byte, key in zip(payload, mask, strict=False))
    return bytes((0x80 | _CLOSE, _MASKED | len(payload))) + mask + masked
