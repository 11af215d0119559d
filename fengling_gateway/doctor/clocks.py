"""How far clocks are apart, and when that matters."""

from __future__ import annotations

from typing import Final

from fengling_gateway.doctor.finding import Finding, note, ok, wrong
from fengling_gateway.syncbus.fleet import CLOCKS_DIFFER_SECONDS

NOTED_SECONDS: Final = 2.0
"""Ages and propagation times are told wrongly by as much."""

_CURE: Final = "have both hosts follow a time server: `timedatectl`, `chronyc tracking`"


def clock(whose: str, theirs: float, *, before: float, after: float) -> Finding:
    """
    Compare a clock with this host's.

    Args:
        whose: as in ``clock.database``.
        theirs: what it said, in seconds since the epoch.
        before: when it was asked by this host's clock; it has answered at `after`.
    """
    about = f"clock.{whose}"
    apart = max(before - theirs, theirs - after, 0.0)
    if apart < NOTED_SECONDS:
        return ok(about, f"the clock of the {whose} agrees with this host's")
    way = "ahead of" if theirs > after else "behind"
    said = f"the clock of the {whose} is {apart:.1f} s {way} this host's"
    if apart < CLOCKS_DIFFER_SECONDS:
        return note(about, said, _CURE)
    beyond = f"{CLOCKS_DIFFER_SECONDS:g} s"
    return wrong(about, f"{said}: beyond {beyond} hosts do not believe one another", _CURE)
