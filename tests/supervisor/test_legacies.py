"""What a former supervisor's workers hand over."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.supervisor import legacies as legacies_module
from fengling_gateway.supervisor.legacies import Legacies


class LegaciesTests(SynchronousTestCase):
    """`Legacies`"""

    def setUp(self) -> None:
        self.events: list[LogEvent] = []
        observe = self.events.append
        globalLogPublisher.addObserver(observe)  # type: ignore[arg-type]
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        self.kept: list[Any] = []
        offer = SimpleNamespace(sockets={"http": []}, close_sockets_except=self.kept.append)
        self.patch(legacies_module, "collect_legacies", lambda _: [offer, offer])

    def collect(self, adopted: list[bool]) -> list[str]:
        """Have two workers offer their sockets, and return what is told of it."""
        sockets: Any = SimpleNamespace(adopt=lambda *_: adopted.pop(0), by_listener={})
        Legacies().collect(Path("run"), sockets)
        return [formatEvent(event) for event in self.events]

    def test_sockets_that_are_taken_are_told(self) -> None:
        """The first worker's; each offers those of all."""
        told = self.collect([True, False])
        self.assertEqual(told, ["adopted the sockets of 2 workers without a supervisor"])
        self.assertEqual(self.kept, [{}])

    def test_sockets_that_are_not_taken_are_closed_in_silence(self) -> None:
        """Their listener has moved."""
        self.assertEqual(self.collect([False, False]), [])
        self.assertEqual(self.kept, [{}, {}])
