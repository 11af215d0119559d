"""Waiting until every worker serves a position."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.model.delta import Position
from fengling_gateway.supervisor.link import WorkerState
from fengling_gateway.supervisor.propagation import Propagation


def at(revision: int) -> Position:
    return Position("e", revision, f"t{revision}")


def a_worker(name: str, revision: int | None, state: WorkerState = WorkerState.SERVING) -> Any:
    position = None if revision is None else at(revision)
    return SimpleNamespace(name=name, state=state, served=SimpleNamespace(position=position))


class PropagationTests(SynchronousTestCase):
    """`Propagation`"""

    def setUp(self) -> None:
        self.clock = Clock()
        self.workers = [a_worker("w0", 1), a_worker("w1", 1)]
        self.propagation = Propagation(clock=self.clock, links=lambda: self.workers)

    def test_all_there_answers_at_once(self) -> None:
        """Later revisions count too."""
        self.workers[1].served.position = at(9)
        self.assertEqual(self.successResultOf(self.propagation.wait(at(1), 5.0)), [])

    def test_last_one_to_apply_ends_the_wait(self) -> None:
        """It takes every worker."""
        waiting = self.propagation.wait(at(2), 5.0)
        for worker in self.workers:
            self.assertNoResult(waiting)
            worker.served.position = at(2)
            self.propagation.progressed()
        self.assertEqual(self.successResultOf(waiting), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_time_names_those_behind(self) -> None:
        """At the deadline the answer is who does not serve it."""
        waiting = self.propagation.wait(at(2), 5.0)
        self.workers[0].served.position = at(2)
        self.clock.advance(5.0)
        self.assertEqual(self.successResultOf(waiting), ["w1"])

    def test_draining_worker_is_not_waited_for(self) -> None:
        """Old workers finish with what they have; a new one counts from its start."""
        self.workers = [a_worker("w0", 2), a_worker("w1", 1, WorkerState.DRAINING)]
        self.assertEqual(self.propagation.behind(at(2)), [])
        self.assertEqual(self.propagation.counted, 1)
        self.workers.append(a_worker("w1", None, WorkerState.STARTING))
        self.assertEqual(self.propagation.behind(at(2)), ["w1"])
