"""
The health checker of a console: elected or waiting, it follows the configuration.

`HealthService` is what a console composes; everything else here is a part of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.logger import Logger

from fengling_gateway.election.candidate import Candidate
from fengling_gateway.election.election import Election
from fengling_gateway.health.outcomes import Outcome, Unjudged
from fengling_gateway.health.seat import SEAT
from fengling_gateway.health.status import (
    counts_document,
    instant,
    outcome_document,
    unwatched_document,
    watched_document,
)
from fengling_gateway.health.table import Term
from fengling_gateway.health.verdicts import Report
from fengling_gateway.health.watched import LiveConfiguration, Prober, World, reported
from fengling_gateway.health.watching import Watch
from fengling_gateway.health.writing import DatabasePen, Writer
from fengling_gateway.model.entity import Key

_log = Logger()


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """
    What of the settings is used here; times in seconds.

    Attributes:
        dsn: where verdicts are written.
        session_dsn: of a direct connection, no pooler between: the one whose life is the term.
        name: of this console: the holder of the term, and the author of revisions.
        concurrency: probes under way at a time.
        shutdown: how long verdicts may still be written when it stops.
    """

    dsn: str
    session_dsn: str
    name: str
    connect_timeout: float = 5.0
    concurrency: int = 200
    shutdown: float = 5.0


class HealthService:
    """
    Every method is for the reactor's thread.

    Args:
        configuration: followed as it changes; see `live.KeyedConfiguration`.
        prober: makes probes; see `probing.Probing`.
        on_heartbeat: called each second in which this console probes, with its term and name.
    """

    def __init__(
        self,
        *,
        reactor: Any,
        rng: Random,
        settings: HealthSettings,
        configuration: LiveConfiguration,
        prober: Prober,
        on_heartbeat: Callable[[int, str], None],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._reactor = reactor
        self._wall = wall
        self._settings = settings
        self._configuration = configuration
        self._prober = prober
        self._on_heartbeat = on_heartbeat
        self._last_term: int | None = None
        # From `elected` to `term_lost`; there may be moments in which the term is not certain.
        self._is_watching = False
        self._elected_at: float | None = None
        self._unfollow: Callable[[], None] | None = None
        self._stopped = False
        self._pen = DatabasePen(
            reactor=reactor,
            dsn=settings.dsn,
            connect_timeout=settings.connect_timeout,
            author=settings.name,
        )
        self._writer = Writer(clock=reactor, pen=self._pen, rng=rng, term_over=self._term_over)
        self._election = Election(
            reactor=reactor,
            seat=SEAT,
            stand=lambda events: Candidate(
                settings.session_dsn,
                seat=SEAT,
                name=settings.name,
                connect_timeout=settings.connect_timeout,
                events=events,
                jitter=lambda: rng.uniform(0.5, 1.0),
            ),
            user=self,
        )
        self._watch = Watch(
            World(reactor, wall, rng),
            configuration=configuration,
            prober=prober,
            verdicts=self._writer,
            may_judge=lambda: self._election.term is not None,
            limit=settings.concurrency,
        )

    def __repr__(self) -> str:
        return f"<HealthService {self._settings.name}, {self._election}>"

    @property
    def is_mine(self) -> bool:
        """Whether this console probes now."""
        return self._election.term is not None

    def start(self) -> None:
        self._watch.targets.follow(self._configuration.bodies)
        self._unfollow = self._configuration.when_changed(self._changed)
        self._pen.start()
        self._election.start()

    def stop(self) -> Deferred[None]:
        """Stop probing, write what there is to write, and let another console probe."""
        if self._stopped or self._unfollow is None:
            self._stopped = True
            return succeed(None)
        self._stopped = True
        self._unfollow()
        self._watch.end()
        return self._when_written().addCallback(lambda _: self._end())

    def _when_written(self) -> Deferred[None]:
        """Return what fires when all verdicts are written, or `shutdown` is over."""
        written: Deferred[None] = Deferred()

        def fire(_: object = None) -> None:
            if not written.called:
                written.callback(None)

        late = self._reactor.callLater(self._settings.shutdown, fire)
        self._writer.when_idle().addCallback(fire)
        return written.addCallback(lambda _: late.cancel() if late.active() else None)

    def _end(self) -> Deferred[None]:
        self._writer.pause()
        ended = DeferredList([self._election.stop(), self._pen.stop()])
        return ended.addCallback(lambda _: None)

    # What the election tells

    def elected(self, term: Term) -> None:
        if self._stopped:
            return
        goes_on = self._last_term is not None and term.number == self._last_term + 1
        if not goes_on:
            self._writer.clear()
        self._last_term = term.number
        self._elected_at = self._wall()
        self._is_watching = True
        try:
            self._watch.begin(term, goes_on=goes_on)
        except Exception:  # then rather let somebody else
            _log.failure("beginning to probe", log_id="health.not_begun")
            self._election.resign("a defect of ours, while beginning to probe")
            return
        self._writer.begin(term.number)

    def beaten(self, term: int, note: int) -> None:
        self._on_heartbeat(term, self._settings.name)

    def term_lost(self, reason: str) -> None:
        self._is_watching = False
        self._writer.pause()
        self._watch.end()

    def _term_over(self, reason: str) -> None:
        self._election.resign(reason)

    def _changed(self, keys: Collection[Key] | None) -> None:
        try:
            if self._is_watching:
                self._watch.follow(keys)
            else:
                # Who is elected compares anyway; until then this is for status.
                self._watch.targets.follow(self._configuration.bodies, keys)
        except Exception:  # whoever else follows the configuration must be told, too
            _log.failure("following the configuration", log_id="health.not_followed")
            self._election.resign("a defect of ours, while following the configuration")

    # What others tell

    def evidence_received(self, node: str, instances: Mapping[str, Mapping[str, Any]]) -> None:
        """
        Count what a node's requests have shown of instances since it told last.

        Who does not probe has no use for it. How old it may be, and how much of it may come at
        once, is for the bus to say (`fengling_gateway.syncbus.messages`).
        """
        if not self.is_mine:
            return
        self._watch.hear(
            node,
            {
                name: Report(
                    failures=seen["failures"],
                    successes=seen["successes"],
                    error=seen.get("error"),
                    is_ejected=seen.get("ejected_for") is not None,
                )
                for name, seen in instances.items()
            },
        )

    def probe_now(self, instance_id: str) -> Deferred[dict[str, Any]]:
        """
        Probe an instance, and return what that came to.

        It counts if this console is the one that probes; another one only looks.
        """
        asked: Deferred[Outcome]
        counts = self.is_mine
        target = self._watch.targets.by_id.get(instance_id)
        if target is None:
            counts, asked = False, succeed(Unjudged(self._why_not(instance_id)))
        elif counts:
            asked = self._watch.probe_now(instance_id)
        else:
            asked = Deferred()
            self._prober.new(target, asked.callback).start()
        return asked.addCallback(lambda found: {**outcome_document(found), "counts": counts})

    # What it tells

    def status(self) -> dict[str, Any]:
        """Return who probes, how often what happened, and what is known of every instance."""
        targets = self._watch.targets
        names = sorted({*targets.by_id, *targets.idle})
        return {
            "prober": self.prober_status(),
            "counts": self.counts(),
            "instances": {name: self.instance_status(name) for name in names},
        }

    def prober_status(self) -> dict[str, Any]:
        """Return who probes, as far as this console knows."""
        election = self._election
        if self.is_mine:
            holder: dict[str, Any] = {
                "term": election.term,
                "holder": self._settings.name,
                "since": instant(self._elected_at),
                "heartbeat_age_s": 0.0,
            }
        elif election.holder is not None:
            seen = election.holder
            since = None if seen.age is None else self._wall() - seen.age
            beat = None if seen.heartbeat_age is None else round(seen.heartbeat_age, 1)
            holder = {
                "term": seen.term,
                "holder": seen.name,
                "since": instant(since),
                "heartbeat_age_s": beat,
            }
        else:
            holder = {"term": None, "holder": None, "since": None, "heartbeat_age_s": None}
        problem = election.problem or self._writer.problem
        return {**holder, "is_mine": self.is_mine, "problem": problem}

    def counts(self) -> dict[str, int]:
        return counts_document(
            {f"probes_{name}": count for name, count in asdict(self._watch.counts).items()},
            {f"verdicts_{name}": count for name, count in asdict(self._writer.counts).items()},
            {"verdicts_waiting": len(self._writer), "instances": len(self._watch.targets.by_id)},
        )

    def instance_status(self, instance_id: str) -> dict[str, Any] | None:
        """Return what is known of an instance; None if its service has no health check."""
        watch = self._watch
        if self.is_mine and instance_id in watch.watched:
            return watched_document(
                watch.watched[instance_id], watch.next_probe(instance_id), self._reactor.seconds()
            )
        target = watch.targets.by_id.get(instance_id)
        idle = watch.targets.idle.get(instance_id)
        if target is None and idle is None:
            return None
        service_id = target.service_id if target is not None else idle.service_id  # type: ignore[union-attr]
        known = reported(self._configuration.bodies, instance_id)
        return unwatched_document(service_id, known, self._why_not(instance_id))

    def _why_not(self, instance_id: str) -> str:
        idle = self._watch.targets.idle.get(instance_id)
        if idle is not None:
            return idle.why
        if instance_id in self._watch.targets.by_id:
            return "another console probes" if self._election.holder else "this console can't probe"
        return "its service has no health check"
