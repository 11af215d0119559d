"""Whatever a cluster loses and gets back: what is served goes only when that is what is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.editing.transaction import BusyError, ConflictError, UncertainError
from fengling_gateway.election.seat import TermOverError
from fengling_gateway.kubernetes import writer as writer_module
from fengling_gateway.kubernetes.removing import TooManyGoError
from fengling_gateway.kubernetes.wants import Want, Wants
from fengling_gateway.kubernetes.writer import AGAIN_SECONDS, BATCH_SECONDS, Writer
from fengling_gateway.kubernetes.writing import RefusedError, Written
from fengling_gateway.model.entity import Key
from fengling_gateway.model.hold import DEFAULT_MAX_REMOVED_SHARE, removes_too_much
from tests.kubernetes.model_database import Burst, ModelDatabase, rows_of

SETTLED_SECONDS: Final = 6 * AGAIN_SECONDS
WRITES_AT_ONCE: Final = 60
"""Where one of some is refused, it is found by halves, without a pause."""

NAMES = st.sampled_from("abcdef")
SHAPES = st.lists(st.integers(0, 2), max_size=2).map(tuple)
ERRORS = st.sampled_from((BusyError("others write"), ConflictError(()), UncertainError("gone")))
EXPECTED = (
    TermOverError,
    BusyError,
    ConflictError,
    UncertainError,
    RefusedError,
    TooManyGoError,
)
STEPS = st.one_of(
    st.tuples(st.just("apply"), NAMES, SHAPES),
    st.tuples(st.just("apply_all"), SHAPES),
    st.tuples(st.just("delete"), st.sets(NAMES, min_size=1)),
    st.tuples(st.just("delete"), st.sets(NAMES, min_size=4)),
    st.tuples(st.just("confirm")),
    st.tuples(st.just("reject"), NAMES),
    st.tuples(st.just("admit"), NAMES),
    st.tuples(st.just("touch"), NAMES, st.sampled_from(("disable", "delete"))),
    st.tuples(st.just("add_own")),
    st.tuples(st.just("refuse"), NAMES),
    st.tuples(st.just("fail"), ERRORS),
    st.tuples(st.just("break_off")),
    st.tuples(st.just("begin_term")),
)
PAUSES = st.sampled_from((0.0, 0.0, 0.05, 0.5, 3.0, 11.0))


class Play:
    """What happens, step by step."""

    def __init__(self, seed: int) -> None:
        self.clock = Clock()
        self.rng = Random(seed)
        self.database = ModelDatabase()
        self.cluster: dict[str, tuple[int, ...]] = {}
        self.rejected: set[str] = set()
        # Routes that somebody has let go, and that are not gone.
        self.let_go: set[str] = set()
        self.failing: list[Exception] = []
        self.is_breaking = False
        self.burst = Burst()
        self.writes = self.term = 0
        self.writer = Writer(
            clock=self.clock,
            rng=self.rng,
            write=self._write,
            told=lambda *_: None,
            term_over=lambda _: None,
        )
        self.begin_term()

    # What happens

    def apply(self, app: str, shape: tuple[int, ...]) -> None:
        self._want(app, shape)
        self.cluster[app] = shape
        self.let_go.discard(app)

    def apply_all(self, shape: tuple[int, ...]) -> None:
        for app in "abcdef":
            self.apply(app, shape)

    def delete(self, apps: Iterable[str]) -> None:
        for app in sorted(apps & self.cluster.keys()):
            self._want(app, None)
            del self.cluster[app]

    def confirm(self) -> None:
        asked = self.writer.awaited.removal
        removal = asked and self.writer.awaited.confirm(asked.id)
        if removal is not None:
            self.wants.confirm(removal.routes)
            self.let_go.update(removal.routes)
            self.burst = Burst()

    def reject(self, app: str) -> None:
        self.wants.withdraw(app)
        self._want(app, None)
        self.rejected.add(app)

    def admit(self, app: str) -> None:
        self.wants.admit(app)
        self.rejected.discard(app)
        self._want(app, self.cluster.get(app))

    def touch(self, app: str, how: str) -> None:
        """Somebody disables or deletes a route."""
        route = Key("route", app)
        if route in self.database.rows:
            getattr(self.database, how)(route)
            self.wants.look_at(route, app)

    def add_own(self) -> None:
        self.database.own_routes += 1

    def refuse(self, app: str) -> None:
        self.database.refusing.add(Key("route", app))

    def fail(self, error: Exception) -> None:
        self.failing.append(error)

    def break_off(self) -> None:
        """The connection breaks during a COMMIT that succeeds."""
        self.is_breaking = True

    def begin_term(self) -> None:
        """Another console takes over, once it has listed all; it knows what has gone lately."""
        lost = max(self.writer.lately, self.burst.fewer(self.clock.seconds()))
        self.writer.end()
        self.term += 1
        self.let_go.clear()
        self.wants = Wants(self.writer.wake)
        for app in self.rejected:
            self.wants.withdraw(app)
        for app, shape in self.cluster.items():
            self._want(app, shape)
        for key, look in self.database.said.items():
            if key not in self.wants.rows:
                self.wants.look_at(key, look.origin, look.was)
        self.writer.remember(lost)
        self.writer.begin(self.term, self.wants)

    def advance(self, seconds: float) -> None:
        self.writes = 0
        self.clock.pump([seconds / 100] * 100)
        assert self.writes <= WRITES_AT_ONCE + 2 * seconds / BATCH_SECONDS, "it never pauses"

    # Inside

    def _want(self, app: str, shape: tuple[int, ...] | None) -> None:
        before = rows_of(app, self.cluster[app]) if app in self.cluster else {}
        after = {} if shape is None or app in self.rejected else rows_of(app, shape)
        for key, row in after.items():
            self.wants.put(key, row, app)
        for key in before.keys() - after.keys():
            self.wants.put(key, None, app)

    def _write(self, term: int, batch: Mapping[Key, Want]) -> Deferred[Written]:
        self.writes += 1
        assert self.writes < 10 * WRITES_AT_ONCE, "it never pauses"
        done: Deferred[Written] = Deferred()
        wanted = set(self.wants.rows)
        self._soon(self._judge, term, batch, wanted, done)
        return done

    def _judge(self, term: int, batch: Mapping[Key, Want], *rest: Any) -> None:
        going = self.wants.going(batch)._replace(lately=self.writer.lately)
        there = {one for one in going.confirmed if Key("route", one) in self.database.rows}
        assert there <= self.let_go | self.rejected, "nobody has let them go"
        self._soon(self._commit, term, batch, going, *rest)

    def _commit(
        self, term: int, batch: Mapping[Key, Want], going: Any, wanted: set[Key], done: Any
    ) -> None:
        before = dict(self.database.rows)
        try:
            if term != self.term:
                raise TermOverError("it is over")
            if self.failing:
                raise self.failing.pop()
            written, loss = self.database.write(batch, going)
        except EXPECTED as error:
            done.errback(error)
            return
        gone = {key: row for key, row in before.items() if key not in self.database.rows}
        self.let_go -= {key.id for key in gone if key.kind == "route"}
        assert not gone.keys() & wanted, "what is wanted stays"
        assert not self.database.lacking(gone, wanted), "what is kept is served as it was"
        self.burst.add(self.clock.seconds(), loss, self.database.routes)
        if self.is_breaking:
            self.is_breaking = False
            self._soon(done.errback, UncertainError("the connection broke"))
        else:
            self._soon(done.callback, written)

    def _soon(self, call: Callable[..., Any], *about: Any) -> None:
        self.clock.callLater(self.rng.choice((0, 0.01, 0.2)), call, *about)


class WriterModelTests(SynchronousTestCase):
    """`Writer`, `Wants` and `Awaited`, by what becomes of the database"""

    def tearDown(self) -> None:
        self.assertEqual(self.flushLoggedErrors(), [])

    @settings(max_examples=300)
    @given(
        st.integers(),
        st.sampled_from((2, 5, 1000)),
        st.lists(st.tuples(STEPS, PAUSES), max_size=25),
    )
    def test_all_is_as_wanted_but_for_what_is_asked_of(
        self, seed: int, most: int, steps: list[Any]
    ) -> None:
        """And what somebody has confirmed is gone; all else is written meanwhile."""
        self.patch(writer_module, "MAX_BATCH", most)
        play = Play(seed)
        play.apply_all((1,))
        play.advance(3.0)
        for (name, *how), pause in steps:
            getattr(play, name)(*how)
            play.advance(pause)
        play.failing.clear()
        play.is_breaking = False
        play.database.refusing.clear()
        play.advance(SETTLED_SECONDS)
        play.apply("z", (1,))
        play.advance(3.0)
        self.assertIn(Key("instance", "z0_0"), play.database.rows)
        self.settle(play)
        play.confirm()
        self.settle(play)
        self.assertFalse(play.wants.withheld)
        play.writer.end()

    def settle(self, play: Play) -> None:
        """All is written, but for what is kept: that is asked of, by an id that stays."""
        play.advance(SETTLED_SECONDS)
        while not play.writer.is_idle:
            play.advance(0.05)
        wanted = {key: want.row for key, want in play.wants.rows.items()}
        there = {
            key: row for key, row in play.database.rows.items() if key not in play.wants.withheld
        }
        self.assertEqual(there, wanted)
        self.assertFalse(play.database.spare(wanted))
        removal = play.writer.awaited.removal
        kept = [] if removal is None else list(removal.routes)
        self.assertEqual(kept, sorted(key.id for key in play.wants.withheld.routes))
        self.assertFalse(play.rejected.intersection(kept))
        if kept:
            before, after = (
                play.database.routes + play.writer.lately,
                play.database.routes - len(kept),
            )
            self.assertTrue(removes_too_much(before, after, DEFAULT_MAX_REMOVED_SHARE))
        play.advance(2.5 * AGAIN_SECONDS)
        self.assertEqual(play.writer.awaited.removal, removal)
