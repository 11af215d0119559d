"""What the log says of whether notifications arrive, and of what is held."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.configsource.reading import Held
from fengling_gateway.supervisor.narration import Narration

TROUBLE = "server closed the connection"


class NarrationCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.narration = Narration(clock=self.clock)
        self.events: list[LogEvent] = []
        globalLogPublisher.addObserver(self.events.append)  # type: ignore[arg-type]
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def said(self) -> list[str]:
        """Return the lines since the last call, each with its level."""
        lines = [f"{event['log_level'].name} {formatEvent(event)}" for event in self.events]
        self.events.clear()
        return lines


class HeldTests(NarrationCase):
    """`Narration.held`"""

    def test_what_to_do_is_said_with_the_number(self) -> None:
        """Which is a command where there is a management API."""
        self.narration.held(Held(3, 4, 0))
        [line] = self.said()
        self.assertTrue(line.endswith("; release it with: fenglingctl confirm 3"))

    def test_command_that_can_not_work_is_not_named(self) -> None:
        """Without a management API."""
        narration = Narration(clock=self.clock, release="release {revision} by hand")
        narration.held(Held(3, 4, 0))
        [line] = self.said()
        self.assertTrue(line.endswith("; release 3 by hand"))


class HeardTests(NarrationCase):
    """`Narration.heard`"""

    def test_loss_is_a_warning_once_and_the_return_a_line(self) -> None:
        """However often it is told."""
        for trouble in (None, TROUBLE, TROUBLE, "another trouble", None, None):
            self.narration.heard(trouble)
        lost, back = self.said()
        self.assertIn(LogLevel.warn.name, lost)
        self.assertIn(TROUBLE, lost)
        self.assertIn("by polling", lost)
        self.assertEqual(back, "info notifications arrive again")

    def test_flapping_is_told_once_a_minute(self) -> None:
        """A server that ends connections every few seconds must not fill the log."""
        for _ in range(29):
            self.narration.heard(TROUBLE)
            self.clock.advance(1)
            self.narration.heard(None)
            self.clock.advance(1)
        self.assertEqual(len(self.said()), 2)

    def test_loss_that_lasts_is_told_when_the_minute_is_over(self) -> None:
        """The last line must not say for hours that all is well."""
        for trouble in (TROUBLE, None, TROUBLE):
            self.narration.heard(trouble)
        self.assertEqual(len(self.said()), 2)
        self.clock.advance(60)
        self.narration.heard(TROUBLE)
        self.assertEqual(len(self.said()), 1)
