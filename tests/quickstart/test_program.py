"""The frame around a run of the quickstart: what it takes, it leaves."""

from __future__ import annotations

import argparse
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from fengling_gateway.quickstart import program

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Place:
    """A place, taken and left under fire."""

    shown = "here"

    def __init__(self) -> None:
        self.left = False

    def take(self) -> None:
        # To this thread, as there is no other in a quickstart: one here would not block it.
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    def leave(self, *, keep_logs: bool) -> None:
        for number in _NUMBERS:
            os.kill(os.getpid(), number)
        self.left = not keep_logs


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Put back what a run has changed."""
    before = {number: signal.getsignal(number) for number in _NUMBERS}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class RunTests:
    """`run`"""

    def test_ctrl_c_again_and_again_leaves_nothing_behind(self) -> None:
        """While the place is taken, and while it is left."""
        place = _Place()
        with pytest.raises(SystemExit) as ended:
            program.run(place, argparse.Namespace())  # type: ignore[arg-type]
        assert ended.value.code == 0
        assert place.left
