"""What a worker tells of recorded requests."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.control.frames import MAX_SPANS, Message
from fengling_gateway.tracing.sampling import Sampler
from fengling_gateway.tracing.spans import spans_of
from fengling_gateway.worker.tracing import (
    MAX_BACKLOG,
    WAIT_SECONDS,
    WorkerTracing,
    worker_tracing,
)
from tests.tracing.recording import attempt, recorded


class WorkerTracingTests(SynchronousTestCase):
    """`WorkerTracing`"""

    def setUp(self) -> None:
        self.clock = Clock()
        self.sent: list[dict[str, Any]] = []
        self.backlog = 0
        self.tracing = WorkerTracing(
            clock=self.clock,
            send=self.send,
            backlog=lambda: self.backlog,
            sampler=Sampler(ratio=0.0, rng=Random(1)),
        )

    def send(self, message: Message, values: dict[str, Any]) -> None:
        self.assertIs(message, Message.SPANS)
        self.sent.append(json.loads(json.dumps(values)))

    @property
    def counts(self) -> list[tuple[int, int]]:
        """How many spans each message had, and how many it said were dropped."""
        return [(len(one["spans"]), one["dropped"]) for one in self.sent]

    def test_spans_are_told_a_little_later(self) -> None:
        """Those of several requests together, as rows."""
        self.tracing.ended(recorded())
        self.clock.advance(WAIT_SECONDS / 2)
        self.tracing.ended(recorded())
        self.assertEqual(self.sent, [])
        self.clock.advance(WAIT_SECONDS / 2)
        self.assertEqual(self.counts, [(4, 0)])
        expected = json.loads(json.dumps(spans_of(recorded(), frozenset())))
        self.assertEqual(self.sent[0]["spans"][:2], expected)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_many_are_told_at_once(self) -> None:
        """As many in a message as there may be."""
        attempts = [attempt(number) for number in range(1, MAX_SPANS + 10)]
        self.tracing.ended(recorded(*attempts))
        self.assertEqual(self.counts, [(MAX_SPANS, 0), (10, 0)])

    def test_supervisor_that_takes_nothing_is_not_told(self) -> None:
        """It is, of how many there were, as soon as it does."""
        self.backlog = MAX_BACKLOG + 1
        self.tracing.ended(recorded())
        self.tracing.flush()
        self.assertEqual((self.sent, self.tracing.dropped), ([], 2))
        self.backlog = 0
        self.tracing.ended(recorded())
        self.tracing.flush()
        self.tracing.ended(recorded())
        self.tracing.flush()
        self.assertEqual(self.counts, [(2, 2), (2, 0)])
        self.assertEqual((self.tracing.told, self.tracing.dropped), (4, 2))

    def test_nothing_is_told_of_nothing(self) -> None:
        """Also at the end."""
        self.tracing.flush()
        self.assertEqual(self.sent, [])

    def test_it_is_made_as_the_settings_say(self) -> None:
        """Or not at all."""

        def made(values: dict[str, Any] | None) -> WorkerTracing | None:
            return worker_tracing(values, clock=self.clock, send=self.send, backlog=lambda: 0)

        self.assertIsNone(made(None))
        tracing = made({"sample_ratio": 1.0, "redact_query": ["Page"], "trust": "none"})
        assert tracing is not None
        self.assertEqual(tracing.trust, "none")
        self.assertIsNotNone(tracing.sampler.begin(None)[1])
        tracing.ended(recorded())
        tracing.flush()
        (server, _) = self.sent[0]["spans"]
        self.assertEqual(server[8]["url.query"], "token=secret&page=REDACTED")
