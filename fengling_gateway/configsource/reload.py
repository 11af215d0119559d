"""The reload loop: looks at the config source whenever there is a reason to.

Reasons are notifications, announcements, requests and a jittered poll beneath
them all; none of them carries configuration. What arrives while a look runs is
answered by one more look. A look reads, judges in slices that leave the
reactor free, and ends with one delta.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from fengling_gateway.configsource.judging import judge
from fengling_gateway.configsource.looking import Looking, LookUser
from fengling_gateway.configsource.reading import ConfigSource, Held, Reading
from fengling_gateway.control.heap import Heap
from fengling_gateway.model.delta import Delta, Position
from fengling_gateway.model.effective import EffectiveConfig, Stage, StagedResult
from fengling_gateway.model.entity import Key
from fengling_gateway.model.hold import must_be_held

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ReloadSettings:
    """When the loop looks by itself; all times in seconds."""

    poll_interval: float = 5.0
    compare_interval: float = 600.0
    read_timeout: float = 60.0


class ReloadUser(LookUser, Protocol):
    """Who is told what the looks have found."""

    def delta_read(self, delta: Delta, reading: Reading, result: StagedResult) -> None:
        """Serve the delta; `result` says who was newly rejected and who recovered."""

    def held(self, held: Held | None) -> None:
        """What is held has changed."""


class ReloadLoop:
    """
    Keeps an effective configuration equal to its source.

    Attributes:
        config: what is served.
        position: where `config` is in the history of the source; None before
            anything is known.
        held: what the source holds back, or this host.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        source: ConfigSource,
        user: ReloadUser,
        settings: ReloadSettings,
        rng: random.Random,
    ) -> None:
        self._clock = clock
        self._source = source
        self.config = EffectiveConfig()
        self._user = user
        self._settings = settings
        self._looking = Looking(
            clock=clock,
            rng=rng,
            look=self._look,
            user=user,
            poll_interval=settings.poll_interval,
        )
        self.position: Position | None = None
        self.held: Held | None = None
        self._known = False
        self._judging = False
        self._heap = Heap()
        self._held_target: Position | None = None
        self._confirmed: Position | None = None
        self._compare_due = 0.0

    @property
    def is_judged(self) -> bool:
        """Whether `config` has been judged from the source, not only restored."""
        return self._known

    @property
    def looks(self) -> int:
        """How many looks have begun."""
        return self._looking.count

    @property
    def asked(self) -> dict[str, int]:
        """How often somebody has asked for a look, by the reason."""
        return self._looking.asked

    @property
    def last_reason(self) -> str:
        """That of the newest look."""
        return self._looking.last_reason

    @property
    def look_began_at(self) -> float:
        """When the newest look began, by the clock."""
        return self._looking.began_at

    def start(self) -> None:
        """Look at once, and from now on at least once in every poll interval."""
        self._compare_due = self._clock.seconds() + self._settings.compare_interval
        self._looking.start()

    def stop(self) -> None:
        """Stop looking; a look under way is abandoned before it changes anything."""
        self._looking.stop()

    def look(self, reason: str) -> Deferred[None]:
        """Look now, or once more; see `Looking.request`."""
        return self._looking.request(reason)

    @property
    def held_position(self) -> Position | None:
        """What this host holds for itself, which `confirm_here` releases."""
        return self._held_target

    def confirm_here(self, position: Position) -> bool:
        """
        Release what this host holds for itself; False where it does not hold this position.

        That is a source that has been replaced; revisions held by the database
        are confirmed there. A number alone would not do: that of one epoch may
        be held in another. An empty token is that of any such number.
        """
        target = self._held_target
        if target is None or position not in (target, target._replace(token="")):
            return False
        self._confirmed = target
        self.look("confirmed")
        return True

    def restore(self, position: Position, bodies: dict[Key, bytes]) -> bool:
        """
        Begin from the last-known-good file; False where the source was faster.

        The next look finds out what has happened since.
        """
        if self._known or self._judging or self.position is not None:
            return False
        self.config.restore(bodies)
        self.position = position
        return True

    # One look

    async def _look(self, reason: str) -> None:
        if not self._known and self.position is None:
            reading = await self._in_time(self._source.read(None))
            if self.position is not None:  # restored from the file meanwhile
                await self._look(reason)
                return
        elif not self._known:
            reading = await self._in_time(self._source.read(self.position))
            if reading.before is not None:
                # Our file is of this database's past: nothing is replaced. But which
                # entities are rejected only a full reading tells.
                reading = await self._in_time(self._source.read_all())
                await self._serve(reading, replaced=False)
                return
        elif self._clock.seconds() >= self._compare_due and await self._compare():
            return
        else:
            reading = await self._in_time(self._source.read(self.position))
        known = reading.before is not None or reading.continues
        replaced = self.position is not None and not known
        await self._serve(reading, replaced=replaced)

    async def _compare(self) -> bool:
        """
        Serve what no revision tells of; False where the source has moved on meanwhile.

        What is held stays due, so that every look finds it until it is confirmed
        or gone.
        """
        reading = await self._in_time(self._source.read_all())
        interval = self._settings.compare_interval
        if reading.target != self.position:
            self._compare_due = self._clock.seconds() + interval / 10
            return False
        # The source has not judged it: there was no commit that it saw.
        await self._serve(reading, replaced=True)
        if self._held_target is None:
            self._compare_due = self._clock.seconds() + interval
        return True

    async def _serve(self, reading: Reading, *, replaced: bool) -> None:
        if self._known and not reading.rows and reading.before == reading.target == self.position:
            self._held_target = None
            self._hold(reading.held)
            return
        self._judging = True
        self._heap.load_began()
        try:
            await self._judge_and_commit(reading, replaced=replaced)
        finally:
            self._heap.load_ended(len(reading.rows))
            self._judging = False

    async def _judge_and_commit(self, reading: Reading, *, replaced: bool) -> None:
        stage = self.config.stage(reading.rows, full=reading.before is None)
        await judge(
            stage,
            history=lambda keys: self._in_time(self._source.history(keys, reading.target.revision)),
            clock=self._clock,
        )
        held = self._held_here(reading, stage) if replaced else None
        if held is not None:
            self._hold(held)
            return
        self._commit(reading, stage)

    def _commit(self, reading: Reading, stage: Stage) -> None:
        before = self.position
        result = stage.commit()
        unchanged = reading.target == before and not result.changes
        # (Of what comes unseen, the position is that of what was confirmed before.)
        self.position, self._known = reading.target, True
        self._held_target = self._confirmed = None
        self._hold(reading.held)
        if unchanged:
            return
        newest = [one for one in reading.revisions if one.revision <= reading.target.revision]
        delta = Delta(
            before=before,
            after=reading.target,
            hash_before=result.hash_before,
            hash_after=result.hash_after,
            changes=result.changes,
            committed_at=newest[-1].committed_at if newest else None,
        )
        self._user.delta_read(delta, reading, result)

    def _in_time(self, waiting: Deferred[_T]) -> Deferred[_T]:
        """Bound a wait on the source; beyond the source's own deadlines, a watchdog."""
        seconds = self._settings.read_timeout

        def say(value: _T | Failure, _timeout: float) -> _T | Failure:
            if isinstance(value, Failure) and value.check(CancelledError):
                raise TimeoutError(f"no answer within {seconds:g} s")
            return value

        return waiting.addTimeout(seconds, self._clock, say)

    # Holding

    def _held_here(self, reading: Reading, stage: Stage) -> Held | None:
        """
        Judge a source that has been replaced by another, set back, or changed unseen.

        The database judges its own revisions when they are committed; here is
        no revision to judge, only two configurations. The rule is the same, and so
        is what counts: rows that are enabled, those of rejected routes included.
        """
        before, after = self.config.tally, stage.tally
        if self._confirmed == reading.target or not must_be_held(before, after):
            return None
        self._held_target = reading.target
        return Held(
            reading.target.revision,
            before.enabled_routes,
            after.enabled_routes,
            unseen=reading.target == self.position,
        )

    def _hold(self, held: Held | None) -> None:
        if held != self.held:
            self.held = held
            self._user.held(held)
