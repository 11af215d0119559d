"""Starting programs, and making directories, that go with this process."""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from fengling_gateway.embedded import guard

_ANSWER_SECONDS: Final = 30.0
_CLOSE_SECONDS: Final = 30.0
"""Longer than the grace of a deaf program."""

_WATCHED: Final = (
    """printf '{"watch": %s, "signal": %s, "grace": %s}\\n' $$ "$1" "$2" >&0 || exit; """
    """shift 2; exec "$@" </dev/null"""
)
"""
Tells the guard, on its standard input, and becomes the program.

The program does it itself, since its owner may be killed between starting it
and telling of it.
"""


class Guard:
    """
    Our connection to the process that outlives us for a moment; see `guard`.

    It costs one small process per owner, and holds for every way an owner can
    go. A parent-death signal would not: it does not reach a frozen program,
    and it fires when the *thread* that started the program ends. Should
    somebody kill the guard itself, the next order starts another one, which
    knows what runs but not what the first one was to delete.

    Any thread may use it.
    """

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._watched: dict[int, tuple[subprocess.Popen[bytes], dict[str, object]]] = {}
        self._process = self._started()

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(
        self, command: Sequence[str], stop_signal: int, grace: float, **options: Any
    ) -> subprocess.Popen[bytes]:
        """
        Start a program in a session of its own, which ends when we do.

        Args:
            options: for Popen, but for its standard input, which is empty.
        """
        with self._lock:
            self._revive()
            process: subprocess.Popen[bytes] = subprocess.Popen(
                ["/bin/sh", "-c", _WATCHED, "sh", str(int(stop_signal)), str(grace), *command],
                stdin=self._process.stdin,
                start_new_session=True,
                **options,
            )
            order: dict[str, object] = {
                "watch": process.pid,
                "signal": int(stop_signal),
                "grace": grace,
            }
            self._watched[process.pid] = process, order
            return process

    def forget(self, process: subprocess.Popen[bytes]) -> None:
        """Leave alone a program that has ended, and what has its number next."""
        with self._lock:
            self._watched.pop(process.pid, None)
            self._order({"forget": process.pid})

    def make_directory(self, prefix: str, within: Path | None = None) -> Path:
        """
        Make a temporary directory that is deleted when we go.

        Args:
            within: None is where the system has temporary ones.

        Raises:
            OSError: it could not be made.
        """
        with self._lock:
            self._revive()
            self._order({"make": prefix} | ({} if within is None else {"within": str(within)}))
            answer = self._answer()
        if "made" not in answer:
            raise OSError(f"no directory {prefix}…: {answer.get('failed', 'no answer')}")
        return Path(answer["made"])

    def close(self) -> None:
        """Let it do its work now, and wait for it; for the end of this process."""
        if os.getpid() != self._owner:  # a fork of it ends
            return
        with self._lock:
            self._revive()
            self._abandon()
            try:
                self._process.wait(_CLOSE_SECONDS)
            except subprocess.TimeoutExpired:
                sys.stderr.write("what was started is still being ended\n")

    def _started(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, str(self._owner)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )

    def _revive(self) -> None:
        """Start another guard where ours has been killed, and tell it what runs."""
        if self._process.poll() is None:
            return
        self._abandon()
        self._process = self._started()
        for process, order in self._watched.values():
            # The number of what has been waited for may be another's by now.
            if process.returncode is None:
                self._order(order)

    def _order(self, order: Mapping[str, object]) -> None:
        stdin = self._process.stdin
        if stdin is None or stdin.closed:
            return
        try:
            # One write, so that lines of several writers stay whole.
            stdin.write(json.dumps(order).encode() + b"\n")
        except BrokenPipeError:
            pass  # killed: the next one is told what runs

    def _answer(self) -> dict[str, str]:
        assert self._process.stdout is not None
        line = b""
        while not line.endswith(b"\n"):
            readable, _, _ = select.select([self._process.stdout], [], [], _ANSWER_SECONDS)
            read = self._process.stdout.read(4096) if readable else b""
            if not read:
                return {}
            line += read
        answer: dict[str, str] = json.loads(line)
        return answer

    def _abandon(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


_making = threading.Lock()


@functools.cache
def _guard_of(_pid: int) -> Guard:
    made = Guard()
    atexit.register(made.close)
    return made


def shared_guard() -> Guard:
    """Return the one guard of this process."""
    with _making:
        return _guard_of(os.getpid())
