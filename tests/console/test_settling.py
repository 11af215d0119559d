"""Which position workers should serve by now."""

from __future__ import annotations

from fengling_gateway.console.settling import CHANGE_SECONDS, Settling
from fengling_gateway.model.delta import Position

TURNS = 4
"""In which as many changes come as one has time."""


def position(revision: int, epoch: str = "e") -> Position:
    return Position(epoch, revision, f"t{revision}")


def test_change_has_its_time() -> None:
    """Until then nobody is late, or only for the one before."""
    settling = Settling()
    assert settling.settled(0.0) is None
    settling.changed(position(1), 0.0)
    assert settling.settled(CHANGE_SECONDS * 0.9) is None
    assert settling.settled(CHANGE_SECONDS) == position(1)
    settling.changed(position(2), 100.0)
    assert settling.settled(100.0) == position(1)
    assert settling.settled(100.0 + CHANGE_SECONDS) == position(2)


def test_change_settles_while_others_come() -> None:
    """However many: not more than twice as late."""
    settling = Settling()
    step = CHANGE_SECONDS / TURNS
    for revision in range(100):
        settling.changed(position(revision), revision * step)
        settled = settling.settled(revision * step)
        if revision >= 2 * TURNS:
            assert settled is not None
            assert revision - 2 * TURNS <= settled.revision <= revision - TURNS


def test_nobody_is_late_for_what_was_before_a_database_was_set_back() -> None:
    """Who serves what it has now would seem so, by another epoch or a revision that is gone."""
    for after in (position(1, "another"), position(5)):
        settling = Settling()
        settling.changed(position(8), 0.0)
        settling.changed(after, 100.0)
        assert settling.settled(100.0) is None
        settling.changed(position(after.revision + 1, after.epoch), 100.1)
        assert settling.settled(100.1) is None
        assert settling.settled(100.1 + CHANGE_SECONDS) == position(after.revision + 1, after.epoch)
