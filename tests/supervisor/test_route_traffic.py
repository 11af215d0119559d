"""Adding up what routes have served, between other things."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.dataplane.counters import Counters
from fengling_gateway.supervisor.route_traffic import FRESH_SECONDS, RouteTraffic


class TickingClock(Clock):
    """On which each look takes a while."""

    step = 0.0
    turns = 0

    def callLater(self, when: float, what: Any, *args: Any, **more: Any) -> Any:
        self.turns += 1
        return super().callLater(when, what, *args, **more)

    def seconds(self) -> float:
        self.rightNow += self.step
        return self.rightNow


class RouteTrafficTests(SynchronousTestCase):
    """`RouteTraffic`"""

    def setUp(self) -> None:
        self.clock = TickingClock()
        self.counters = Counters(max_pairs=5000)
        self.gathered = 0
        self.traffic = RouteTraffic(clock=self.clock, gather=self.gather)

    def gather(self) -> Deferred[Any]:
        self.gathered += 1
        self.traffic.gathered([self.counters.to_json()])
        return succeed(None)

    def count(self, routes: int) -> None:
        for number in range(routes):
            self.counters.record((f"r{number}", "s"), 200, 0.01, None)

    def look(self) -> Deferred[dict[str, Any]]:
        return Deferred.fromCoroutine(self.traffic.busiest("rate", 10))

    def test_workers_are_asked_where_it_is_some_time_ago(self) -> None:
        """And not once more for each who looks."""
        self.count(3)
        self.clock.advance(10.0)
        assert self.successResultOf(self.look())["routes"] == 3
        self.count(3)
        self.clock.advance(FRESH_SECONDS / 2)
        self.successResultOf(self.look())
        assert self.gathered == 1
        self.clock.advance(FRESH_SECONDS)
        found = self.successResultOf(self.look())
        assert self.gathered == 2
        assert found["items"][0]["last_60s"]["by_class"]["2xx"] == 2

    def test_reactor_is_not_kept(self) -> None:
        """Adding up and sorting much takes many turns; whoever looks waits for it."""
        self.count(5000)
        self.clock.advance(10.0)
        self.clock.step = 0.0004
        looking = self.look()
        self.assertNoResult(looking)
        self.clock.pump([0.0] * 500)
        assert self.successResultOf(looking)["routes"] == 5000
        assert self.clock.turns > 3
        assert self.traffic.longest_slice_ms < 5

    def test_stop_leaves_nothing(self) -> None:
        """Also in the middle, and nothing is begun after it."""
        self.count(5000)
        self.clock.advance(10.0)
        self.clock.step = 0.0004
        self.gather()
        assert self.clock.getDelayedCalls()
        self.traffic.stop()
        assert self.clock.getDelayedCalls() == []
        self.gather()
        assert self.clock.getDelayedCalls() == []
        assert self.flushLoggedErrors() == []

    def test_what_can_not_be_added_up_is_logged(self) -> None:
        """And the next may be."""
        self.clock.advance(10.0)
        self.traffic.gathered([{"requests": [["broken"]], "services": {}}])
        assert len(self.flushLoggedErrors(ValueError)) == 1
        self.count(1)
        self.clock.advance(10.0)
        assert self.successResultOf(self.look())["routes"] == 1
