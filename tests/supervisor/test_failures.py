"""What a supervisor keeps of its workers' failures, and says of slow requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.supervisor.failures import LINES_AT_ONCE, Failures, FailureSettings
from tests.records.test_ring import document


class FailuresTests(SynchronousTestCase):
    """`Failures`"""

    def setUp(self) -> None:
        self.clock = Clock()
        self.failures = Failures(clock=self.clock, wall=lambda: 5000.0, settings=FailureSettings())
        self.events: list[Mapping[str, Any]] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    @property
    def lines(self) -> list[str]:
        slow = (one for one in self.events if one.get("log_id") == "request.slow")
        return [formatEvent(dict(one)) for one in slow]

    def test_failures_are_kept_and_not_logged(self) -> None:
        """The log is no place for each of them."""
        self.failures.told([document(1), document(2, kind="answered")], {"no_route": 7})
        values = self.failures.values()
        self.assertEqual((values["kept"], values["left_out"]), (2, 7))
        self.assertEqual(self.failures.ring.left_out(5000.0), {"no_route": 7})
        self.assertEqual(self.lines, [])

    def test_slow_requests_have_a_line_each(self) -> None:
        """With what there is to know of them as fields."""
        self.failures.told([document(1, kind="slow", waited_ms=12_345.6)], {})
        [line] = self.lines
        self.assertEqual(
            line,
            "slow: GET /orders?id=7 of shop.example waited 12346 ms for an answer of 200 by "
            "o-2 (route orders, request r-1)",
        )
        event = next(one for one in self.events if one.get("log_id") == "request.slow")
        fields = {
            "service": "shop",
            "worker": "w0",
            "address": "http://10.0.0.2:80",
            "revision": 412,
        }
        self.assertEqual({name: event[name] for name in fields}, fields)

    def test_flood_of_slow_requests_is_few_lines(self) -> None:
        """The next one says how many had none, also of those that workers have only counted."""
        slow = [document(number, kind="slow") for number in range(100)]
        self.failures.told(slow, {"slow": 1000})
        self.assertEqual(len(self.lines), LINES_AT_ONCE)
        self.clock.advance(1.0)
        self.failures.told(slow[:1], {})
        more = 1000 + 100 - int(LINES_AT_ONCE)
        self.assertTrue(self.lines[-1].endswith(f"; {more} more since the last such line"))
        self.assertEqual(self.failures.values()["kept"], 101)

    def test_what_came_to_no_instance_has_a_line(self) -> None:
        """A request may wait for the gateway itself."""
        self.failures.told([document(1, kind="slow", attempts=[], route=None)], {})
        self.assertIn("by None (route None", self.lines[0])
