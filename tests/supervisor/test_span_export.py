"""When spans are sent, again, or no more."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.supervisor.span_export import (
    DROPPED,
    RETRY_SECONDS,
    Batch,
    ExportSettings,
    Outcome,
    SpanExport,
    UnreachableError,
)

TAKEN = Outcome(200)
BUSY = Outcome(503, message="http://otel:4318 answers 503")


class Collector:
    """Answers when the test says, or as it has been told."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.open: list[Deferred[Outcome]] = []
        self.cancelled = 0
        self.always: Outcome | Exception | None = None

    def send(self, batch: Batch) -> Deferred[Outcome]:
        self.batches.append(batch)
        trying: Deferred[Outcome] = Deferred(self._cancelled)
        if isinstance(self.always, Outcome):
            trying.callback(self.always)
        elif self.always is not None:
            trying.errback(self.always)
        else:
            self.open.append(trying)
        return trying

    def _cancelled(self, trying: Deferred[Outcome]) -> None:
        self.cancelled += 1
        self.open.remove(trying)

    def answer(self, outcome: Outcome | Exception = TAKEN) -> None:
        trying = self.open.pop(0)
        if isinstance(outcome, Exception):
            trying.errback(outcome)
        else:
            trying.callback(outcome)

    @property
    def sizes(self) -> list[int]:
        return [len(one) for one in self.batches]


class Half(random.Random):
    """Chooses the least."""

    def uniform(self, a: float, b: float) -> float:
        return a


class SpanExportCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.collector = Collector()
        self.said: list[LogEvent] = []
        globalLogPublisher.addObserver(self.said.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.said.append)

    def make(self, **changes: Any) -> SpanExport:
        values: dict[str, Any] = {"batch_spans": 3, "batch_interval": 2.0, "timeout": 10.0}
        return SpanExport(
            clock=self.clock,
            settings=ExportSettings(**values | changes),
            send=self.collector.send,
            rng=Half(),
        )

    def add(self, export: SpanExport, count: int, size: int = 100) -> None:
        export.add([[number] for number in range(count)], size * count, worker="w1")

    def warnings(self) -> list[str]:
        return [str(one["what"]) for one in self.said if one.get("log_id") == "tracing.not_sent"]


class BatchTests(SpanExportCase):
    """How much is sent when"""

    def test_few_spans_wait_for_others(self) -> None:
        """Not for longer than they are told to."""
        export = self.make()
        self.add(export, 2)
        self.clock.advance(1.9)
        self.assertEqual(self.collector.sizes, [])
        self.clock.advance(0.1)
        self.assertEqual(self.collector.batches, [[("w1", [0]), ("w1", [1])]])
        self.collector.answer()
        self.assertEqual((export.sent, export.batches, export.waiting), (2, 1, 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_full_batch_is_sent_at_once(self) -> None:
        """One after the other; the rest waits again."""
        export = self.make()
        self.add(export, 7)
        self.assertEqual(self.collector.sizes, [3])
        self.collector.answer()
        self.assertEqual(self.collector.sizes, [3, 3])
        self.collector.answer()
        self.assertEqual(self.collector.sizes, [3, 3])
        self.clock.advance(2)
        self.assertEqual(self.collector.sizes, [3, 3, 1])

    def test_what_is_too_much_is_dropped_and_counted(self) -> None:
        """By their number."""
        export = self.make(queue_spans=10)
        self.add(export, 20)
        self.assertEqual(export.dropped["queue_full"], 10)
        self.assertLessEqual(export.waiting, 10)

    def test_what_is_too_large_is_dropped_and_counted(self) -> None:
        """Until there is room again."""
        export = self.make(queue_bytes=1000)
        self.add(export, 20, size=99)
        self.assertEqual(export.dropped["queue_full"], 10)
        self.collector.always = TAKEN
        self.collector.answer()
        self.clock.advance(2)
        self.assertEqual(export.waiting, 0)
        self.add(export, 10, size=99)
        self.assertEqual(export.dropped["queue_full"], 10)

    def test_what_workers_dropped_is_counted(self) -> None:
        """They tell with what they send."""
        export = self.make()
        export.add([], 0, worker="w1", dropped=5)
        self.assertEqual(export.dropped["worker"], 5)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class FailureTests(SpanExportCase):
    """What becomes of a batch that is not taken"""

    def test_busy_collector_is_asked_again_ever_later(self) -> None:
        """Until it takes the batch; others wait meanwhile."""
        export = self.make()
        self.add(export, 4)
        pauses = []
        for pause in (0.5, 1.0, 2.0, 4.0, 8.0, 15.0):
            self.collector.answer(BUSY)
            tries = len(self.collector.batches)
            self.clock.advance(pause - 0.01)
            self.assertEqual(len(self.collector.batches), tries)
            self.clock.advance(0.01)
            pauses.append(len(self.collector.batches) - tries)
        self.assertEqual(pauses, [1] * 6)
        self.collector.answer()
        self.assertEqual((export.sent, export.failures, export.waiting), (3, 6, 1))

    def test_collector_says_when_to_ask_again(self) -> None:
        """Where that is later than it would have been."""
        export = self.make()
        self.add(export, 3)
        self.collector.answer(Outcome(429, retry_after=20.0, message="busy"))
        self.clock.advance(19.9)
        self.assertEqual(self.collector.sizes, [3])
        self.clock.advance(0.2)
        self.assertEqual(self.collector.sizes, [3, 3])

    def test_batch_is_not_tried_for_ever(self) -> None:
        """Newer ones are worth more; the same trouble is told once a minute."""
        export = self.make()
        self.collector.always = UnreachableError("it can't be connected to")
        self.add(export, 3)
        self.clock.pump([0.5] * int(2 * RETRY_SECONDS))
        self.assertEqual(dict(export.dropped), {"worker": 0, "unavailable": 3})
        self.assertIn("it can't be connected to; it is tried again", self.warnings()[0])
        self.assertEqual(len(set(self.warnings()[:-1])), 1)
        self.assertLess(len(self.warnings()), 4)
        self.assertIn("; 3 are dropped", self.warnings()[-1])

    def test_refused_batch_is_dropped_at_once(self) -> None:
        """It would be refused again."""
        for status in (400, 401, 404, 413, 500, 301):
            export = self.make()
            self.add(export, 3)
            self.collector.answer(Outcome(status, message=f"answers {status}"))
            self.assertEqual(export.dropped["refused"], 3)
            self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIn("answers 400; 3 are dropped", self.warnings()[0])

    def test_partial_success_is_one(self) -> None:
        """What was rejected is counted and told, and not sent again."""
        export = self.make()
        self.add(export, 3)
        self.collector.answer(Outcome(200, rejected=2, message="too old"))
        self.assertEqual((export.sent, export.dropped["rejected"]), (1, 2))
        self.assertEqual(self.warnings(), ["the collector has rejected 2 of 3: too old"])

    def test_silent_collector_is_given_up(self) -> None:
        """After the deadline of a try; then it is tried again."""
        export = self.make(timeout=5.0)
        self.add(export, 3)
        self.clock.advance(5)
        self.assertEqual((self.collector.cancelled, export.failures), (1, 1))
        self.clock.advance(0.5)
        self.assertEqual(self.collector.sizes, [3, 3])
        self.assertIn("no answer within 5 s", self.warnings()[0])

    def test_status_says_what_is_wrong(self) -> None:
        """For as long as it is, with every reason for which spans are dropped."""
        export = self.make()
        self.add(export, 4)
        self.collector.answer(BUSY)
        values = export.values()
        self.assertEqual(values["last_trouble"], "http://otel:4318 answers 503; it is tried again")
        self.assertEqual((values["waiting"], values["failures"]), (1, 1))
        self.assertEqual(values["dropped"], dict.fromkeys(DROPPED, 0))
        self.clock.advance(1)
        self.collector.answer()
        self.assertIsNone(export.values()["last_trouble"])

    def test_recovery_is_told(self) -> None:
        """To whom it was told that something was wrong."""
        export = self.make()
        self.add(export, 3)
        self.collector.answer(BUSY)
        self.clock.advance(1)
        self.collector.answer()
        self.assertIn("tracing.sent_again", [one.get("log_id") for one in self.said])
        self.assertEqual(export.sent, 3)

    def test_fault_of_ours_costs_a_batch(self) -> None:
        """And no more: it goes on."""
        export = self.make()
        self.add(export, 6)
        self.collector.answer(ValueError("a bug"))
        self.collector.answer()
        self.assertEqual((export.sent, export.dropped["failed"]), (3, 3))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class StopTests(SpanExportCase):
    """The end"""

    def test_rest_is_sent(self) -> None:
        """All of it, without waiting for more."""
        export = self.make()
        self.add(export, 4)
        stopped = export.stop()
        self.collector.answer()
        self.assertNoResult(stopped)
        self.collector.answer()
        self.successResultOf(stopped)
        self.assertEqual((export.sent, self.collector.sizes), (4, [3, 1]))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_is_quickly_sent(self) -> None:
        """And a collector that answers at once makes nobody wait."""
        self.successResultOf(self.make().stop())
        export = self.make()
        self.add(export, 2)
        self.collector.always = TAKEN
        self.successResultOf(export.stop())
        self.assertEqual(export.sent, 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_silence_does_not_hold_it_up(self) -> None:
        """After the deadline it is over; what was not sent is counted."""
        export = self.make(timeout=5.0)
        self.add(export, 7)
        self.clock.advance(1)
        stopped = export.stop()
        self.clock.advance(5)
        self.successResultOf(stopped)
        self.assertEqual(export.dropped["stopped"], 7)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_collector_that_is_away_is_tried_once_more(self) -> None:
        """Not for each of the batches."""
        export = self.make()
        self.add(export, 9)
        self.collector.answer(BUSY)
        stopped = export.stop()
        self.collector.answer(BUSY)
        self.successResultOf(stopped)
        self.assertEqual(self.collector.sizes, [3, 3])
        self.assertEqual(export.dropped["stopped"], 9)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_late_spans_are_counted(self) -> None:
        """Nobody sends them."""
        export = self.make()
        self.successResultOf(export.stop())
        self.add(export, 2)
        self.assertEqual(export.dropped["stopped"], 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])


outcomes = st.sampled_from(
    [TAKEN, TAKEN, BUSY, Outcome(400), Outcome(200, rejected=1), UnreachableError("x")]
)
steps = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 9)),
    st.tuples(st.just("answer"), outcomes),
    st.tuples(st.just("advance"), st.sampled_from([0.5, 3.0, 60.0])),
)


@given(st.lists(steps, max_size=30))
@settings(deadline=None)
def test_every_span_is_sent_dropped_or_waits(happening: Sequence[tuple[str, Any]]) -> None:
    """Whatever happens, none is lost uncounted, and what waits is bounded."""
    clock, collector = Clock(), Collector()
    export = SpanExport(
        clock=clock,
        settings=ExportSettings(batch_spans=3, queue_spans=12),
        send=collector.send,
        rng=Half(),
    )
    added = 0
    for kind, value in happening:
        if kind == "add":
            added += value
            export.add([[0]] * value, 100 * value)
        elif kind == "advance":
            clock.advance(value)
        elif collector.open:
            collector.answer(value)
        assert export.waiting <= 12
    collector.always = CancelledError() if added % 2 else TAKEN
    stopped = export.stop()
    clock.advance(10)
    assert stopped.called
    assert export.sent + sum(export.dropped.values()) == added
    assert not clock.getDelayedCalls()
