"""
What gateways serve, as this console has it: read, judged and compiled by the same code.

So a change can be tried out before anybody writes it, and a request explained
without asking a gateway.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from fengling_gateway.balancing.upstream_networks import UpstreamNetworks
from fengling_gateway.configsource.judging import SLICE_SECONDS, judge
from fengling_gateway.configsource.reading import ConfigSource, Held, Reading, RevisionInfo
from fengling_gateway.configsource.reload import ReloadLoop, ReloadSettings
from fengling_gateway.console.settling import Settling
from fengling_gateway.model.delta import Change, Delta, Position
from fengling_gateway.model.effective import EffectiveConfig, Rejection, StagedResult
from fengling_gateway.model.entity import Key, add_hash, entity_hash, subtract_hash
from fengling_gateway.routing.explanation import explain
from fengling_gateway.routing.linter import Finding, lint_because_of, lint_route
from fengling_gateway.routing.snapshot import CompileContext, Snapshot

_log = Logger()

COMPILED_AT_ONCE: Final = 200
"""Objects in a slice: some 8 ms."""

LINT_SECONDS: Final = 0.5
"""How long to look for other routes that become odd: somebody is waiting."""

TRIAL_SECONDS: Final = 20.0
"""After which nothing is tried out anew, where the configuration has changed meanwhile."""

_LINTED: Final = ("setting", "tenant", "service", "route")
"""Kinds that have to do with which route is chosen."""


class UnsteadyError(Exception):
    """Something could not be tried out, because what it lies over has changed each time."""


class Applied(NamedTuple):
    """What has just become known: a position, what changed, and the revisions that did it."""

    position: Position
    changes: tuple[Change, ...]
    revisions: tuple[RevisionInfo, ...]
    newly_rejected: tuple[Key, ...]
    recovered: tuple[Key, ...]
    is_first: bool


@dataclass(frozen=True, slots=True)
class Trial:
    """
    What rows would become of, if they were written.

    Attributes:
        rejected: those of the rows that would be, and why.
        broken: others that would be because of them, and are not now.
        bodies: the configuration that would count then; to be read only.
        findings: what the linter says of routes among the rows.
    """

    rejected: Mapping[Key, Rejection]
    broken: Mapping[Key, Rejection]
    bodies: Mapping[Key, bytes]
    findings: tuple[Finding, ...]


class Mirror:
    """
    Keeps the effective configuration, and a snapshot compiled of it.

    Args:
        make_source: makes the source of the configuration, which is told whom to give hints.

    Attributes:
        networks: where gateways may connect to, as far as this host's settings say.
        snapshot: may be a moment behind `config`, while a large change is compiled.
        problem: why the source can't be read; empty while it can.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        make_source: Callable[[Callable[[str, dict[str, Any]], None]], ConfigSource],
        settings: ReloadSettings,
        rng: random.Random,
        networks: UpstreamNetworks,
    ) -> None:
        self._clock = clock
        self._source: Any = make_source(self._hint)
        self._loop = ReloadLoop(
            clock=clock, source=self._source, user=self, settings=settings, rng=rng
        )
        self._context = CompileContext(random.Random(0), networks)
        self.networks = networks
        self._uncompiled: deque[Delta] = deque()
        self._compiling = False
        self._compiles_to: int | None = 0
        self._told: list[Callable[[Applied], None]] = []
        self._stopped = False
        self._settling = Settling()
        self.snapshot = Snapshot.empty()
        self.problem = ""

    def __repr__(self) -> str:
        return f"<Mirror {self.position}>"

    @property
    def config(self) -> EffectiveConfig:
        return self._loop.config

    @property
    def position(self) -> Position | None:
        return self._loop.position

    @property
    def is_held(self) -> Held | None:
        """What is in the database and not served, because it removes too much."""
        return self._loop.held

    @property
    def is_judged(self) -> bool:
        """Whether the configuration is known at all."""
        return self._loop.is_judged

    @property
    def settled(self) -> Position | None:
        """What workers should serve by now, newer changes being on their way; None: nothing yet."""
        return self._settling.settled(self._clock.seconds())

    @property
    def listening(self) -> bool:
        return bool(self._source.state.listening)

    def start(self) -> None:
        self._source.start()
        self._loop.start()

    def stop(self) -> Deferred[None]:
        self._stopped = True
        self._loop.stop()
        stopped: Deferred[None] = self._source.stop()
        return stopped

    def on_change(self, told: Callable[[Applied], None]) -> None:
        """Have somebody told of each change, after it has been applied here."""
        self._told.append(told)

    def look(self, reason: str) -> Deferred[None]:
        """Look at the source now."""
        return self._loop.look(reason)

    def history(self, keys: list[Key]) -> Deferred[dict[Key, list[dict[str, Any]]]]:
        """Look up older versions of entities, newest first."""
        position = self.position
        if position is None:
            return succeed({})
        asked: Deferred[dict[Key, list[dict[str, Any]]]] = self._source.history(
            keys, position.revision
        )
        return asked

    def explain(self, request: Mapping[str, Any], now: float) -> dict[str, Any]:
        """Say which route a request would take, and why; see `routing.explanation`."""
        return explain(self.snapshot, request, now)

    async def try_out(self, rows: Mapping[Key, dict[str, Any] | None]) -> Trial:
        """
        Find out what would become of rows; None stands for one that is deleted.

        Nothing changes. What is known may be a moment old: who writes compares
        versions when he does.

        Raises:
            UnsteadyError: what is served changes faster than so much can be tried out.
        """
        until = self._clock.seconds() + TRIAL_SECONDS
        while True:
            base = self._base()
            stage = self.config.stage(rows.items(), full=False)
            await judge(stage, history=self.history, clock=self._clock)
            if base == self._base():  # else it lies over what is no longer there
                break
            if self._clock.seconds() > until:
                raise UnsteadyError("what is served changes all the time: try again")
        result = stage.result()
        rejected = {
            key: why
            for key, row in rows.items()
            if row is not None and (why := stage.rejection(key)) is not None
        }
        broken = {
            key: why
            for key in result.newly_rejected
            if key not in rows and (why := stage.rejection(key)) is not None
        }
        return Trial(
            rejected=rejected,
            broken=broken,
            bodies=_Overlay(dict(result.changes), self.config.bodies),
            findings=await self._lint(result.changes, rows),
        )

    def _base(self) -> tuple[Position | None, int]:
        """Say over what something is tried out; some changes make no revision."""
        return self.position, self.config.content_hash

    async def _lint(self, changes: Iterable[Change], rows: Iterable[Key]) -> tuple[Finding, ...]:
        """Say what is odd about routes, or would be about others because of them."""
        concerned = tuple(change for change in changes if change.key.kind in _LINTED)
        routes = {key.id for key in rows if key.kind == "route"}
        if not routes:
            return ()
        base = self.snapshot
        delta = Delta(
            before=base.position,
            after=Position("trial", 0, ""),
            hash_before=base.content_hash,
            hash_after=_hash_after(base, concerned),
            changes=concerned,
        )
        builder = base.applying(delta, CompileContext(random.Random(0), self.networks))
        builder.add(delta.changes)
        until = self._clock.seconds()
        while builder.step(COMPILED_AT_ONCE):
            if self._clock.seconds() - until > SLICE_SECONDS:
                await deferLater(self._clock, 0)
                until = self._clock.seconds()
        tried = builder.finish()
        written = [one for one in map(tried.routes.get, sorted(routes)) if one is not None]
        found: list[Finding] = []
        for route in written:
            found += lint_route(tried.routes, route)
            if self._clock.seconds() - until > SLICE_SECONDS:
                await deferLater(self._clock, 0)
                until = self._clock.seconds()
        began = until = self._clock.seconds()
        for finding in lint_because_of(tried.routes, written):
            if finding is not None:
                found.append(finding)
            # (Each time: because of ten thousand routes, one costs ten milliseconds.)
            if self._clock.seconds() - until > SLICE_SECONDS:
                await deferLater(self._clock, 0)
                until = self._clock.seconds()
                if until - began > LINT_SECONDS:
                    break
        return tuple(found)

    # What the reload loop says

    def delta_read(self, delta: Delta, reading: Reading, result: StagedResult) -> None:
        is_first = delta.before is None
        self._settling.changed(delta.after, self._clock.seconds())
        if not delta.is_full and delta.hash_before != self._compiles_to:
            delta = self._whole(delta.after)
        self._compiles_to = delta.hash_after
        self._uncompiled.append(delta)
        applied = Applied(
            delta.after,
            result.changes,
            tuple(reading.revisions),
            result.newly_rejected,
            result.recovered,
            is_first,
        )
        if not self._compiling:
            self._compiling = True
            Deferred.fromCoroutine(self._compile()).addErrback(self._compiling_failed)
        for told in self._told:
            try:
                told(applied)
            except Exception:  # (or it would seem that the configuration can't be read)
                _log.failure("whoever hears of changes failed", log_id="console.change_unheard")

    def held(self, held: Held | None) -> None:
        """Nothing to do: `is_held` is asked for."""

    def look_succeeded(self) -> None:
        if self.problem:
            _log.info("the configuration can be read again", log_id="console.source_back")
        self.problem = ""

    def look_failed(self, error: BaseException) -> None:
        problem = str(error) or type(error).__name__
        if problem != self.problem:
            _log.error(
                "the configuration can't be read: {problem}; what was known is shown on",
                problem=problem,
                log_id="console.source_lost",
            )
        self.problem = problem

    def _hint(self, reason: str, details: dict[str, Any]) -> None:
        if reason != "expected":  # (that is for whoever is to be told before it is read)
            self._loop.look(reason)

    def _whole(self, position: Position) -> Delta:
        """Return the way from nothing to what is served."""
        config = self.config
        changes = tuple(Change(key, body) for key, body in config.bodies.items())
        return Delta(None, position, 0, config.content_hash, changes)

    async def _compile(self) -> None:
        """Compile what has been read, a slice a turn."""
        try:
            while self._uncompiled and not self._stopped:
                delta = self._uncompiled.popleft()
                builder = self.snapshot.applying(delta, self._context)
                builder.add(delta.changes)
                while builder.step(COMPILED_AT_ONCE):
                    await deferLater(self._clock, 0)
                self.snapshot = builder.finish()
        finally:
            self._compiling = False

    def _compiling_failed(self, failure: Failure) -> None:
        """Show the old one on; the next change has everything compiled anew."""
        _log.failure(
            "the configuration can't be compiled here", failure, log_id="console.not_compiled"
        )
        self._uncompiled.clear()
        self._compiles_to = None


class _Overlay(Mapping[Key, bytes]):
    """Bodies with changes over them."""

    def __init__(self, changed: Mapping[Key, bytes | None], bodies: Mapping[Key, bytes]) -> None:
        self._changed = changed
        self._bodies = bodies

    def __getitem__(self, key: Key) -> bytes:
        body = self._changed[key] if key in self._changed else self._bodies[key]
        if body is None:
            raise KeyError(key)
        return body

    def __iter__(self) -> Iterator[Key]:
        yield from (key for key in self._bodies if key not in self._changed)
        yield from (key for key, body in self._changed.items() if body is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _hash_after(base: Snapshot, changes: Iterable[Change]) -> int:
    content_hash = base.content_hash
    for key, body in changes:
        before = base.bodies[key.kind].get(key.id)
        if before is not None:
            content_hash = subtract_hash(content_hash, entity_hash(key, before))
        if body is not None:
            content_hash = add_hash(content_hash, entity_hash(key, body))
    return content_hash
