"""Connections that are each served by a known worker, and that watch for a change there.

The gateway runs with ``debug.worker_header``: every answer says which worker
forwarded it, and by which revision. With SO_REUSEPORT a client cannot choose a
worker, so connections are opened until each worker has one.
"""

from __future__ import annotations

import re
import select
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from benchmarks.harness.load_python import Connection

_ATTEMPTS: Final = 400
_REQUESTS_PER_CONNECTION: Final = 700
_IDLE_SECONDS: Final = 30.0
"""The gateway ends a connection after 1,000 requests, or 75 s without one; we replace it before."""


class ProbeError(Exception):
    """A worker could not be reached, or did not show the change in time."""


class Answer(NamedTuple):
    """What one answer says. ``instance`` is empty where none was asked."""

    status: int
    worker: str
    revision: int
    instance: str
    closing: bool


_TOLD: Final = re.compile(
    rb"^(x-gateway-worker|x-gateway-revision|x-instance|connection): *([^\r\n]*)",
    re.IGNORECASE | re.MULTILINE,
)


def parse_answer(content: bytes) -> Answer:
    """Read an answer's head; cheaply, or the prober would take the workers' CPU."""
    told = {name.lower(): value.decode() for name, value in _TOLD.findall(content)}
    return Answer(
        status=int(content[9:12]),
        worker=told.get(b"x-gateway-worker", ""),
        revision=int(told.get(b"x-gateway-revision", "0")),
        instance=told.get(b"x-instance", ""),
        closing=told.get(b"connection", "").lower() == "close",
    )


class WorkerProbe:
    """One keep-alive connection and the worker at its end."""

    __slots__ = (
        "answered_at", "connection", "due_at", "in_flight", "requests", "slowest", "worker",
    )  # fmt: skip

    def __init__(self, port: int, request: bytes) -> None:
        self.connection = Connection(port)
        self.requests = 0
        self.answered_at = 0.0
        self.due_at = 0.0
        self.in_flight = False
        self.slowest = 0.0
        self.worker = self.ask(request).worker

    def fileno(self) -> int:
        return self.connection.socket.fileno()

    @property
    def used_up(self) -> bool:
        idle = time.perf_counter() - self.answered_at
        return self.requests >= _REQUESTS_PER_CONNECTION or idle > _IDLE_SECONDS

    def send(self, request: bytes) -> None:
        self.requests += 1
        self.in_flight = True
        self.connection.send(request)

    def receive(self) -> Answer | None:
        """The answer, once complete; notes how long it took."""
        content = self.connection.receive()
        if content is None:
            return None
        self.in_flight = False
        self.answered_at = time.perf_counter()
        self.slowest = max(self.slowest, self.answered_at - self.connection.sent_at)
        return parse_answer(content)

    def ask(self, request: bytes) -> Answer:
        """Send, and wait for the answer."""
        self.send(request)
        while (answer := self.receive()) is None:
            pass
        return answer

    def close(self) -> None:
        self.connection.socket.close()


class Prober:
    """A connection per worker. Not for threads."""

    def __init__(self, port: int, host: str, *, workers: int) -> None:
        self._port = port
        self._request = f"GET /probe HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self._wanted = workers
        self._probes: dict[str, WorkerProbe] = {}

    def __repr__(self) -> str:
        return f"<Prober of {sorted(self._probes)}>"

    def prepare(self) -> None:
        """
        Have a fresh enough connection to each worker.

        Raises:
            ProbeError: some worker never took a connection.
        """
        for worker in [name for name, probe in self._probes.items() if probe.used_up]:
            self._probes.pop(worker).close()
        for _ in range(_ATTEMPTS):
            if len(self._probes) >= self._wanted:
                return
            self._open_another()
        raise ProbeError(f"{_ATTEMPTS} connections reached only {sorted(self._probes)}")

    def close(self) -> None:
        for probe in self._probes.values():
            probe.close()
        self._probes.clear()

    def slowest_seconds(self) -> float:
        """The longest that any answer took since the last call."""
        slowest = max((probe.slowest for probe in self._probes.values()), default=0.0)
        for probe in self._probes.values():
            probe.slowest = 0.0
        return slowest

    def watch(
        self, shows: Callable[[Answer], bool], *, pause_seconds: float, within_seconds: float
    ) -> dict[str, float]:
        """
        Ask every worker again and again until its answer shows the change.

        Args:
            pause_seconds: between an answer and the next request on a connection.

        Returns:
            By worker, when the first such answer arrived (`time.perf_counter`).

        Raises:
            ProbeError: not all did within `within_seconds`.
        """
        seen: dict[str, float] = {}
        deadline = time.perf_counter() + within_seconds
        waiting = set(self._probes)
        for probe in self._probes.values():
            probe.due_at = 0.0
        while waiting:
            if time.perf_counter() > deadline:
                raise ProbeError(f"no change after {within_seconds:g} s from {sorted(waiting)}")
            for probe in self._answered([self._probes[worker] for worker in waiting]):
                answer = probe.receive()
                if answer is None:
                    continue
                probe.due_at = probe.answered_at + pause_seconds
                if shows(answer):
                    seen[probe.worker] = probe.answered_at
                    waiting.discard(probe.worker)
                if answer.closing:
                    self._replace(probe)
        return seen

    def _answered(self, probes: list[WorkerProbe]) -> list[WorkerProbe]:
        """Send what is due, then wait for answers until the next one is due."""
        now = time.perf_counter()
        for probe in probes:
            if not probe.in_flight and probe.due_at <= now:
                probe.send(self._request)
        in_flight = [probe for probe in probes if probe.in_flight]
        next_due = min((probe.due_at for probe in probes if not probe.in_flight), default=now + 0.1)
        return select.select(in_flight, [], [], max(0.0, next_due - now))[0]

    def _open_another(self) -> None:
        probe = WorkerProbe(self._port, self._request)
        if probe.worker in self._probes:
            probe.close()
        else:
            self._probes[probe.worker] = probe

    def _replace(self, old: WorkerProbe) -> None:
        old.close()
        del self._probes[old.worker]
        self.prepare()
