"""The worker's end of the control channel.

It turns messages into calls on the data plane and reports back. Everything it
needs is made by `WorkerParts`, so that the same agent runs in a process of its
own and, with ``workers = 1``, inside the supervisor's.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from fengling_gateway.balancing.overrides import Overrides
from fengling_gateway.control.channel import Channel
from fengling_gateway.control.encoding import delta_head
from fengling_gateway.control.frames import Message
from fengling_gateway.control.process import ProcessCosts
from fengling_gateway.dataplane.counters_in_parts import CountersInParts
from fengling_gateway.model.delta import Position
from fengling_gateway.records.redaction import redaction_of
from fengling_gateway.worker.accepting import Accepting
from fengling_gateway.worker.applier import Applied, Outcome
from fengling_gateway.worker.catching_up import LostPlace
from fengling_gateway.worker.certificates import Certificates
from fengling_gateway.worker.failures import WorkerFailures, worker_failures
from fengling_gateway.worker.issuers import Issuers
from fengling_gateway.worker.parts import DebugValues, Subscriber, WorkerParts
from fengling_gateway.worker.reports import Reports
from fengling_gateway.worker.tracing import WorkerTracing, worker_tracing

_log = Logger()

HEARSAY_SECONDS: Final = 0.01
"""
After so long without what was announced it is asked for.

The supervisor has heard of it, too, and most likely is about to send it.
"""

LAST_WORDS_SECONDS: Final = 1.0
"""For what the supervisor has not been told in the end; sooner than it loses patience."""

_LOOK_SECONDS: Final = 0.01


class WorkerAgent:
    """
    One worker, as its supervisor sees it.

    Args:
        done: called once when there is nothing left to do: after a drain, or
            when an orphan's grace period is over.
        orphaned: called when the supervisor is gone.
        configured: called once the sockets are known.
        costs: of this process; None where it is the supervisor's, which tells them itself.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        parts: WorkerParts,
        done: Callable[[], None],
        orphaned: Callable[[WorkerAgent], None],
        configured: Callable[[dict[str, Any]], None] = lambda _: None,
        costs: ProcessCosts | None = None,
    ) -> None:
        self._clock = clock
        self._parts = parts
        self._done = done
        self._orphaned = orphaned
        self._configured = configured
        self._costs = costs
        self._counters_in_parts: CountersInParts | None = None
        self._channel: Channel | None = None
        self._applier = parts.applier()
        self._reports = Reports(
            clock=clock,
            applier=self._applier,
            send=self._send,
            overload=self._overload,
            totals=self._totals,
            evidence=self._evidence,
        )
        self._plane: Any = None
        self._certificates: Certificates | None = None
        self._issuers: Issuers | None = None
        self._uncompiled: dict[str, str] = {}
        self._accepting: Any = None
        self._subscriber: Subscriber | None = None
        self._limit_sync: Subscriber | None = None
        self._debug_values: DebugValues | None = None
        self._tracing: WorkerTracing | None = None
        self._taps: Any = None
        self._failures: WorkerFailures | None = None
        self._slots: frozenset[int] = frozenset()
        self._ready = False
        self._draining = False
        self._patience: Any = None
        self._wanted: Position | None = None
        self._asking: Any = None
        self._lost_place = LostPlace(clock=clock, ask=self._ask_for_the_way)
        self.sockets: dict[str, list[Any]] = {}
        self.configuration: dict[str, Any] = {}

    def __repr__(self) -> str:
        revision = self._applier.position.revision if self._applier.position else None
        return f"<WorkerAgent {self.configuration.get('worker')} revision={revision}>"

    def connect(self, channel: Channel) -> None:
        """Take the channel to talk over; the supervisor speaks first."""
        self._channel = channel

    def message_received(self, message: Message, payload: bytes) -> None:
        if message is Message.CHANGES:
            self._applier.add(payload)
        elif message is Message.DELTA:
            self._lose_patience()  # there will be something to serve, however long it compiles
            self._applier.begin(delta_head(payload))
        elif message is Message.DELTA_END:
            self._finish_delta()
        else:
            _ON_MESSAGE[message](self, json.loads(payload))

    def channel_lost(self) -> None:
        if self._taps is not None:
            self._taps.stop()
        if not self._draining and self.configuration:
            self._orphaned(self)
        elif not self.configuration:
            self._done()

    def drain(self, deadline: float, *, last: bool = False) -> Deferred[None]:
        """
        Take nothing new, finish what runs within `deadline` seconds, and exit.

        Args:
            last: nobody reads the sockets after this worker: first take what is
                queued on them.
        """
        if self._draining:
            return Deferred()
        self._draining = True
        if last:
            self._accepting.empty_queues()
        self._accepting.accept_from(frozenset())
        self._send(Message.CLOSED)
        drained: Deferred[None] = self._plane.start_draining(deadline)
        drained.addErrback(self._log_failure, "drain")
        drained.addCallback(lambda _: self._drained())
        return drained

    # What the supervisor says

    def _configure(self, configuration: dict[str, Any]) -> None:
        try:
            self._begin(configuration)
        except Exception:
            # Without them it would be silent until somebody takes it for dead.
            _log.failure("worker: the settings can't be used", log_id="worker.settings_failed")
            self._done()

    def _begin(self, configuration: dict[str, Any]) -> None:
        self.configuration = configuration
        self._plane = self._parts.data_plane(configuration)
        resolver = self._parts.resolver(configuration.get("secrets", {}))
        self._certificates = Certificates(resolver=resolver, offer=self._plane.offer_certificates)
        self._issuers = Issuers(
            clock=self._clock,
            resolver=resolver,
            offer=self._plane.offer_issuers,
            ask=lambda issuer: self._send(Message.KEY_WANTED, {"issuer": issuer}),
        )
        self._plane.want_keys = self._issuers.want
        self.sockets = self._parts.sockets(configuration)
        self._accepting = Accepting(plane=self._plane, sockets=self.sockets)
        self._slots = frozenset(configuration["read_slots"])
        self._subscriber = self._parts.subscriber(configuration, self._heard)
        self._limit_sync = self._parts.limit_sync(configuration, self._plane)
        self._debug_values = self._parts.debug_values(configuration)
        if self._debug_values is not None:
            self._plane.debug_id_in = self._debug_values.id_in
        self._tracing = self._plane.tracing = worker_tracing(
            configuration.get("tracing"),
            clock=self._clock,
            send=self._send,
            backlog=self._backlog,
        )
        self._keep_failures(configuration)
        for one in self._on_redis():
            one.start()
        self._configured(configuration)
        if configuration.get("refuse_after") is not None:
            self._patience = self._clock.callLater(
                configuration["refuse_after"], self._serve_nothing
            )
        self._reports.start()
        self._reports.catch_up("started", None)

    def _keep_failures(self, configuration: dict[str, Any]) -> None:
        values = configuration.get("failures")
        if values is None:
            return
        self._failures = worker_failures(
            values,
            clock=self._clock,
            send=self._send,
            backlog=self._backlog,
            redaction=redaction_of(
                configuration["data_plane"].get("access_log"), configuration.get("tracing")
            ),
            worker=configuration["worker"],
            workers=configuration["data_plane"]["workers"],
        )
        self._plane.recipients.add(self._failures.ended, slower_than=values["slower_than"])

    def _read_slots(self, values: dict[str, Any]) -> None:
        self._slots = frozenset(values["slots"])
        if self._ready and not self._draining:
            self._accepting.accept_from(self._slots)

    def _drain(self, values: dict[str, Any]) -> None:
        self.drain(values["deadline"], last=values["last"])

    def _renew(self, values: dict[str, Any]) -> None:
        if self._certificates is None or self._issuers is None:
            return
        self.configuration["secrets"] = values["secrets"]
        if values.get("bus_keys"):
            for one in (*self._on_redis(), self._debug_values):
                if one is not None:
                    one.replace_keys(values["bus_keys"])
        self._plane.read_certificates(values["tls"])
        resolver = self._parts.resolver(values["secrets"])
        self._certificates.renew(resolver)
        self._issuers.renew(resolver)
        self._send(Message.RENEWED, {"failed": self._failed()})

    def _key_sets(self, values: dict[str, Any]) -> None:
        if self._issuers is not None and self._issuers.key_sets_arrived(values):
            self._send(Message.RENEWED, {"failed": self._failed()})

    def _override(self, values: dict[str, Any]) -> None:
        """Have it hold at once; what is not served yet is compiled by it."""
        if self._plane is None:  # its settings were no good
            return
        self._plane.send_away(values["is_draining"])
        is_new = self._applier.override(Overrides.from_json(values))
        if is_new and self._applier.position is not None:
            self._plane.apply(self._applier.snapshot)

    def _tap(self, values: dict[str, Any]) -> None:
        """Begin to tell of requests; most workers never do."""
        if self._plane is None:
            return
        if self._taps is None:
            from fengling_gateway.worker.taps import WorkerTaps

            told = self.configuration
            self._taps = WorkerTaps(
                clock=self._clock,
                recipients=self._plane.recipients,
                send=self._send,
                backlog=self._backlog,
                redaction=redaction_of(
                    told.get("data_plane", {}).get("access_log"), told.get("tracing")
                ),
            )
        self._taps.tap(values)

    def _untap(self, values: dict[str, Any]) -> None:
        if self._taps is not None:
            self._taps.untap(values)

    def _failed(self) -> dict[str, str]:
        """Return what this worker can't make use of, and why."""
        assert self._certificates is not None, "configured first"
        assert self._issuers is not None, "so are they"
        return {**self._uncompiled, **self._certificates.failed(), **self._issuers.failed()}

    def _request(self, values: dict[str, Any]) -> None:
        number = values["id"]
        try:
            answer = _ANSWERS[values["ask"]](self, values)
            self._send(Message.ANSWER, {"id": number, "answer": answer})
        except Exception as error:
            _log.failure("worker: {ask} failed", ask=values["ask"], log_id="worker.answer_failed")
            self._send(Message.ANSWER, {"id": number, "error": f"{type(error).__name__}: {error}"})

    def _explain(self, values: dict[str, Any]) -> Any:
        from fengling_gateway.routing.explanation import explain

        snapshot, request = self._applier.snapshot, values["request"]
        return explain(snapshot, request, time.time(), self._plane.ejected_for)

    def _instances(self, values: dict[str, Any]) -> Any:
        from fengling_gateway.routing.standing import show_instances

        return show_instances(
            self._applier.snapshot, values.get("instances"), self._plane.ejected_for
        )

    def _counters(self, values: dict[str, Any]) -> Any:
        """Return what is counted, or more of it; see `Message.REQUEST`."""
        if not values.get("is_more"):
            self._counters_in_parts = self._plane.counters_in_parts()
            return {**self._counters_in_parts.next(), **self._counted_beside()}
        assert self._counters_in_parts is not None, "nobody asks for more than there is"
        return self._counters_in_parts.next()

    def _counted(self) -> dict[str, Any]:
        """Return all that is counted here; names that end in ``_now`` are of this moment only."""
        return {**self._plane.counters(), **self._counted_beside()}

    def _counted_beside(self) -> dict[str, Any]:
        values: dict[str, Any] = {"histograms": {"reactor_lag": self._reports.lags()}}
        if self._costs is not None:
            values["process_now"] = self._costs.to_json()
        return values

    def _names(self, values: dict[str, Any]) -> Any:
        return self._plane.resolved_names()

    def _debug(self, values: dict[str, Any]) -> Any:
        from fengling_gateway.control.inspection import inspect_process

        return inspect_process(self._clock)

    # Deltas

    def _finish_delta(self) -> None:
        """Compile what the delta touches, a slice a turn; messages wait until it is done."""
        assert self._channel is not None
        if self._applier.step():
            self._channel.pause()
            self._clock.callLater(0, self._finish_delta)
            return
        self._channel.resume()
        self._delta_ended(self._applier.end())

    def _delta_ended(self, applied: Applied) -> None:
        if applied.outcome is Outcome.OUT_OF_PLACE:
            self._lost_place.lost()
            return
        self._lost_place.found()
        assert self._certificates is not None, "configured first"
        assert self._issuers is not None, "so are they"
        if applied.outcome is Outcome.APPLIED:
            self._certificates.apply(self._applier.snapshot)
            self._issuers.apply(self._applier.snapshot)
            self._plane.apply(self._applier.snapshot)
        self._uncompiled = dict(applied.failed)
        applied.failed.update(self._failed())
        self._reports.applied(applied)
        self._become_ready()

    def _ask_for_the_way(self, from_nothing: bool) -> None:
        self._reports.catch_up("out of place", None, from_nothing=from_nothing)

    def _become_ready(self) -> None:
        if self._ready or self._draining:
            return
        self._ready = True
        self._lose_patience()
        self._accepting.accept_from(self._slots)
        self._send(Message.READY)

    def _serve_nothing(self) -> None:
        """Answer 503 by what there is, which is nothing, rather than let clients wait and wait."""
        if not self._ready and not self._draining:
            self._accepting.accept_from(self._slots)

    def _lose_patience(self) -> None:
        if self._patience is not None and self._patience.active():
            self._patience.cancel()

    def _heard(self, announced: Position) -> None:
        """Redis has a position that is newer: ask for it, unless it comes in a moment anyway."""
        if not announced.is_after(self._applier.position):
            return
        # Announcements may overtake each other.
        if self._wanted is None or announced.is_after(self._wanted):
            self._wanted = announced
        if self._asking is None:
            self._asking = self._clock.callLater(HEARSAY_SECONDS, self._ask_for_wanted)

    def _ask_for_wanted(self) -> None:
        wanted, self._asking, self._wanted = self._wanted, None, None
        if wanted is not None and wanted.is_after(self._applier.position):
            self._reports.catch_up("heard", wanted)

    # The end

    def _drained(self) -> None:
        self._tell_the_rest()
        self._send(Message.DRAINED, {"counters": self._counted()})
        self._leave(self._clock.seconds() + LAST_WORDS_SECONDS)

    def _leave(self, until: float) -> None:
        """End, when the supervisor has been told all; what a process has not sent ends with it."""
        if self._channel is None or self._channel.has_sent_all or self._clock.seconds() >= until:
            self.stop().addBoth(lambda _: self._done())
        else:
            self._clock.callLater(_LOOK_SECONDS, self._leave, until)

    def stop(self) -> Deferred[None]:
        """Stop the timers, the subscription and the data plane, which is drained already."""
        self._lose_patience()
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None
        self._lost_place.found()
        self._tell_the_rest()
        if self._taps is not None:
            self._taps.stop()
        if self._failures is not None:
            self._plane.recipients.remove(self._failures.ended)
        self._reports.stop()
        stopping = [self._plane.stop(), *(one.stop() for one in self._on_redis())]
        return DeferredList(stopping, consumeErrors=True).addCallback(lambda _: None)

    def _tell_the_rest(self) -> None:
        """Tell of requests what still waits."""
        if self._tracing is not None:
            self._tracing.flush()
        if self._failures is not None:
            self._failures.stop()
        if self._taps is not None:
            self._taps.flush()

    def _on_redis(self) -> list[Subscriber]:
        return [one for one in (self._subscriber, self._limit_sync) if one is not None]

    def _send(self, message: Message, values: dict[str, Any] | None = None) -> None:
        if self._channel is not None:
            self._channel.send(message, values)

    def _backlog(self) -> int:
        return 0 if self._channel is None else self._channel.queued

    def _overload(self) -> str:
        name: str = self._plane.overload.name
        return name.lower()

    def _totals(self) -> dict[str, Any]:
        totals: dict[str, Any] = self._plane.totals()
        return totals

    def _evidence(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._plane.take_evidence()
        return found

    def _log_failure(self, failure: Failure, what: str) -> None:
        _log.failure("worker: {what} failed", what=what, failure=failure, log_id="worker.failed")


_ON_MESSAGE: Final[dict[Message, Callable[[WorkerAgent, dict[str, Any]], None]]] = {
    Message.CONFIGURE: WorkerAgent._configure,
    Message.READ_SLOTS: WorkerAgent._read_slots,
    Message.DRAIN: WorkerAgent._drain,
    Message.RENEW: WorkerAgent._renew,
    Message.KEY_SETS: WorkerAgent._key_sets,
    Message.OVERRIDES: WorkerAgent._override,
    Message.REQUEST: WorkerAgent._request,
    Message.TAP: WorkerAgent._tap,
    Message.UNTAP: WorkerAgent._untap,
}

_ANSWERS: Final[dict[str, Callable[[WorkerAgent, dict[str, Any]], Any]]] = {
    "explain": WorkerAgent._explain,
    "counters": WorkerAgent._counters,
    "names": WorkerAgent._names,
    "instances": WorkerAgent._instances,
    "debug": WorkerAgent._debug,
}
