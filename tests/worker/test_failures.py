"""What a worker tells of exchanges that failed or were slow."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.control.frames import MAX_RECORDS, Message
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.records.redaction import Redaction
from fengling_gateway.worker.failures import (
    ALL_ERRORS,
    BURST_SECONDS,
    MAX_BACKLOG,
    WAIT_SECONDS,
    WorkerFailures,
    worker_failures,
)
from tests.records.test_lines import Head, ended

PER_SECOND = 2
BURST = PER_SECOND * BURST_SECONDS
REFUSED, NO_ROUTE = ForwardError.CONNECT_FAILED, ForwardError.NO_ROUTE


class WorkerFailuresTests(SynchronousTestCase):
    """`WorkerFailures`"""

    def setUp(self) -> None:
        self.clock = Clock()
        self.sent: list[dict[str, Any]] = []
        self.backlog = 0
        self.failures = self.made(per_second=3 * PER_SECOND)

    def made(self, **different: Any) -> WorkerFailures:
        values = {
            "per_second": 3.0,
            "slower_than": 1.0,
        }
        return worker_failures(
            {**values, **different},
            clock=self.clock,
            send=self.send,
            backlog=lambda: self.backlog,
            redaction=Redaction(("token",), ("user-agent",)),
            worker="w1",
            workers=3,
        )

    def send(self, message: Message, values: dict[str, Any]) -> None:
        self.assertIs(message, Message.RECORDS)
        self.sent.append(json.loads(json.dumps(values)))

    def happen(
        self, error: ForwardError | None = REFUSED, times: int = 1, **different: Any
    ) -> None:
        for _ in range(times):
            self.failures.ended(ended(error=error, **different))

    def errors(self) -> Counter[str]:
        """How many were told, by error."""
        return Counter(one["error"] for message in self.sent for one in message["records"])

    def left_out(self) -> Counter[str]:
        counts: Counter[str] = Counter()
        for one in self.sent:
            counts.update(one["left_out"])
        return counts

    def second(self, times: int = 1) -> None:
        for _ in range(times):
            self.clock.advance(WAIT_SECONDS)

    def test_failures_are_told_a_little_later(self) -> None:
        """Together, redacted, with why they are kept, and by whom."""
        self.happen(head=Head(target=b"/a?token=s3cret", user_agent=b"s3cret"))
        self.happen(None, status=502)
        self.happen(None, attempts=(), seconds=1.5)
        self.happen(None)
        self.assertEqual(self.sent, [])
        self.second()
        [message] = self.sent
        told = [(one["kind"], one["error"], one["worker"]) for one in message["records"]]
        kinds = [("failed", "connect_failed"), ("answered", None), ("slow", None)]
        self.assertEqual(told, [(*one, "w1") for one in kinds])
        self.assertEqual(message["left_out"], {})
        self.assertNotIn("s3cret", json.dumps(message))

    def test_flood_is_a_number(self) -> None:
        """What the budget has no room for is counted, by error, and others are told all the same."""
        self.happen(times=10_000)
        self.happen(NO_ROUTE, times=3)
        self.second()
        self.assertEqual(self.errors(), {"connect_failed": BURST, "no_route": 3})
        self.assertEqual(self.left_out(), {"connect_failed": 10_000 - BURST})

    def test_flood_that_goes_on_is_told_at_its_rate(self) -> None:
        """So many a second, and in the next quiet time there is room for a burst again."""
        for _ in range(5):
            self.happen(times=1000)
            self.second()
        self.assertEqual(self.errors(), {"connect_failed": BURST + 4 * PER_SECOND})
        self.second(BURST_SECONDS + 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.sent.clear()
        self.happen(times=1000)
        self.second()
        self.assertEqual(self.errors(), {"connect_failed": BURST})

    def test_all_errors_together_have_a_bound(self) -> None:
        """However many kinds of failures there are."""
        for error in ForwardError:
            self.happen(error, times=BURST)
        self.second()
        self.assertEqual(self.errors().total(), BURST * ALL_ERRORS)
        total = BURST * len(ForwardError)
        self.assertEqual(self.left_out().total(), total - BURST * ALL_ERRORS)

    def test_many_are_told_at_once(self) -> None:
        """As many in a message as there may be."""
        self.failures = self.made(per_second=3 * MAX_RECORDS)
        self.happen(times=MAX_RECORDS + 5)
        self.assertEqual([len(one["records"]) for one in self.sent], [MAX_RECORDS])
        self.second()
        self.assertEqual([len(one["records"]) for one in self.sent], [MAX_RECORDS, 5])

    def test_supervisor_that_takes_nothing_is_not_told(self) -> None:
        """It is, of how many there were, as soon as it does."""
        self.backlog = MAX_BACKLOG + 1
        self.happen(times=3)
        self.happen(None, attempts=(), seconds=1.5)
        self.second(2)
        self.assertEqual(self.sent, [])
        self.backlog = 0
        self.second()
        self.assertEqual(self.sent, [{"records": [], "left_out": {"connect_failed": 3, "slow": 1}}])
        self.assertEqual((self.failures.told, self.failures.left_out.total()), (0, 4))

    def test_little_budget_is_not_none(self) -> None:
        """With many workers a share may be less than one a second."""
        self.failures = self.made(per_second=3 * 0.05)
        self.happen(times=2)
        self.second(25)
        self.happen(times=2)
        self.second()
        self.assertEqual((self.errors().total(), self.left_out().total()), (2, 2))

    def test_the_rest_is_told_at_the_end(self) -> None:
        """And nothing of nothing; no timer is left."""
        self.failures.stop()
        self.assertEqual(self.sent, [])
        self.happen()
        self.failures.stop()
        self.failures.stop()
        self.assertEqual(self.errors(), {"connect_failed": 1})
        self.assertEqual(self.clock.getDelayedCalls(), [])
