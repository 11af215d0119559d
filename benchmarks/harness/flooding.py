"""Floods of requests with tokens that are no good, and what came of them."""

from __future__ import annotations

import json
import secrets
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.harness.children import Child, Children
from benchmarks.harness.load import LoadError
from benchmarks.harness.proc import established

_BEGIN_SECONDS: Final = 30.0
_END_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class FloodOutcome:
    """``answers`` counts them by status, ``broken`` the connections that ended without one."""

    seconds: float
    answers: dict[str, int]
    broken: int

    @property
    def refused(self) -> int:
        return self.answers.get("401", 0)

    @property
    def others(self) -> int:
        """Requests that were answered otherwise, or not at all."""
        return sum(self.answers.values()) - self.refused + self.broken

    @property
    def rate(self) -> float:
        """Refusals in a second."""
        return self.refused / self.seconds


def parse_flood(text: str) -> FloodOutcome:
    """
    Read the JSON of `benchmarks.harness.flood_python`.

    Raises:
        LoadError: it is something else.
    """
    try:
        return FloodOutcome(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise LoadError(f"no outcome from the flood:\n{text}") from error


@dataclass(frozen=True, slots=True)
class Terms:
    """Of a flood: whose tokens it forges, how many a second, over how many connections."""

    issuer: str
    key_id: str
    rate: float
    connections: int


class Flooding:
    """A flood that is on."""

    def __init__(
        self,
        children: Children,
        port: int,
        kinds: Sequence[str],
        terms: Terms,
        *,
        cpus: frozenset[int] | None,
    ) -> None:
        """`kinds` of forgeries take turns."""
        self._children = children
        command = [sys.executable, "-m", "benchmarks.harness.flood_python", f"--port={port}"]
        command += [f"--rate={terms.rate}", f"--connections={terms.connections}"]
        command += [f"--issuer={terms.issuer}", f"--key-id={terms.key_id}"]
        command += [f"--seed={secrets.randbits(32)}", *(f"--kind={kind}" for kind in kinds)]
        self._port = port
        self._connections = terms.connections
        self._child: Child = children.start(f"flood-{secrets.token_hex(2)}", command, cpus=cpus)

    def wait_until_on(self) -> None:
        """
        Wait until its connections are there, of which it has more than good traffic.

        Raises:
            StartError: it ended, or takes too long.
        """
        self._child.wait_until(lambda: established(self._port) >= self._connections, _BEGIN_SECONDS)

    def end(self) -> FloodOutcome:
        """
        Have it stop, and tell what came of it.

        Raises:
            LoadError: it did not end in time, or what it says can't be read.
        """
        self._child.signal(signal.SIGINT)
        if self._child.wait(_END_SECONDS) is None:
            raise LoadError("the flood did not end")
        text = self._child.log.read_text()
        self._children.stop(self._child)
        return parse_flood(text)
