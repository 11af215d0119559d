"""Keeps one worker serving in every slot.

A slot whose worker has died, hangs or is being replaced is read by siblings
until its own serves again (`assignment`). Deaths are answered by a respawn
with growing delays; a rolling restart replaces one slot after the other and
gives up at the first replacement that does not come to serve.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from fengling_gateway.supervisor.assignment import assign
from fengling_gateway.supervisor.launch import Launched, Launcher
from fengling_gateway.supervisor.link import CatchUp, WorkerLink, WorkerState

_log = Logger()

WATCH_INTERVAL_SECONDS: Final = 0.5
STALLED_AFTER_SECONDS: Final = 2.0
"""Two heartbeats missed: a sibling reads its sockets too."""

READY_WITHIN_SECONDS: Final = 60.0
"""A worker that serves nothing by then is replaced; 100,000 routes take a few seconds."""

STEADY_AFTER_SECONDS: Final = 10.0
"""A worker that has lived this long starts over with the shortest delay."""

KILL_AFTER_DRAIN_SECONDS: Final = 2.0
"""What a draining worker gets beyond its deadline to exit by itself."""


@dataclass(frozen=True, slots=True)
class SupervisionSettings:
    """How workers are watched; all times in seconds."""

    heartbeat_timeout: float = 5.0
    drain_deadline: float = 30.0
    first_respawn_delay: float = 0.1
    longest_respawn_delay: float = 5.0


class WorkersUser(Protocol):
    """Who is told what happens among the workers."""

    def worker_asked(self, link: WorkerLink, question: CatchUp) -> None: ...

    def worker_applied(self, link: WorkerLink) -> None: ...

    def worker_beat(self, link: WorkerLink) -> None: ...

    def workers_changed(self) -> None:
        """One has come, gone, or changed its state."""

    def nobody_accepts(self) -> None:
        """All are draining for the last time, and the sockets' queues are empty."""


class _Slot:
    """One slot: the worker that is to serve it, and those that still drain."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.current: WorkerLink | None = None
        self.successor: WorkerLink | None = None
        self.deaths_in_a_row = 0
        self.respawn: Any = None

    @property
    def serves(self) -> bool:
        return self.current is not None and self.current.state is WorkerState.SERVING


class Workers:
    """The workers of this host."""

    def __init__(
        self,
        *,
        clock: IReactorTime,
        launcher: Launcher,
        count: int,
        settings: SupervisionSettings,
        configuration: Callable[[WorkerLink, Launched], dict[str, Any]],
        user: WorkersUser,
        rng: random.Random,
    ) -> None:
        self._clock = clock
        self._launcher = launcher
        self._slots = [_Slot(index) for index in range(count)]
        self._slot_count = count
        self._settings = settings
        self._configuration = configuration
        self._user = user
        self._rng = rng
        self._kill: dict[WorkerLink, Callable[[], None]] = {}
        self._last_moments: dict[WorkerLink, Any] = {}
        self._restarting: Iterator[_Slot] | None = None
        self._restart_again = False
        self._stopping: Deferred[None] | None = None
        self._watch: Any = None
        self._watch_due = 0.0
        self.deaths = 0
        self.restarts = 0

    def start(self) -> None:
        for slot in self._slots:
            slot.current = self._launch(slot)
        self._watch_again()

    def slots_available(self, slots: int) -> None:
        """There are sockets for this many slots: more than workers after an adoption."""
        self._slot_count = slots

    def links(self) -> list[WorkerLink]:
        """Return every worker whose process has not ended, draining ones included."""
        return list(self._kill)

    @property
    def all_serve(self) -> bool:
        return all(slot.serves for slot in self._slots)

    @property
    def some_serve(self) -> bool:
        return any(slot.serves for slot in self._slots)

    @property
    def restarting(self) -> bool:
        """Whether a rolling restart is under way, or workers that it replaced still drain."""
        draining = any(link.state is WorkerState.DRAINING for link in self._kill)
        return self._restarting is not None or draining

    # Launching

    def _launch(self, slot: _Slot) -> WorkerLink:
        link = WorkerLink(clock=self._clock, name=f"w{slot.index}", slot=slot.index, user=self)
        launched = self._launcher.launch(link.name, link, lambda how: self._exited(link, how))
        link.pid = launched.pid
        link.connect(launched.channel)
        self._kill[link] = launched.kill
        link.configure({"read_slots": [slot.index], **self._configuration(link, launched)})
        self._user.workers_changed()
        return link

    def worker_ready(self, link: WorkerLink) -> None:
        slot = self._slots[link.slot]
        _log.info(
            "worker {worker} (pid {pid}) serves revision {revision}",
            worker=link.name,
            pid=link.pid,
            revision=link.served.position.revision if link.served.position else None,
        )
        if slot.successor is link:
            slot.successor = None
            old, slot.current = slot.current, link
            if old is not None:
                old.drain(self._settings.drain_deadline)
                self._kill_after_drain(old, self._settings.drain_deadline)
            self._restart_next()
        self._assign()

    # Deaths

    def worker_lost(self, link: WorkerLink) -> None:
        """The channel has closed; whatever is left of the process is of no use."""
        kill = self._kill.get(link)
        if kill is not None and link.state is not WorkerState.DRAINING:
            kill()

    def _exited(self, link: WorkerLink, how: str) -> None:
        was, link.state = link.state, WorkerState.GONE
        self._kill.pop(link, None)
        last_moment = self._last_moments.pop(link, None)
        if last_moment is not None and last_moment.active():
            last_moment.cancel()
        slot = self._slots[link.slot]
        if was is not WorkerState.DRAINING:
            self.deaths += 1
            _log.warn(
                "worker {worker} (pid {pid}) died: {how}", worker=link.name, pid=link.pid, how=how
            )
        if slot.successor is link:
            slot.successor = None
            self._abandon_restart(f"the replacement of {link.name} did not come to serve")
        elif slot.current is link:
            slot.current = None
            self._respawn(slot, self._clock.seconds() - link.started_at)
        self._assign()
        self._finish_stopping()

    def _respawn(self, slot: _Slot, lived_seconds: float) -> None:
        if self._stopping is not None:
            return
        if lived_seconds > STEADY_AFTER_SECONDS:
            slot.deaths_in_a_row = 0
        first, longest = self._settings.first_respawn_delay, self._settings.longest_respawn_delay
        delay = min(longest, first * 2**slot.deaths_in_a_row) if slot.deaths_in_a_row else 0.0
        slot.deaths_in_a_row = min(slot.deaths_in_a_row + 1, 16)
        slot.respawn = self._clock.callLater(
            delay * self._rng.uniform(0.8, 1.2), self._refill, slot
        )

    def _refill(self, slot: _Slot) -> None:
        slot.respawn = None
        if slot.current is not None or self._stopping is not None:
            return
        try:
            slot.current = self._launch(slot)
        except OSError as error:  # no process, no descriptor, no memory: it may pass
            _log.error(
                "worker w{slot} can't be started: {error}", slot=slot.index, error=str(error)
            )
            self._respawn(slot, 0.0)

    # Rolling restart

    def rolling_restart(self) -> None:
        """Replace every worker, one at a time; a call during a restart adds one more."""
        if self._stopping is not None:
            return
        if not self._launcher.can_overlap:
            _log.warn("the only worker runs in the supervisor's process: nothing to replace")
            return
        if self._restarting is not None:
            self._restart_again = True
            return
        self.restarts += 1
        self._restarting = iter(self._slots)
        self._restart_next()

    def _restart_next(self) -> None:
        if self._restarting is None:
            return
        slot = next(self._restarting, None)
        if slot is None:
            self._restarting = None
            _log.info("rolling restart is complete")
            if self._restart_again:
                self._restart_again = False
                self.rolling_restart()
        elif slot.current is None:
            self._restart_next()  # it is being respawned, with new code, anyway
        else:
            self._launch_successor(slot)

    def _launch_successor(self, slot: _Slot) -> None:
        try:
            slot.successor = self._launch(slot)
        except OSError as error:
            self._abandon_restart(f"the replacement of w{slot.index} can't be started: {error}")

    def _abandon_restart(self, reason: str) -> None:
        if self._restarting is not None:
            self._restarting, self._restart_again = None, False
            _log.error(
                "rolling restart given up: {reason}; the old workers stay",
                reason=reason,
            )

    # Watching

    def _watch_again(self) -> None:
        self._watch = self._clock.callLater(WATCH_INTERVAL_SECONDS, self._look_after_all)
        self._watch_due = self._clock.seconds() + WATCH_INTERVAL_SECONDS

    def _look_after_all(self) -> None:
        late = self._clock.seconds() - self._watch_due
        self._watch_again()
        for link in self.links():
            if late > WATCH_INTERVAL_SECONDS:
                # We were stopped, or the clock was set: what was said is still to be read.
                link.excuse(late)
            self._look_after(link, self._clock.seconds() - link.last_heard)

    def _look_after(self, link: WorkerLink, silent_seconds: float) -> None:
        starting = link.state is WorkerState.STARTING
        limit = READY_WITHIN_SECONDS if starting else self._settings.heartbeat_timeout
        if starting and self._clock.seconds() - link.started_at < READY_WITHIN_SECONDS:
            return
        if link.state is WorkerState.DRAINING or not self._launcher.can_overlap:
            return
        if silent_seconds > limit or (starting and self._serves_elsewhere(link)):
            _log.error(
                "worker {worker} (pid {pid}) hangs; killing it", worker=link.name, pid=link.pid
            )
            self._kill[link]()
        elif link.state is WorkerState.SERVING and silent_seconds > STALLED_AFTER_SECONDS:
            link.state = WorkerState.STALLED
            _log.warn("worker {worker} (pid {pid}) is stalled", worker=link.name, pid=link.pid)
            self._assign()

    def _serves_elsewhere(self, link: WorkerLink) -> bool:
        """Whether there is something to serve, so that not serving it is a fault."""
        return any(slot.serves for slot in self._slots if slot.current is not link)

    def worker_beat(self, link: WorkerLink) -> None:
        if link.state is WorkerState.STALLED:
            link.state = WorkerState.SERVING
            self._assign()
        self._user.worker_beat(link)

    def worker_applied(self, link: WorkerLink) -> None:
        self._user.worker_applied(link)

    def worker_asked(self, link: WorkerLink, question: CatchUp) -> None:
        self._user.worker_asked(link, question)

    # Sockets

    def _assign(self) -> None:
        """Deal the slots out anew; a worker that has just begun to serve frees its siblings."""
        reads = assign(self._slot_count, [slot.index for slot in self._slots if slot.serves])
        for slot in self._slots:
            if slot.serves and slot.current is not None:
                slot.current.read(reads[slot.index])
        self._user.workers_changed()

    # The end

    def stop(self, deadline: float) -> Deferred[None]:
        """
        Drain every worker; fires when the last process has ended.

        What still runs `deadline` seconds from now is killed soon after.
        """
        if self._stopping is None:
            self._stopping = Deferred()
            self._restarting = None
            for slot in self._slots:
                if slot.respawn is not None and slot.respawn.active():
                    slot.respawn.cancel()
            for link in self.links():
                self._end(link, deadline)
            self._finish_stopping()
        return self._stopping

    def _end(self, link: WorkerLink, deadline: float) -> None:
        if link.state is WorkerState.STARTING and self._launcher.can_overlap:
            link.state = WorkerState.DRAINING
            self._kill[link]()
        link.drain(deadline, last=True)
        self._kill_after_drain(link, deadline)

    def worker_closed(self, link: WorkerLink) -> None:
        if self._stopping is not None and not any(one.accepts for one in self._kill):
            self._user.nobody_accepts()

    def _kill_after_drain(self, link: WorkerLink, deadline: float) -> None:
        def kill() -> None:
            if link in self._kill:
                _log.warn(
                    "worker {worker} (pid {pid}) outlived its drain", worker=link.name, pid=link.pid
                )
                self._kill[link]()

        seconds = deadline + KILL_AFTER_DRAIN_SECONDS
        moment = self._last_moments.get(link)
        if moment is not None:
            if moment.active() and moment.getTime() > self._clock.seconds() + seconds:
                moment.reset(seconds)  # a stop has less patience than a rolling restart
        elif link in self._kill:
            self._last_moments[link] = self._clock.callLater(seconds, kill)

    def _finish_stopping(self) -> None:
        if self._stopping is None or self._kill or self._stopping.called:
            return
        if self._watch is not None and self._watch.active():
            self._watch.cancel()
        self._stopping.callback(None)
