"""Who reads whose sockets."""

from __future__ import annotations

from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.supervisor.assignment import assign


class AssignTests(TestCase):
    """`assign`"""

    def test_all_serving_read_their_own(self) -> None:
        """Nobody reads a sibling's socket without need."""
        self.assertEqual(assign(3, [0, 1, 2]), {n: frozenset({n}) for n in range(3)})

    def test_missing_one_is_read_by_the_next(self) -> None:
        """The slot behind the gap takes it."""
        self.assertEqual(assign(3, [0, 2]), {0: frozenset({0}), 2: frozenset({1, 2})})

    def test_nobody_serving_reads_nothing(self) -> None:
        """Connections wait in the kernel."""
        self.assertEqual(assign(2, []), {})

    @given(st.integers(1, 16), st.sets(st.integers(0, 15), min_size=1))
    def test_every_slot_is_read_by_exactly_one_and_evenly(self, slots: int, up: set[int]) -> None:
        """With any worker serving, no slot is forgotten and no sibling is overburdened."""
        serving = sorted(slot for slot in up if slot < slots)
        reads = assign(slots, up)
        self.assertEqual(sorted(reads), serving)
        if serving:
            self.assertEqual(
                sorted(slot for read in reads.values() for slot in read), list(range(slots))
            )
            sizes = [len(read) for read in reads.values()]
            self.assertLessEqual(max(sizes) - min(sizes), 1)
