"""What somebody has to confirm, and what becomes of it."""

from __future__ import annotations

from dataclasses import replace

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.kubernetes.awaited import Awaited
from fengling_gateway.kubernetes.removal import GONE, UNKNOWN, WAITING, became_of
from fengling_gateway.kubernetes.removing import TooManyGoError

HELD = "revision 5 held: removes 1 of 1 routes"


class HeldTests(SynchronousTestCase):
    """A revision that is not served before somebody confirms it."""

    def setUp(self) -> None:
        self.awaited = Awaited()

    def test_held_is_told_until_it_is_served(self) -> None:
        """Whoever has confirmed it."""
        self.awaited.written(5, HELD)
        self.awaited.served(4)
        self.assertEqual(self.awaited.held, HELD)
        self.awaited.served(5)
        self.assertIsNone(self.awaited.held)

    def test_next_revision_that_is_served_ends_it(self) -> None:
        """It serves those before it, too."""
        self.awaited.written(5, HELD)
        self.awaited.written(6, None)
        self.assertIsNone(self.awaited.held)

    def test_what_is_served_already_is_not_held(self) -> None:
        """Somebody was quicker than the answer of the database."""
        self.awaited.served(6)
        self.awaited.written(5, HELD)
        self.assertIsNone(self.awaited.held)


class RemovalTests(SynchronousTestCase):
    """Routes of which too many go."""

    def setUp(self) -> None:
        self.awaited = Awaited()
        self.awaited.too_many(0.0, 7, TooManyGoError(["a", "b"], 3, []))
        assert self.awaited.removal is not None
        self.id = self.awaited.removal.id

    def became(self) -> str:
        return became_of(self.id, {"writing": self.awaited.to_json()})

    def test_same_routes_are_the_same_removal(self) -> None:
        """However often it is asked."""
        before = self.awaited.removal
        self.awaited.too_many(0.0, 7, TooManyGoError(["a", "b"], 4, []))
        assert before is not None
        self.assertEqual(self.awaited.removal, replace(before, of=4))

    def test_other_routes_are_another_removal(self) -> None:
        """What somebody confirms is what he was shown."""
        self.awaited.too_many(0.0, 7, TooManyGoError(["a", "b", "c"], 4, []))
        self.assertIsNone(self.awaited.confirm(self.id))

    def test_confirmed_is_waited_for_until_all_of_it_is_gone(self) -> None:
        """It asks for no confirmation any more."""
        confirmed = self.awaited.confirm(self.id)
        assert confirmed is not None
        self.assertEqual(confirmed.routes, ("a", "b"))
        self.assertIsNone(self.awaited.removal)
        self.awaited.look({"b"}.__contains__)
        self.assertEqual(self.became(), WAITING)
        self.awaited.look(set[str]().__contains__)
        self.assertEqual(self.became(), GONE)

    def test_confirmed_twice_is_confirmed(self) -> None:
        """Two have clicked."""
        confirmed = self.awaited.confirm(self.id)
        self.assertIs(self.awaited.confirm(self.id), confirmed)

    def test_same_routes_that_go_again_are_another_removal(self) -> None:
        """What was confirmed has gone; what has come back since asks again."""
        self.awaited.confirm(self.id)
        self.awaited.look(set[str]().__contains__)
        self.awaited.too_many(0.0, 7, TooManyGoError(["a", "b"], 3, []))
        self.assertEqual(self.became(), GONE)
        assert self.awaited.removal is not None
        again = became_of(self.awaited.removal.id, {"writing": self.awaited.to_json()})
        self.assertEqual(again, WAITING)
        self.assertIsNotNone(self.awaited.confirm(self.awaited.removal.id))

    def test_more_and_more_that_goes_is_logged_now_and_then(self) -> None:
        """Each revision of it asks for something else."""
        with capturedLogs() as logged:
            for number in range(30):
                routes = [str(one) for one in range(number + 3)]
                self.awaited.too_many(float(number), 7, TooManyGoError(routes, 60, []))
        self.assertEqual([one["routes"] for one in logged], [13, 23])

    def test_each_of_several_confirmations_is_told_of(self) -> None:
        """The second one is no end of the first."""
        self.awaited.confirm(self.id)
        self.awaited.too_many(0.0, 7, TooManyGoError(["c", "d"], 4, []))
        assert self.awaited.removal is not None
        self.awaited.confirm(self.awaited.removal.id)
        self.assertEqual(self.became(), WAITING)
        self.awaited.look({"c"}.__contains__)
        self.assertEqual(self.became(), GONE)

    def test_others_may_wait_beside_what_goes(self) -> None:
        """Each is told for itself."""
        self.awaited.confirm(self.id)
        self.awaited.too_many(0.0, 7, TooManyGoError(["c", "d"], 4, []))
        self.assertEqual(self.became(), WAITING)
        self.awaited.look({"c", "d"}.__contains__)
        self.assertEqual(self.became(), GONE)
        assert self.awaited.removal is not None
        self.assertEqual(self.awaited.removal.routes, ("c", "d"))

    def test_what_has_gone_unasked_counts_until_somebody_confirms_the_rest(self) -> None:
        """For a minute, or as long as some of it waits."""
        self.awaited.lost(0.0, 5)
        self.assertEqual(self.awaited.lately(3600.0), 5)
        self.awaited.confirm(self.id)
        self.assertEqual(self.awaited.lately(3600.0), 0)
        self.awaited.lost(3600.0, 2)
        self.assertEqual(self.awaited.lately(3601.0), 2)
        self.assertEqual(self.awaited.lately(3661.0), 0)

    def test_what_is_back_asks_for_nothing(self) -> None:
        """Nor has it gone."""
        self.awaited.look(set[str]().__contains__)
        self.assertIsNone(self.awaited.removal)
        self.assertEqual(self.became(), UNKNOWN)

    def test_status_of_before_it_was_heard_of_still_asks(self) -> None:
        """A status is some moments old."""
        self.assertEqual(self.became(), WAITING)

    def test_other_term_knows_nothing_of_it(self) -> None:
        """Whatever it says, or does not."""
        self.assertEqual(became_of(self.id, {"writing": Awaited().to_json()}), UNKNOWN)
        self.assertEqual(became_of(self.id, {}), UNKNOWN)
        self.assertEqual(became_of(self.id, None), UNKNOWN)
