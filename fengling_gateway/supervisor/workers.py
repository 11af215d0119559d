"""Keeps one worker serving in every slot.

A slot whose worker has died, hangs or is being replaced is read by siblings
until its own serves again (`assignment`). Deaths are answered by a respawn
with growing delays; a rolling restart replaces one slot after the other and
gives up at the first replacement that does not come to serve.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from fengling_gateway.supervisor.assignment import assign
from fengling_gateway.supervisor.last_moments import LastMoments
from fengling_gateway.supervisor.launch import Launched, Launcher
from fengling_gateway.supervisor.link import CatchUp, WorkerLink, WorkerState
from fengling_gateway.supervisor.rolling_restart import RollingRestart
from fengling_gateway.supervisor.slot import Slot
from fengling_gateway.supervisor.watch import Watch

_log = Logger()


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

    def worker_configured(self, link: WorkerLink) -> None:
        """It has been told its settings, and nothing else yet."""

    def worker_wants_key(self, link: WorkerLink, issuer_id: str) -> None: ...

    def worker_counted(self, link: WorkerLink, counters: dict[str, Any]) -> None:
        """It has drained, and this is what it has counted in the end."""

    def worker_gone(self, link: WorkerLink) -> None:
        """Its process has ended."""

    def worker_saw(self, link: WorkerLink, instances: dict[str, Any]) -> None:
        """Its requests have shown something of these instances; see `Message.EVIDENCE`."""

    def worker_traced(self, link: WorkerLink, spans: list[Any], size: int, dropped: int) -> None:
        """Its requests have left spans; see `Message.SPANS`."""

    def worker_tapped(self, link: WorkerLink, values: dict[str, Any]) -> None:
        """It tells whoever looks on of requests; see `Message.TAPPED`."""

    def worker_failed_requests(
        self, link: WorkerLink, records: list[Any], left_out: dict[str, int]
    ) -> None:
        """Requests of its have failed, or were slow; see `Message.RECORDS`."""

    def workers_changed(self) -> None:
        """One has come, gone, or changed its state."""

    def nobody_accepts(self) -> None:
        """All are draining for the last time, and the sockets' queues are empty."""


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
        self._slots = [Slot(index) for index in range(count)]
        self._slot_count = count
        self._settings = settings
        self._configuration = configuration
        self._user = user
        self._rng = rng
        self._kill: dict[WorkerLink, Callable[[], None]] = {}
        self._restart = RollingRestart(slots=self._slots, launch=self._launch)
        self._last_moments = LastMoments(clock=clock, kill=lambda link: self._kill[link]())
        self._watch = Watch(
            clock=clock,
            links=self.links,
            heartbeat_timeout=settings.heartbeat_timeout,
            siblings_serve=self._siblings_serve,
            stalled=self._stalled,
            hangs=self._hangs,
        )
        self._stopping: Deferred[None] | None = None
        self.deaths = 0

    def start(self) -> None:
        for slot in self._slots:
            slot.current = self._launch(slot)
        if self._launcher.can_overlap:  # otherwise it is we who would hang
            self._watch.start()

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

    # Launching

    def _launch(self, slot: Slot) -> WorkerLink:
        link = WorkerLink(clock=self._clock, name=f"w{slot.index}", slot=slot.index, user=self)
        launched = self._launcher.launch(link.name, link, lambda how: self._exited(link, how))
        link.pid = launched.pid
        link.connect(launched.channel)
        self._kill[link] = launched.kill
        link.configure({"read_slots": [slot.index], **self._configuration(link, launched)})
        self._user.worker_configured(link)
        self._user.workers_changed()
        return link

    def worker_ready(self, link: WorkerLink) -> None:
        slot = self._slots[link.slot]
        _log.info(
            "worker {worker} (pid {pid}) serves revision {revision}",
            worker=link.name,
            pid=link.pid,
            revision=link.served.position.revision if link.served.position else None,
            log_id="worker.serving",
        )
        if slot.successor is link:
            slot.successor = None
            old, slot.current = slot.current, link
            if old is not None:
                _log.info(
                    "worker {worker} (pid {pid}) is replaced by pid {successor}, and drains",
                    worker=old.name,
                    pid=old.pid,
                    successor=link.pid,
                    log_id="worker.replaced",
                )
                self._drain(old, self._settings.drain_deadline)
            self._restart.proceed()
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
        self._last_moments.ended(link)
        self._user.worker_gone(link)
        slot = self._slots[link.slot]
        if was is not WorkerState.DRAINING:
            self.deaths += 1
            _log.warn(
                "worker {worker} (pid {pid}) died: {how}",
                worker=link.name,
                pid=link.pid,
                how=how,
                log_id="worker.died",
            )
        elif self._stopping is None:
            _log.info(
                "worker {worker} (pid {pid}) has drained: {how}",
                worker=link.name,
                pid=link.pid,
                how=how,
                log_id="worker.drained",
            )
        if slot.successor is link:
            slot.successor = None
            self._restart.give_up(f"the replacement of {link.name} did not come to serve")
        elif slot.current is link:
            slot.current = None
            self._respawn(slot, self._clock.seconds() - link.started_at)
        self._assign()
        self._finish_stopping()

    def _respawn(self, slot: Slot, lived_seconds: float) -> None:
        if self._stopping is not None:
            return
        delay = slot.delay_after_death(
            lived_seconds, self._settings.first_respawn_delay, self._settings.longest_respawn_delay
        )
        slot.respawn = self._clock.callLater(
            delay * self._rng.uniform(0.8, 1.2), self._refill, slot
        )

    def _refill(self, slot: Slot) -> None:
        slot.respawn = None
        if slot.current is not None or self._stopping is not None:
            return
        try:
            slot.current = self._launch(slot)
        except OSError as error:  # no process, no descriptor, no memory: it may pass
            _log.error(
                "worker w{slot} can't be started: {error}",
                slot=slot.index,
                error=str(error),
                log_id="worker.not_started",
            )
            self._respawn(slot, 0.0)

    # Rolling restart

    def rolling_restart(self) -> None:
        """Replace every worker, one at a time; a call during a restart adds one more."""
        if self._stopping is not None:
            return
        if not self._launcher.can_overlap:
            _log.warn(
                "the only worker runs in the supervisor's process: nothing to replace",
                log_id="worker.not_replaced",
            )
            return
        self._restart.begin()

    @property
    def can_restart(self) -> bool:
        """Whether workers are processes of their own, and we are to go on."""
        return self._launcher.can_overlap and self._stopping is None

    @property
    def restarts(self) -> int:
        return self._restart.begun

    @property
    def restarting(self) -> bool:
        """Whether a rolling restart is under way, or workers that it replaced still drain."""
        draining = any(link.state is WorkerState.DRAINING for link in self._kill)
        return self._restart.is_under_way or draining

    # Silence

    def _siblings_serve(self, link: WorkerLink) -> bool:
        return any(slot.serves for slot in self._slots if slot.current is not link)

    def _stalled(self, link: WorkerLink) -> None:
        link.state = WorkerState.STALLED
        _log.warn(
            "worker {worker} (pid {pid}) is stalled",
            worker=link.name,
            pid=link.pid,
            log_id="worker.stalled",
        )
        self._assign()

    def _hangs(self, link: WorkerLink) -> None:
        _log.error(
            "worker {worker} (pid {pid}) hangs; killing it",
            worker=link.name,
            pid=link.pid,
            log_id="worker.killed",
        )
        self._kill[link]()

    def worker_beat(self, link: WorkerLink) -> None:
        if link.state is WorkerState.STALLED:
            link.state = WorkerState.SERVING
            self._assign()
        self._user.worker_beat(link)

    # What is the user's business

    def worker_applied(self, link: WorkerLink) -> None:
        self._user.worker_applied(link)

    def worker_asked(self, link: WorkerLink, question: CatchUp) -> None:
        self._user.worker_asked(link, question)

    def worker_wants_key(self, link: WorkerLink, issuer_id: str) -> None:
        self._user.worker_wants_key(link, issuer_id)

    def worker_traced(self, link: WorkerLink, spans: list[Any], size: int, dropped: int) -> None:
        self._user.worker_traced(link, spans, size, dropped)

    def worker_tapped(self, link: WorkerLink, values: dict[str, Any]) -> None:
        self._user.worker_tapped(link, values)

    def worker_failed_requests(
        self, link: WorkerLink, records: list[Any], left_out: dict[str, int]
    ) -> None:
        self._user.worker_failed_requests(link, records, left_out)

    def worker_counted(self, link: WorkerLink, counters: dict[str, Any]) -> None:
        self._user.worker_counted(link, counters)

    def worker_saw(self, link: WorkerLink, instances: dict[str, Any]) -> None:
        self._user.worker_saw(link, instances)

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
            self._restart.stop()
            for slot in self._slots:
                slot.cancel_respawn()
            for link in self.links():
                self._end(link, deadline)
            self._finish_stopping()
        return self._stopping

    def _end(self, link: WorkerLink, deadline: float) -> None:
        if link.state is WorkerState.STARTING and self._launcher.can_overlap:
            link.state = WorkerState.DRAINING
            self._kill[link]()
        self._drain(link, deadline, last=True)

    def _drain(self, link: WorkerLink, deadline: float, *, last: bool = False) -> None:
        link.drain(deadline, last=last)
        if link in self._kill:  # it has not ended at once
            self._last_moments.limit(link, deadline)

    def worker_closed(self, link: WorkerLink) -> None:
        if self._stopping is not None and not any(one.accepts for one in self._kill):
            self._user.nobody_accepts()

    def _finish_stopping(self) -> None:
        if self._stopping is None or self._kill or self._stopping.called:
            return
        self._watch.stop()
        self._stopping.callback(None)
