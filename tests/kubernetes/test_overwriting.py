"""How long a status is left alone that somebody else keeps overwriting."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.kubernetes.gateway_api.objects import ObjectRef
from fengling_gateway.kubernetes.overwriting import FIRST_SECONDS, MAX_SECONDS, Overwriting
from fengling_gateway.kubernetes.resources import HTTP_ROUTES

ORDERS, CARTS = (ObjectRef(HTTP_ROUTES, "shop", name) for name in ("orders", "carts"))
QUIET = 120
"""Seconds for which a status may be left alone, and the next time still counts as the same war."""


class OverwritingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.overwriting = Overwriting()
        self.now = 0.0

    def after(self, seconds: float, ref: ObjectRef = ORDERS) -> float:
        """Have a status overwritten so much later; return how long it is to be left alone."""
        self.now += seconds
        return self.overwriting.pause(ref, self.now)

    def test_pause_doubles_up_to_a_minute(self) -> None:
        """However often it happens."""
        pauses = [self.after(1) for _ in range(9)]
        self.assertEqual(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60])

    def test_longest_pause_is_war(self) -> None:
        """As long as it is overwritten as soon as it is written."""
        self.assertFalse(self.overwriting.is_at_war(ORDERS))
        pause = 0.0
        while pause < MAX_SECONDS:
            self.assertFalse(self.overwriting.is_at_war(ORDERS))
            pause = self.after(pause)
        for _ in range(3):
            self.assertTrue(self.overwriting.is_at_war(ORDERS))
            pause = self.after(pause)

    def test_who_has_kept_quiet_begins_anew(self) -> None:
        """Two minutes are enough, one second less is not."""
        for _ in range(7):
            self.after(1)
        self.assertEqual(self.after(QUIET), MAX_SECONDS)
        self.assertEqual(self.after(QUIET + 1), FIRST_SECONDS)
        self.assertFalse(self.overwriting.is_at_war(ORDERS))

    def test_objects_that_are_left_alone_are_forgotten(self) -> None:
        """With the next one: else they would be many in the end."""
        self.after(0, CARTS)
        self.after(QUIET, ORDERS)
        self.assertEqual(repr(self.overwriting), "<Overwriting: 2 objects>")
        self.after(1, ORDERS)
        self.assertEqual(repr(self.overwriting), "<Overwriting: 1 objects>")

    @given(st.lists(st.tuples(st.integers(0, 200), st.sampled_from([ORDERS, CARTS])), max_size=40))
    def test_pause_follows_how_often_without_quiet(
        self, steps: list[tuple[int, ObjectRef]]
    ) -> None:
        """Of each object by itself, whatever becomes of others."""
        overwriting, now = Overwriting(), 0
        times: dict[ObjectRef, list[int]] = {ORDERS: [], CARTS: []}
        for seconds, ref in steps:
            now += seconds
            before = times[ref]
            if before and now - before[-1] > QUIET:
                before.clear()
            before.append(now)
            self.assertEqual(overwriting.pause(ref, now), min(2 ** (len(before) - 1), 60))
            self.assertEqual(overwriting.is_at_war(ref), len(before) >= 7)
