"""Slots stay served: deaths, hangs, restarts, the end."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.control.frames import Message
from fengling_gateway.supervisor.launch import Launched
from fengling_gateway.supervisor.link import WorkerLink, WorkerState
from fengling_gateway.supervisor.watch import READY_WITHIN_SECONDS
from fengling_gateway.supervisor.workers import SupervisionSettings, Workers


class FakeWorker:
    """A process that does what the test says."""

    def __init__(
        self, name: str, link: WorkerLink, exited: Callable[[str], None], pid: int
    ) -> None:
        self.name, self.link, self.pid = name, link, pid
        self._exited = exited
        self.told: list[tuple[Message, Any]] = []
        self.alive = True
        self.bytes_sent = self.queued = 0

    def send(self, message: Message, values: Any = None) -> None:
        self.told.append((message, values))

    def send_delta(self, delta: Any) -> None: ...

    def close(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def say(self, message: Message, **values: Any) -> None:
        self.link.message_received(message, json.dumps(values).encode())

    def beat(self) -> None:
        self.say(Message.HEARTBEAT, lag_ms=0.0, blocked_ms=0.0, revision=1)

    def die(self, how: str = "signal 9") -> None:
        self.alive = False
        self.link.channel_lost()
        self._exited(how)

    def kill(self) -> None:
        if self.alive:
            self.die()

    def told_to(self, message: Message) -> list[Any]:
        return [values for said, values in self.told if said is message]


class FakeLauncher:
    """Starts fake workers, unless the test has put out what there is to start them with."""

    can_overlap = True

    def __init__(self) -> None:
        self.started: list[FakeWorker] = []
        self.exhausted = False

    def launch(self, name: str, user: Any, exited: Callable[[str], None]) -> Launched:
        if self.exhausted:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        worker = FakeWorker(name, user, exited, 1000 + len(self.started))
        self.started.append(worker)
        return Launched(worker, worker.pid, worker.kill, {})

    def running(self) -> list[FakeWorker]:
        return [one for one in self.started if one.alive]


class Watcher:
    """The user of `Workers`, who does not care."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


class WorkersTests(SynchronousTestCase):
    """`Workers`"""

    def setUp(self) -> None:
        self.clock = Clock()
        self.launcher = FakeLauncher()
        self.workers = Workers(
            clock=self.clock,
            launcher=self.launcher,
            count=2,
            settings=SupervisionSettings(),
            configuration=lambda link, launched: {},
            user=Watcher(),  # type: ignore[arg-type]
            rng=random.Random(1),
        )
        self.workers.start()

    def serve(self) -> list[FakeWorker]:
        """Let every running worker become ready."""
        for one in self.launcher.running():
            if one.link.state is WorkerState.STARTING:
                one.say(Message.READY)
        return self.launcher.running()

    def pass_time(self, seconds: float, beating: Callable[[], list[FakeWorker]]) -> None:
        for _ in range(int(seconds * 2)):
            for one in beating():
                one.beat()
            self.clock.advance(0.5)

    def seconds_to_respawn(self) -> float:
        """Let the worker of the first slot die, and wait for the next one."""
        next(one for one in self.launcher.running() if one.name == "w0").die()
        before = self.clock.seconds()
        while not any(one.name == "w0" for one in self.launcher.running()):
            for one in self.launcher.running():
                one.beat()
            self.clock.advance(0.05)
        return self.clock.seconds() - before

    def test_death_is_answered_by_a_sibling_at_once_and_by_a_respawn(self) -> None:
        """The sibling reads the dead worker's slot until the new one serves."""
        first, second = self.serve()
        first.die()
        self.assertEqual(second.told_to(Message.READ_SLOTS), [{"slots": [0, 1]}])
        self.clock.advance(0.1)
        self.assertEqual(len(self.launcher.running()), 2)
        self.serve()
        self.assertEqual(second.told_to(Message.READ_SLOTS)[-1], {"slots": [1]})

    def test_crash_loop_backs_off_and_forgets_it_after_a_steady_while(self) -> None:
        """Delays grow to five seconds; a worker that lives long starts over."""
        delays = [self.seconds_to_respawn() for _ in range(12)]
        self.assertLess(delays[0], 0.2)
        self.assertGreater(delays[-1], 3.9)
        self.assertLess(delays[-1], 6.1)
        self.serve()
        self.pass_time(11, self.launcher.running)
        self.assertLess(self.seconds_to_respawn(), 0.2)

    def test_stalled_worker_is_relieved_and_then_killed(self) -> None:
        """After two seconds of silence a sibling helps, after five the worker is killed."""
        stalled, sibling = self.serve()
        self.pass_time(2.5, lambda: [sibling])
        self.assertIs(stalled.link.state, WorkerState.STALLED)
        self.assertEqual(sibling.told_to(Message.READ_SLOTS), [{"slots": [0, 1]}])
        self.pass_time(3.5, lambda: [sibling])
        self.assertFalse(stalled.alive)

    def test_stalled_worker_that_wakes_up_reads_its_own_slot_again(self) -> None:
        """A heartbeat ends the stall."""
        stalled, sibling = self.serve()
        self.pass_time(2.5, lambda: [sibling])
        stalled.beat()
        self.assertIs(stalled.link.state, WorkerState.SERVING)
        self.assertEqual(sibling.told_to(Message.READ_SLOTS)[-1], {"slots": [1]})

    def test_pause_of_the_supervisor_is_no_silence_of_the_workers(self) -> None:
        """Stopped and continued, or after a step of the clock, it kills nobody who is well."""
        for one in self.serve():
            one.beat()
        self.clock.advance(3600.0)
        self.assertEqual(len(self.launcher.running()), 2)
        self.assertTrue(self.workers.all_serve)
        stalled, sibling = self.launcher.running()
        self.pass_time(6, lambda: [sibling])
        self.assertFalse(stalled.alive, "but who stays silent is")

    def test_rolling_restart_replaces_one_after_the_other(self) -> None:
        """A worker drains only when its replacement serves; the next one waits for that."""
        first, second = self.serve()
        self.workers.rolling_restart()
        self.assertEqual(len(self.launcher.running()), 3)
        self.assertEqual(first.told_to(Message.DRAIN), [])
        self.serve()
        self.assertEqual(len(first.told_to(Message.DRAIN)), 1)
        self.assertEqual(second.told_to(Message.DRAIN), [])
        self.assertEqual(len(self.launcher.running()), 4)
        self.serve()
        self.assertEqual(len(second.told_to(Message.DRAIN)), 1)
        first.die("exit status 0")
        second.die("exit status 0")
        self.clock.advance(0.5)
        self.assertEqual(len(self.launcher.running()), 2)
        self.assertTrue(self.workers.all_serve)
        self.assertEqual(self.workers.deaths, 0)

    def test_replacement_that_fails_leaves_the_old_workers(self) -> None:
        """New code that does not start stops the rolling restart at its first slot."""
        old = self.serve()
        self.workers.rolling_restart()
        self.launcher.started[-1].die("exit status 1")
        self.clock.advance(1)
        self.assertEqual(self.launcher.running(), old)
        self.assertTrue(self.workers.all_serve)

    def test_worker_that_cannot_be_started_is_started_when_it_can(self) -> None:
        """A host out of processes or descriptors does not lose a slot for good."""
        self.serve()[0].die()
        self.launcher.exhausted = True
        self.pass_time(20, self.launcher.running)
        self.launcher.exhausted = False
        self.pass_time(7, self.launcher.running)
        self.assertEqual(len(self.launcher.running()), 2)

    def test_replacement_that_cannot_be_started_ends_the_rolling_restart(self) -> None:
        """The next one is not taken for a part of it."""
        old = self.serve()
        self.launcher.exhausted = True
        self.workers.rolling_restart()
        self.assertFalse(self.workers.restarting)
        self.assertEqual(self.launcher.running(), old)
        self.launcher.exhausted = False
        self.workers.rolling_restart()
        self.assertEqual(len(self.launcher.running()), 3)

    def test_restarts_asked_for_during_a_restart_make_one_more(self) -> None:
        """Ten USR2 in a row don't make ten generations."""
        self.serve()
        for _ in range(10):
            self.workers.rolling_restart()
        for _ in range(20):
            self.serve()
        self.assertEqual(self.workers.restarts, 2)
        self.assertEqual(len(self.launcher.started), 6)

    def test_worker_that_does_not_come_to_serve_is_replaced_when_others_do(self) -> None:
        """A start that hangs ends at its deadline, if there is anything to serve."""
        first, _ = self.launcher.running()
        first.say(Message.READY)
        self.pass_time(READY_WITHIN_SECONDS + 1, self.launcher.running)
        self.assertEqual(len(self.launcher.started), 3)

    def test_stop_drains_all_and_ends_with_the_last_process(self) -> None:
        """The Deferred fires when every process has ended; no timer is left."""
        first, second = self.serve()
        stopped = self.workers.stop(30.0)
        self.assertEqual(first.told_to(Message.DRAIN), [{"deadline": 30.0, "last": True}])
        first.die("exit status 0")
        self.assertNoResult(stopped)
        second.die("exit status 0")
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_worker_that_outlives_its_drain_is_killed(self) -> None:
        """A drain has an end."""
        self.serve()
        stopped = self.workers.stop(1.0)
        self.clock.advance(3.5)
        self.successResultOf(stopped)
        self.assertEqual(self.launcher.running(), [])

    def test_stop_does_not_wait_for_the_drain_of_a_rolling_restart(self) -> None:
        """The deadline of the stop is the one that counts."""
        self.serve()
        self.workers.rolling_restart()
        self.serve()
        stopped = self.workers.stop(1.0)
        self.clock.pump([0.5] * 7)
        self.successResultOf(stopped)
