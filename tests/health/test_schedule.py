"""Whom to probe when."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fengling_gateway.health.schedule import HASTE_SECONDS, SPREAD_SECONDS, Schedule

INTERVAL = 5.0


def schedule(limit: int = 1000) -> Schedule:
    return Schedule(Random(1), limit)


class ScheduleTests:
    def test_single_instance_is_probed_at_once(self) -> None:
        """Whoever adds one wants to see whether it works."""
        turns = schedule()
        turns.add(["a"], INTERVAL, 100.0)
        assert turns.take(100.0) == ["a"]
        assert turns.take(1000.0) == [], "and not twice at a time"

    def test_many_instances_are_spread(self) -> None:
        """Some hundred a second, and all of them within the interval."""
        turns = schedule()
        turns.add([str(n) for n in range(100)], INTERVAL, 0.0)
        assert len(turns.take(0.5)) in range(30, 71)
        turns.take(99 * SPREAD_SECONDS)
        assert turns.under_way == 100
        crowd = schedule(10_000)
        crowd.add([str(n) for n in range(10_000)], INTERVAL, 0.0)
        assert len(crowd.take(INTERVAL)) == 10_000

    def test_pause_counts_from_the_beginning_and_is_only_ever_shortened(self) -> None:
        """So that a verdict takes no longer than interval × fall."""
        turns = schedule()
        turns.add(["a"], INTERVAL, 0.0)
        found = []
        for _ in range(200):
            at = turns.wake_at()
            assert at is not None
            turns.take(at)
            turns.ended("a", INTERVAL, 0.2, at + 1.5)
            due = turns.wake_at()
            assert due is not None
            found.append(due - at)
        assert 4.0 <= min(found) < 4.2
        assert 4.8 < max(found) <= INTERVAL

    def test_probe_that_took_too_long_is_followed_by_the_next(self) -> None:
        """The clock may have stood still."""
        turns = schedule()
        turns.add(["a"], INTERVAL, 0.0)
        turns.take(0.0)
        turns.ended("a", INTERVAL, 0.2, 60.0)
        assert turns.take(60.0) == ["a"]

    def test_no_more_are_under_way_than_allowed(self) -> None:
        """The rest waits in order, and nobody is woken in vain."""
        turns = schedule(limit=2)
        turns.add(["a"], INTERVAL, 0.0)
        turns.add(["b"], INTERVAL, 1.0)
        turns.add(["c"], INTERVAL, 2.0)
        assert turns.take(10.0) == ["a", "b"]
        assert turns.wake_at() is None
        turns.ended("a", INTERVAL, 0.0, 11.0)
        assert turns.wake_at() == 2.0
        assert turns.take(11.0) == ["c"]

    def test_removed_one_is_forgotten(self) -> None:
        """Whether it waits or is under way; made again it is a new one."""
        turns = schedule(limit=1)
        turns.add(["a", "b"], INTERVAL, 0.0)
        [first] = turns.take(10.0)
        turns.remove(first)
        assert (len(turns), turns.under_way) == (1, 0)
        turns.ended(first, INTERVAL, 0.0, 10.0)
        assert first not in turns
        assert len(turns.take(10.0)) == 1

    def test_hastened_one_is_next(self) -> None:
        """But not more often than twice a second, whoever asks."""
        turns = schedule()
        turns.add(["a"], INTERVAL, 0.0)
        turns.take(0.0)
        turns.ended("a", INTERVAL, 0.0, 0.1)
        turns.hasten("a", 0.2)
        assert turns.wake_at() == HASTE_SECONDS
        turns.take(3.0)
        turns.hasten("a", 3.0)
        turns.ended("a", INTERVAL, 0.0, 3.1)
        assert turns.wake_at() == 3.0 + HASTE_SECONDS, "asked for meanwhile: once more"
        turns.hasten("b", 4.0)
        assert len(turns) == 1

    def test_slow_turn_can_be_brought_forward(self) -> None:
        """As when traffic comes back; a turn is never put off."""
        turns = schedule()
        turns.add(["a"], INTERVAL, 0.0)
        turns.take(0.0)
        turns.ended("a", 60.0, 0.0, 0.1)
        turns.no_later_than("a", 5.0, 1.0)
        assert turns.next_probe("a") == 5.0
        turns.no_later_than("a", 9.0, 1.0)
        assert turns.next_probe("a") == 5.0


names = st.sampled_from("abcdef")


class ScheduleMachine(RuleBasedStateMachine):
    """A schedule beside a plain table of who is due when."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.limit = 2
        self.turns = Schedule(Random(3), self.limit)
        self.waiting: dict[str, float] = {}
        self.running: set[str] = set()

    @rule(name=names)
    def add(self, name: str) -> None:
        self.turns.add([name], INTERVAL, self.now)
        if name not in self.running:
            self.waiting.setdefault(name, self.now)

    @rule(name=names)
    def remove(self, name: str) -> None:
        self.turns.remove(name)
        self.waiting.pop(name, None)
        self.running.discard(name)

    @rule(seconds=st.sampled_from([0.0, 0.1, 0.6, 3.0, 7.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def take(self) -> None:
        free = self.limit - len(self.running)
        due = sorted((at, name) for name, at in self.waiting.items() if at <= self.now)[:free]
        assert self.turns.take(self.now) == [name for _, name in due]
        for _, name in due:
            del self.waiting[name]
            self.running.add(name)

    @rule(name=names)
    def end(self, name: str) -> None:
        self.turns.ended(name, INTERVAL, 0.0, self.now)
        if name in self.running:
            self.running.discard(name)
            due = self.turns.next_probe(name)
            assert due is not None
            assert self.now <= due <= self.now + INTERVAL
            self.waiting[name] = due

    @rule(name=names)
    def hasten(self, name: str) -> None:
        self.turns.hasten(name, self.now)
        if name in self.waiting:
            due = self.turns.next_probe(name)
            assert due is not None
            assert due <= max(self.now + HASTE_SECONDS, self.now)
            assert due <= self.waiting[name]
            self.waiting[name] = due

    @invariant()
    def they_agree(self) -> None:
        assert len(self.turns) == len(self.waiting) + len(self.running)
        assert self.turns.under_way == len(self.running) <= self.limit
        is_full = len(self.running) == self.limit
        expected = None if is_full or not self.waiting else min(self.waiting.values())
        assert self.turns.wake_at() == expected


ScheduleModelTests = ScheduleMachine.TestCase


@given(st.integers(1, 50), st.integers(0, 2**32))
def test_everybody_has_a_turn_in_each_interval(count: int, seed: int) -> None:
    """Whatever chance does, nobody waits for longer than an interval where there is room."""
    turns = Schedule(Random(seed), 1000)
    last = {str(n): 0.0 for n in range(count)}
    turns.add(last, INTERVAL, 0.0)
    while (now := turns.wake_at()) is not None and now < 50.0:
        for name in turns.take(now):
            assert now - last[name] <= INTERVAL
            last[name] = now
            turns.ended(name, INTERVAL, 0.2, now)
