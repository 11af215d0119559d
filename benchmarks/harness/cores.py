"""Which CPU core runs what: the proxy alone on one, load and upstream on the others."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple


class Cores(NamedTuple):
    """None where there is only one core: then nothing is pinned and numbers are rough."""

    proxy: frozenset[int] | None
    others: frozenset[int] | None

    def describe(self) -> str:
        if self.proxy is None or self.others is None:
            return "one core for everything: requests/s say little"
        others = ", ".join(map(str, sorted(self.others)))
        return f"proxy on core {min(self.proxy)}, load and upstream on {others}"


def divide(available: Iterable[int]) -> Cores:
    """The last core goes to the proxy: the kernel's own work tends to be on the first."""
    cpus = sorted(available)
    if len(cpus) < 2:
        return Cores(None, None)
    return Cores(frozenset(cpus[-1:]), frozenset(cpus[:-1]))


def divide_available() -> Cores:
    return divide(os.sched_getaffinity(0))
