"""The clock of reactors that Twisted makes."""

from __future__ import annotations

import time
from typing import Any


def keep_monotonic(reactor: Any) -> None:
    """
    Have a reactor go by the monotonic clock, so that setting the system's time stops nothing.

    Twisted's is that of the wall: set back by an hour, every timeout, poll and probe
    would be an hour late. What is planned already has a time of the old clock;
    a reactor with such calls, of another plugin's, is left as it is.
    """
    if not reactor.getDelayedCalls():
        reactor.seconds = time.monotonic
