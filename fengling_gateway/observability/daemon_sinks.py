"""Where the lines of a daemon's log go: a file that is rotated, or the system's log."""

from __future__ import annotations

import os
import syslog

from twisted.python.logfile import LogFile


class SyslogSink:
    """The system's log, line by line."""

    def __init__(self, prefix: str) -> None:
        syslog.openlog(prefix)

    def write(self, line: bytes) -> None:
        for one in line.decode(errors="backslashreplace").splitlines():
            syslog.syslog(one)

    def reopen(self) -> str:
        return "the log goes to syslog: nothing to reopen"


class FileSink:
    """
    A file as twistd keeps it: at a megabyte, or when asked to, it becomes ``name.1``.

    Where somebody else has renamed or removed it, being asked only makes it anew.
    """

    def __init__(self, name: str) -> None:
        self._path = os.path.abspath(name)
        self._file: _File | None = _File.fromFullPath(self._path)
        self._is_asked = False

    def write(self, line: bytes) -> None:
        if self._is_asked or self._file is None:
            self._is_asked = False
            self._file = self._opened_again()
        self._file.write(line)

    def reopen(self) -> str:
        self._is_asked = True  # for the writer's thread, with the next line
        return f"the log goes on in {self._path}"

    def _opened_again(self) -> _File:
        file, self._file = self._file, None  # which it stays until it can be opened
        if file is not None:
            if file.is_in_place():
                file.rotate()
            file.close()
        opened: _File = _File.fromFullPath(self._path)
        return opened


class _File(LogFile):
    def is_in_place(self) -> bool:
        """Whether what we write to is still found by its name."""
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            return False
