"""When an announcement is a reason to look."""

from __future__ import annotations

from fengling_gateway.model.delta import Position
from fengling_gateway.syncbus.hearsay import OTHER_EPOCH_SECONDS, Hearsay

OWN = Position("own", 10, "t10")


class HearsayTests:
    def test_newer_revision_of_our_epoch_is_one_each_time(self) -> None:
        """Each look leads there, or the poll would not either."""
        hearsay = Hearsay()
        for revision in range(11, 20):
            assert hearsay.is_worth_a_look(Position("own", revision, "x"), OWN, now=0)

    def test_what_is_known_is_none(self) -> None:
        """Nor what is older."""
        hearsay = Hearsay()
        for known in (OWN, Position("own", 9, "t9")):
            assert not hearsay.is_worth_a_look(known, OWN, now=0)

    def test_other_epoch_is_looked_for_once_a_second(self) -> None:
        """However many hosts announce it, and however often."""
        hearsay = Hearsay()
        looks = [
            now
            for now in range(40)
            if hearsay.is_worth_a_look(Position(f"e{now % 2}", now, "x"), OWN, now=now / 10)
        ]
        assert looks == [0, 10, 20, 30]
        assert OTHER_EPOCH_SECONDS == 1.0

    def test_other_epoch_does_not_delay_our_own(self) -> None:
        """A change of ours is looked at when it is heard of."""
        hearsay = Hearsay()
        assert hearsay.is_worth_a_look(Position("other", 1, "x"), OWN, now=0)
        assert hearsay.is_worth_a_look(Position("own", 11, "x"), OWN, now=0.1)

    def test_everything_is_worth_a_look_to_who_knows_nothing(self) -> None:
        """At a start while the database was away."""
        hearsay = Hearsay()
        for now in (0, 0.1):
            assert hearsay.is_worth_a_look(OWN, None, now=now)
