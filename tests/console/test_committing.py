"""What changes have in common: who makes them, what is noted of them, and who serves them then."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.access.problems import ProblemError
from fengling_gateway.auth.operators import Operator
from fengling_gateway.console.committing import Committing, Wish
from fengling_gateway.console.fleet import CLOSE_SECONDS, FleetWatch
from fengling_gateway.console.store import StoreError
from fengling_gateway.editing.transaction import Committed, Signature, UncertainError
from fengling_gateway.model.delta import Position
from tests.console.asking import Asked
from tests.console.test_fleet import Nodes, node, worker
from tests.signin.requests import person

TOLD = {"changes": ["one"]}


class Mirror:
    """What is known of what gateways serve."""

    position: Position | None = Position("e", 7, "t")
    problem = ""


class CommittingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.nodes = Nodes()
        self.nodes.states = {"a": node(worker(1, 8), worker(2, 8)), "b": node(worker(1, 7))}
        self.fleet = FleetWatch(clock=self.clock, nodes=self.nodes)
        self.fleet.start()
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))
        self.addCleanup(self.fleet.stop)
        self.mirror: Any = Mirror()
        self.committing = self.of(self.fleet)

    def of(self, fleet: FleetWatch) -> Committing:
        return Committing(mirror=self.mirror, fleet=fleet, wall=lambda: 100 + self.clock.seconds())

    def wish(self, query: str = "", operator: Operator | None = None) -> Wish:
        return self.committing.wish_of(Asked("POST", f"/?{query}", operator=operator).call())


class WishTests(CommittingTests):
    def test_who_wishes_nothing_has_it_made_at_once(self) -> None:
        """In his own name, for which the console vouches."""
        signature = Signature(author="ada", is_verified=True)
        self.assertEqual(
            self.wish(), Wish(dry_run=False, waits=False, timeout=5, signature=signature, began=100)
        )

    def test_all_that_can_be_wished(self) -> None:
        found = self.wish("dry_run=true&wait=all&timeout=250ms&comment=Sale&force=1")
        signature = Signature(author="ada", comment="Sale", force=True, is_verified=True)
        self.assertEqual(
            found, Wish(dry_run=True, waits=True, timeout=0.25, signature=signature, began=100)
        )

    def test_what_nobody_knows_is_refused(self) -> None:
        """Before anything is written: a word that is not understood may be what it is about."""
        for query in ("dryrun=true", "dry_run=yes", "wait=some", "timeout=2h", "force=", "prune=1"):
            with self.assertRaises(ProblemError) as caught:
                self.wish(query)
            self.assertEqual((query, caught.exception.code), (query, "invalid_parameter"))
        self.committing.wish_of(Asked("POST", "/?prune=1").call(), "prune")

    def test_comment_is_a_line_of_some_length(self) -> None:
        for comment in ("%0a", "x" * 2001, "%e2%80%ae"):
            with self.assertRaises(ProblemError):
                self.wish(f"comment={comment}")
        self.assertIsNone(self.wish("comment=").signature.comment)

    def test_who_is_limited_to_tenants_forces_nothing(self) -> None:
        """What is held may be everybody's."""
        limited = person(tenants=frozenset(("acme",)))
        with self.assertRaises(ProblemError) as caught:
            self.wish("force=true", limited)
        self.assertEqual(caught.exception.code, "forbidden")
        self.assertFalse(self.wish("force=false", limited).signature.force)


class RecordTests(CommittingTests):
    def record(self, change: Deferred[Any]) -> tuple[Asked, Deferred[Any]]:
        asked = Asked("POST", "/")
        recording = self.committing.recorded(asked.call(), "create it", lambda: change, ["after"])
        return asked, Deferred.fromCoroutine(recording)

    def test_change_is_noted_with_what_became_of_it(self) -> None:
        """From when it begins: who looks meanwhile sees it."""
        change: Deferred[str] = Deferred()
        asked, recording = self.record(change)
        self.assertEqual(asked.noted, [("create it", "under way")])
        change.callback("made")
        self.assertEqual(self.successResultOf(recording), "made")
        self.assertEqual(asked.noted, [("create it", "done")])

    def test_change_that_fails_is_noted_as_such(self) -> None:
        """As where the database goes in the middle; with nothing of what it would have been."""
        for error, outcome in (
            (StoreError("the connection broke"), "failed"),
            (UncertainError("it broke during COMMIT"), "uncertain"),
            (ZeroDivisionError(), "failed"),
        ):
            change: Deferred[str] = Deferred()
            asked, recording = self.record(change)
            change.errback(error)
            self.failureResultOf(recording, type(error))
            self.assertEqual(asked.noted, [("create it", outcome)])
            [[noted], _] = asked.trail.page(after=None, limit=1)
            self.assertIsNone(noted["after"])

    def test_change_that_can_not_even_begin_is_noted(self) -> None:
        asked = Asked("POST", "/")

        def change() -> Deferred[Any]:
            raise StoreError("no thread")

        recording = self.committing.recorded(asked.call(), "create it", change, [])
        self.failureResultOf(Deferred.fromCoroutine(recording), StoreError)
        self.assertEqual(asked.noted, [("create it", "failed")])


class OutcomeTests(CommittingTests):
    def outcome(self, query: str, committed: Committed, of: Committing | None = None) -> Any:
        outcome = (of or self.committing).outcome(self.wish(query), committed, TOLD)
        return Deferred.fromCoroutine(outcome)

    def refused(self, waiting: Deferred[Any]) -> dict[str, Any]:
        error = self.failureResultOf(waiting, ProblemError).value
        self.assertEqual(error.code, "not_converged")
        members: dict[str, Any] = error.members
        return members

    def test_who_does_not_wait_is_told_the_revision(self) -> None:
        self.assertEqual(
            self.successResultOf(self.outcome("", Committed(9, None))),
            {**TOLD, "revision": 9, "held": None},
        )

    def test_what_nobody_will_serve_is_not_waited_for(self) -> None:
        """That nothing had to change, or that it is held."""
        for committed in (Committed(None, None), Committed(9, "revision 9 held: it removes all")):
            found = self.successResultOf(self.outcome("wait=all", committed))
            self.assertEqual(
                found, {**TOLD, "revision": committed.revision, "held": committed.held}
            )
        self.assertEqual(self.nodes.asked, 1)

    def test_who_waits_is_told_once_all_serve_it(self) -> None:
        """Whether or not this console knows of the revision itself: its mirror may be behind."""
        waiting = self.outcome("wait=all", Committed(8, None))
        self.clock.pump([0.0, CLOSE_SECONDS])
        self.assertNoResult(waiting)
        self.nodes.states = {"a": node(worker(1, 8), worker(2, 9)), "b": node(worker(1, 8))}
        self.clock.advance(CLOSE_SECONDS)
        self.assertEqual(
            self.successResultOf(waiting)["convergence"],
            {"served": 3, "workers": 3, "behind": [], "complete": True, "took_ms": 30.0},
        )

    def test_who_waits_in_vain_is_told_who_does_not_serve_it(self) -> None:
        """And that it is written all the same, as what, and what it changed."""
        waiting = self.outcome("wait=all&timeout=1s", Committed(8, None))
        self.clock.pump([0.0, 0.9])
        self.assertNoResult(waiting)
        self.clock.pump([0.1, CLOSE_SECONDS])
        told = self.refused(waiting)
        self.assertEqual((told["revision"], told["changes"]), (8, ["one"]))
        convergence = told["convergence"]
        self.assertEqual(convergence["behind"], ["b/1"])
        self.assertEqual((convergence["served"], convergence["workers"]), (2, 3))

    def test_without_redis_nobody_can_be_waited_for(self) -> None:
        """That is told at once."""
        fleet = FleetWatch(clock=self.clock, nodes=None)
        fleet.start()
        self.addCleanup(fleet.stop)
        told = self.refused(
            self.outcome("wait=all&timeout=60s", Committed(8, None), self.of(fleet))
        )
        self.assertFalse(told["convergence"]["complete"])
        self.assertIn("Redis", told["convergence"]["reason"])

    def test_redis_that_goes_meanwhile_is_told(self) -> None:
        """Rather than that all serve it, or nobody."""
        waiting = self.outcome("wait=all&timeout=60s", Committed(8, None))
        self.nodes.error = OSError("gone")
        self.clock.pump([0.0, *[CLOSE_SECONDS] * 80])
        self.assertIn("gone", self.refused(waiting)["convergence"]["reason"])

    def test_mirror_that_knows_nothing_accuses_nobody(self) -> None:
        """Nobody can tell then which database it is that workers serve."""
        self.mirror.position, self.mirror.problem = None, "no answer"
        told = self.refused(self.outcome("wait=all&timeout=60s", Committed(8, None)))
        self.assertEqual(told["convergence"]["behind"], [])
        self.assertEqual(told["convergence"]["reason"], "no answer")
        self.mirror.problem = ""
        told = self.refused(self.outcome("wait=all&timeout=60s", Committed(8, None)))
        self.assertIn("not been read", told["convergence"]["reason"])

    def test_workers_of_another_database_do_not_serve_it(self) -> None:
        """Though they are at a later revision."""
        self.nodes.states = {"a": node(worker(1, 12, epoch="other"))}
        waiting = self.outcome("wait=all&timeout=1s", Committed(8, None))
        self.clock.pump([0.0, 1, CLOSE_SECONDS])
        self.assertEqual(self.refused(waiting)["convergence"]["behind"], ["a/1"])

    def test_who_waits_when_the_console_ends_is_told_what_is_known(self) -> None:
        """It is written; whoever is behind then will serve it in a moment."""
        waiting = self.outcome("wait=all&timeout=60s", Committed(8, None))
        self.clock.advance(0)
        self.fleet.stop()
        told = self.refused(waiting)
        self.assertEqual((told["revision"], told["convergence"]["behind"]), (8, ["b/1"]))
