"""Waiting until every worker serves a position."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.model.delta import Position
from fengling_gateway.supervisor.link import WorkerState
from fengling_gateway.supervisor.propagation import Mark, Propagation


def at(revision: int) -> Position:
    return Position("e", revision, f"t{revision}")


def a_worker(name: str, revision: int | None, state: WorkerState = WorkerState.SERVING) -> Any:
    position = None if revision is None else at(revision)
    served = SimpleNamespace(position=position, content_hash=revision or 0)
    return SimpleNamespace(name=name, state=state, served=served)


class PropagationTests(SynchronousTestCase):
    """`Propagation`"""

    def setUp(self) -> None:
        self.clock = Clock()
        self.workers = [a_worker("w0", 1), a_worker("w1", 1)]
        self.current = Mark(at(1), 1)
        self.propagation = Propagation(
            clock=self.clock, links=lambda: self.workers, current=lambda: self.current
        )

    def apply(self, worker: int, mark: Mark) -> None:
        served = self.workers[worker].served
        served.position, served.content_hash = mark
        self.propagation.progressed()

    def test_all_there_answers_at_once(self) -> None:
        """Also before there is anything to serve."""
        self.assertEqual(self.successResultOf(self.propagation.wait(5.0)), [])
        self.current = Mark(None, 0)
        self.assertEqual(self.successResultOf(self.propagation.wait(5.0)), [])

    def test_last_one_to_apply_ends_the_wait(self) -> None:
        """It takes every worker."""
        self.current = Mark(at(2), 2)
        waiting = self.propagation.wait(5.0)
        for worker in (0, 1):
            self.assertNoResult(waiting)
            self.apply(worker, self.current)
        self.assertEqual(self.successResultOf(waiting), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_later_revision_ends_the_wait_too(self) -> None:
        """While one waits the host goes on, and some workers skip what is waited for."""
        self.current = Mark(at(2), 2)
        waiting = self.propagation.wait(5.0)
        self.current = Mark(at(4), 4)
        self.apply(0, Mark(at(3), 3))
        self.assertNoResult(waiting)
        self.apply(1, self.current)
        self.assertEqual(self.successResultOf(waiting), [])

    def test_other_content_at_the_same_revision_is_waited_for(self) -> None:
        """A comparison of everything finds what triggers did not see."""
        self.current = Mark(at(1), 77)
        waiting = self.propagation.wait(5.0)
        self.apply(0, self.current)
        self.assertNoResult(waiting)
        self.apply(1, self.current)
        self.assertEqual(self.successResultOf(waiting), [])

    def test_higher_revision_of_a_past_that_is_gone_is_behind(self) -> None:
        """The database was set back: nobody can be further than this host is."""
        for worker in (0, 1):
            self.apply(worker, Mark(at(9), 9))
        self.assertEqual(self.propagation.behind(), ["w0", "w1"])

    def test_time_names_those_behind(self) -> None:
        """At the deadline the answer is who does not serve it."""
        self.current = Mark(at(2), 2)
        waiting = self.propagation.wait(5.0)
        self.apply(0, self.current)
        self.clock.advance(5.0)
        self.assertEqual(self.successResultOf(waiting), ["w1"])

    def test_draining_worker_is_not_waited_for(self) -> None:
        """Old workers finish with what they have; a new one counts from its start."""
        self.workers = [a_worker("w0", 2), a_worker("w1", 1, WorkerState.DRAINING)]
        self.current = Mark(at(2), 2)
        self.assertEqual(self.propagation.behind(), [])
        self.assertEqual(self.propagation.counted, 1)
        self.workers.append(a_worker("w1", None, WorkerState.STARTING))
        self.assertEqual(self.propagation.behind(), ["w1"])
