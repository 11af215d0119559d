"""The reload loop against a source that does what the test says."""

from __future__ import annotations

import random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.configsource.reading import Held, Reading, Row, SourceError, SourceState
from fengling_gateway.configsource.reload import ReloadLoop, ReloadSettings
from fengling_gateway.model.delta import Delta, Position
from fengling_gateway.model.entity import Key, canonical
from fengling_gateway.model.hold import HOLD


def route(number: int, status: int = 200) -> Row:
    """A valid row of a route that needs nothing else."""
    values = {"id": f"r{number}", "path": f"/r{number}", "respond": {"status": status}}
    return Row(Key("route", f"r{number}"), values)


def disabled(number: int) -> Row:
    key, values = route(number)
    return Row(key, {**(values or {}), "enabled": False})


def rejected(number: int) -> Row:
    """A row that never was right."""
    return Row(route(number).key, {"path": "nonsense"})


def hold(share: float) -> Row:
    return Row(HOLD, {"key": "hold", "value": {"max_removed_share": share}})


def at(revision: int, epoch: str = "e") -> Position:
    return Position(epoch, revision, f"{epoch}{revision}")


class ScriptedSource:
    """Answers when the test says, with what the test says."""

    def __init__(self) -> None:
        self.state = SourceState()
        self.asked: list[tuple[str, Any, Deferred[Any]]] = []

    def _ask(self, what: str, argument: Any = None) -> Deferred[Any]:
        answer: Deferred[Any] = Deferred()
        self.asked.append((what, argument, answer))
        return answer

    def start(self) -> None: ...

    def stop(self) -> Any: ...

    def read(self, after: Position | None) -> Deferred[Reading]:
        return self._ask("read", after)

    def read_all(self) -> Deferred[Reading]:
        return self._ask("read_all")

    def history(self, keys: list[Key], up_to: int) -> Deferred[Any]:
        return self._ask("history", keys)

    def confirm(self, revision: int, author: str) -> Any: ...

    def answer(
        self,
        target: Position,
        rows: list[Row],
        *,
        before: Position | None = None,
        held: Held | None = None,
        continues: bool = False,
    ) -> None:
        _, _, waiting = self.asked[-1]
        waiting.callback(Reading(target, before, rows, [], held, len(rows), continues))


class Serving:
    """Remembers what the loop says."""

    def __init__(self) -> None:
        self.deltas: list[Delta] = []
        self.errors: list[BaseException] = []
        self.holds: list[Held | None] = []
        self.answers = 0

    def delta_read(self, delta: Delta, reading: Reading, result: Any) -> None:
        self.deltas.append(delta)

    def look_succeeded(self) -> None:
        self.answers += 1

    def look_failed(self, error: BaseException) -> None:
        self.errors.append(error)

    def held(self, held: Held | None) -> None:
        self.holds.append(held)


class ReloadLoopTests(SynchronousTestCase):
    """`ReloadLoop`"""

    def setUp(self) -> None:
        self.clock = Clock()
        self.source = ScriptedSource()
        self.user = Serving()
        self.loop = ReloadLoop(
            clock=self.clock,
            source=self.source,
            user=self.user,
            settings=ReloadSettings(read_timeout=20.0),
            rng=random.Random(1),
        )
        self.addCleanup(self.loop.stop)

    def serve(self, revision: int, *rows: Row) -> None:
        self.loop.start()
        self.source.answer(at(revision), list(rows))

    def test_first_look_reads_everything_and_serves_it(self) -> None:
        """The first delta starts from nothing."""
        self.serve(1, route(1), route(2))
        (delta,) = self.user.deltas
        self.assertTrue(delta.is_full)
        self.assertEqual((delta.after, len(delta.changes)), (at(1), 2))
        self.assertEqual(self.loop.config.content_hash, delta.hash_after)

    def test_later_look_reads_after_the_position_and_serves_the_difference(self) -> None:
        """Only what changed is in the delta; hashes lead from one to the next."""
        self.serve(1, route(1), route(2))
        self.loop.look("notification")
        self.assertEqual(self.source.asked[-1][:2], ("read", at(1)))
        self.source.answer(at(2), [route(2, 404)], before=at(1))
        first, second = self.user.deltas
        self.assertEqual((second.before, second.hash_before), (at(1), first.hash_after))
        self.assertEqual([change.key.id for change in second.changes], ["r2"])

    def test_hints_during_a_look_are_answered_by_one_more(self) -> None:
        """A thousand notifications during a read make one more read."""
        self.loop.start()
        ended = [self.loop.look("notification") for _ in range(1000)]
        self.source.answer(at(1), [route(1)])
        self.assertNoResult(ended[0])
        self.assertEqual(len(self.source.asked), 2)
        self.source.answer(at(1), [], before=at(1))
        self.assertEqual(len(self.source.asked), 2)
        for one in ended:
            self.successResultOf(one)

    def test_reasons_are_counted_by_who_asks(self) -> None:
        """Also those that one look answers together, and none that comes too late."""
        for reason in ("notification", "notification", "hangup"):
            self.loop.look(reason)
        self.assertEqual(self.loop.asked, {"notification": 2, "hangup": 1})
        self.loop.stop()
        self.loop.look("hangup")
        self.assertEqual(self.loop.asked["hangup"], 1)

    def test_poll_looks_without_any_hint(self) -> None:
        """Silence is not trusted: at the latest after five seconds it looks by itself."""
        self.serve(1, route(1))
        self.clock.advance(5.0)
        self.assertEqual(len(self.source.asked), 2)

    def test_failed_look_keeps_what_is_served_and_looks_again(self) -> None:
        """A source that is away changes nothing."""
        self.serve(1, route(1))
        self.loop.look("notification")
        self.source.asked[-1][2].errback(SourceError("connection refused"))
        self.assertEqual(str(self.user.errors[0]), "connection refused")
        self.assertEqual(self.loop.position, at(1))
        self.clock.advance(5.0)
        self.assertEqual(len(self.source.asked), 3)
        self.assertEqual((len(self.user.errors), self.user.answers), (1, 1))
        self.source.answer(at(1), [], before=at(1))
        self.assertEqual(self.user.answers, 2, "told also when there is nothing new")

    def test_source_that_never_answers_is_given_up_at_the_deadline(self) -> None:
        """No look lasts for ever."""
        self.serve(1, route(1))
        self.loop.look("notification")
        self.clock.advance(20.0)
        self.assertIsInstance(self.user.errors[0], TimeoutError)

    def test_rejected_row_serves_its_newest_good_version(self) -> None:
        """The history of a bad row is asked for, at the revision that is served."""
        self.loop.start()
        bad = Row(Key("route", "r1"), {"id": "r1", "path": "nonsense"})
        self.source.answer(at(3), [bad, route(2)])
        what, keys, waiting = self.source.asked[-1]
        self.assertEqual((what, keys), ("history", [Key("route", "r1")]))
        waiting.callback({keys[0]: [bad.values, route(1, 203).values]})
        (delta,) = self.user.deltas
        bodies = {change.key.id: change.body for change in delta.changes}
        assert bodies["r1"] is not None
        self.assertIn(b'"status":203', bodies["r1"])
        self.assertIn(Key("route", "r1"), self.loop.config.rejected)

    def test_position_advances_when_nothing_served_changes(self) -> None:
        """A new label is a revision too: workers have to know that they serve it."""
        self.serve(1, route(1))
        self.loop.look("notification")
        self.source.answer(at(2), [route(1)], before=at(1))
        self.assertEqual((self.user.deltas[-1].after, self.user.deltas[-1].changes), (at(2), ()))

    def test_unchanged_position_makes_no_delta(self) -> None:
        """A poll that finds nothing says nothing."""
        self.serve(1, route(1))
        self.loop.look("poll")
        self.source.answer(at(1), [], before=at(1))
        self.assertEqual(len(self.user.deltas), 1)

    def test_replaced_source_is_read_in_full_and_served_as_a_difference(self) -> None:
        """A database set back, which has since overtaken our number, has another token there."""
        self.serve(5, route(1), route(2))
        self.loop.look("connected")
        self.source.answer(at(7, "other"), [route(1), route(3)])
        delta = self.user.deltas[-1]
        self.assertFalse(delta.is_full)
        self.assertEqual(
            sorted((change.key.id, change.body is None) for change in delta.changes),
            [("r2", True), ("r3", False)],
        )

    def test_replaced_source_without_routes_is_held_until_confirmed(self) -> None:
        """An empty database in place of ours does not take everything down."""
        self.serve(5, route(1), route(2))
        self.loop.look("connected")
        self.source.answer(at(0, "other"), [])
        self.assertEqual((self.loop.position, len(self.user.deltas)), (at(5), 1))
        self.assertEqual(self.user.holds, [Held(0, 2, 0)])
        self.loop.look("poll")
        self.source.answer(at(0, "other"), [])
        self.assertEqual(self.loop.position, at(5), "looking again confirms nothing")
        self.assertFalse(self.loop.confirm_here(at(4, "other")))
        self.assertFalse(self.loop.confirm_here(at(0)), "that number of another epoch")
        self.assertFalse(self.loop.confirm_here(at(0, "other")._replace(token="x")))
        self.assertTrue(self.loop.confirm_here(at(0, "other")))
        self.source.answer(at(0, "other"), [])
        self.assertEqual((self.loop.position, self.loop.held), (at(0, "other"), None))

    def test_source_that_went_on_is_not_held_here(self) -> None:
        """Everybody has confirmed it, and then the log was shortened: no host may stay behind."""
        self.serve(5, route(1), route(2))
        self.loop.look("connected")
        self.source.answer(at(9), [], continues=True)
        self.assertEqual((self.loop.position, self.user.holds), (at(9), []))

    def test_restored_file_of_the_source_s_past_is_not_held_here(self) -> None:
        """Nor may one that has been away."""
        self.loop.restore(at(5), {Key("route", "r1"): b"{}", Key("route", "r2"): b"{}"})
        self.loop.look("started")
        self.source.answer(at(9), [], continues=True)
        self.assertEqual((self.loop.position, self.user.holds), (at(9), []))

    def replace_by(self, *rows: Row) -> Held | None:
        """Have another database in place of ours; what is held then."""
        self.loop.look("connected")
        self.source.answer(at(9, "other"), list(rows))
        return self.loop.held

    def test_disabled_routes_count_for_nothing(self) -> None:
        """As in the database: neither those that were, nor those that are disabled now."""
        self.serve(5, route(1), route(2), disabled(3), disabled(4), disabled(5))
        self.assertEqual(self.replace_by(disabled(1), disabled(2), disabled(3)), Held(9, 2, 0))
        self.assertIsNone(self.replace_by(route(3)))

    def test_share_that_is_served_counts(self) -> None:
        """Not that of the rows that have been read: nobody allows it to himself."""
        self.serve(5, *map(route, range(10)), hold(0.05))
        self.assertEqual(self.replace_by(*map(route, range(9)), hold(0.9)), Held(9, 10, 9))
        self.assertIsNone(self.replace_by(*map(route, range(10)), hold(0.9)))
        self.assertIsNone(self.replace_by(route(0)))

    def test_rejected_routes_count_as_rows(self) -> None:
        """Of another database whose routes are all there and all wrong, nothing is *removed*."""
        self.serve(5, route(1), route(2))
        self.loop.look("connected")
        self.source.answer(at(9, "other"), [rejected(1), rejected(2)])
        self.source.asked[-1][2].callback({})
        self.assertEqual((self.loop.held, self.loop.config.count("route")), (None, 0))

    def test_what_the_source_holds_is_told_and_released(self) -> None:
        """The source decides what it holds; the loop reports it, once."""
        self.serve(1, route(1))
        held = Held(2, 1, 0)
        for _ in range(2):
            self.loop.look("notification")
            self.source.answer(at(1), [], before=at(1), held=held)
        self.loop.look("notification")
        self.source.answer(at(3), [], before=at(1))
        self.assertEqual(self.user.holds, [held, None])

    def test_restored_config_is_followed_by_a_full_judgement(self) -> None:
        """From the file, what is served is known, but not what is rejected."""
        body = canonical({"id": "r1"})
        self.assertTrue(self.loop.restore(at(4), {Key("route", "r1"): body}))
        self.loop.start()
        self.assertEqual(self.source.asked[-1][:2], ("read", at(4)))
        self.source.answer(at(5), [route(2)], before=at(4))
        self.assertEqual(self.source.asked[-1][0], "read_all")
        self.source.answer(at(5), [route(1), route(2)])
        self.assertEqual(self.user.deltas[-1].before, at(4))
        self.assertEqual(self.loop.position, at(5))

    def test_restore_comes_too_late_once_the_source_has_been_read(self) -> None:
        """The source is truer than the file."""
        self.serve(1, route(1))
        self.assertFalse(self.loop.restore(at(4), {}))

    def test_restore_during_a_hanging_read_is_taken_into_account(self) -> None:
        """The answer that comes at last is not taken for the first configuration."""
        self.loop.start()
        self.assertTrue(self.loop.restore(at(1), {Key("route", "r1"): canonical({"id": "r1"})}))
        self.source.answer(at(2), [route(1)])
        self.assertEqual(self.source.asked[-1][:2], ("read", at(1)))

    def test_source_that_is_as_before_again_has_nothing_to_confirm(self) -> None:
        """A later revision of that number is the source's own to hold and to confirm."""
        self.serve(5, route(1), route(2))
        self.loop.look("connected")
        self.source.answer(at(6, "other"), [])
        self.assertEqual(self.loop.held, Held(6, 2, 0))
        self.loop.look("connected")
        self.source.answer(at(5), [], before=at(5))
        self.assertIsNone(self.loop.held)
        self.assertFalse(self.loop.confirm_here(at(6, "other")))

    def come_to_compare(self) -> None:
        """Let time pass, with nothing new, until everything is read once more."""
        for _ in range(200):
            self.clock.advance(5.0)
            if self.source.asked[-1][0] == "read_all":
                return
            self.source.answer(at(1), [], before=at(1))
        self.fail("nothing was compared")

    def test_compare_that_finds_no_routes_is_held_until_confirmed(self) -> None:
        """No revision told of it, so nobody has judged it: a table being restored looks like that."""
        self.serve(1, route(1), route(2))
        self.come_to_compare()
        self.source.answer(at(1), [])
        self.assertEqual((self.loop.held, len(self.user.deltas)), (Held(1, 2, 0, unseen=True), 1))
        self.clock.advance(5.0)
        self.assertEqual(self.source.asked[-1][0], "read_all")
        self.source.answer(at(1), [])
        self.assertEqual(self.user.holds, [Held(1, 2, 0, unseen=True)], "said once")
        self.assertTrue(self.loop.confirm_here(at(1)._replace(token="")), "of any token")
        self.source.answer(at(1), [])
        self.assertEqual((self.loop.held, self.loop.config.count("route")), (None, 0))

    def test_confirming_one_unseen_change_lets_no_other_pass(self) -> None:
        """Neither has a revision of its own to tell them apart by."""
        self.serve(1, *map(route, range(10)))
        self.come_to_compare()
        self.source.answer(at(1), [route(1), route(2)])
        self.assertTrue(self.loop.confirm_here(at(1)))
        self.source.answer(at(1), [route(1), route(2)])
        self.assertEqual((self.loop.held, self.loop.config.count("route")), (None, 2))
        self.come_to_compare()
        self.source.answer(at(1), [])
        self.assertEqual(self.loop.held, Held(1, 2, 0, unseen=True))

    def test_compare_with_another_source_is_left_to_a_usual_look(self) -> None:
        """A replaced database must not slip in by the one look in a hundred that compares."""
        self.serve(1, route(1), route(2))
        self.come_to_compare()
        self.source.answer(at(1, "other"), [])
        self.assertEqual(self.source.asked[-1][:2], ("read", at(1)))
        self.source.answer(at(1, "other"), [])
        self.assertEqual((self.loop.held, len(self.user.deltas)), (Held(1, 2, 0), 1))

    def test_who_waited_may_look_again_at_once(self) -> None:
        """There is still one look at a time, and one poll."""
        self.loop.start()
        for _ in range(2):
            self.loop.look("notification").addCallback(lambda _: self.loop.look("told"))
        self.source.answer(at(1), [route(1)])
        for look in (2, 3, 4):
            self.assertEqual(len(self.source.asked), look)
            self.source.answer(at(1), [], before=at(1))
        self.assertEqual((len(self.source.asked), len(self.clock.getDelayedCalls())), (4, 1))

    def test_slow_compare_finds_what_no_revision_tells(self) -> None:
        """Triggers can be bypassed; now and then everything is compared."""
        self.serve(1, route(1))
        self.clock.pump([1.0] * 600)
        for _ in range(200):
            if self.source.asked[-1][0] == "read_all":
                break
            self.source.answer(at(1), [], before=at(1))
            self.clock.advance(5.0)
        self.source.answer(at(1), [route(1, 404)])
        delta = self.user.deltas[-1]
        self.assertEqual((delta.before, delta.after, len(delta.changes)), (at(1), at(1), 1))

    def test_fault_in_who_is_told_of_a_failure_is_logged(self) -> None:
        """And the loop goes on."""
        self.serve(1, route(1))
        self.user.look_failed = None  # type: ignore[assignment,method-assign]
        self.loop.look("notification")
        self.source.asked[-1][2].errback(SourceError("away"))
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
        self.clock.advance(5.0)
        self.assertEqual(len(self.source.asked), 3)

    def test_stop_abandons_a_look_and_leaves_no_timer(self) -> None:
        """After stop nothing changes any more."""
        self.loop.start()
        ended = self.loop.look("notification")
        self.loop.stop()
        self.successResultOf(ended)
        self.assertEqual((self.user.deltas, self.user.errors), ([], []))
        self.assertEqual(self.clock.getDelayedCalls(), [])
