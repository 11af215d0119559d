"""A program that starts servers in a directory named by its mark, and dies on the way.

Its arguments: a mark, the directory with PostgreSQL's programs, and a step of
`STEPS` to be killed at (anything else: it prints what it started and waits).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from fengling_gateway.embedded import postgres as postgres_module
from fengling_gateway.embedded.owned import scratch_directory
from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.embedded.valkey import ValkeyServer

STEPS = ("guard.py", "initdb", "bin/postgres", "valkey-server")
"""A word of the command that it is killed right after forking for."""


def die_after_forking_for(step: str) -> None:
    """Be killed before anything of ours runs that could tell of the new process."""
    fork_exec: Any = subprocess._fork_exec  # type: ignore[attr-defined]

    def fork_and_die(args: list[Any], *rest: Any) -> int:
        pid: int = fork_exec(args, *rest)
        if any(str(word).endswith(step) for word in args):
            os.kill(os.getpid(), signal.SIGKILL)
        return pid

    subprocess._fork_exec = fork_and_die  # type: ignore[attr-defined]


def main(mark: str, programs: str, step: str) -> None:
    postgres_module.programs = lambda *_: Path(programs)  # a copy takes seconds
    if step in STEPS:
        die_after_forking_for(step)
    directory = scratch_directory(f"fengling-test-{mark}-")
    postgres = PostgresServer(directory / "postgres")
    valkey = ValkeyServer(directory / "valkey")
    postgres.start()
    valkey.start()
    if step == "frozen":
        postgres.freeze()
        valkey.freeze()
    fork = os.fork() if step == "forked" else -1
    if fork == 0:
        signal.pause()
    print(json.dumps([postgres.pid, valkey.pid, fork]), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
