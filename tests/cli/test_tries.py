"""Trying again."""

from __future__ import annotations

import pytest

from fengling_gateway.cli.tries import FEWEST, LONGEST_PAUSE_SECONDS, tries


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.mark.parametrize("chance", [0.01, 0.5, 1.0])
def test_tries_end(chance: float) -> None:
    """When time is up, with pauses that grow up to a limit."""
    time = Time()
    count = sum(
        1 for _ in tries(10, clock=lambda: time.now, sleep=time.sleep, chance=lambda: chance)
    )
    assert count == len(time.pauses) + 1
    assert time.now - 100 <= 10 + LONGEST_PAUSE_SECONDS
    assert time.pauses == sorted(time.pauses)
    assert max(time.pauses) <= LONGEST_PAUSE_SECONDS * chance


def test_tries_that_take_all_of_the_time_are_few_and_not_one() -> None:
    """A large configuration takes a while to compare."""
    time = Time()
    for _ in tries(10, clock=lambda: time.now, sleep=time.sleep, chance=lambda: 0.5):
        time.now += 60
    assert len(time.pauses) == FEWEST - 1


def test_pauses_are_left_to_chance() -> None:
    """Two that disturb each other don't go on doing so in step."""
    time = Time()
    chances = iter([0.0, 0.25, 1.0])
    times = tries(10, clock=lambda: time.now, sleep=time.sleep, chance=lambda: next(chances))
    assert [next(times) for _ in range(4)] == [1, 2, 3, 4]
    assert time.pauses == [0.0, 0.025, 0.2]
