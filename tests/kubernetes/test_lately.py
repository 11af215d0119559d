"""How many routes are lost within a minute."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.kubernetes.lately import SECONDS, LatelyLost


class LatelyLostTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.lost = LatelyLost()

    def test_what_goes_one_after_the_other_is_counted_together(self) -> None:
        """Less what is new; and of long ago, nothing."""
        for now, routes in ((0.0, 5), (10.0, 3), (20.0, -2)):
            self.lost.add(now, routes)
        self.assertEqual(self.lost.count(20.0, goes_on=False), 6)
        self.assertEqual(self.lost.count(SECONDS, goes_on=False), 1)
        self.assertEqual(
            self.lost.count(SECONDS + 10, goes_on=False), 0, "more is new than is lost"
        )

    def test_all_of_it_counts_while_some_of_it_waits(self) -> None:
        """Else what waits would be few after a minute, and go."""
        self.lost.add(0.0, 5)
        self.assertEqual(self.lost.count(10 * SECONDS, goes_on=True), 5)
        self.assertEqual(self.lost.count(10 * SECONDS, goes_on=False), 0)
        self.assertEqual(self.lost.count(10 * SECONDS, goes_on=True), 0)

    def test_nothing_counts_once_somebody_has_confirmed(self) -> None:
        """He knows that so many go."""
        self.lost.add(0.0, 5)
        self.lost.clear()
        self.assertEqual(self.lost.count(1.0, goes_on=True), 0)


@given(st.lists(st.tuples(st.floats(0, 50), st.integers(-3, 3)), max_size=20))
def test_count_is_from_the_most_of_the_last_minute(steps: list[tuple[float, int]]) -> None:
    """However often it is asked."""
    lost, now, there = LatelyLost(), 0.0, 100
    # (How many there were, from when on.)
    levels = [(float("-inf"), there)]
    for seconds, routes in steps:
        now += seconds
        there -= routes
        lost.add(now, routes)
        levels.append((now, there))
        since = max(number for number, (at, _) in enumerate(levels) if at <= now - SECONDS)
        most = max(level for _, level in levels[since:])
        assert lost.count(now, goes_on=False) == most - there
