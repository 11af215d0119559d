"""How late the machine itself wakes an idle process: what a reactor's lag is to be held against.

On a busy machine every process waits for a core. This one has nothing else to
do, so its lateness is nobody's code.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from benchmarks.harness.children import Children

_INTERVAL_SECONDS: Final = 0.05
"""As the workers' own lag probe."""


class IdleProcess:
    """A process that sleeps; ``longest_ms`` is known once it has been stopped."""

    longest_ms = 0.0


@contextmanager
def idling(children: Children) -> Iterator[IdleProcess]:
    """Have one beside whatever the block does."""
    command = [sys.executable, "-m", "benchmarks.harness.lateness"]
    child = children.start("idle", command)
    written = child.log.stat().st_size
    idle = IdleProcess()
    try:
        yield idle
    finally:
        child.signal(signal.SIGINT)
        child.wait(10)
        idle.longest_ms = float(child.log.read_text()[written:] or "nan")
        children.stop(child)


def main() -> None:
    longest = 0.0
    try:
        while True:
            due = time.perf_counter() + _INTERVAL_SECONDS
            time.sleep(_INTERVAL_SECONDS)
            longest = max(longest, time.perf_counter() - due)
    except KeyboardInterrupt:
        print(f"{longest * 1000:.3f}")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
