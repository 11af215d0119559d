"""Puts together what the watchers see into what the screen says."""

from __future__ import annotations

import queue
import time
from typing import Any, Final

from fengling_gateway.embedded.owned import StartError
from fengling_gateway.quickstart.control import ControlReader, Request
from fengling_gateway.quickstart.load import Load, median_ms, rate, shares
from fengling_gateway.quickstart.narrative import RevisionRow, Sight, remarks, served, what, who
from fengling_gateway.quickstart.screen import Screen
from fengling_gateway.quickstart.stack import Stack
from fengling_gateway.quickstart.watch import Committed, DatabaseWatcher, GatewayWatcher, Seen

_LIVE_SECONDS: Final = 0.25
_UNSERVED_AFTER_SECONDS: Final = 5.0
_AHEAD_SECONDS: Final = 2.0
_FAILURE_AGAIN_SECONDS: Final = 10.0
"""The same failure is told again only after a while: the live line counts them all."""


class Story:
    """
    Watches a running stack and tells of every change, until `run` is interrupted.

    Everything is said by the thread that calls `run`.
    """

    def __init__(self, stack: Stack, screen: Screen, load: Load) -> None:
        self._stack = stack
        self._screen = screen
        self._load = load
        self._seen: queue.Queue[Any] = queue.Queue()
        self._gateway = GatewayWatcher(stack.management_url, stack.token, self._seen)
        self._database = DatabaseWatcher(stack.database, stack.demo_revision, self._seen)
        self._control = ControlReader(stack.place.control, self._seen)
        self._sight: Sight | None = None
        self._status: dict[str, Any] = {}
        self._waiting: list[RevisionRow] = []
        self._told = stack.demo_revision
        self._ahead_since: float | None = None
        self._failed = 0
        self._told_failures: dict[str, float] = {}

    def start(self) -> None:
        self._gateway.start()
        self._database.start()
        self._control.start()
        self._load.start()

    def stop(self) -> None:
        self._load.stop()
        self._gateway.stop()
        self._database.stop()

    def run(self) -> None:
        """Tell the story; returns only by KeyboardInterrupt, or StartError when the gateway ends."""
        shown = 0.0
        while True:
            now = time.monotonic()
            if now - shown >= _LIVE_SECONDS:
                shown = now
                self._show_live_line()
            try:
                event = self._seen.get(timeout=_LIVE_SECONDS)
            except queue.Empty:
                continue
            self.tell(event)

    def tell(self, event: Any) -> None:
        """Say what an event means."""
        if isinstance(event, Committed):
            self._waiting.append(event.revision)
            self._gateway.poke()
        elif isinstance(event, Request):
            self._act(event)
        elif isinstance(event, Seen):
            self._look(event.status)

    def _look(self, status: dict[str, Any] | None) -> None:
        gateway = self._stack.gateway
        if gateway is not None and not gateway.running:
            code = gateway.returncode or 0
            how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
            raise StartError(f"the gateway has ended {how}. Its last lines:\n{gateway.log_tail()}")
        if status is None:
            return
        self._status = status
        self._tell_revisions()
        if self._is_ahead():
            return
        sight = Sight.of(status)
        if self._sight is not None:
            for remark in remarks(self._sight, sight):
                self._screen.say(remark.mood, remark.text)
        if self._sight is None or self._sight.workers != sight.workers:
            self._stack.announce(list(sight.workers.values()))
        self._sight = sight

    def _is_ahead(self) -> bool:
        """
        Whether the gateway serves a revision that the database has not told us of yet.

        What it brings about is told after it. Not for ever: we may not reach the database.
        """
        now = time.monotonic()
        newest = (self._status.get("position") or {}).get("revision") or 0
        if newest <= self._told:
            self._ahead_since = None
            return False
        if self._ahead_since is None:
            self._ahead_since = now
        return now - self._ahead_since < _AHEAD_SECONDS

    def _tell_revisions(self) -> None:
        """Say a revision once it is served everywhere, held, or late."""
        waiting, self._waiting = self._waiting, []
        for revision in waiting:
            end = "held" if revision.held else served(self._status, revision)
            if end is None and time.time() - revision.committed_at < _UNSERVED_AFTER_SECONDS:
                self._waiting.append(revision)
                continue
            parts = [f"revision {revision.id}", who(revision), what(revision)]
            if revision.comment:
                parts.append(f"“{revision.comment}”")
            parts.append(end or "not served by every worker yet")
            self._told = max(self._told, revision.id)
            self._screen.say("plain" if end else "bad", " · ".join(parts))

    def _act(self, request: Request) -> None:
        server = self._stack.postgres if request.server == "postgres" else self._stack.valkey
        name = "PostgreSQL" if request.server == "postgres" else "Valkey"
        if request.action == "stop" and server.running:
            server.stop()
            self._screen.say("plain", f"{name} is stopped, as you asked")
        elif request.action == "start" and not server.running:
            try:
                server.start()
            except StartError as error:
                self._screen.say("bad", f"{name} does not start: {error}")
            else:
                self._screen.say("plain", f"{name} runs again")
        else:
            state = "runs" if server.running else "is stopped"
            self._screen.say("plain", f"{name} {state} already")
            return
        # It has another pid now, or none.
        self._stack.announce(list(self._sight.workers.values()) if self._sight else [])

    def _show_live_line(self) -> None:
        tally = self._load.tally
        if tally.failed > self._failed:
            self._tell_failure(tally.last_failure)
            self._failed = tally.failed
        self._screen.live(self.live_line(), failed=tally.failed > 0)

    def _tell_failure(self, failure: str) -> None:
        now = time.monotonic()
        told_at = self._told_failures.get(failure)
        if told_at is None or now - told_at >= _FAILURE_AGAIN_SECONDS:
            self._told_failures[failure] = now
            self._screen.say("bad", f"failed: {failure}")

    def live_line(self) -> str:
        """Return the line that stays in view."""
        recent = self._load.tally.recent()
        median = median_ms(recent)
        parts = [f"{self._load.tally.requests:,} requests", f"{self._load.tally.failed:,} failed"]
        if self._load.tally.asked_again:
            parts.append(f"{self._load.tally.asked_again:,} asked again")
        parts.append(f"{rate(recent):.0f}/s")
        if median is not None:
            parts.append(f"{median:.1f} ms")
        found = shares(recent, "hello-")
        parts += [
            f"hello {name.removeprefix('hello-')} {share:.0%}" for name, share in found.items()
        ]
        position = self._status.get("position") or {}
        if position:
            parts.append(f"revision {position.get('revision')}")
        if self._sight is not None:
            parts.append(f"{len(self._sight.workers)}/{self._stack.workers} workers")
        return " · ".join(parts)
