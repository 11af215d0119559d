"""Load on one port, and what came of it: wrk where installed, else a generator of our own.

The generators run a closed loop: each connection sends its next request when
the last one is answered.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.harness.children import Child, Children, StartError
from benchmarks.harness.traffic import wrk_script

_UNITS_MS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


class LoadError(Exception):
    """The load generator's answer could not be read."""


@dataclass(frozen=True, slots=True)
class LoadOutcome:
    """``failed`` counts broken connections, timeouts and answers that are not 2xx or 3xx."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    failed: int


def _number(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return found.group(1) if found else None


def _percentile_ms(percent: int, text: str) -> float:
    found = re.search(rf"^\s*{percent}%\s+([\d.]+)(us|ms|s|m)\s*$", text, re.MULTILINE)
    if not found:
        raise LoadError(f"no {percent}% line from wrk:\n{text}")
    return float(found.group(1)) * _UNITS_MS[found.group(2)]


def parse_wrk(text: str) -> LoadOutcome:
    """
    Read what ``wrk --latency`` prints.

    Raises:
        LoadError: a line that it always prints is missing.
    """
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m),", text)
    if not total:
        raise LoadError(f"no total from wrk:\n{text}")
    errors = re.search(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text
    )
    return LoadOutcome(
        requests=int(total.group(1)),
        seconds=float(total.group(2)) * _UNITS_MS[total.group(3)] / 1000,
        p50_ms=_percentile_ms(50, text),
        p99_ms=_percentile_ms(99, text),
        failed=sum(map(int, errors.groups() if errors else ()))
        + int(_number(r"Non-2xx or 3xx responses: (\d+)", text) or 0),
    )


def parse_outcome(text: str) -> LoadOutcome:
    """
    Read the JSON of `benchmarks.harness.load_python`.

    Raises:
        LoadError: it is something else.
    """
    try:
        values: dict[str, Any] = json.loads(text)
        return LoadOutcome(**values)
    except (ValueError, TypeError) as error:
        raise LoadError(f"no outcome from the load generator:\n{text}") from error


class LoadGenerator:
    """Starts load on ports of the loopback interface, on the given cores."""

    def __init__(
        self, children: Children, *, cpus: frozenset[int] | None, scheme: str = "http"
    ) -> None:
        """`scheme` may be ``https`` where there is wrk."""
        self._children = children
        self._scheme = scheme
        self._cpus = cpus
        self._runs = 0
        self.wrk = shutil.which("wrk")

    def describe(self) -> str:
        return (
            "wrk" if self.wrk else "benchmarks.harness.load_python (install wrk: apt install wrk)"
        )

    def run(self, port: int, *, seconds: float, connections: int, traffic: str) -> LoadOutcome:
        """Load for a while, and wait for the outcome."""
        load = self.start(port, seconds=seconds, connections=connections, traffic=traffic)
        return load.outcome(within_seconds=seconds + 30)

    def start_script(
        self, port: int, script: Path, *, seconds: int, connections: int
    ) -> RunningLoad:
        """
        Start what a script for wrk says.

        Raises:
            StartError: wrk is not installed.
        """
        if self.wrk is None:
            raise StartError("wrk is needed (apt install wrk)")
        command = [self.wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
        command += ["--timeout", "10s", "-s", str(script), f"{self._scheme}://127.0.0.1:{port}/"]
        self._runs += 1
        child = self._children.start(f"load-{self._runs}", command, cpus=self._cpus)
        return RunningLoad(child, self._children, wrk=True)

    def start(
        self, port: int, *, seconds: float, connections: int, traffic: str, pause_ms: int = 0
    ) -> RunningLoad:
        """`pause_ms` is how long a connection rests between two requests."""
        self._runs += 1
        name = f"load-{self._runs}"
        command = (
            self._wrk_command(port, seconds, connections, traffic, pause_ms)
            if self.wrk
            else self._python_command(port, seconds, connections, traffic, pause_ms)
        )
        child = self._children.start(name, command, cpus=self._cpus)
        return RunningLoad(child, self._children, wrk=self.wrk is not None)

    def _wrk_command(
        self, port: int, seconds: float, connections: int, traffic: str, pause_ms: int
    ) -> list[str]:
        command = [str(self.wrk), "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
        command += ["--latency", "--timeout", "10s"]
        if traffic == "realistic":
            script = Path(self._children.directory, f"traffic-{pause_ms}.lua")
            script.write_text(wrk_script(pause_ms=pause_ms))
            command += ["-s", str(script)]
        if traffic == "closing":
            command += ["-H", "Connection: close"]
        return [*command, f"{self._scheme}://127.0.0.1:{port}/"]

    @staticmethod
    def _python_command(
        port: int, seconds: float, connections: int, traffic: str, pause_ms: int
    ) -> list[str]:
        return [
            sys.executable, "-m", "benchmarks.harness.load_python", f"--port={port}",
            f"--seconds={seconds}", f"--connections={connections}", f"--traffic={traffic}",
            f"--pause-ms={pause_ms}",
        ]  # fmt: skip


class RunningLoad:
    """Load in progress."""

    def __init__(self, child: Child, children: Children, *, wrk: bool) -> None:
        self._child = child
        self._children = children
        self._wrk = wrk

    @property
    def running(self) -> bool:
        return self._child.running

    def interrupt(self) -> None:
        """Have it stop now and report what it saw until now."""
        self._child.signal(signal.SIGINT)

    def outcome(self, *, within_seconds: float) -> LoadOutcome:
        """
        Wait for the end.

        Raises:
            LoadError: it did not end in time, or its answer could not be read.
        """
        if self._child.wait(within_seconds) is None:
            raise LoadError(f"the load generator did not end within {within_seconds:g} s")
        text = self._child.log.read_text()
        self._children.stop(self._child)
        return parse_wrk(text) if self._wrk else parse_outcome(text)
