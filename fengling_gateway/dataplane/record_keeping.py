"""Who is told of exchanges that have ended: the access log, and whoever else listens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.records.ended import Ended
from fengling_gateway.records.filters import Filter
from fengling_gateway.records.lines import make_line
from fengling_gateway.records.redaction import Redaction

if TYPE_CHECKING:
    from fengling_gateway.dataplane.listener import Peer
    from fengling_gateway.dataplane.state import PlaneState

BLOCK_BYTES: Final = 32 * 1024
"""What is handed over at once: some 80 lines, for which waking a thread costs little."""

Write = Callable[[bytes, int], None]
"""Takes some whole lines, and how many they are; never blocks."""


class AccessLog:
    """
    Has a line written of each exchange that there is to be one of.

    Args:
        settings: as of `DataPlaneSettings.access_log`.

    Attributes:
        lines: written, or handed over to be.
    """

    __slots__ = ("_block", "_bytes", "_line", "_takes", "_write", "lines")

    def __init__(self, settings: Mapping[str, Any], write: Write) -> None:
        redaction = Redaction(settings["redact_query"], settings["redact_headers"])
        self._line = make_line(settings["format"], settings["fields"], redaction)
        self._takes = Filter(
            statuses=settings["statuses"],
            slower_than=settings["slower_than"],
            sample=settings["sample"],
            routes=settings["routes"] or None,
        ).takes
        self._write = write
        self._block: list[bytes] = []
        self._bytes = 0
        self.lines = 0

    def __repr__(self) -> str:
        return f"<AccessLog {self.lines} lines>"

    def ended(self, one: Ended) -> None:
        if not self._takes(one):
            return
        line = self._line(one)
        self._block.append(line)
        self._bytes += len(line)
        if self._bytes >= BLOCK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Hand over what there is."""
        block = self._block
        if block:
            self.lines += len(block)
            self._block, self._bytes = [], 0
            self._write(b"".join(block), len(block))


def no_request(
    peer: Peer, plane: PlaneState, error: ForwardError, request_id: bytes, sent: int
) -> Ended:
    """Return what is told of something that was no request."""
    return Ended(
        at=plane.wall_now(),
        seconds=0.0,
        head=None,
        request_id=request_id,
        listener=peer.listener.name,
        scheme=peer.listener.scheme,
        client=peer.name,
        peer=peer.name,
        status=error.status,
        error=error,
        route="",
        service="",
        tenant=None,
        subject=None,
        revision=plane.revision.number,
        attempts=(),
        received=0,
        sent=sent,
    )
