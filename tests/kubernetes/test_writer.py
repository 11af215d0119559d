"""What the cluster wants, on its way to the database."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.editing.transaction import BusyError, ConflictError, UncertainError
from fengling_gateway.election.seat import TermOverError
from fengling_gateway.kubernetes.removal import Removal
from fengling_gateway.kubernetes.removing import TooManyGoError
from fengling_gateway.kubernetes.wants import Want, Wants
from fengling_gateway.kubernetes.writer import (
    AGAIN_SECONDS,
    BATCH_SECONDS,
    MAX_PAUSE_SECONDS,
    Writer,
)
from fengling_gateway.kubernetes.writing import RefusedError, Written
from fengling_gateway.model.entity import Key

ROW = {"name": "a"}


def key(number: int, kind: str = "instance") -> Key:
    return Key(kind, f"i{number:04d}")


class WriterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[tuple[int, Mapping[Key, Want], Deferred[Written]]] = []
        self.told: list[Written] = []
        self.over: list[str] = []
        self.writer = Writer(
            clock=self.clock,
            rng=Random(1),
            write=self.write,
            told=self.hear,
            term_over=self.over.append,
        )
        self.wants = Wants(self.writer.wake)

    def tearDown(self) -> None:
        self.writer.end()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.flushLoggedErrors(), [])

    def hear(self, batch: Mapping[Key, Want], written: Written) -> None:
        self.told.append(written)

    def write(self, term: int, batch: Mapping[Key, Want]) -> Deferred[Written]:
        done: Deferred[Written] = Deferred()
        self.asked.append((term, batch, done))
        return done

    def begin(self, *numbers: int) -> None:
        for number in numbers:
            self.wants.put(key(number), ROW, "shop/orders")
        self.writer.begin(7, self.wants)
        self.clock.advance(0)

    def answer(self, result: Any = None) -> None:
        """Answer the batch that was asked for last."""
        done = self.asked[-1][2]
        if isinstance(result, Exception):
            done.errback(result)
        else:
            done.callback(result or Written(revision=len(self.asked)))

    def batch(self) -> list[str]:
        return sorted(one.id for one in self.asked[-1][1])

    def test_first_change_is_written_at_once(self) -> None:
        """With all that comes in the same turn, in the term."""
        self.begin(1, 2)
        self.assertEqual((self.asked[0][0], self.batch()), (7, ["i0001", "i0002"]))

    def test_changes_meanwhile_wait_for_the_next_batch(self) -> None:
        """Which comes no sooner than revisions may."""
        self.begin(1)
        self.wants.put(key(2), ROW, "")
        self.clock.advance(0.1)
        self.answer()
        self.wants.put(key(3), ROW, "")
        self.clock.advance(BATCH_SECONDS - 0.11)
        self.assertEqual(len(self.asked), 1)
        self.clock.advance(0.02)
        self.assertEqual(self.batch(), ["i0002", "i0003"])

    def test_what_makes_no_revision_keeps_nobody_waiting(self) -> None:
        """The next batch comes at once."""
        self.begin(1)
        self.answer(Written())
        self.wants.put(key(2), ROW, "")
        self.clock.advance(0)
        self.assertEqual(self.batch(), ["i0002"])

    def test_newest_wish_counts(self) -> None:
        """What changes and changes back is looked at once."""
        self.begin(1)
        for name in "abc":
            self.wants.put(key(2), {"name": name}, "")
        self.answer()
        self.clock.advance(1)
        self.assertEqual(self.asked[-1][1][key(2)].row, {"name": "c"})

    def test_conflict_is_tried_again_soon(self) -> None:
        """Somebody else has written the same: it is looked at anew."""
        self.begin(1)
        self.answer(ConflictError([key(1)]))
        self.clock.advance(0.03)
        self.assertEqual((len(self.asked), self.batch()), (2, ["i0001"]))
        self.assertIsNone(self.writer.problem)

    def test_failure_is_tried_again_later_and_later(self) -> None:
        """And told until it is over."""
        self.begin(1)
        self.answer(BusyError("others write"))
        self.assertEqual(self.writer.problem, "others write")
        self.clock.advance(0.21)
        self.assertEqual(len(self.asked), 2)
        self.answer(BusyError("others write"))
        self.clock.advance(0.19)
        self.assertEqual(len(self.asked), 2)
        self.clock.advance(0.22)
        self.answer()
        self.assertIsNone(self.writer.problem)
        self.assertEqual(self.writer.counts.failures, 2)

    def test_one_that_is_refused_keeps_no_other_back(self) -> None:
        """It is found by halves, told, and tried again later."""
        self.begin(1, 2, 3, 4)
        rounds = 0
        while len(self.asked) > rounds:
            rounds = len(self.asked)
            bad = key(3) in self.asked[-1][1]
            self.answer(RefusedError("no such tenant") if bad else None)
            self.clock.advance(BATCH_SECONDS)
        self.assertEqual(self.wants.refused, {key(3): "no such tenant"})
        self.assertTrue(self.writer.is_idle)
        self.clock.advance(AGAIN_SECONDS)
        self.assertEqual(self.batch(), ["i0003"])
        self.assertEqual(self.wants.refused, {key(3): "no such tenant"})
        self.answer()
        self.assertEqual(self.wants.refused, {})

    def test_what_a_batch_leaves_out_is_refused(self) -> None:
        """Unless it is wanted otherwise by now."""
        self.begin(1, 2)
        self.wants.put(key(2), {"name": "b"}, "")
        self.answer(Written(refused={key(1): "why", key(2): "why"}))
        self.assertEqual(list(self.wants.refused), [key(1)])
        self.clock.advance(0)
        self.assertEqual(self.batch(), ["i0002"])
        self.assertEqual(len(self.told), 1)

    def test_one_that_is_refused_may_be_wanted_otherwise_by_now(self) -> None:
        """Then it is tried again at once."""
        self.begin(1)
        self.wants.put(key(1), {"name": "b"}, "")
        self.answer(RefusedError("no such tenant"))
        self.clock.advance(BATCH_SECONDS)
        self.assertEqual((self.batch(), self.wants.refused), (["i0001"], {}))

    def test_what_had_gone_in_the_last_term_counts(self) -> None:
        """What waits would go unasked after a change of consoles."""
        self.writer.remember(5)
        self.assertEqual(self.writer.lately, 5)
        self.writer.begin(7, self.wants)
        self.assertEqual(self.writer.lately, 5)
        self.writer.end()
        self.assertEqual(self.writer.lately, 0)

    def test_another_term_ends_it(self) -> None:
        """The database says so."""
        self.begin(1)
        self.answer(TermOverError("term 7 is over"))
        self.assertEqual(self.over, ["term 7 is over"])

    def test_answer_of_a_term_before_means_nothing(self) -> None:
        """Neither for what is wanted now, nor for who is told."""
        self.begin(1)
        self.writer.end()
        self.writer.begin(8, Wants(self.writer.wake))
        self.answer(Written(refused={key(1): "why"}))
        self.assertEqual(self.told, [])
        self.assertTrue(self.writer.is_idle)

    def test_new_term_is_not_kept_waiting_by_the_old_one(self) -> None:
        """What was under way then ends, and what is wanted now is written."""
        self.begin(1)
        self.writer.end()
        wants = Wants(self.writer.wake)
        self.writer.begin(8, wants)
        wants.put(key(2), ROW, "")
        for result in (None, BusyError("others write")):
            self.answer(result)
            self.clock.advance(1)
            self.assertEqual((self.asked[-1][0], self.batch()), (8, ["i0002"]))
            self.writer.end()
            self.writer.begin(8, wants)
            wants.give_back({key(2): Want(ROW, "")})

    def test_surprise_in_who_is_told_stops_nothing(self) -> None:
        """It is logged, and the next batch is written."""
        self.told = None  # type: ignore[assignment]
        self.begin(1)
        self.answer()
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)
        self.wants.put(key(2), ROW, "")
        self.clock.advance(1)
        self.assertEqual(self.batch(), ["i0002"])

    def test_instances_are_tried_again_when_others_have_gone(self) -> None:
        """Those may have had their addresses."""
        self.begin(1)
        self.answer(RefusedError("taken"))
        self.wants.look_at(key(9))
        self.clock.advance(1)
        self.assertEqual(self.batch(), ["i0009"])
        self.answer()
        self.clock.advance(1)
        self.assertEqual(self.batch(), ["i0001"])
        self.assertEqual(self.asked[-1][1][key(1)].origin, "shop/orders")

    def test_held_is_told_until_it_is_served(self) -> None:
        """As somebody has to confirm it."""
        self.begin(1)
        self.answer(Written(revision=5, held="revision 5 held: removes 1 of 1 routes"))
        self.assertIn("held", str(self.writer.awaited.held))
        self.wants.put(key(2), ROW, "")
        self.clock.advance(1)
        self.answer()
        self.assertIsNone(self.writer.awaited.held)

    def test_nothing_is_written_until_more_is_known(self) -> None:
        """What is wanted meanwhile is written with what was, in one batch."""
        self.wants.put(key(1), ROW, "")
        self.writer.begin(7, self.wants)
        until: Deferred[None] = Deferred()
        self.writer.pause(until)
        self.clock.advance(1)
        self.wants.put(key(2), ROW, "")
        self.clock.advance(1)
        self.assertEqual(self.asked, [])
        until.callback(None)
        self.clock.advance(0)
        self.assertEqual(self.batch(), ["i0001", "i0002"])

    def test_what_is_waited_for_may_never_come(self) -> None:
        """Then it is written without it; of two pauses each counts."""
        self.writer.begin(7, self.wants)
        first, second = Deferred[None](), Deferred[None]()
        for one in (first, second):
            self.writer.pause(one)
        self.wants.put(key(1), ROW, "")
        second.callback(None)
        self.clock.advance(MAX_PAUSE_SECONDS - 1)
        self.assertEqual(self.asked, [])
        self.clock.advance(1)
        self.clock.advance(0)
        self.assertEqual(self.batch(), ["i0001"])

    def test_pause_ends_with_the_term(self) -> None:
        """In the next one nothing is waited for."""
        self.writer.begin(7, self.wants)
        until: Deferred[None] = Deferred()
        self.writer.pause(until)
        self.writer.end()
        wants = Wants(self.writer.wake)
        wants.put(key(1), ROW, "")
        self.writer.begin(8, wants)
        self.clock.advance(0)
        self.assertEqual(self.asked[-1][0], 8)
        until.callback(None)

    def withhold(self) -> None:
        """Two routes go with a pod, and the routes are too many."""
        self.wants.put(key(3), ROW, "")
        for number in (1, 2):
            self.wants.put(key(number, "route"), ROW, "shop/orders")
        self.wants.take(10)
        for number in (1, 2):
            self.wants.put(key(number, "route"), None, "shop/orders")
        self.wants.put(key(3), None, "")
        self.writer.begin(7, self.wants)
        self.clock.advance(0)
        self.answer(TooManyGoError(["i0001", "i0002"], 3, []))
        self.clock.advance(0)

    def test_too_many_routes_are_kept_and_the_rest_is_written(self) -> None:
        """What waits for a confirmation is told, and holds nothing else back."""
        self.withhold()
        self.assertEqual(self.batch(), ["i0003"])
        self.answer()
        removal = self.writer.awaited.removal
        assert removal is not None
        self.assertEqual((removal.routes, removal.of), (("i0001", "i0002"), 3))
        self.assertEqual(removal.to_json()["routes"], 2)
        self.assertEqual((self.writer.counts.failures, self.writer.problem), (0, None))
        self.assertTrue(self.writer.is_idle)

    def test_kept_routes_are_looked_at_again(self) -> None:
        """They may be few by then; what is the same has the same id."""
        self.withhold()
        self.answer()
        before = self.writer.awaited.removal
        self.clock.advance(AGAIN_SECONDS)
        self.assertEqual(self.batch(), ["i0001", "i0002"])
        self.answer(TooManyGoError(["i0001", "i0002"], 3, []))
        self.assertEqual(self.writer.awaited.removal, before)
        self.clock.advance(AGAIN_SECONDS)
        self.answer()
        self.assertIsNone(self.writer.awaited.removal)

    def test_what_goes_unasked_is_remembered_for_a_minute(self) -> None:
        """Of this term."""
        self.begin(1)
        self.answer(Written(revision=1, lost=4))
        self.assertEqual(self.writer.lately, 4)
        self.clock.advance(61)
        self.assertEqual(self.writer.lately, 0)

    def test_what_may_have_gone_counts(self) -> None:
        """Where the connection broke during COMMIT: it is found gone when it is looked at again."""
        self.withhold()
        self.answer()
        self.wants.confirm(["i0001"])
        self.clock.advance(BATCH_SECONDS)
        self.answer(UncertainError("gone"))
        self.assertEqual(self.writer.lately, 1)
        self.clock.advance(1)
        self.answer(Written())
        self.assertEqual(self.writer.lately, 1)

    def test_what_is_confirmed_while_it_is_asked_again_asks_no_more(self) -> None:
        """The answer is of before."""
        self.withhold()
        self.answer()
        removal = self.confirm()
        self.clock.advance(AGAIN_SECONDS)
        self.answer(TooManyGoError(removal.routes, 3, []))
        self.assertEqual(self.awaited(), (None, [removal.id]))
        self.clock.advance(BATCH_SECONDS)
        self.assertEqual(self.batch(), ["i0001", "i0002"])
        self.answer()
        self.assertEqual(self.awaited(), (None, []))

    def test_what_was_confirmed_and_came_back_asks_again(self) -> None:
        """Also where nothing could be written meanwhile."""
        self.withhold()
        self.answer()
        removal = self.confirm()
        for row in (ROW, None):
            for number in (1, 2):
                self.wants.put(key(number, "route"), row, "shop/orders")
        self.clock.advance(BATCH_SECONDS)
        self.answer(TooManyGoError(removal.routes, 3, []))
        asked, _ = self.awaited()
        self.assertNotIn(asked, (None, removal.id))

    def confirm(self) -> Removal:
        removal = self.writer.awaited.removal
        assert removal is not None
        self.writer.awaited.confirm(removal.id)
        self.wants.confirm(removal.routes)
        return removal

    def awaited(self) -> tuple[str | None, list[str]]:
        """Return the ids of what is asked, and of what goes."""
        told = self.writer.awaited.to_json()
        return told["removal"] and told["removal"]["id"], told["going"]

    def test_who_is_told_hears_that_the_rest_is_kept(self) -> None:
        """There may be nothing else to be written, and statuses wait for it."""
        self.withhold()
        self.answer()
        told = len(self.told)
        self.clock.advance(AGAIN_SECONDS)
        self.answer(TooManyGoError(["i0001", "i0002"], 3, []))
        self.assertEqual(len(self.told), told + 1)

    def test_confirmed_routes_go(self) -> None:
        """At once."""
        self.withhold()
        self.answer()
        self.wants.confirm(["i0001", "i0002"])
        self.clock.advance(BATCH_SECONDS)
        self.assertEqual(self.batch(), ["i0001", "i0002"])
        self.assertEqual(self.wants.going(self.asked[-1][1]).confirmed, {"i0001", "i0002"})
        self.answer()
        self.assertIsNone(self.writer.awaited.removal)

    def test_what_is_kept_is_always_looked_at_again(self) -> None:
        """Also what was left when the routes were back."""
        self.withhold()
        self.answer()
        pod = key(7)
        self.wants.put(pod, {"service_id": "a"}, "")
        self.clock.advance(BATCH_SECONDS)
        self.answer()
        self.wants.withhold([], ["a"])
        self.wants.put(pod, None, "")
        for _ in range(3):
            self.clock.advance(AGAIN_SECONDS)
            if not self.asked[-1][2].called:
                self.answer()
        self.assertFalse(self.wants.withheld)
        self.assertEqual(len(self.wants), 0)

    def test_routes_that_are_back_wait_for_nobody(self) -> None:
        """The cluster wants them again: there is nothing to confirm."""
        self.withhold()
        self.answer()
        for number in (1, 2):
            self.wants.put(key(number, "route"), ROW, "shop/orders")
        self.clock.advance(BATCH_SECONDS)
        self.answer(Written())
        self.assertIsNone(self.writer.awaited.removal)

    def test_services_come_before_instances_and_routes(self) -> None:
        """And go after them."""
        for kind in ("route", "instance", "service"):
            self.wants.put(Key(kind, "a"), ROW, "")
            self.wants.put(Key(kind, "b"), ROW, "")
        self.wants.take(6)
        for kind in ("service", "instance", "route"):
            self.wants.put(Key(kind, "a"), None, "")
            self.wants.look_at(Key(kind, "b"))
        order = [f"{one.kind} {one.id}" for one in self.wants.take(6)]
        self.assertEqual(
            order,
            ["route a", "service b", "instance b", "route b", "instance a", "service a"],
        )

    def test_idle_when_all_is_written(self) -> None:
        self.begin(1)
        idle = self.writer.when_idle()
        self.assertNoResult(idle)
        self.answer()
        self.successResultOf(idle)
