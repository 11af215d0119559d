"""One host's supervisor: what it consists of, and what happens when.

Start: adopt or open sockets → start workers, which import while the source is
asked → serve the first configuration, from the last-known-good file where the
source is slow or away. Then each delta is published to the workers, announced
on Redis and written to the file, in this order. Stop: drain.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger

from fengling_gateway import __version__
from fengling_gateway.configsource.reading import Held, Reading
from fengling_gateway.configsource.reload import ReloadLoop, ReloadSettings
from fengling_gateway.control.lag import LagProbe
from fengling_gateway.control.process import ProcessCosts
from fengling_gateway.model.delta import Delta, Everything, Position
from fengling_gateway.model.effective import EffectiveConfig, StagedResult
from fengling_gateway.model.entity import Key
from fengling_gateway.observability.places import MAX_PAIRS, Places
from fengling_gateway.supervisor.change_traces import ChangeTraces
from fengling_gateway.supervisor.config_times import ConfigTimes
from fengling_gateway.supervisor.counted import Counted
from fengling_gateway.supervisor.delta_log import DeltaLog
from fengling_gateway.supervisor.distribution import Distribution
from fengling_gateway.supervisor.evidence import Evidence
from fengling_gateway.supervisor.failures import Failures, FailureSettings
from fengling_gateway.supervisor.key_sets import KeySets
from fengling_gateway.supervisor.last_resort import LastResort
from fengling_gateway.supervisor.launch import Launched
from fengling_gateway.supervisor.legacies import Legacies
from fengling_gateway.supervisor.link import CatchUp, WorkerLink
from fengling_gateway.supervisor.narration import CONFIRM, Narration
from fengling_gateway.supervisor.outside import Outside
from fengling_gateway.supervisor.overrides import Overrides
from fengling_gateway.supervisor.pinning import Pinning
from fengling_gateway.supervisor.propagation import Mark, Propagation
from fengling_gateway.supervisor.refused_instances import RefusedInstances
from fengling_gateway.supervisor.route_traffic import RouteTraffic
from fengling_gateway.supervisor.sockets import ListenerAddress, ListenerSockets
from fengling_gateway.supervisor.taps import Taps
from fengling_gateway.supervisor.telling import Telling, node_values
from fengling_gateway.supervisor.workers import SupervisionSettings, Workers
from fengling_gateway.syncbus.hearsay import Hearsay
from fengling_gateway.syncbus.messages import ProberBeat

_log = Logger()

REFUSE_AFTER_SECONDS: Final = 3.0
"""How long clients wait for a first configuration before they are answered with 503."""


@dataclass(frozen=True, slots=True)
class SupervisorSettings:
    """What the supervisor has to know; `fengling_gateway.settings` has the operator's side."""

    cluster: str
    node: str
    workers: int
    source: str
    listeners: tuple[ListenerAddress, ...]
    runtime_dir: Path
    push: bool = True
    health_stale_after: float = 60.0
    drain_deadline: float = 30.0
    release_held: str = CONFIRM
    max_metric_pairs: int = MAX_PAIRS
    """What to do about a revision that is held; ``{revision}`` is its number."""
    reload: ReloadSettings = field(default_factory=ReloadSettings)
    supervision: SupervisionSettings = field(default_factory=SupervisionSettings)
    failures: FailureSettings = field(default_factory=FailureSettings)
    worker_configuration: dict[str, Any] = field(default_factory=dict, repr=False)
    """What every worker is told beside its name, slot and sockets; it holds keys."""


class Supervisor:
    """
    The supervisor of this host.

    `start` and `stop` are called once each. All state that others show is in
    the public attributes; nobody else changes it.
    """

    def __init__(
        self,
        *,
        reactor: Any,
        settings: SupervisorSettings,
        outside: Callable[[Supervisor], Outside],
        rng: random.Random,
    ) -> None:
        self._clock = reactor
        self.settings = settings
        self.served_from = "nothing"
        self.state = "starting"
        self.started_at = reactor.seconds()
        self.started_on = round(time.time(), 3)
        self.log = DeltaLog()
        self.sockets = ListenerSockets(settings.listeners)
        self.narration = Narration(clock=reactor, release=settings.release_held)
        parts = outside(self)
        self.source, self.bus, self.journal = parts.source, parts.bus, parts.journal
        self.spans = parts.spans
        self._change_traces = ChangeTraces(
            clock=reactor, wall=time.time, node=settings.node, spans=parts.spans
        )
        self._telling = Telling(
            clock=reactor,
            tell=lambda: self.bus.publish_node(node_values(self, now=reactor.seconds())),
        )
        self.key_sets = KeySets(
            clock=reactor,
            wall=time.time,
            rng=rng,
            fetch=parts.fetch_keys,
            file=parts.key_file,
            tell=self._tell_key_sets,
        )
        self.workers = Workers(
            clock=reactor,
            launcher=parts.launcher(lambda: self.sockets.by_listener),
            count=settings.workers,
            settings=settings.supervision,
            configuration=self._worker_configuration,
            user=self,
            rng=rng,
        )
        self.loop = ReloadLoop(
            clock=reactor,
            source=self.source,
            user=self,
            settings=settings.reload,
            rng=rng,
        )
        self.pinning = Pinning(
            newest=self.loop,
            file=parts.pins,
            in_thread=parts.in_thread,
            publish=self._serve_other,
            changed=self._telling.soon,
        )
        self.distribution = Distribution(
            log=self.log,
            links=self.workers.links,
            bodies=lambda: self.config.bodies,
            heard=partial(self.announced, reason="worker"),
            push=settings.push,
        )
        self.propagation = Propagation(
            clock=reactor,
            links=self.workers.links,
            current=lambda: Mark(self.position, self.config.content_hash),
        )
        self.counted = Counted(clock=reactor, links=self.workers.links)
        self.places = Places(settings.max_metric_pairs)
        self.route_traffic = RouteTraffic(clock=reactor, gather=self.counted.gather)
        self.counted.gathered = self.route_traffic.gathered
        self.taps = Taps(clock=reactor, links=self.workers.links)
        self.failures = Failures(clock=reactor, wall=time.time, settings=settings.failures)
        self.evidence = Evidence(clock=reactor, publish=self.bus.publish_evidence)
        self.overrides = Overrides(
            clock=reactor,
            links=self.workers.links,
            read_switches=self.bus.switches,
            read_prober=parts.read_prober,
            stale_after=settings.health_stale_after,
            changed=self._telling.soon,
        )
        self.refused_instances = RefusedInstances(self.workers.links)
        self.lag = LagProbe(clock=reactor)
        self.costs = ProcessCosts()
        self.config_times = ConfigTimes()
        self._hearsay = Hearsay()
        self._expected: Position | None = None
        self._legacies = Legacies()
        self._last_resort = LastResort(
            clock=reactor, journal=self.journal, loop=self.loop, restored=self._restored
        )
        self._has_started = False
        self._stopping: Deferred[None] | None = None

    def __repr__(self) -> str:
        return f"<Supervisor {self.settings.node} {self.state}>"

    @property
    def config(self) -> EffectiveConfig:
        """What is served."""
        return self.pinning.config

    @property
    def position(self) -> Position | None:
        """Where that is in the history of the source; None before anything is served."""
        return self.pinning.position

    def listening(self) -> list[tuple[str, str, bool]]:
        """Return the name of each listener, where it is bound, and whether it speaks TLS."""
        plane = self.settings.worker_configuration.get("data_plane", {})
        own = plane.get("listeners", {})
        return [
            (
                name,
                f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
                bool(own.get(name, {}).get("tls")),
            )
            for name, (host, port) in self.sockets.addresses().items()
        ]

    # Life

    def start(self) -> None:
        """
        Open the sockets, start the workers, begin to look.

        Raises:
            BindError: a listener's address can't be had.
        """
        _log.info(
            "fengling-gateway {version} starts as node {node} of cluster {cluster}, on {listeners}",
            version=__version__,
            node=self.settings.node,
            cluster=self.settings.cluster,
            listeners=", ".join(map(str, self.settings.listeners)),
            log_id="gateway.started",
        )
        self.counted.start()
        self._legacies.collect(self.settings.runtime_dir, self.sockets)
        self.key_sets.start()
        self.sockets.open(self.settings.workers, alone=not self._legacies)
        self.workers.slots_available(self.sockets.slots)
        self.workers.start()
        if self.pinning.load():
            self._serve_everything()
        self.source.start()
        self.bus.start()
        self._last_resort.start()
        self.loop.start()
        self.lag.start()
        self.costs.start()
        self.overrides.start()
        self._telling.start()
        self._has_started = True

    def stop(self) -> Deferred[None]:
        """Drain the workers and stop everything; fires within the drain deadline, and a little."""
        if self._stopping is None:
            self.state = "draining"
            if self._has_started:
                _log.info(
                    "draining: what is under way has {seconds:g} s to end",
                    seconds=self.settings.drain_deadline,
                    log_id="gateway.draining",
                )
            self._stopping = Deferred.fromCoroutine(self._stop())
        return self._stopping

    async def _stop(self) -> None:
        self._last_resort.cancel()
        self.lag.stop()
        self.costs.stop()
        self.loop.stop()
        self.overrides.stop()
        self.evidence.stop()
        self.counted.stop()
        self.route_traffic.stop()
        self._telling.now()
        if self._has_started:  # whoever stops this one means its predecessor's workers, too
            self._legacies.retire()
        await self.workers.stop(self.settings.drain_deadline)
        await self.taps.stop()
        await self.key_sets.stop()
        self._change_traces.stop()
        if self.spans is not None:
            await self.spans.stop()
        self._telling.stop()
        self.state = "stopped"
        self.sockets.close()
        await DeferredList(
            [self.source.stop(), self.bus.stop(), self.journal.stop()], consumeErrors=True
        )
        if self._has_started:
            _log.info("stopped", log_id="gateway.stopped")

    def look(self, reason: str) -> Deferred[None]:
        """Look at the source; see `ReloadLoop.look`."""
        return self.loop.look(reason)

    def hint(self, reason: str, details: dict[str, Any]) -> None:
        """The source may have something new, or is about to."""
        if reason == "expected":
            # Whoever hears of it on Redis only needs not wait until it is read and served here.
            self._expected = details["position"]
            self.bus.announce(details["position"])
            return
        self._expected = None
        self.loop.look(reason)

    def announced(self, position: Position, reason: str = "announcement") -> None:
        """A host, perhaps this one, serves this position or is about to."""
        self.distribution.announced(position)
        if position == self._expected:
            return  # its notification is on the way
        now = self._clock.seconds()
        if self._hearsay.is_worth_a_look(position, self.loop.position, now=now):
            self.loop.look(reason)

    def prober_heard(self, beat: ProberBeat) -> None:
        """Whoever probes instances has said so on Redis."""
        self.overrides.probing.heard(beat)

    def bus_usable(self) -> None:
        """Redis can be used, again: much may have been switched off or on meanwhile."""
        self.overrides.switches.look()

    # Workers

    def _worker_configuration(self, link: WorkerLink, launched: Launched) -> dict[str, Any]:
        return {
            "worker": link.name,
            "slot": link.slot,
            # While others serve, a former supervisor's too, nobody has to be refused.
            "refuse_after": None
            if self._legacies or self.workers.some_serve
            else REFUSE_AFTER_SECONDS,
            "listeners": launched.listeners,
            "node": self.settings.node,
            "cluster": self.settings.cluster,
            "runtime_dir": str(self.settings.runtime_dir),
            **self.settings.worker_configuration,
        }

    def renew_certificates(self) -> None:
        """Have everybody take the keys that there are now, and read files again."""
        told = self.settings.worker_configuration
        listeners = told.get("data_plane", {}).get("listeners", {})
        bus_keys = (told.get("redis") or {}).get("keys")
        if bus_keys:
            self.bus.replace_keys(bus_keys)
        values = {
            "bus_keys": bus_keys,
            "secrets": told.get("secrets", {}),
            "tls": {name: own["tls"] for name, own in listeners.items() if own.get("tls")},
        }
        for link in self.workers.links():
            link.renew(values)
        self.key_sets.renew()

    def worker_configured(self, link: WorkerLink) -> None:
        self.overrides.tell(link)
        link.tell_key_sets(self.key_sets.values())
        self.taps.tell(link)

    def worker_counted(self, link: WorkerLink, counters: dict[str, Any]) -> None:
        self.counted.told(link, counters)

    def worker_gone(self, link: WorkerLink) -> None:
        self.counted.gone(link)
        self.config_times.gone(link)

    def worker_saw(self, link: WorkerLink, instances: dict[str, Any]) -> None:
        self.evidence.seen(instances)

    def worker_traced(self, link: WorkerLink, spans: list[Any], size: int, dropped: int) -> None:
        if self.spans is not None:
            self.spans.add(spans, size, worker=link.name, dropped=dropped)

    def worker_tapped(self, link: WorkerLink, values: dict[str, Any]) -> None:
        self.taps.told(values)

    def worker_failed_requests(
        self, link: WorkerLink, records: list[Any], left_out: dict[str, int]
    ) -> None:
        self.failures.told(records, left_out)

    def worker_wants_key(self, link: WorkerLink, issuer_id: str) -> None:
        link.tell_key_sets(self.key_sets.wanted(issuer_id))

    def _tell_key_sets(self, values: dict[str, Any]) -> None:
        for link in self.workers.links():
            link.tell_key_sets(values)

    def worker_asked(self, link: WorkerLink, question: CatchUp) -> None:
        self.distribution.answer(link, question)

    def worker_applied(self, link: WorkerLink) -> None:
        self.propagation.progressed()
        self.refused_instances.applied(link)
        self.config_times.applied(link)
        self.narration.applied(link.name, link.served.position, link.served.applied_at)
        self._change_traces.applied(link.name, link.served.position, link.served.applied_at)
        if not self.propagation.behind():
            self.narration.converged(self.position, self.propagation.counted)
            self._change_traces.converged()
        self._telling.soon()

    def worker_beat(self, link: WorkerLink) -> None:
        self.distribution.check(link)

    def workers_changed(self) -> None:
        if self.state == "starting" and self.workers.all_serve:
            self.state = "serving"
            self._legacies.retire()
            count = self.settings.workers
            _log.info(
                "serving with {workers}",
                workers=f"{count} worker{'' if count == 1 else 's'}",
                log_id="gateway.serving",
            )
        self.propagation.progressed()
        self._telling.soon()

    def nobody_accepts(self) -> None:
        """Refuse who comes to sockets that no worker read, rather than let them wait for nobody."""
        self.sockets.refuse()

    # Configuration

    def delta_read(self, delta: Delta, reading: Reading, result: StagedResult) -> None:
        """Serve a delta: workers first, then other hosts, then the file, and tell it last."""
        read_at = self._clock.seconds()
        self._last_resort.cancel()
        if self.pinning.pin is None:
            self.key_sets.delta_read(delta, self.config)
            self.distribution.publish(delta)
            self.config_times.published(
                delta, reading, seconds=self._clock.seconds() - self.loop.look_began_at
            )
            self.bus.announce(delta.after)
            self._change_traces.published(
                delta,
                reading,
                rejected=len(result.newly_rejected),
                looked_at=self.loop.look_began_at,
                read_at=read_at,
            )
        else:
            self.pinning.newest_read(delta)
        self.journal.append(delta, lambda: self.loop.config.bodies)
        self.narration.read(delta, reading, result, self.loop.config.rejected)
        self._telling.soon()

    def look_succeeded(self) -> None:
        self.narration.look_succeeded()
        self.overrides.probing.look()
        # At every look: what is not said within a minute of the last time stays so. And
        # at none that has failed: then nothing is found by polling either.
        self.narration.heard(self.source.state.notes.get("listen"))
        self.journal.retry()
        if self.loop.is_judged and self.served_from != self.settings.source:
            self.served_from = self.settings.source
            self._telling.soon()

    def look_failed(self, error: BaseException) -> None:
        self.narration.look_failed(error, serving=self.position is not None)
        if self.loop.position is None:
            self._last_resort.use()

    def held(self, held: Held | None) -> None:
        self.narration.held(held)
        self.config_times.held(held)
        self._telling.soon()

    def _restored(self, position: Position, bodies: dict[Key, bytes]) -> None:
        self.served_from = "last-known-good"
        self.narration.restored(position, len(bodies))
        if self.pinning.pin is None:
            self._serve_everything()

    def _serve_everything(self) -> None:
        """Serve a whole configuration, where nothing has been served before."""
        assert self.position is not None, "or there is none"
        self.key_sets.apply(self.config)
        self.distribution.publish(
            Delta(
                before=None,
                after=self.position,
                hash_before=0,
                hash_after=self.config.content_hash,
                changes=Everything(self.config.bodies),
            )
        )

    def _serve_other(self, delta: Delta) -> None:
        """Serve what is pinned, or no longer."""
        self.key_sets.apply(self.config)
        self.distribution.publish(delta)
