"""
Watching instances: what whoever probes does during its term.

What is known of an instance goes by its id, and survives changes of the
configuration; at another address it is another instance, of which nothing is known.
What others write into ``instance_health`` meanwhile is taken over, and probes go on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from fengling_gateway.health.outcomes import Failed, Outcome, Passed, Unjudged
from fengling_gateway.health.table import Known, Term
from fengling_gateway.health.targets import Changed, Target, Targets
from fengling_gateway.health.turns import Turns
from fengling_gateway.health.verdicts import UNKNOWN, Report, Standing, hold_of
from fengling_gateway.health.watched import (
    LiveConfiguration,
    Prober,
    Resting,
    Verdicts,
    WatchCounts,
    Watched,
    World,
    reported,
)
from fengling_gateway.health.writing import Finding
from fengling_gateway.model.entity import Key

_log = Logger()

IDLE_AFTER_SECONDS: Final = 60.0
"""An instance of which gateways have told nothing for so long has no traffic."""

ECHO_SECONDS: Final = 5.0
"""What we wrote so shortly ago may not have come back yet."""

_PROBED_KINDS: Final = ("service", "instance")
_ADDRESS: Final = "its address has changed"
_NO_CHECK: Final = "its service has no health check any more"


class Watch:
    """
    Args:
        may_judge: whether what is found out still counts.
        limit: probes under way at a time.

    Attributes:
        targets: whoever follows the configuration keeps them as they are to be.
        watched: by the ids of instances.
    """

    def __init__(
        self,
        world: World,
        *,
        configuration: LiveConfiguration,
        prober: Prober,
        verdicts: Verdicts,
        may_judge: Callable[[], bool],
        limit: int,
    ) -> None:
        self._world = world
        self._clock = world.clock
        self._configuration = configuration
        self._prober = prober
        self._verdicts = verdicts
        self._may_judge = may_judge
        self._turns = Turns(clock=world.clock, rng=world.rng, limit=limit, begin=self._begin)
        self._resting: dict[str, Resting] = {}
        # What the table said of instances that were none to be probed when the term began: of
        # those in maintenance, and of all before the configuration has been read.
        self._unmet: dict[str, tuple[Known, list[float]]] = {}
        self.targets = Targets()
        self.watched: dict[str, Watched] = {}
        self.counts = WatchCounts()

    def __repr__(self) -> str:
        return f"<Watch of {len(self.watched)}>"

    # A term

    def begin(self, term: Term, *, goes_on: bool) -> None:
        """
        Probe, from what is in the table on.

        Args:
            goes_on: whether nobody else has probed since the last term, so that what was
                counted in it still counts.
        """
        before = self.watched if goes_on else {}
        self.watched = {}
        if not goes_on:
            self._resting.clear()
        self.targets.follow(self._configuration.bodies)
        known = {row.instance_id: row for row in term.known}
        now = self._clock.seconds()
        falls: dict[str, list[float]] = {}
        for fall in term.falls:
            falls.setdefault(fall.instance_id, []).append(now - fall.age)
        for name, target in self.targets.by_id.items():
            old = before.get(name)
            if old is not None and old.target.address == target.address:
                self._go_on(target, old, known.get(name))
            else:
                self._take_up(target, known.get(name), falls.get(name, ()))
        self._unmet = {
            name: (row, falls.get(name, []))
            for name, row in known.items()
            if name not in self.watched
        }
        self._forget_unchecked(list(self._unmet))
        self._turns.clear()
        self._turns.add(self.targets.by_id.values())

    def end(self) -> None:
        """Probe nothing any more, at once. What is known stays, in case the next term is ours."""
        self._turns.clear()
        for one in self.watched.values():
            one.stop(Unjudged("this console does not probe any more"))

    def _go_on(self, target: Target, old: Watched, row: Known | None) -> None:
        health, reason = (UNKNOWN, None) if row is None else (row.health, row.reason)
        if target.id not in self._verdicts and health != old.standing.health:
            old.standing.adopt(health, reason)
            old.since = None if row is None else self._world.wall() - row.age
        self._watch(target, old.standing, old.since)

    def _take_up(self, target: Target, row: Known | None, falls: Iterable[float]) -> None:
        standing = Standing()
        if row is None:
            self._watch(target, standing, None)
        elif row.address in (None, target.address):
            standing.adopt(row.health, row.reason)
            standing.falls.extend(falls)
            if standing.falls:
                last = standing.falls[-1]
                standing.held_until = last + hold_of(standing.falls, last)
            self._watch(target, standing, self._world.wall() - row.age)
        else:
            self._watch(target, standing, self._world.wall())
            if row.health != UNKNOWN:
                self._say(target.id, UNKNOWN, _ADDRESS, target.address)

    def _forget_unchecked(self, names: Iterable[str]) -> None:
        """Take back what a prober has said of instances that are not to be probed any more."""
        instances = self._configuration.bodies["instance"]
        for name in names:
            unmet = self._unmet.get(name)
            if unmet is None or name in self.targets.idle or instances.get(name) is None:
                continue
            row, _ = self._unmet.pop(name)
            if row.term is not None:
                self._say(name, None, _NO_CHECK, row.address or "")

    def _watch(self, target: Target, standing: Standing, since: float | None) -> Watched:
        now = self._clock.seconds()
        # What the table said may be on its way through the configuration yet.
        watched = Watched(target, standing, since, now, ours_until=now + ECHO_SECONDS)
        self.watched[target.id] = watched
        return watched

    # Changes of the configuration

    def follow(self, keys: Collection[Key] | None) -> None:
        """Take over what has changed; `keys`: what may be another, None for all."""
        changed = self.targets.follow(self._configuration.bodies, keys)
        self._follow(changed)
        if keys is None or any(key.kind in _PROBED_KINDS for key in keys):
            self._forget_resting()
            self._forget_unchecked(list(self._unmet))
        heard = list(self.watched) if keys is None else _ids(keys, "instance_health")
        for name in heard:
            watched = self.watched.get(name)
            if watched is not None:
                watched.is_doubted = True
                self._adopt(watched)

    def _follow(self, changed: Changed) -> None:
        for name in changed.gone:
            self._leave(name)
        for name in changed.other:
            self._retarget(self.watched[name], self.targets.by_id[name])
        for name in changed.new:
            self._meet(self.targets.by_id[name])
        self._turns.add(self.targets.by_id[name] for name in changed.new)

    def _leave(self, name: str) -> None:
        watched = self.watched.pop(name)
        watched.stop(Unjudged("it is not probed any more"))
        self._turns.remove(name)
        address = watched.target.address
        self._prober.release(watched.target)
        if name in self.targets.idle:
            self._resting[name] = Resting(address, watched.standing, watched.since)
        elif self._configuration.bodies["instance"].get(name) is not None:
            self._say(name, None, _NO_CHECK, address)

    def _retarget(self, watched: Watched, target: Target) -> None:
        before, watched.target = watched.target, target
        if before.address == target.address:
            self._turns.no_later_than(target.id, target.check.interval)
            return
        watched.stop(Unjudged(_ADDRESS))
        self._prober.release(before)
        watched.outcome = watched.seen_at = watched.report = None
        self._begin_anew(watched)
        self._turns.remove(target.id)
        self._turns.add([target])

    def _begin_anew(self, watched: Watched) -> None:
        """Know nothing of an instance any more: it is another, at another address."""
        if watched.standing.health != UNKNOWN:
            watched.since = self._world.wall()
            watched.ours_until = self._clock.seconds() + ECHO_SECONDS
            self._say(watched.target.id, UNKNOWN, _ADDRESS, watched.target.address)
        watched.standing = Standing()

    def _meet(self, target: Target) -> None:
        rested = self._resting.pop(target.id, None)
        unmet = self._unmet.pop(target.id, None)
        if unmet is not None:
            self._take_up(target, *unmet)
            return
        if rested is None:
            health, reason = reported(self._configuration.bodies, target.id)
            self._watch(target, Standing(health, reason), None)
            return
        watched = self._watch(target, rested.standing, rested.since)
        if rested.address != target.address:
            self._begin_anew(watched)

    def _forget_resting(self) -> None:
        """Forget instances that rest no more, but are gone, or are not to be probed at all."""
        for name in [one for one in self._resting if one not in self.targets.idle]:
            rested = self._resting.pop(name)
            if self._configuration.bodies["instance"].get(name) is not None:
                self._say(name, None, _NO_CHECK, rested.address)

    def _adopt(self, watched: Watched) -> None:
        """Take over what somebody else has written, unless it may be our own word of a moment ago."""
        now = self._clock.seconds()
        if watched.target.id in self._verdicts:
            watched.ours_until = now + ECHO_SECONDS
        health, reason = reported(self._configuration.bodies, watched.target.id)
        if health == watched.standing.health:
            watched.is_doubted = False
        elif now >= watched.ours_until:
            watched.is_doubted = False
            watched.standing.adopt(health, reason)
            watched.since = self._world.wall()
            self.counts.adopted += 1

    # What is seen

    def _ended(self, name: str, outcome: Outcome) -> None:
        if not self._may_judge():
            # The term may yet go on, and with it the turns.
            outcome = Unjudged("whether this console still probes is not certain")
        watched = self.watched[name]
        watched.probe = None
        watched.outcome, watched.seen_at = outcome, self._world.wall()
        try:
            if watched.is_doubted:
                self._adopt(watched)
            self._judge(watched, outcome)
            watched.tell(outcome)
        finally:  # or this instance would not be probed again
            check = watched.target.check
            is_idle = self._clock.seconds() - watched.heard_at > IDLE_AFTER_SECONDS
            self._turns.ended(name, check.pause(watched.standing, is_idle), check.jitter)

    def _judge(self, watched: Watched, outcome: Outcome) -> None:
        thresholds = watched.target.check.thresholds
        now = self._clock.seconds()
        if isinstance(outcome, Passed):
            self.counts.passed += 1
            flip = watched.standing.passed(thresholds, now)
        elif isinstance(outcome, Failed):
            self.counts.failed += 1
            flip = watched.standing.failed(thresholds, now, outcome.why)
        else:
            self.counts.unjudged += 1
            return
        if flip is not None:
            self.counts.flips += 1
            watched.since = self._world.wall()
            watched.ours_until = now + ECHO_SECONDS
            self._say(watched.target.id, flip.health, flip.reason, watched.target.address)

    def hear(self, node: str, reports: Mapping[str, Report]) -> None:
        """Count what the requests of a node have shown; instances that are not probed are ignored."""
        now = self._clock.seconds()
        for name, report in reports.items():
            watched = self.watched.get(name)
            if watched is None:
                self.counts.reports_ignored += 1
                continue
            self.counts.reports += 1
            watched.heard_at = now
            watched.report = node, report
            check = watched.target.check
            if watched.standing.reported_by(report, check.thresholds):
                self._turns.hasten(name)
            else:
                self._turns.no_later_than(name, check.pause(watched.standing, is_idle=False))

    def probe_now(self, name: str) -> Deferred[Outcome]:
        """
        Probe an instance at once, and count it; fires with the outcome.

        Raises:
            KeyError: it is not probed.
        """
        asked: Deferred[Outcome] = Deferred()
        self.watched[name].asked.append(asked)
        self._turns.hasten(name)
        return asked

    def next_probe(self, name: str) -> float | None:
        """Return in how many seconds an instance is probed; None while it is."""
        return self._turns.next_probe(name)

    def _say(self, name: str, health: str | None, reason: str, address: str) -> None:
        self._verdicts.put(Finding(name, health, reason, address, self._clock.seconds()))

    def _begin(self, name: str) -> None:
        watched = self.watched[name]
        watched.probe = self._prober.new(watched.target, partial(self._ended, name))
        try:
            watched.probe.start()
        except Exception as error:  # one instance that surprises us must not stop all the others
            _log.failure("probing {instance}", instance=name, log_id="health.probe_failed")
            self._ended(name, Unjudged(f"a defect of ours: {type(error).__name__}"))


def _ids(keys: Iterable[Key], kind: str) -> list[str]:
    return [key.id for key in keys if key.kind == kind]
