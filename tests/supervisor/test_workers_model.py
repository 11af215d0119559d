"""Whatever happens to workers in whatever order, every slot is served in the end."""

from __future__ import annotations

import random
from typing import Any
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from fengling_gateway.control.frames import Message
from fengling_gateway.supervisor.link import WorkerState
from fengling_gateway.supervisor.watch import READY_WITHIN_SECONDS
from fengling_gateway.supervisor.workers import SupervisionSettings, Workers
from tests.supervisor.test_workers import FakeLauncher, FakeWorker, Watcher

COUNT = 3

happenings = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["die", "ready", "stall", "lose", "drained"]), st.integers(0, 6)),
        st.tuples(st.sampled_from(["pass", "pause"]), st.floats(0.01, 70.0)),
        st.tuples(st.sampled_from(["restart", "exhaust"]), st.booleans()),
    ),
    max_size=40,
)


class WorkersModelTests(TestCase):
    """`Workers`"""

    def begin(self) -> None:
        self.clock = Clock()
        self.launcher = FakeLauncher()
        self.workers = Workers(
            clock=self.clock,
            launcher=self.launcher,
            count=COUNT,
            settings=SupervisionSettings(),
            configuration=lambda link, launched: {},
            user=Watcher(),  # type: ignore[arg-type]
            rng=random.Random(1),
        )
        self.workers.start()
        self.stalled: set[FakeWorker] = set()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, with the heartbeats of all but the stalled ones."""
        until = self.clock.seconds() + seconds
        while self.clock.seconds() < until:
            for one in self.launcher.running():
                if one not in self.stalled:
                    one.beat()
            self.clock.advance(min(0.5, until - self.clock.seconds()))

    def end_drained(self) -> None:
        for one in self.launcher.running():
            if one.link.state is WorkerState.DRAINING:
                one.die("exit status 0")

    def happen(self, what: str, which: Any) -> None:
        running = self.launcher.running()
        if what == "pass":
            self.pass_time(which)
        elif what == "pause":
            self.clock.advance(which)
        elif what == "restart":
            self.workers.rolling_restart()
        elif what == "exhaust":
            self.launcher.exhausted = which
        elif what == "drained":
            self.end_drained()
        elif running:
            self.happen_to(running[which % len(running)], what)

    def happen_to(self, worker: FakeWorker, what: str) -> None:
        if what == "die":
            worker.die()
        elif what == "ready":
            worker.say(Message.READY)
        elif what == "stall":
            self.stalled.add(worker)
        else:
            worker.link.channel_lost()

    @given(happenings)
    def test_all_is_well_in_the_end(self, script: list[tuple[str, Any]]) -> None:
        """As many workers as slots serve, each slot is read once, and a stop ends with the last."""
        self.begin()
        for what, which in script:
            self.happen(what, which)
        self.launcher.exhausted = False
        self.stalled.clear()
        for _ in range(int(READY_WITHIN_SECONDS) + 20):
            for one in self.launcher.running():
                if one.link.state is WorkerState.STARTING:
                    one.say(Message.READY)
            self.end_drained()
            self.pass_time(1.0)
        self.assertTrue(self.workers.all_serve)
        self.assertFalse(self.workers.restarting)
        serving = self.launcher.running()
        self.assertEqual([one.link.state for one in serving], [WorkerState.SERVING] * COUNT)
        reads = sorted(slot for one in serving for slot in one.link.read_slots)
        self.assertEqual(reads, list(range(COUNT)))
        stopped = self.workers.stop(1.0)
        self.clock.advance(10.0)
        self.assertTrue(stopped.called)
        self.assertEqual((self.launcher.running(), self.clock.getDelayedCalls()), ([], []))

    @given(happenings)
    def test_a_stop_ends_whatever_was_under_way(self, script: list[tuple[str, Any]]) -> None:
        """In time, and without a worker or a timer left."""
        self.begin()
        for what, which in script:
            self.happen(what, which)
        stopped = self.workers.stop(1.0)
        self.clock.pump([0.5] * 20)
        self.assertTrue(stopped.called)
        self.assertEqual((self.launcher.running(), self.clock.getDelayedCalls()), ([], []))
