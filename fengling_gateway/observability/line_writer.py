"""Writes the lines of the log on a thread of its own, because writing may block.

A pipe that nobody reads, a stopped terminal, a full disk: none of them may
stop whoever has something to say. What does not fit into the queue is dropped,
counted, and told in a line of its own at the very place where it is missing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

MAX_LINES: Final = 4096
MAX_BYTES: Final = 1024 * 1024
"""What waits to be written: some 6,000 usual lines, far more than the largest burst there is."""

FLUSH_SECONDS: Final = 1.0
"""How long the end of a process may wait for its last lines."""


class LineWriter:
    """
    A bounded queue of lines, and the daemon thread that writes them in order.

    Twice the bounds may be in memory: what is being written, and what waits.

    Args:
        write: writes one line, on the thread; it may block and may fail.
        tell_dropped: returns the line that says how many were dropped; empty: none does.
        name: of the thread.

    Attributes:
        dropped: lines that came to nothing since the start.
    """

    def __init__(
        self,
        write: Callable[[bytes], object],
        *,
        tell_dropped: Callable[[int], bytes],
        max_lines: int = MAX_LINES,
        max_bytes: int = MAX_BYTES,
        name: str = "log",
    ) -> None:
        self._write = write
        self._tell_dropped = tell_dropped
        self._max_lines = max_lines
        self._max_bytes = max_bytes
        self._name = name
        # Reentrant, as signals and finalizers log wherever they find a thread.
        self._changed = threading.Condition(threading.RLock())
        self._lines: list[tuple[bytes, int]] = []
        self._bytes = 0
        self._untold = 0
        self._is_writing = False
        self._thread: threading.Thread | None = None
        self.dropped = 0

    def __repr__(self) -> str:
        return f"<LineWriter {len(self._lines)} waiting, {self.dropped} dropped>"

    def start(self) -> None:
        """Begin to write what has been put; not before a fork, which no thread survives."""
        if self._thread is None:
            # A daemon: one that is stuck must not keep the process from ending.
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def put(self, line: bytes, number: int = 1) -> None:
        """
        Have a line written, or dropped where too many wait. Any thread; never blocks.

        Args:
            number: of lines that it is; they are written in one piece.
        """
        with self._changed:
            waiting = self._lines
            if len(waiting) >= self._max_lines or self._bytes + len(line) > self._max_bytes:
                self._untold += number
                self.dropped += number
                return
            waiting.append((line, number))
            self._bytes += len(line)
            if len(waiting) == 1:
                self._changed.notify_all()

    def flush(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Wait for at most so long until everything is written; whether it is."""
        self.start()
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._lines and not self._is_writing, timeout=seconds
            )

    # The thread

    def _run(self) -> None:
        while True:
            lines, dropped = self._take()
            failed = sum([0 if self._is_written(line) else number for line, number in lines])
            # All that was dropped came behind these lines, and what follows came later.
            missing = dropped + failed
            is_told = not missing or self._is_written(self._tell_dropped(missing))
            with self._changed:
                self.dropped += failed
                self._untold += 0 if is_told else missing
                self._is_writing = False
                self._changed.notify_all()

    def _take(self) -> tuple[list[tuple[bytes, int]], int]:
        with self._changed:
            self._changed.wait_for(lambda: self._lines)
            lines, self._lines = self._lines, []
            dropped, self._untold = self._untold, 0
            self._bytes = 0
            self._is_writing = True
            return lines, dropped

    def _is_written(self, line: bytes) -> bool:
        try:
            self._write(line)
        except Exception:  # closed, full, gone: counted, and told when it is over
            return False
        return True
