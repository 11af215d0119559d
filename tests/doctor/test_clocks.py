"""How far clocks may be apart."""

from __future__ import annotations

import pytest

from fengling_gateway.doctor.clocks import clock


class ClockTests:
    """A clock beside ours, which said `before` when we asked and `after` when we were answered."""

    @pytest.mark.parametrize(
        ("theirs", "state"),
        [
            (100.0, "ok"),
            (99.0, "ok"),
            (103.9, "ok"),
            (90.0, "note"),
            (112.0, "note"),
            (30.0, "wrong"),
        ],
    )
    def test_difference_decides(self, theirs: float, state: str) -> None:
        assert clock("database", theirs, before=100.0, after=102.0).state == state

    def test_direction_is_told(self) -> None:
        ahead = clock("redis", 120.0, before=100.0, after=100.0)
        behind = clock("redis", 80.0, before=100.0, after=100.0)
        assert "20.0 s ahead of this host's" in ahead.said
        assert "20.0 s behind this host's" in behind.said
