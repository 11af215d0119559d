"""When what has been gathered is translated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.kubernetes.gateway_api.world import Settings, Translation
from fengling_gateway.kubernetes.gathered import Gathered
from fengling_gateway.kubernetes.translating import (
    MAX_PAUSE_SECONDS,
    SETTLE_SECONDS,
    Translating,
)


class TranslatingTests(SynchronousTestCase):
    """Beside a reactor in whose threads everything takes as long as the test says"""

    def setUp(self) -> None:
        self.clock = Clock()
        self.running: list[tuple[Callable[[], Translation], Deferred[Any]]] = []
        self.told: list[str] = []
        self.translating = Translating(
            Gathered(Settings("gateway.fengling/controller", {80: "http"})),
            clock=self.clock,
            beside=self.beside,
            translated=lambda _: self.told.append("translated"),
            ended=lambda: self.told.append("ended"),
        )

    def tearDown(self) -> None:
        self.translating.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def beside(self, work: Callable[[], Translation]) -> Deferred[Any]:
        running: Deferred[Any] = Deferred()
        self.running.append((work, running))
        return running

    def end(self, seconds: float = 0.0) -> None:
        """Have the translation end that is under way, after so long."""
        self.clock.advance(seconds)
        work, running = self.running.pop()
        running.callback(work())

    def waits(self, seconds: float) -> None:
        """Check that the next translation begins after so long, and not before."""
        self.clock.advance(seconds * 0.99)
        self.assertEqual(self.running, [], "too early")
        self.clock.advance(seconds * 0.02)
        self.assertEqual(len(self.running), 1, "not yet")

    def test_nothing_is_translated_before_it_begins(self) -> None:
        """All has to be listed first."""
        self.translating.changed()
        self.assertFalse(self.translating.is_open)
        self.translating.begin()
        self.assertTrue(self.translating.is_open)
        self.end()
        self.assertEqual((self.told, self.translating.is_open), (["translated", "ended"], False))

    def test_what_changes_together_is_translated_together(self) -> None:
        """Shortly after."""
        self.translating.begin()
        self.end()
        for _ in range(3):
            self.translating.changed()
        self.assertTrue(self.translating.is_open)
        self.waits(SETTLE_SECONDS)
        self.end()
        self.assertFalse(self.translating.is_open)

    def test_what_changes_meanwhile_is_translated_afterwards(self) -> None:
        """It ends when nothing is left to do."""
        self.translating.begin()
        self.translating.changed()
        self.end()
        self.assertEqual((self.told, self.translating.is_open), (["translated"], True))
        self.waits(SETTLE_SECONDS)
        self.end()
        self.assertEqual(self.told, ["translated", "translated", "ended"])

    def test_pause_is_twice_as_long_as_it_took(self) -> None:
        """Up to ten seconds: so it has no more than a third of the time, however much changes."""
        self.translating.begin()
        for took, pause in ((1.0, 2.0), (4.0, 8.0), (60.0, MAX_PAUSE_SECONDS), (0.0, 0.03)):
            self.translating.changed()
            self.end(took)
            self.waits(pause)

    def test_fault_is_told_and_the_next_change_translated(self) -> None:
        """What was translated before counts on."""
        self.translating.begin()
        self.running.pop()[1].errback(ZeroDivisionError("a defect"))
        self.assertEqual(self.told, ["ended"])
        self.assertIn("a defect", str(self.translating.problem))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.translating.changed()
        self.waits(SETTLE_SECONDS)
        self.end()
        self.assertIsNone(self.translating.problem)

    def test_who_waits_hears_when_all_is_translated_that_there_was(self) -> None:
        """Not what changes later, however often that is."""
        self.assertTrue(self.translating.when_translated().called)
        self.translating.begin()
        first = self.translating.when_translated()
        self.translating.changed()
        second = self.translating.when_translated()
        self.end()
        self.assertEqual((first.called, second.called), (True, False))
        self.waits(SETTLE_SECONDS)
        self.translating.changed()
        third = self.translating.when_translated()
        self.end()
        self.assertEqual((second.called, third.called), (True, False))
        self.translating.stop()
        self.assertTrue(third.called)

    def test_who_waits_hears_of_what_fails_too(self) -> None:
        """There is nothing else to wait for."""
        self.translating.begin()
        waiting = self.translating.when_translated()
        self.running.pop()[1].errback(ZeroDivisionError("a defect"))
        self.assertTrue(waiting.called)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_translation_that_is_given_up_is_no_fault(self) -> None:
        """Nothing follows from it."""
        for is_doubtful in (False, True):
            self.translating.begin()
            if is_doubtful:
                self.translating.changed()
            self.translating.stop()
            self.assertEqual((self.told, self.translating.problem), ([], None))
            self.assertFalse(self.translating.is_open)
