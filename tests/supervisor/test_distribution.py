"""Every worker comes to the head, whatever is lost on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from fengling_gateway.control.encoding import delta_head
from fengling_gateway.control.frames import Message
from fengling_gateway.control.local_channel import LocalChannel
from fengling_gateway.model.delta import Change, Delta, Position, decode_changes
from fengling_gateway.model.effective import hash_of
from fengling_gateway.model.entity import Key, add_hash, entity_hash, subtract_hash
from fengling_gateway.supervisor import delta_log
from fengling_gateway.supervisor.delta_log import DeltaLog
from fengling_gateway.supervisor.distribution import MAX_QUEUED, Distribution
from fengling_gateway.supervisor.link import CatchUp, WorkerLink


class Config:
    """A configuration that makes its own deltas."""

    def __init__(self) -> None:
        self.bodies: dict[Key, bytes] = {}
        self.content_hash = 0
        self.position: Position | None = None

    def change(self, number: int, body: bytes | None) -> Delta:
        key = Key("route", f"r{number}")
        before, hash_before = self.position, self.content_hash
        old = self.bodies.pop(key, None)
        if old is not None:
            self.content_hash = subtract_hash(self.content_hash, entity_hash(key, old))
        if body is not None:
            self.bodies[key] = body
            self.content_hash = add_hash(self.content_hash, entity_hash(key, body))
        revision = 1 if before is None else before.revision + 1
        self.position = Position("e", revision, f"t{revision}")
        return Delta(before, self.position, hash_before, self.content_hash, (Change(key, body),))


class Wire:
    """A channel that keeps what was sent, for the worker below to take."""

    def __init__(self) -> None:
        self.deltas: list[Delta] = []
        self.bytes_sent = 0

    @property
    def queued(self) -> int:
        return len(self.deltas)

    def send(self, message: Any, values: Any = None) -> None: ...

    def send_delta(self, delta: Delta) -> None:
        self.deltas.append(delta)

    def close(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Unconcerned:
    """The user of a link, to whom it is all the same."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


class Worker:
    """Applies deltas by the rules of a real one."""

    def __init__(self) -> None:
        self.link = WorkerLink(clock=Clock(), name="w0", slot=0, user=Unconcerned())
        self.wire = Wire()
        self.link.connect(self.wire)
        self.position: Position | None = None
        self.content_hash = 0

    def question(self, reason: str, wanted: Position | None = None) -> CatchUp:
        return CatchUp(reason, self.position, self.content_hash, wanted)

    def take(self, count: int) -> bool:
        """Apply some of what has arrived; False when something did not fit."""
        arrived, self.wire.deltas = self.wire.deltas[:count], self.wire.deltas[count:]
        for delta in arrived:
            if not delta.is_full and delta.hash_before != self.content_hash:
                return delta.after == self.position
            self.position, self.content_hash = delta.after, delta.hash_after
        return True


def distribution_of(
    config: Config,
    workers: Sequence[Worker | Follower],
    *,
    log: DeltaLog | None = None,
    heard: Callable[[Position], object] = lambda position: None,
    push: bool = True,
) -> Distribution:
    """To those that are in `workers` at the time."""
    return Distribution(
        log=DeltaLog() if log is None else log,
        links=lambda: [worker.link for worker in workers],
        bodies=lambda: config.bodies,
        heard=heard,
        push=push,
    )


steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("change"), st.integers(0, 5), st.one_of(st.none(), st.binary(max_size=5))
        ),
        st.tuples(
            st.sampled_from(["take", "hear", "beat", "restart", "forget"]), st.integers(0, 3)
        ),
    ),
    max_size=40,
)


class DistributionTests(TestCase):
    """`Distribution` and `DeltaLog`"""

    @given(steps, st.booleans())
    def test_worker_converges_whatever_happened(self, script: list[Any], push: bool) -> None:
        """After any history, a heartbeat or two bring the worker to the head."""
        config, log, worker = Config(), DeltaLog(), Worker()
        workers = [worker]
        distribution = distribution_of(config, workers, log=log, push=push)
        distribution.answer(worker.link, worker.question("started"))
        for step in script:
            if step[0] == "change":
                distribution.publish(config.change(step[1], step[2]))
            elif step[0] == "take":
                if not worker.take(step[1]):
                    distribution.answer(worker.link, worker.question("out of place"))
            elif step[0] == "hear":
                distribution.answer(worker.link, worker.question("heard", config.position))
            elif step[0] == "beat":
                distribution.check(worker.link)
            elif step[0] == "forget":
                log._deltas.clear()
            else:
                workers[0] = worker = Worker()
                distribution.answer(worker.link, worker.question("started"))
        for _ in range(3):
            distribution.check(worker.link)
            if not worker.take(1000):
                distribution.answer(worker.link, worker.question("out of place"))
        self.assertEqual(
            (worker.position, worker.content_hash), (config.position, config.content_hash)
        )

    def test_worker_in_step_gets_one_delta_for_one_change(self) -> None:
        """Nothing is sent twice, and never everything where a delta will do."""
        config, worker = Config(), Worker()
        distribution = distribution_of(config, [worker])
        distribution.publish(config.change(1, b"a"))
        worker.take(10)
        distribution.publish(config.change(1, b"b"))
        distribution.answer(worker.link, worker.question("heard", config.position))
        distribution.check(worker.link)
        self.assertEqual([len(one.changes) for one in worker.wire.deltas], [1])
        self.assertEqual(distribution.full_deltas, 1)

    def test_worker_gets_everything_once_whoever_is_first(self) -> None:
        """The source may answer before a new worker asks; 100,000 routes are not sent twice."""
        config, worker = Config(), Worker()
        distribution = distribution_of(config, [worker])
        asked_early = worker.question("started")
        distribution.publish(config.change(1, b"a"))
        distribution.publish(config.change(1, b"b"))
        distribution.answer(worker.link, asked_early)
        self.assertEqual([one.is_full for one in worker.wire.deltas], [True, False])

    def test_worker_that_does_not_read_gets_no_more_than_a_bound(self) -> None:
        """And everything that is left when it does."""
        config, worker = Config(), Worker()
        distribution = distribution_of(config, [worker])
        for number in range(2 * MAX_QUEUED):
            distribution.publish(config.change(number % 5, b"%d" % number))
        distribution.check(worker.link)
        self.assertEqual(len(worker.wire.deltas), MAX_QUEUED)
        worker.take(MAX_QUEUED)
        distribution.check(worker.link)
        worker.take(2 * MAX_QUEUED)
        self.assertEqual(worker.position, config.position)

    def test_worker_that_has_just_died_keeps_nothing_from_its_siblings(self) -> None:
        """Between the end of its channel and that of its process, a revision may come."""
        config, dead, alive = Config(), Worker(), Worker()
        distribution = distribution_of(config, [dead, alive])
        distribution.publish(config.change(1, b"a"))
        dead.link.channel_lost()
        distribution.publish(config.change(1, b"b"))
        distribution.check(dead.link)
        alive.take(10)
        self.assertEqual(alive.position, config.position)

    def test_worker_that_heard_of_more_than_there_is_makes_the_supervisor_look(self) -> None:
        """An announcement may reach a worker before the database has told its supervisor."""
        config, worker, looks = Config(), Worker(), []
        distribution = distribution_of(config, [worker], heard=looks.append, push=False)
        distribution.publish(config.change(1, b"a"))
        worker.take(10)
        announced = Position("e", 2, "t2")
        distribution.answer(worker.link, worker.question("heard", announced))
        self.assertEqual(looks, [announced])
        distribution.publish(config.change(1, b"b"))
        self.assertEqual(len(worker.wire.deltas), 1, "it had asked, so it gets it without push")

    def test_what_one_worker_has_heard_is_sent_to_all(self) -> None:
        """Without the push: the first question, or an announcement to the supervisor, will do."""
        for hear in ("a worker", "the supervisor"):
            config, workers = Config(), [Worker(), Worker()]
            distribution = distribution_of(config, workers, push=False)
            distribution.publish(config.change(1, b"a"))
            for worker in workers:
                worker.take(10)
            distribution.publish(config.change(1, b"b"))
            if hear == "a worker":
                distribution.answer(workers[0].link, workers[0].question("heard", config.position))
            else:
                distribution.announced(config.position)
            distribution.announced(config.position)
            sent = [[len(delta.changes) for delta in worker.wire.deltas] for worker in workers]
            self.assertEqual(sent, [[1], [1]], hear)

    def test_worker_that_waits_for_more_than_comes_goes_on_waiting(self) -> None:
        """Two revisions announced at once may be read one by one."""
        config, worker = Config(), Worker()
        distribution = distribution_of(config, [worker], push=False)
        distribution.publish(config.change(1, b"a"))
        worker.take(10)
        distribution.announced(Position("e", 3, "t3"))
        for body in (b"b", b"c", b"d"):
            distribution.publish(config.change(1, body))
        self.assertEqual([one.after.revision for one in worker.wire.deltas], [2, 3])


class Follower:
    """A worker at the other end of a channel, with all that it has been sent."""

    def __init__(self, clock: Clock) -> None:
        self.link = WorkerLink(clock=clock, name="w1", slot=1, user=Unconcerned())
        ours, theirs = (LocalChannel(clock=clock, user=user) for user in (self.link, self))
        LocalChannel.connect(ours, theirs)
        self.link.connect(ours)
        self.bodies: dict[Key, bytes] = {}
        self.served: list[tuple[int, dict[Key, bytes]]] = []
        self.parts = 0
        self._head: Delta | None = None

    def message_received(self, message: Message, payload: bytes) -> None:
        if message is Message.DELTA:
            self._head = delta_head(payload)
            self.bodies = {} if self._head.is_full else dict(self.bodies)
        elif message is Message.CHANGES:
            self.parts += 1
            for key, body in decode_changes(payload):
                if body is None:
                    del self.bodies[key]
                else:
                    self.bodies[key] = body
        elif message is Message.DELTA_END:
            assert self._head is not None
            assert hash_of(self.bodies) == self._head.hash_after, "nothing that never was"
            self.served.append((self._head.after.revision, self.bodies))

    def channel_lost(self) -> None: ...


class SendingEverythingTests(TestCase):
    """`Distribution`, to a worker that has just been started"""

    def test_changes_meanwhile_come_after_what_was(self) -> None:
        """All parts are of the configuration at that revision, while others follow it."""
        config, clock = Config(), Clock()
        followers = [Follower(clock)]
        distribution = distribution_of(config, followers)
        for number in range(1000):
            distribution.publish(config.change(number, b"%0500d" % number))
        clock.advance(0)
        at_start, revision = dict(config.bodies), 1000
        late = Follower(clock)
        followers.append(late)
        distribution.check(late.link)
        for body in (b"changed", None, b"new again"):
            clock.calls.pop(0).func()  # one turn; Clock.advance would run what that schedules
            for number in (999, 500, 0, 1000):
                distribution.publish(config.change(number, body))
            self.assertEqual(late.served, [], "it is still under way")
        clock.advance(0)
        self.assertGreater(late.parts, 7)
        self.assertEqual(late.served[0], (revision, at_start))
        self.assertEqual(late.served[-1], (revision + 12, config.bodies))
        self.assertEqual(followers[0].bodies, config.bodies)


class DeltaLogTests(TestCase):
    """`DeltaLog`"""

    def test_log_stays_within_its_bound(self) -> None:
        """A worker far behind gets everything; one near gets the deltas."""
        config, log = Config(), DeltaLog()
        positions = []
        for number in range(delta_log.MAX_LOGGED_CHANGES):
            log.append(config.change(number % 3, b"%d" % number))
            positions.append((config.position, config.content_hash))
        self.assertIsNone(log.after(*positions[0]))
        following = log.after(*positions[-3])
        assert following is not None
        self.assertEqual([one.after.revision for one in following], [19_999, 20_000])

    def test_delta_that_skips_is_refused(self) -> None:
        """The log never has a gap."""
        config, log = Config(), DeltaLog()
        log.append(config.change(1, b"a"))
        config.change(1, b"b")
        with self.assertRaisesRegex(ValueError, "skips"):
            log.append(config.change(1, b"c"))
