"""What workers have counted, those that are gone included."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.dataplane.counters import Counters
from fengling_gateway.dataplane.counters_in_parts import CountersInParts
from fengling_gateway.observability.sums import together
from fengling_gateway.supervisor.counted import GATHER_SECONDS, Counted
from fengling_gateway.supervisor.link import WorkerState


def some_pairs(*routes: str) -> dict[str, Any]:
    counters = Counters()
    for route in routes:
        counters.record((route, "s"), 200, 0.1, None)
    pairs: dict[str, Any] = CountersInParts({}, *counters.pairs(), lambda: None).next()["pairs"]
    return pairs


class Link:
    """A worker that has counted something."""

    def __init__(self, name: str, pid: int, retries: int = 0) -> None:
        self.name, self.pid, self.retries = name, pid, retries
        self.state = WorkerState.SERVING
        self.asked = 0
        self.parts = 0  # that follow the first one
        self.answers = True
        self.waits: Deferred[Any] | None = None

    def values(self) -> dict[str, Any]:
        return {"retries": self.retries, "requests": [], "services": {}}

    def part(self) -> dict[str, Any]:
        """As it tells it: the first of some."""
        values = self.values()
        del values["requests"]
        return {**values, "pairs": some_pairs(), "is_more": self.parts > 0}

    def ask(self, question: str, *, is_more: bool = False) -> Deferred[Any]:
        assert question == "counters"
        if is_more:
            self.parts -= 1
            return succeed({"pairs": some_pairs(f"r{self.parts}"), "is_more": self.parts > 0})
        self.asked += 1
        if self.waits is not None:
            return self.waits
        return succeed(self.part()) if self.answers else fail(TimeoutError("no answer"))


class CountedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.links = [Link("w0", 1, 5), Link("w1", 2, 7)]
        self.clock = Clock()
        links: Any = lambda: self.links  # noqa: E731
        self.counted = Counted(clock=self.clock, links=links)

    def retries(self) -> int:
        found = self.successResultOf(self.counted.gather())
        total: int = together([self.counted.unshown(), *found.values()])["retries"]
        return total

    def replace(self, old: Link, new: Link) -> None:
        old.state = WorkerState.GONE
        link: Any = old
        self.counted.gone(link)
        self.links[self.links.index(old)] = new

    def test_replaced_worker_takes_nothing_along(self) -> None:
        """What it has said when it had drained counts, whatever was asked before."""
        assert self.retries() == 12
        old = self.links[0]
        old.retries = 6
        link: Any = old
        self.counted.told(link, old.values())
        self.replace(old, Link("w0", 3, 1))
        assert self.retries() == 14

    def test_last_words_that_come_after_the_end_count_once(self) -> None:
        """A process's end is heard of by a signal, and what it has said waits in a socket."""
        assert self.retries() == 12
        old = self.links[0]
        link: Any = old
        self.replace(old, Link("w0", 3))
        self.counted.told(link, {**old.values(), "retries": 6})
        assert self.retries() == 13
        self.counted.told(link, {**old.values(), "retries": 6})
        assert self.retries() == 13

    def test_killed_worker_takes_along_what_it_has_not_told(self) -> None:
        """Which is not much: they are asked now and then."""
        self.counted.start()
        self.addCleanup(self.counted.stop)
        self.clock.advance(GATHER_SECONDS)
        assert [one.asked for one in self.links] == [1, 1]
        self.links[0].retries = 100
        self.replace(self.links[0], Link("w0", 3))
        assert self.retries() == 12

    def test_silent_worker_counts_by_what_it_told_last(self) -> None:
        """A counter that goes back and comes again would look like a burst of requests."""
        assert self.retries() == 12
        self.links[1].answers = False
        self.links[0].retries = 6
        assert self.retries() == 13
        self.links[1].answers = True
        assert self.retries() == 13

    def test_worker_that_drains_counts_beside_its_successor(self) -> None:
        """They have one name, and only one of them is shown by it."""
        old = self.links[0]
        old.state = WorkerState.DRAINING
        self.links.append(Link("w0", 3, 1))
        assert self.retries() == 13
        assert self.successResultOf(self.counted.gather())["w0"]["retries"] == 1
        old.retries = 9
        assert self.retries() == 17
        self.links.remove(old)
        old.state = WorkerState.GONE
        link: Any = old
        self.counted.gone(link)
        assert self.retries() == 17

    def test_worker_that_does_not_answer_is_left_out(self) -> None:
        """And so is one that has not begun."""
        self.links[1].answers = False
        self.links.append(Link("w2", 4))
        self.links[2].state = WorkerState.STARTING
        assert set(self.successResultOf(self.counted.gather())) == {"w0"}
        assert self.links[2].asked == 0

    def test_worker_that_goes_while_it_is_asked_is_counted_once(self) -> None:
        """By what it told last."""
        self.retries()
        old = self.links[0]
        old.waits = Deferred()
        gathering = self.counted.gather()
        self.replace(old, Link("w0", 3))
        old.waits.callback({**old.part(), "retries": 9})
        found = self.successResultOf(gathering)
        assert set(found) == {"w1"}
        assert self.counted.unshown()["retries"] == 5

    def test_workers_tell_in_parts(self) -> None:
        """Which are put together, one after the other."""
        self.links[0].parts = 3
        found = self.successResultOf(self.counted.gather())
        assert [row[0] for row in found["w0"]["requests"]] == ["r2", "r1", "r0"]
        assert "is_more" not in found["w0"]
        assert found["w1"]["requests"] == []

    def test_who_asks_meanwhile_is_told_what_is_asked_later(self) -> None:
        """What has happened before he asks is in it; all that wait are told the same."""
        first: Deferred[Any] = Deferred()
        self.links[0].waits = first
        early = self.counted.gather()
        late = [self.counted.gather() for _ in range(2)]
        assert self.links[0].asked == 1
        self.links[0].waits = None
        self.links[0].retries = 50
        first.callback({**self.links[0].part(), "retries": 5})
        assert self.successResultOf(early)["w0"]["retries"] == 5
        assert [self.successResultOf(one)["w0"]["retries"] for one in late] == [50, 50]
        assert self.links[0].asked == 2
