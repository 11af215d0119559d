"""Ended sessions, as several consoles know them."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.signin import spent
from fengling_gateway.signin.watch import LOOK_SECONDS, MAX_UNTOLD, SpentWatch

NOW = 1_700_000_000.0
END = NOW + 3600


class Table:
    """The table, without a database; can be away."""

    def __init__(self) -> None:
        self.rows: dict[str, float] = {}
        self.pruned = 0
        self.away = False
        self.times = 0.0

    def run(self, function: Any, *args: Any) -> Deferred[Any]:
        if self.away:
            return fail(OSError("no database"))
        if function is spent.spend:
            name, end = args
            first = name not in self.rows
            self.rows.setdefault(name, end)
            return succeed(first)
        if function is spent.prune:
            self.pruned += 1
            return succeed(0)
        assert function is spent.read_newer
        found = {n.removeprefix(spent.SESSION): e for n, e in self.rows.items() if n[0] == "s"}
        return succeed(spent.Newer(found, args[0]))


class SpentWatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.table = Table()
        self.clock = Clock()
        self.one, self.other = self.watch(), self.watch()

    def watch(self) -> SpentWatch:
        watch = SpentWatch(run=self.table.run, clock=self.clock, wall_clock=lambda: NOW)
        self.successResultOf(watch.start())
        self.addCleanup(watch.stop)
        return watch

    def test_ended_session_is_over_at_once_here(self) -> None:
        """And at all others after their next look."""
        assert self.successResultOf(self.one.end_session("a", END))
        assert self.one.ended.is_over("a", END)
        assert not self.other.ended.is_over("a", END)
        self.clock.advance(LOOK_SECONDS)
        assert self.other.ended.is_over("a", END)

    def test_what_was_ended_before_is_known_from_the_start(self) -> None:
        """A console that starts again forgets nothing."""
        self.successResultOf(self.one.end_session("a", END))
        assert self.watch().ended.is_over("a", END)

    def test_nothing_is_known_before_the_database_has_been_read(self) -> None:
        """Nor while it is away."""
        self.table.away = True
        watch = self.watch()
        assert not watch.ended.is_known
        self.table.away = False
        self.clock.advance(LOOK_SECONDS)
        assert watch.ended.is_known

    def test_link_is_used_once(self) -> None:
        """At whichever console."""
        assert self.successResultOf(self.one.use_link("l", END))
        assert not self.successResultOf(self.other.use_link("l", END))

    def test_without_a_database_no_link_is_used(self) -> None:
        """Somebody else may be using it; and that is counted."""
        self.table.away = True
        self.failureResultOf(self.one.use_link("l", END), OSError)
        assert self.one.failures["use"] == 1

    def test_what_ends_while_the_database_is_away_is_told_later(self) -> None:
        """Here it is over at once; nobody has to end it again."""
        self.table.away = True
        self.failureResultOf(self.one.end_session("a", END), OSError)
        assert self.one.ended.is_over("a", END)
        self.clock.advance(LOOK_SECONDS)
        assert self.one.failures == {"end": 1, "look": 1}
        self.table.away = False
        self.clock.pump([LOOK_SECONDS, LOOK_SECONDS])
        assert self.other.ended.is_over("a", END)

    def test_what_is_to_be_told_is_bounded(self) -> None:
        """Nobody fills our memory by signing out."""
        self.table.away = True
        for number in range(MAX_UNTOLD + 10):
            self.failureResultOf(self.one.end_session(f"s{number}", END))
        self.table.away = False
        self.clock.advance(LOOK_SECONDS)
        assert len(self.table.rows) == MAX_UNTOLD

    def test_it_is_pruned_now_and_then(self) -> None:
        """With the first look, and then each ten minutes."""
        before = self.table.pruned
        self.clock.pump([LOOK_SECONDS] * 300)
        assert self.table.pruned - before == 2  # by two consoles

    def test_stopped_it_asks_nobody(self) -> None:
        """And leaves no call behind."""
        self.one.stop()
        self.other.stop()
        assert self.clock.getDelayedCalls() == []


@pytest.mark.parametrize("times", [3])
def test_loop_says_once_that_the_database_is_away(times: int) -> None:
    """And goes on looking."""
    table, clock = Table(), Clock()
    table.away = True
    watch = SpentWatch(run=table.run, clock=clock, wall_clock=lambda: NOW)
    watch.start()
    clock.pump([LOOK_SECONDS] * times)
    watch.stop()
    assert watch.failures["look"] == times + 1
