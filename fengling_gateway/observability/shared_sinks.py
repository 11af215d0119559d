"""Where several processes write lines at once, which no line of another may come into."""

from __future__ import annotations

import os
import select
from typing import Final

_MODE: Final = 0o640

_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
"""(A named pipe that nobody reads is not waited for: it fails.)"""


class SharedFile:
    """
    A file that is only ever appended to, in whole lines.

    It is opened with the first of them, and anew when it has been renamed or removed:
    whoever rotates it need tell nobody.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._has_failed = False

    def __repr__(self) -> str:
        return f"<SharedFile {self._path}>"

    def write(self, lines: bytes) -> None:
        """
        Append some lines; none: see whether any could be.

        Raises:
            OSError: they can't be, or not all of them.
        """
        if self._descriptor is not None and not self._is_in_place(self._descriptor):
            self.close()
        if self._descriptor is None:
            self._descriptor = os.open(self._path, _FLAGS, _MODE)
            os.set_blocking(self._descriptor, True)
        if not lines:
            return
        if self._has_failed and self._ends_within_a_line():
            lines = b"\n" + lines
        self._has_failed = True
        written = os.write(self._descriptor, lines)
        # (A file takes all of it at once, but for the last block of a full disk.)
        if written < len(lines):
            os.write(self._descriptor, lines[written:])
        self._has_failed = False

    def _ends_within_a_line(self) -> bool:
        """Whether somebody's last line has come to a full disk; no, where that can't be seen."""
        try:
            with open(self._path, "rb", buffering=0) as file:
                file.seek(-1, os.SEEK_END)
                return file.read(1) != b"\n"
        except OSError:
            return False

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _is_in_place(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(descriptor))
        except OSError:
            return False


class SharedPipe:
    """Standard output: of a pipe, no more is written at once than comes out in one piece."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __repr__(self) -> str:
        return f"<SharedPipe {self._descriptor}>"

    def write(self, lines: bytes) -> None:
        """
        Write some lines, and wait until they are.

        Raises:
            OSError: nobody reads any more.
        """
        while lines:
            end = lines.rfind(b"\n", 0, select.PIPE_BUF) + 1
            piece = lines[: end or len(lines)]
            self._write(piece)
            lines = lines[len(piece) :]

    def close(self) -> None:
        """Leave it open: it is not ours."""

    def _write(self, piece: bytes) -> None:
        while piece:
            try:
                piece = piece[os.write(self._descriptor, piece) :]
            except BlockingIOError:  # some process that shares it does not want to block
                ready = select.poll()
                ready.register(self._descriptor, select.POLLOUT)
                ready.poll()
