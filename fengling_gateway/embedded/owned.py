"""Programs that end with whoever started them, and directories that go with them."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fengling_gateway.embedded import guard
from fengling_gateway.embedded.guarded import shared_guard


class StartError(Exception):
    """A program did not start; the message holds the end of its log."""


def scratch_directory(prefix: str, *, within: Path | None = None) -> Path:
    """
    Make a directory that is deleted once this process has gone.

    Others may pass through it but not list it: PostgreSQL runs as another user
    when we are root.

    Args:
        within: None is where the system has temporary ones.
    """
    return shared_guard().make_directory(prefix, within)


class OwnedProcess:
    """
    A program that runs until it is told to stop, and never longer than its owner.

    It runs in a session of its own, so that Ctrl-C in a terminal reaches the
    owner only, who then ends things in order. Its output goes to `log`.

    Args:
        stop_signal: what asks it to end.
        grace: seconds it gets for that before it is killed.
        user: name of the user to become; None to stay who we are.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        stop_signal: int = signal.SIGTERM,
        grace: float = 10.0,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.log = log
        self._stop_signal = stop_signal
        self._grace = grace
        with log.open("ab") as output:
            self._process = shared_guard().start(
                command,
                stop_signal,
                grace,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=user,
                group=None if user is None else group_of(user),
                extra_groups=None if user is None else [],
                env=None if env is None else dict(env),
                pass_fds=pass_fds,
                cwd=log.parent,
            )

    def __repr__(self) -> str:
        state = "running" if self.running else f"ended {self._process.returncode}"
        return f"<OwnedProcess {self.pid} {state}>"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def wait_until(self, ready: Callable[[], bool], timeout: float) -> None:
        """
        Wait for `ready`, looking every 10 ms.

        Raises:
            StartError: the program ended first, or `timeout` seconds passed.
        """
        for _ in range(int(timeout / 0.01)):
            if ready():
                return
            if self.wait(0.01) is not None:
                break
        else:
            raise StartError(f"not ready after {timeout:g} s: {self.log_tail()}")
        raise StartError(f"ended with {self.returncode}: {self.log_tail()}")

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for the end and return the exit code; None when it still runs after `timeout`."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def signal(self, number: int) -> None:
        """Send a signal to the program itself."""
        self._process.send_signal(number)

    def freeze(self) -> None:
        """SIGSTOP it and all its descendants: it neither answers nor closes anything."""
        guard.send(guard.tree(self.pid), signal.SIGSTOP)

    def thaw(self) -> None:
        guard.send(guard.tree(self.pid), signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL it and all its descendants, as a power cut would."""
        if self.running:
            guard.send(guard.tree(self.pid), signal.SIGKILL)
        self._process.wait()
        shared_guard().forget(self._process)

    def stop(self, number: int | None = None, timeout: float | None = None) -> int:
        """
        End it kindly, by force after `timeout` seconds, and return its exit code.

        Args:
            number: signal to ask with; None is the one it was made with.
            timeout: None is the grace it was made with.
        """
        if self.running:
            targets = guard.tree(self.pid)
            guard.send(targets, signal.SIGCONT)
            self._process.send_signal(self._stop_signal if number is None else number)
            self.wait(self._grace if timeout is None else timeout)
            guard.send(guard.alive(targets), signal.SIGKILL)
        code = self._process.wait()
        shared_guard().forget(self._process)
        return code

    def log_tail(self, lines: int = 15) -> str:
        """Return the end of what it wrote."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:]) or "(it wrote nothing)"


def group_of(user: str) -> int:
    """Return the number of a user's own group."""
    return pwd.getpwnam(user).pw_gid


def environment(**changes: str | None) -> dict[str, str]:
    """Return our environment with `changes`; a None removes a variable."""
    merged = {**os.environ, **{name: value for name, value in changes.items() if value is not None}}
    return {name: value for name, value in merged.items() if changes.get(name, "") is not None}
