"""Where the lines of a log go."""

from __future__ import annotations

import os
import select
from typing import Final, Protocol

STDOUT: Final = 1


class Sink(Protocol):
    """Takes lines, on the thread of a `LineWriter`: it may block, and fail with any exception."""

    def write(self, line: bytes) -> None: ...

    def reopen(self) -> str:
        """Have what follows written to a file of the same name; in words, what comes of it."""


class DescriptorSink:
    """What was open before this process began: stdout."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, line: bytes) -> None:
        while line:
            try:
                line = line[os.write(self._descriptor, line) :]
            except BlockingIOError:  # some process that shares it does not want to block
                self._wait()

    def _wait(self) -> None:
        ready = select.poll()
        ready.register(self._descriptor, select.POLLOUT)
        ready.poll()

    def reopen(self) -> str:
        return "logs go to stdout: nothing to reopen"
