"""The last-known-good file is written behind the workers' backs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.model.delta import Change, Delta, Position
from fengling_gateway.model.entity import Key
from fengling_gateway.supervisor.journal import MAX_QUEUED_DELTAS, FileJournal

R1 = Key("route", "r1")


def at(revision: int) -> Position:
    return Position("e", revision, f"t{revision}")


def delta(revision: int) -> Delta:
    before = at(revision - 1) if revision > 1 else None
    return Delta(before, at(revision), revision - 1, revision, (Change(R1, b"%d" % revision),))


def capture(test: SynchronousTestCase) -> Callable[[], list[str]]:
    """Return what gives the lines of the log from now on."""
    events: list[LogEvent] = []
    observe = events.append
    globalLogPublisher.addObserver(observe)  # type: ignore[arg-type]
    test.addCleanup(globalLogPublisher.removeObserver, observe)
    return lambda: [formatEvent(event) for event in events]


class Disk:
    """A file that notes what is written to it, and a thread that works when the test says."""

    wants_rebase = False

    def __init__(self) -> None:
        self.written: list[Any] = []
        self.waiting: list[tuple[Callable[[], Any], Deferred[Any]]] = []
        self.full = False

    def load(self) -> None: ...

    def rebase(self, position: Position, bodies: dict[Key, bytes]) -> None:
        self._write(("all", position.revision, bodies[R1]))

    def append_all(self, deltas: list[Delta]) -> None:
        self._write([one.after.revision for one in deltas])

    def _write(self, what: Any) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.written.append(what)

    def in_thread(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self.waiting.append((lambda: function(*args), done))
        return done

    def work(self) -> None:
        """Do what has been asked for until now, and what follows from it."""
        while self.waiting:
            function, done = self.waiting.pop(0)
            try:
                done.callback(function())
            except OSError:
                done.errback()


class FileJournalTests(SynchronousTestCase):
    """`FileJournal`"""

    def setUp(self) -> None:
        self.disk = Disk()
        self.revision = 0
        self.stopped = 0
        self.clock = Clock()
        self.journal = FileJournal(
            clock=self.clock, file=self.disk, in_thread=self.disk.in_thread, stop_threads=self._stop
        )

    def _stop(self) -> None:
        self.stopped += 1

    def append(self, count: int = 1) -> None:
        for _ in range(count):
            self.revision += 1
            self.journal.append(delta(self.revision), lambda: {R1: b"%d" % self.revision})

    def test_first_write_is_of_everything_and_later_ones_of_deltas(self) -> None:
        """What comes during a write is written together."""
        self.append()
        self.append(2)
        self.disk.work()
        self.append()
        self.disk.work()
        self.assertEqual(self.disk.written, [("all", 1, b"1"), [2, 3], [4]])

    def test_disk_that_hangs_does_not_fill_the_memory(self) -> None:
        """Beyond a bound, one rewrite of everything takes the place of what waits."""
        self.append()
        self.disk.work()
        self.append()
        self.append(2 * MAX_QUEUED_DELTAS + 7)
        self.assertEqual(repr(self.journal), "<FileJournal 7 queued>")
        self.disk.work()
        last = self.revision
        self.assertEqual(self.disk.written[-1], ("all", last, b"%d" % last))
        self.append()
        self.disk.work()
        self.assertEqual(self.disk.written[-1], [last + 1])

    def test_failed_write_is_made_up_for(self) -> None:
        """With the next revision, or without one; the log tells it once, and when it is over."""
        told = capture(self)
        self.append()
        self.disk.full = True
        self.disk.work()
        for _ in range(3):
            self.journal.retry()
            self.disk.work()
        self.assertEqual((self.journal.failures, self.journal.is_failing), (4, True))
        why = "[Errno 28] No space left on device"
        self.assertEqual(
            told(), [f"the last-known-good file can't be written: {why}; serving goes on"]
        )
        self.disk.full = False
        self.journal.retry()
        self.disk.work()
        self.journal.retry()
        self.assertEqual(self.disk.waiting, [], "there is nothing left to make up for")
        self.assertEqual(self.disk.written, [("all", 1, b"1")])
        self.assertEqual(told()[1:], ["the last-known-good file is written again"])

    def test_fault_of_ours_is_told_with_its_traceback(self) -> None:
        """What a disk does needs none."""
        self.append()
        _, done = self.disk.waiting.pop()
        done.errback(KeyError("r1"))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_revision_that_came_during_a_failing_write_is_written(self) -> None:
        """It is not thrown away with the one that failed."""
        self.append()
        self.disk.full = True
        (_, done), self.disk.waiting = self.disk.waiting[0], []
        self.append()
        done.errback(OSError(28, "No space left on device"))
        self.disk.full = False
        self.disk.work()
        self.assertEqual(self.disk.written, [("all", 2, b"2")])

    def test_stop_waits_for_the_write_under_way(self) -> None:
        """And ends the thread then."""
        self.append()
        stopping = self.journal.stop()
        self.assertEqual(self.stopped, 0)
        self.disk.work()
        self.successResultOf(stopping)
        self.assertEqual((self.disk.written, self.stopped), ([("all", 1, b"1")], 1))
