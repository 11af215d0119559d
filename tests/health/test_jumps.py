"""Noticing that a clock has been set."""

from __future__ import annotations

from fengling_gateway.health.jumps import Jumps


class JumpsTests:
    def test_clocks_that_go_together_have_not_jumped(self) -> None:
        """However long nobody has looked, as when the process was stopped."""
        jumps = Jumps()
        assert [jumps.look(1e9 + at, at) for at in (5.0, 6.0, 900.0, 900.5)] == [0.0] * 4

    def test_jump_is_told_once(self) -> None:
        """By how much, and in which direction; small corrections are none."""
        jumps = Jumps()
        jumps.look(1000.0, 5.0)
        assert jumps.look(1000.75, 6.0) == 0.0
        assert jumps.look(1000.0 - 3600.0 + 2.0, 7.0) == -3600.0 + 0.25
        assert jumps.look(1000.0 - 3600.0 + 3.0, 8.0) == 0.0
        assert jumps.look(1000.0, 8.0) == 3597.0
