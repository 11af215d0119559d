"""Verdicts on their way to the database."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import psycopg2
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from fengling_gateway.health.table import TermOverError, Verdict
from fengling_gateway.health.writing import BATCH_SECONDS, MAX_BATCH, Finding, Writer


class Pen:
    """Keeps what is to be written until a test says how that went."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, list[Verdict]]] = []
        self.waiting: Deferred[None] | None = None

    def write(self, term: int, verdicts: Sequence[Verdict]) -> Deferred[None]:
        assert self.waiting is None, "one at a time"
        self.batches.append((term, list(verdicts)))
        self.waiting = Deferred()
        return self.waiting

    def end(self, error: Exception | None = None) -> None:
        assert self.waiting is not None
        waiting, self.waiting = self.waiting, None
        if error is None:
            waiting.callback(None)
        else:
            waiting.errback(error)

    @property
    def ids(self) -> list[list[str]]:
        return [[one.instance_id for one in verdicts] for _, verdicts in self.batches]


class WriterTests:
    def writer(self) -> Writer:
        self.clock, self.pen, self.over = Clock(), Pen(), list[str]()
        return Writer(clock=self.clock, pen=self.pen, rng=Random(1), term_over=self.over.append)

    def finding(self, name: str, health: str | None = "unhealthy") -> Finding:
        return Finding(name, health, "refused", "http://a:1", self.clock.seconds())

    def test_first_goes_at_once_with_its_neighbours(self) -> None:
        """Those of the same turn; the next ones wait for a tenth of a second."""
        writer = self.writer()
        writer.begin(4)
        writer.put(self.finding("a"))
        writer.put(self.finding("b"))
        self.clock.advance(0)
        assert self.pen.ids == [["a", "b"]]
        self.pen.end()
        writer.put(self.finding("c"))
        self.clock.advance(BATCH_SECONDS / 2)
        writer.put(self.finding("d"))
        assert len(self.pen.batches) == 1
        self.clock.advance(BATCH_SECONDS / 2)
        assert self.pen.ids[1:] == [["c", "d"]]

    def test_newest_verdict_of_an_instance_wins(self) -> None:
        """Also over one whose writing has failed."""
        writer = self.writer()
        writer.begin(4)
        writer.put(self.finding("a"))
        self.clock.advance(0)
        writer.put(self.finding("a", "healthy"))
        assert "a" in writer
        self.pen.end(psycopg2.OperationalError("gone"))
        self.clock.advance(1)
        assert [one.health for one in self.pen.batches[-1][1]] == ["healthy"]
        self.pen.end()
        assert "a" not in writer
        assert self.clock.getDelayedCalls() == []

    def test_failure_is_tried_again_more_and_more_slowly(self) -> None:
        """And its verdicts say how old they are by then."""
        writer = self.writer()
        writer.begin(4)
        writer.put(self.finding("a"))
        for _ in range(8):
            [call] = self.clock.getDelayedCalls()
            self.clock.advance(call.getTime() - self.clock.seconds())
            self.pen.end(psycopg2.OperationalError("server closed the connection\nunexpectedly"))
        assert writer.problem == "server closed the connection; unexpectedly"
        [call] = self.clock.getDelayedCalls()
        assert 1.5 <= call.getTime() - self.clock.seconds() <= 3.0
        self.clock.advance(3.0)
        assert self.pen.batches[-1][1][0].age == self.clock.seconds()
        self.pen.end()
        assert (writer.problem, writer.counts.failures, writer.counts.written) == (None, 8, 1)

    def test_end_of_the_term_is_told_and_nothing_more_is_written(self) -> None:
        """Until the next one begins; what waited is still there, unless it is cleared."""
        writer = self.writer()
        writer.begin(4)
        writer.put(self.finding("a"))
        self.clock.advance(0)
        self.pen.end(TermOverError("term 4 is over"))
        assert self.over == ["term 4 is over"]
        writer.put(self.finding("b"))
        self.clock.advance(10)
        assert len(self.pen.batches) == 1
        writer.begin(5)
        self.clock.advance(0)
        assert self.pen.batches[1][0] == 5
        assert self.pen.ids[1] == ["a", "b"]
        writer.put(self.finding("c"))
        writer.pause()
        writer.clear()
        self.pen.end(psycopg2.OperationalError("gone"))
        writer.begin(6)
        self.clock.advance(10)
        assert len(self.pen.batches) == 2

    def test_what_can_never_be_written_is_dropped(self) -> None:
        """Or it would keep all others from being written."""
        writer = self.writer()
        writer.begin(4)
        writer.put(self.finding("a"))
        self.clock.advance(0)
        writer.put(self.finding("b"))
        self.pen.end(psycopg2.DataError("what?"))
        self.clock.advance(1)
        assert self.pen.ids == [["a"], ["b"]]
        assert writer.counts.dropped == 1

    def test_only_the_one_that_can_never_be_written_is_dropped(self) -> None:
        """What was said of its neighbours would not be said again."""
        writer = self.writer()
        writer.begin(4)
        names = [str(n) for n in range(100)]
        for name in names:
            writer.put(self.finding(name))
        written: list[str] = []
        while len(writer):
            self.clock.advance(BATCH_SECONDS)
            batch = self.pen.ids[-1]
            is_bad = "77" in batch
            written += [] if is_bad else batch
            self.pen.end(psycopg2.DataError("what?") if is_bad else None)
            assert len(self.pen.batches) < 30
        assert written == [name for name in names if name != "77"]
        assert writer.counts.dropped == 1

    def test_large_crowd_goes_in_several_transactions(self) -> None:
        """Each holds a lock that all writers wait for."""
        writer = self.writer()
        writer.begin(4)
        for n in range(MAX_BATCH + 1):
            writer.put(self.finding(str(n)))
        self.clock.advance(0)
        self.pen.end()
        self.clock.advance(BATCH_SECONDS)
        assert [len(batch) for batch in self.pen.ids] == [MAX_BATCH, 1]

    def test_it_is_idle_when_all_is_written(self) -> None:
        """Or nothing can be."""
        writer = self.writer()
        assert writer.when_idle().called
        writer.begin(4)
        writer.put(self.finding("a"))
        idle = writer.when_idle()
        self.clock.advance(0)
        assert not idle.called
        self.pen.end()
        assert idle.called
        writer.put(self.finding("b"))
        idle = writer.when_idle()
        writer.pause()
        assert idle.called


class WriterMachine(RuleBasedStateMachine):
    """Whatever fails when: in the end the table has the newest verdict of each instance."""

    def __init__(self) -> None:
        super().__init__()
        self.clock, self.pen = Clock(), Pen()
        self.writer = Writer(
            clock=self.clock, pen=self.pen, rng=Random(1), term_over=lambda _: None
        )
        self.writer.begin(1)
        self.newest: dict[str, str] = {}
        self.table: dict[str, str] = {}
        self.written_at: list[float] = []
        self.number = 0

    @rule(name=st.sampled_from("abc"))
    def put(self, name: str) -> None:
        self.number += 1
        self.newest[name] = str(self.number)
        self.writer.put(Finding(name, "healthy", str(self.number), "", self.clock.seconds()))

    @rule(seconds=st.sampled_from([0.0, 0.05, 0.1, 5.0]))
    def wait(self, seconds: float) -> None:
        before = len(self.pen.batches)
        self.clock.advance(seconds)
        assert len(self.pen.batches) <= before + 1

    @rule(works=st.booleans())
    def end(self, works: bool) -> None:
        if self.pen.waiting is None:
            return
        if works:
            for one in self.pen.batches[-1][1]:
                self.table[one.instance_id] = one.reason
        self.pen.end(None if works else psycopg2.OperationalError("gone"))

    @invariant()
    def nothing_old_follows_anything_newer(self) -> None:
        for name, reason in self.table.items():
            assert int(reason) <= int(self.newest[name])
            assert name in self.writer or reason == self.newest[name]

    def teardown(self) -> None:
        for _ in range(5):
            self.clock.advance(5.0)
            self.end(works=True)
        assert self.table == self.newest
        assert len(self.writer) == 0


WriterModelTests = WriterMachine.TestCase
