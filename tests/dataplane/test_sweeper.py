"""Deadlines, on a clock that moves when told to."""

from __future__ import annotations

from twisted.internet.task import Clock

from fengling_gateway.dataplane.sweeper import NEVER, SWEEP_SECONDS, Sweeper


class Waiting:
    """Something with a deadline, which gives all of its kind another when its own has passed."""

    def __init__(self, everybody: list[Waiting]) -> None:
        self.deadline = SWEEP_SECONDS
        self.passed: list[float] = []
        self._everybody = everybody

    def deadline_passed(self, now: float) -> None:
        self.passed.append(now)
        for one in self._everybody:
            one.deadline = NEVER


class SweeperTests:
    def test_deadline_that_is_moved_during_a_sweep_has_not_passed(self) -> None:
        """Who is next because another gave up has not given up in the same breath."""
        clock = Clock()
        sweeper = Sweeper(clock=clock, swept=lambda _: None)
        waiting: list[Waiting] = []
        waiting += [Waiting(waiting) for _ in range(3)]
        sweeper.items.update(waiting)
        sweeper.start()
        clock.advance(SWEEP_SECONDS)
        assert [len(one.passed) for one in waiting].count(1) == 1
        sweeper.stop()
        assert not clock.getDelayedCalls()
