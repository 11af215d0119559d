"""The supervisor's end of one worker's control channel."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime

from fengling_gateway.control.channel import Channel
from fengling_gateway.control.encoding import position_from_json
from fengling_gateway.control.frames import Message
from fengling_gateway.control.questions import Questions
from fengling_gateway.model.delta import Delta, Position
from fengling_gateway.supervisor.traffic import Traffic

ANSWER_TIMEOUT_SECONDS: Final = 2.0


class WorkerState(Enum):
    """Where a worker is in its life."""

    STARTING = "starting"
    """It imports and waits for its first configuration."""
    SERVING = "serving"
    """It accepts connections."""
    STALLED = "stalled"
    """It has missed heartbeats; a sibling reads its sockets too."""
    DRAINING = "draining"
    """It takes nothing new and exits when the last exchange has ended."""
    GONE = "gone"
    """Its process has ended."""


@dataclass(frozen=True, slots=True)
class CatchUp:
    """A worker's question for deltas: why, where it is, and what it has heard of."""

    reason: str
    position: Position | None
    content_hash: int
    wanted: Position | None


@dataclass(slots=True)
class Served:
    """What a worker has said that it serves, and what getting there has cost."""

    position: Position | None = None
    content_hash: int = 0
    applied_at: float | None = None
    propagation_seconds: float | None = None
    last_received_bytes: int = 0
    last_compiled: dict[str, int] = field(default_factory=dict)
    deltas: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    """Entities that were found valid and that this worker can't make use of, and why."""
    refused: dict[str, str] = field(default_factory=dict)
    """The first instances at addresses that this worker must not connect to, and why."""
    refused_total: int = 0


class LinkUser(Protocol):
    """Who is told of what a worker says."""

    def worker_ready(self, link: WorkerLink) -> None: ...

    def worker_applied(self, link: WorkerLink) -> None: ...

    def worker_asked(self, link: WorkerLink, question: CatchUp) -> None: ...

    def worker_beat(self, link: WorkerLink) -> None: ...

    def worker_wants_key(self, link: WorkerLink, issuer_id: str) -> None: ...

    def worker_counted(self, link: WorkerLink, counters: dict[str, Any]) -> None: ...

    def worker_saw(self, link: WorkerLink, instances: dict[str, Any]) -> None: ...

    def worker_traced(
        self, link: WorkerLink, spans: list[Any], size: int, dropped: int
    ) -> None: ...

    def worker_tapped(self, link: WorkerLink, values: dict[str, Any]) -> None: ...

    def worker_failed_requests(
        self, link: WorkerLink, records: list[Any], left_out: dict[str, int]
    ) -> None: ...

    def worker_closed(self, link: WorkerLink) -> None: ...

    def worker_lost(self, link: WorkerLink) -> None: ...


class WorkerLink:
    """One worker: what it was told, what it has said."""

    def __init__(self, *, clock: IReactorTime, name: str, slot: int, user: LinkUser) -> None:
        self.name = name
        self.slot = slot
        self.pid: int | None = None
        self.state = WorkerState.STARTING
        self.served = Served()
        self.sent: tuple[Position, int] | None = None
        """Position and content hash it will have once it has applied all that was queued."""
        self.wanted: Position | None = None
        """A position that it is to have without the push, as soon as there is one."""
        self.read_slots: frozenset[int] = frozenset()
        self.accepts = True
        """Whether it may still accept connections."""
        self.lag_ms = 0.0
        self.longest_lag_ms = 0.0
        self.blocked_ms = 0.0
        self.longest_blocked_ms = 0.0
        self.traffic = Traffic()
        self.overload = "none"
        """What it does without for want of memory: none, shedding or paused."""
        self.started_at = clock.seconds()
        self.last_heard = clock.seconds()
        self._clock = clock
        self._user = user
        self._channel: Channel | None = None
        self._questions: Questions | None = None

    def __repr__(self) -> str:
        return f"<WorkerLink {self.name} pid={self.pid} {self.state.value}>"

    def connect(self, channel: Channel) -> None:
        self._channel = channel
        self._questions = Questions(
            clock=self._clock, channel=channel, timeout_seconds=ANSWER_TIMEOUT_SECONDS
        )

    # What is said to the worker

    @property
    def queued(self) -> int:
        """How much of what was said it has not begun to read."""
        return 0 if self._channel is None else self._channel.queued

    def configure(self, configuration: dict[str, Any]) -> None:
        self.read_slots = frozenset(configuration["read_slots"])
        self._send(Message.CONFIGURE, configuration)

    def deliver(self, deltas: list[Delta]) -> None:
        """
        Queue deltas; what was queued and not applied before comes first.

        One whose channel is lost, and whose exit is still to be told, gets none.
        """
        if self._channel is None:
            return
        for delta in deltas:
            self._channel.send_delta(delta)
            self.sent = (delta.after, delta.hash_after)

    def read(self, slots: frozenset[int]) -> None:
        """Have it accept from exactly these slots; says nothing where that is so already."""
        if slots != self.read_slots:
            self.read_slots = slots
            self._send(Message.READ_SLOTS, {"slots": sorted(slots)})

    def renew(self, values: dict[str, Any]) -> None:
        """Have it take what a reread of the settings has brought."""
        self._send(Message.RENEW, values)

    def tell_key_sets(self, values: dict[str, Any]) -> None:
        """Tell it of keys that issuers publish; one issuer a message: a set may be large."""
        for name, one in values.items():
            self._send(Message.KEY_SETS, {name: one})

    def override(self, values: dict[str, Any]) -> None:
        """Tell it what holds beside the configuration; see `Message.OVERRIDES`."""
        self._send(Message.OVERRIDES, values)

    def tap(self, values: dict[str, Any]) -> None:
        """Have it tell of requests; see `Message.TAP`."""
        self._send(Message.TAP, values)

    def untap(self, number: int) -> None:
        self._send(Message.UNTAP, {"id": number})

    def drain(self, deadline: float, *, last: bool = False) -> None:
        """Have it finish and exit; `last` when nobody will read its sockets after it."""
        if self.state in (WorkerState.DRAINING, WorkerState.GONE):
            return
        self.state = WorkerState.DRAINING
        self._send(Message.DRAIN, {"deadline": deadline, "last": last})

    def ask(self, ask: str, **arguments: Any) -> Deferred[Any]:
        """Ask the worker; see `Questions.ask` for how it fails."""
        if self._channel is None:
            return fail(ConnectionError("the worker is gone"))
        assert self._questions is not None
        return self._questions.ask(ask, **arguments)

    def _send(self, message: Message, values: dict[str, Any]) -> None:
        if self._channel is not None:
            self._channel.send(message, values)

    # What the worker says

    def excuse(self, seconds: float) -> None:
        """Don't count as its silence a time in which nobody listened."""
        self.last_heard += seconds
        self.started_at += seconds

    def message_received(self, message: Message, payload: bytes) -> None:
        self.last_heard = self._clock.seconds()
        if message is Message.ANSWER:
            assert self._questions is not None
            self._questions.answered(payload)
        elif message is Message.SPANS:
            values = json.loads(payload)
            self._user.worker_traced(self, values["spans"], len(payload), values["dropped"])
        else:
            _ON_MESSAGE[message](self, json.loads(payload))

    def channel_lost(self) -> None:
        if self._questions is not None:
            self._questions.fail_all()
        self._channel = None
        self._user.worker_lost(self)

    def _ready(self, values: dict[str, Any]) -> None:
        if self.state is WorkerState.STARTING:
            self.state = WorkerState.SERVING
        self._user.worker_ready(self)

    def _applied(self, values: dict[str, Any]) -> None:
        served = self.served
        served.position = position_from_json(values["position"])
        served.content_hash = int(values["content_hash"], 16)
        served.applied_at = values["applied_at"]
        served.last_received_bytes = values["received_bytes"]
        served.last_compiled = values["compiled"]
        served.deltas += 1
        served.failed = values["failed"]
        served.refused = values.get("refused", {})
        served.refused_total = values.get("refused_total", 0)
        if values["committed_at"] is not None:
            served.propagation_seconds = values["applied_at"] - values["committed_at"]
        self._user.worker_applied(self)

    def _renewed(self, values: dict[str, Any]) -> None:
        self.served.failed = values["failed"]

    def _key_wanted(self, values: dict[str, Any]) -> None:
        self._user.worker_wants_key(self, values["issuer"])

    def _evidence(self, values: dict[str, Any]) -> None:
        self._user.worker_saw(self, values["instances"])

    def _tapped(self, values: dict[str, Any]) -> None:
        self._user.worker_tapped(self, values)

    def _records(self, values: dict[str, Any]) -> None:
        self._user.worker_failed_requests(self, values["records"], values["left_out"])

    def _catch_up(self, values: dict[str, Any]) -> None:
        self._user.worker_asked(
            self,
            CatchUp(
                reason=values["reason"],
                position=position_from_json(values["position"]),
                content_hash=int(values["content_hash"], 16),
                wanted=position_from_json(values["wanted"]),
            ),
        )

    def _heartbeat(self, values: dict[str, Any]) -> None:
        self.lag_ms = values["lag_ms"]
        self.longest_lag_ms = max(self.longest_lag_ms, self.lag_ms)
        self.blocked_ms = values["blocked_ms"]
        self.longest_blocked_ms = max(self.longest_blocked_ms, self.blocked_ms)
        self.overload = values.get("overload", "none")
        if "totals" in values:  # not where it is of an older version
            self.traffic.told(values["totals"], now=self.last_heard)
        self._user.worker_beat(self)

    def _closed(self, values: dict[str, Any]) -> None:
        self.accepts = False
        self._user.worker_closed(self)

    def _drained(self, values: dict[str, Any]) -> None:
        if self.state is not WorkerState.GONE:  # its end may have been heard of first
            self.state = WorkerState.DRAINING
        if "counters" in values:  # not where it is of an older version
            self._user.worker_counted(self, values["counters"])


_ON_MESSAGE: Final[dict[Message, Callable[[WorkerLink, dict[str, Any]], None]]] = {
    Message.READY: WorkerLink._ready,
    Message.APPLIED: WorkerLink._applied,
    Message.CATCH_UP: WorkerLink._catch_up,
    Message.RENEWED: WorkerLink._renewed,
    Message.KEY_WANTED: WorkerLink._key_wanted,
    Message.EVIDENCE: WorkerLink._evidence,
    Message.TAPPED: WorkerLink._tapped,
    Message.RECORDS: WorkerLink._records,
    Message.HEARTBEAT: WorkerLink._heartbeat,
    Message.CLOSED: WorkerLink._closed,
    Message.DRAINED: WorkerLink._drained,
}
