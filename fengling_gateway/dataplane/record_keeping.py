"""The access log: lines of exchanges that have ended, which a thread of its own writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from twisted.logger import Logger

from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.observability.line_writer import LineWriter
from fengling_gateway.observability.shared_sinks import SharedFile, SharedPipe
from fengling_gateway.observability.sinks import STDOUT
from fengling_gateway.records.ended import Ended
from fengling_gateway.records.filters import Filter
from fengling_gateway.records.lines import make_line
from fengling_gateway.records.redaction import Redaction

if TYPE_CHECKING:
    from fengling_gateway.dataplane.listener import Peer
    from fengling_gateway.dataplane.state import PlaneState

_log = Logger()

MAX_WAITING_BYTES: Final = 4 * 1024 * 1024
"""Of lines that wait to be written: a second of ten thousand requests."""

BLOCK_BYTES: Final = 128 * 1024
"""
What is handed over at once, unless less was said in a moment: some 300 lines.

Whoever wakes a thread gives it the interpreter, and on a busy machine the processor to somebody
else: for every 80 lines, that doubled what a line costs.
"""

Write = Callable[[bytes, int], None]
"""Takes some whole lines, and how many they are; never blocks."""


class AccessLogWriter:
    """
    Writes an access log by a thread of its own, which alone may have to wait.

    Args:
        path: of a file, or ``stdout``.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._sink: SharedFile | SharedPipe
        self._sink = SharedPipe(STDOUT) if path == "stdout" else SharedFile(path)
        self._is_failing = False
        self._writer = LineWriter(
            self._write,
            tell_dropped=lambda _: b"",
            max_bytes=MAX_WAITING_BYTES,
            name="access log",
        )

    def __repr__(self) -> str:
        return f"<AccessLogWriter {self._path} {self._writer!r}>"

    @property
    def dropped(self) -> int:
        """How many lines have come to nothing."""
        return self._writer.dropped

    def start(self) -> None:
        self._writer.start()

    def put(self, lines: bytes, number: int) -> None:
        self._writer.put(lines, number)

    def stop(self) -> None:
        """Write what waits, if that takes no longer than a moment."""
        self._writer.flush()
        self._sink.close()

    def _write(self, lines: bytes) -> None:
        if not lines:
            return
        try:
            self._sink.write(lines)
        except OSError as error:
            if not self._is_failing:
                self._is_failing = True
                _log.error(
                    "the access log {path} can't be written: {error}; its lines are counted only",
                    path=self._path,
                    error=str(error),
                    log_id="access_log.failed",
                )
            raise
        if self._is_failing:
            self._is_failing = False
            _log.info(
                "the access log {path} is written again", path=self._path, log_id="access_log.back"
            )


class AccessLog:
    """
    Has a line written of each exchange that there is to be one of.

    Args:
        settings: as of `DataPlaneSettings.access_log`.

    Attributes:
        lines: written, or handed over to be.
    """

    __slots__ = ("_block", "_bytes", "_filter", "_line", "_write", "lines")

    def __init__(self, settings: Mapping[str, Any], write: Write) -> None:
        redaction = Redaction(settings["redact_query"], settings["redact_headers"])
        self._line = make_line(settings["format"], settings["fields"], redaction)
        self._filter = None
        if settings["sample"] < 1.0 or settings["routes"]:
            self._filter = Filter(
                statuses=settings["statuses"],
                slower_than=settings["slower_than"],
                sample=settings["sample"],
                routes=settings["routes"] or None,
            )
        self._write = write
        self._block: list[bytes] = []
        self._bytes = 0
        self.lines = 0

    def __repr__(self) -> str:
        return f"<AccessLog {self.lines} lines>"

    def ended(self, one: Ended) -> None:
        if self._filter is not None and not self._filter.takes(one):
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
        tls=peer.tls,
    )
