"""What requests have shown is told once a second, of all workers together."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.supervisor.evidence import MAX_WAITING, Evidence
from fengling_gateway.syncbus.messages import MAX_EVIDENCE_INSTANCES


def seen(failures: int = 0, successes: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "failures": failures,
        "successes": successes,
        "error": None,
        "ejected_for": None,
        **more,
    }


class EvidenceTests(SynchronousTestCase):
    """`Evidence`"""

    def setUp(self) -> None:
        self.clock = Clock()
        self.told: list[dict[str, Any]] = []
        self.evidence = Evidence(clock=self.clock, publish=self.told.append)

    def test_the_first_is_told_at_once_and_the_next_a_second_later(self) -> None:
        """It speeds a verdict; nothing is told where there is nothing."""
        self.evidence.seen({"i1": seen(1)})
        self.clock.advance(0)
        self.evidence.seen({"i1": seen(2)})
        self.clock.advance(0.9)
        self.assertEqual(self.told, [{"i1": seen(1)}])
        self.clock.advance(0.1)
        self.assertEqual(self.told, [{"i1": seen(1)}, {"i1": seen(2)}])
        self.evidence.seen({})
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_workers_say_of_an_instance_is_put_together(self) -> None:
        """The later error, the longer absence."""
        self.evidence.seen({"i1": seen(1, 2, error="connect_failed", ejected_for=10.0)})
        self.evidence.seen({"i1": seen(3, 0, error="connect_timeout"), "i2": seen(0, 1)})
        self.evidence.seen({"i1": seen(0, 1, ejected_for=5.0)})
        self.clock.advance(0)
        together = seen(4, 3, error="connect_timeout", ejected_for=10.0)
        self.assertEqual(self.told, [{"i1": together, "i2": seen(0, 1)}])

    def test_of_too_many_instances_those_that_fail_are_told_of(self) -> None:
        """The rest is counted as dropped, and as bounded."""
        good = {f"g{number}": seen(0, 1) for number in range(MAX_EVIDENCE_INSTANCES)}
        self.evidence.seen({**good, "bad": seen(1)})
        self.clock.advance(0)
        (told,) = self.told
        self.assertEqual((len(told), "bad" in told), (MAX_EVIDENCE_INSTANCES, True))
        self.assertEqual(self.evidence.dropped, 1)
        self.evidence.seen({f"g{number}": seen(1) for number in range(MAX_WAITING + 5)})
        self.assertEqual(self.evidence.dropped, 6)

    def test_stop_leaves_no_timer(self) -> None:
        """What waits is of no use any more."""
        self.evidence.seen({"i1": seen(1)})
        self.evidence.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
