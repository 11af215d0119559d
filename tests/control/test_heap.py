"""The collector rests during loads, and large ones are frozen."""

from __future__ import annotations

import gc
from unittest import TestCase

from fengling_gateway.control.heap import WORTH_FREEZING, Heap


class HeapTests(TestCase):
    """`Heap`"""

    def setUp(self) -> None:
        self.heap = Heap()
        gc.enable()
        self.addCleanup(gc.unfreeze)
        self.addCleanup(gc.enable)

    def test_collector_rests_until_the_last_load_has_ended(self) -> None:
        """Two loads may overlap."""
        self.heap.load_began()
        self.heap.load_began()
        self.heap.load_ended(1)
        self.assertFalse(gc.isenabled())
        self.heap.load_ended(1)
        self.assertTrue(gc.isenabled())

    def test_what_loads_have_built_is_frozen_once_it_is_worth_it(self) -> None:
        """One large load, or many small ones; freezing each would freeze passing garbage."""
        before = gc.get_freeze_count()
        self.heap.load_began()
        self.heap.load_ended(WORTH_FREEZING - 1)
        self.assertEqual(gc.get_freeze_count(), before)
        self.heap.load_began()
        self.heap.load_ended(1)
        self.assertGreater(gc.get_freeze_count(), before)
