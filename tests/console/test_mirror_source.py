"""A mirror of a source that answers as the test says: late, wrongly, or not at all."""

from __future__ import annotations

import random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.balancing.upstream_networks import UpstreamNetworks
from fengling_gateway.configsource.reading import Held, Row, SourceError
from fengling_gateway.configsource.reload import ReloadSettings
from fengling_gateway.console.mirror import (
    COMPILED_AT_ONCE,
    TRIAL_SECONDS,
    Applied,
    Mirror,
    Trial,
    UnsteadyError,
)
from fengling_gateway.console.settling import CHANGE_SECONDS
from fengling_gateway.model.entity import Key
from tests.configsource.test_reload import ScriptedSource, at, rejected, route

MANY = COMPILED_AT_ONCE + 50


class Source(ScriptedSource):
    """One that knows nothing of older versions, and says that at once unless it is to be late."""

    is_late = False

    def history(self, keys: list[Key], up_to: int) -> Deferred[Any]:
        answer = super().history(keys, up_to)
        if not self.is_late:
            answer.callback({})
        return answer

    @property
    def histories(self) -> list[Deferred[Any]]:
        """Those that are still asked for."""
        return [one for what, _, one in self.asked if what == "history" and not one.called]


def service(name: str) -> Row:
    return Row(Key("service", name), {"id": name})


def to_service(number: int, name: str) -> Row:
    key = route(number).key
    return Row(key, {"id": key.id, "path": f"/r{number}", "service_id": name})


def gone(row: Row) -> Row:
    return Row(row.key, None)


class BrokenOnce:
    """A snapshot that can't be compiled from, the first time."""

    def __init__(self, snapshot: Any) -> None:
        self._snapshot = snapshot
        self.asked = 0

    def applying(self, *args: Any) -> Any:
        self.asked += 1
        if self.asked == 1:
            raise ZeroDivisionError
        return self._snapshot.applying(*args)


class MirrorTests(SynchronousTestCase):
    compare_seconds = 600.0

    def setUp(self) -> None:
        self.clock = Clock()
        self.source: Any = Source()
        self.hints: list[Any] = []
        self.told: list[Applied] = []
        self.mirror = Mirror(
            clock=self.clock,
            make_source=self.make_source,
            settings=ReloadSettings(poll_interval=5, compare_interval=self.compare_seconds),
            rng=random.Random(0),
            networks=UpstreamNetworks(),
        )
        self.mirror.on_change(self.told.append)
        self.mirror.start()
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))
        self.addCleanup(self.mirror.stop)

    def make_source(self, hint: Any) -> Any:
        self.hints.append(hint)
        return self.source

    def serve(self, revision: int, *rows: Row, before: int | None = None) -> None:
        """Answer the look that is under way."""
        self.source.answer(at(revision), list(rows), before=None if before is None else at(before))

    def change(self, revision: int, *rows: Row) -> None:
        """Look, and answer that with what has changed."""
        position = self.mirror.position
        assert position is not None
        self.mirror.look("test")
        self.serve(revision, *rows, before=position.revision)

    def trying(self, *rows: Row) -> Deferred[Trial]:
        return Deferred.fromCoroutine(self.mirror.try_out(dict(rows)))

    def answer_histories(self) -> None:
        for one in self.source.histories:
            one.callback({})

    def served(self) -> list[str]:
        return sorted(self.mirror.snapshot.bodies["route"])


class KnowingTests(MirrorTests):
    def test_workers_have_their_time_for_what_is_read(self) -> None:
        """Until it has passed, only what was there before is what they should serve."""
        self.serve(1, route(1))
        self.assertIsNone(self.mirror.settled)
        self.clock.advance(CHANGE_SECONDS)
        self.change(2, route(2))
        self.assertEqual(self.mirror.settled, at(1))
        self.clock.advance(CHANGE_SECONDS)
        self.assertEqual(self.mirror.settled, at(2))

    def test_what_is_read_is_known_and_told(self) -> None:
        """First all of it, then what changes; with what is wrong with it."""
        self.assertFalse(self.mirror.is_judged)
        self.serve(1, route(1), rejected(2))
        self.assertTrue(self.mirror.is_judged)
        self.assertEqual(self.served(), ["r1"])
        self.change(2, route(2), gone(route(1)))
        self.assertEqual(self.served(), ["r2"])
        first, second = self.told
        self.assertEqual((first.position, first.is_first), (at(1), True))
        self.assertEqual(first.newly_rejected, (Key("route", "r2"),))
        self.assertEqual((second.position, second.is_first), (at(2), False))
        self.assertEqual(second.recovered, (Key("route", "r2"),))
        self.assertEqual({one.key.id for one in second.changes}, {"r1", "r2"})

    def test_fault_of_who_is_told_is_none_of_the_source(self) -> None:
        """It is logged; the others are told."""
        self.mirror.on_change(lambda _: 1 / 0)  # type: ignore[arg-type,return-value]
        late: list[Applied] = []
        self.mirror.on_change(late.append)
        self.serve(1, route(1))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual((len(late), self.mirror.problem), (1, ""))
        self.assertEqual(self.served(), ["r1"])

    def test_source_that_is_away_leaves_what_is_known(self) -> None:
        """And is a problem until it is back; that is logged once, not each time that is looked."""
        said: list[Any] = []
        globalLogPublisher.addObserver(said.append)
        self.addCleanup(globalLogPublisher.removeObserver, said.append)
        self.serve(1, route(1))
        for _ in range(3):
            self.mirror.look("test")
            self.source.asked[-1][2].errback(SourceError("no answer"))
        self.assertEqual((self.mirror.problem, self.served()), ("no answer", ["r1"]))
        self.assertTrue(self.mirror.is_judged)
        self.change(2, route(2))
        self.assertEqual((self.mirror.problem, self.served()), ("", ["r1", "r2"]))
        events = [one.get("log_id") for one in said]
        self.assertEqual(events.count("console.source_lost"), 1)
        self.assertEqual(events.count("console.source_back"), 1)

    def test_source_that_does_not_answer_is_given_up(self) -> None:
        """And asked again: a question without an end would keep everything as it is for ever."""
        self.clock.pump([10.0] * 8)
        self.assertIn("no answer", self.mirror.problem)
        self.serve(1, route(1))
        self.assertEqual(self.mirror.problem, "")

    def test_what_is_held_is_known_and_not_served(self) -> None:
        self.serve(1, route(1))
        held = Held(2, 1, 0)
        self.mirror.look("test")
        self.source.answer(at(1), [], before=at(1), held=held)
        self.assertEqual((self.mirror.is_held, self.served()), (held, ["r1"]))

    def test_hint_makes_it_look(self) -> None:
        """But for that there will be one."""
        self.serve(1)
        [hint] = self.hints
        asked = len(self.source.asked)
        hint("expected", {"position": at(2)})
        self.assertEqual(len(self.source.asked), asked)
        hint("notification", {})
        self.assertEqual(len(self.source.asked), asked + 1)

    def test_history_is_of_what_is_known(self) -> None:
        """Before that there is none."""
        self.assertEqual(self.successResultOf(self.mirror.history([Key("route", "r1")])), {})
        self.serve(1)
        self.mirror.history([Key("route", "r1")])
        self.assertEqual(self.source.asked[-1][:2], ("history", [Key("route", "r1")]))

    def test_who_waits_for_a_look_when_it_ends_waits_no_more(self) -> None:
        """Nor does anybody who asks for one then."""
        waiting = [self.mirror.look("test") for _ in range(2)]
        self.mirror.stop()
        for one in (*waiting, self.mirror.look("late")):
            self.successResultOf(one)
        self.assertFalse(self.mirror.is_judged)


class CompilingTests(MirrorTests):
    def test_large_change_is_compiled_while_others_are_served(self) -> None:
        """What was compiled before is shown until then; who is told reads the configuration."""
        self.serve(1, *map(route, range(MANY)))
        self.assertEqual((len(self.told), self.served()), (1, []))
        self.assertEqual(self.mirror.config.counts["route"], MANY)
        self.change(2, route(MANY))
        self.clock.pump([0.0] * 4)
        self.assertEqual(len(self.served()), MANY + 1)
        self.assertEqual(self.mirror.snapshot.content_hash, self.mirror.config.content_hash)

    def test_change_that_can_not_be_compiled_keeps_nothing_from_the_next(self) -> None:
        """Which has everything compiled anew; what was compiled before is shown until then."""
        self.serve(1, route(1))
        broken: Any = BrokenOnce(self.mirror.snapshot)
        self.mirror.snapshot = broken
        self.change(2, route(2))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIs(self.mirror.snapshot, broken)
        self.change(3, route(3))
        self.assertEqual(self.served(), ["r1", "r2", "r3"])
        self.assertEqual(self.mirror.snapshot.content_hash, self.mirror.config.content_hash)
        self.change(4, route(4))
        self.assertEqual(len(self.served()), 4)

    def test_nothing_more_is_compiled_when_it_ends(self) -> None:
        self.serve(1, *map(route, range(MANY)))
        self.change(2, route(MANY))
        self.mirror.stop()
        self.clock.pump([0.0] * 4)
        self.assertLess(len(self.served()), MANY + 1)


class TrialTests(MirrorTests):
    def test_what_is_tried_out_is_told_and_changes_nothing(self) -> None:
        """What would be rejected, what others would be, and what counts then."""
        self.serve(1, service("s"), service("t"), to_service(1, "s"), to_service(2, "t"))
        trial = self.successResultOf(
            self.trying(
                gone(service("s")),
                Row(Key("service", "t"), {"id": "t", "name": "T"}),
                to_service(3, "none"),
                gone(to_service(2, "t")),
            )
        )
        self.assertEqual(list(trial.rejected), [Key("route", "r3")])
        self.assertEqual(list(trial.broken), [Key("route", "r1")])
        self.assertEqual(list(trial.bodies), [Key("service", "t")])
        self.assertEqual(len(trial.bodies), 1)
        self.assertIn(b'"name":"T"', trial.bodies[Key("service", "t")])
        for name in ("r1", "r2", "r3"):
            self.assertNotIn(Key("route", name), trial.bodies)
        self.assertEqual(self.served(), ["r1", "r2"])
        self.assertEqual(self.mirror.config.rejected, {})

    def test_what_was_wrong_before_is_not_broken_by_it(self) -> None:
        self.serve(1, service("s"), rejected(1))
        trial = self.successResultOf(self.trying(to_service(2, "s")))
        self.assertEqual((trial.rejected, trial.broken), ({}, {}))

    def test_it_is_tried_out_over_what_is_there_in_the_end(self) -> None:
        """What changes while the history of something is looked up counts, too."""
        self.serve(1, service("s"))
        self.source.is_late = True
        trial = self.trying(to_service(1, "s"), rejected(2))
        self.change(2, gone(service("s")))
        self.answer_histories()
        self.assertNoResult(trial)
        while self.source.histories:
            self.answer_histories()
        found = self.successResultOf(trial).rejected
        self.assertEqual(sorted(key.id for key in found), ["r1", "r2"])

    def test_what_changes_for_too_long_is_given_up(self) -> None:
        self.serve(1, service("s"))
        self.source.is_late = True
        trial = self.trying(rejected(2))
        for revision in range(2, 100):
            if trial.called:
                break
            self.change(revision, route(100 + revision))
            self.clock.rightNow += TRIAL_SECONDS / 10
            self.answer_histories()
        self.failureResultOf(trial, UnsteadyError)

    def test_database_that_goes_in_the_middle_ends_it(self) -> None:
        """With what is wrong; what is known stays as it was."""
        self.serve(1, service("s"))
        self.source.is_late = True
        trial = self.trying(rejected(2))
        [history] = self.source.histories
        history.errback(SourceError("it broke"))
        self.failureResultOf(trial, SourceError)
        self.assertEqual(self.mirror.config.rejected, {})
        self.assertEqual(self.successResultOf(self.trying(to_service(1, "s"))).rejected, {})

    def test_several_are_tried_out_at_a_time(self) -> None:
        """Each over what is served, not over one another."""
        self.serve(1, service("s"))
        self.source.is_late = True
        waiting = [self.trying(rejected(number), to_service(9, "s")) for number in (1, 2)]
        histories = self.source.histories
        self.assertEqual(len(histories), 2)
        for one in reversed(histories):
            one.callback({})
        first, second = map(self.successResultOf, waiting)
        self.assertEqual(list(first.rejected), [Key("route", "r1")])
        self.assertEqual(list(second.rejected), [Key("route", "r2")])

    def test_what_is_odd_is_told_though_much_is_still_compiled(self) -> None:
        """Over what is compiled so far; it may say too little then, and nothing wrong."""
        self.serve(1, *map(route, range(MANY)))
        all_of_them = Row(
            Key("route", "all"), {"id": "all", "path": "/**", "respond": {"status": 200}}
        )
        before = self.successResultOf(self.trying(all_of_them))
        self.assertEqual(before.rejected, {})
        self.clock.pump([0.0] * 4)
        same = Row(Key("route", "same"), {"id": "same", "path": "/r1", "respond": {"status": 200}})
        after = self.successResultOf(self.trying(same))
        self.assertIn("r1", {one.other for one in after.findings})


class UnseenTests(MirrorTests):
    compare_seconds = TRIAL_SECONDS / 2

    def test_what_changes_without_a_revision_counts_too(self) -> None:
        """As where a table was written to past its triggers: the position is the same then."""
        self.serve(1, service("s"))
        self.source.is_late = True
        trial = self.trying(to_service(1, "s"), rejected(2))
        self.clock.advance(self.compare_seconds)
        self.assertEqual(self.source.asked[-1][0], "read_all")
        self.serve(1, service("t"))
        self.assertEqual((self.mirror.position, self.mirror.config.counts["service"]), (at(1), 1))
        self.answer_histories()
        self.assertNoResult(trial)
        while self.source.histories:
            self.answer_histories()
        found = self.successResultOf(trial).rejected
        self.assertEqual(sorted(key.id for key in found), ["r1", "r2"])
