"""The real ``fenglingctl``, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

_PROGRAM = (sys.executable, "-m", "fengling_gateway.cli.main")
_SECONDS = 60.0
"""For a command, on a machine that has other things to do."""


class Ended(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Ctl:
    """
    Runs commands with an environment in which nothing is named but what is said here.

    Attributes:
        variables: of the environment, such as FENGLING_CONSOLE.
    """

    variables: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str) -> Ended:
        done = subprocess.run(
            [*_PROGRAM, *arguments],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Lend a command that goes on, which is ended after the block."""
        process = subprocess.Popen(
            [*_PROGRAM, *arguments],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=_SECONDS)

    def environment(self) -> dict[str, str]:
        own = {k: v for k, v in os.environ.items() if not k.startswith(("FENGLING_", "PG"))}
        return {**own, "HOME": "/nonexistent", "COLUMNS": "80", **self.variables}
