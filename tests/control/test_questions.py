"""Questions to a worker: answered, failed, late and lost."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.control.frames import Message
from fengling_gateway.control.questions import Questions


class QuestionsTests(SynchronousTestCase):
    """`Questions`"""

    def setUp(self) -> None:
        self.clock = Clock()
        self.sent: list[dict[str, Any]] = []
        self.questions = Questions(clock=self.clock, channel=self, timeout_seconds=2.0)  # type: ignore[arg-type]

    def send(self, message: Message, values: dict[str, Any]) -> None:
        self.sent.append(values)

    def test_answer_reaches_the_one_who_asked(self) -> None:
        """Answers may come in another order than the questions."""
        first, second = self.questions.ask("counters"), self.questions.ask("explain", request={})
        self.questions.answered(b'{"id": 2, "answer": "b"}')
        self.questions.answered(b'{"id": 1, "answer": "a"}')
        self.assertEqual((self.successResultOf(first), self.successResultOf(second)), ("a", "b"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_silence_fails_in_time(self) -> None:
        """Without an answer the question fails at its deadline, and a late answer is dropped."""
        asked = self.questions.ask("counters")
        self.clock.advance(2.0)
        self.failureResultOf(asked, TimeoutError)
        self.questions.answered(b'{"id": 1, "answer": "late"}')

    def test_error_fails_the_question(self) -> None:
        """What failed in the worker fails here."""
        asked = self.questions.ask("explain")
        self.questions.answered(b'{"id": 1, "error": "KeyError: x"}')
        self.failureResultOf(asked, RuntimeError)

    def test_lost_worker_fails_all_questions(self) -> None:
        """Nobody waits for a worker that is gone."""
        asked = [self.questions.ask("counters") for _ in range(3)]
        self.questions.fail_all()
        for one in asked:
            self.failureResultOf(one, ConnectionError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
