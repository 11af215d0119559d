"""What a probe may come to: pure."""

from __future__ import annotations

from typing import NamedTuple


class Passed(NamedTuple):
    """It is as it should be; what was seen, and how many seconds that took."""

    seen: str
    seconds: float


class Failed(NamedTuple):
    """It is not, and why; how many seconds it took to find out."""

    why: str
    seconds: float


class Unjudged(NamedTuple):
    """Nothing can be said of the instance, for a reason that lies with this console."""

    why: str


Outcome = Passed | Failed | Unjudged
