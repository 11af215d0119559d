"""What a process tells of what it uses."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from fengling_gateway.control.process import (
    LISTED_AT_ONCE,
    OpenDescriptors,
    ProcessCosts,
    resident_bytes,
)


def not_told(_place: Path) -> int:
    return 0


class OpenDescriptorsTests:
    @pytest.mark.parametrize("told", [None, not_told], ids=["told", "listed"])
    def test_open_ones_are_counted(self, told: object) -> None:
        """Whether or not the kernel says how many there are."""
        counting = OpenDescriptors() if told is None else OpenDescriptors(told=not_told)
        before = counting.count()
        assert before
        more = [os.open(os.devnull, os.O_RDONLY) for _ in range(7)]
        try:
            assert counting.count() == before + 7
        finally:
            for one in more:
                os.close(one)
        assert counting.count() == before

    def test_many_are_listed_some_at_a_time(self, tmp_path: Path) -> None:
        """A look at all of them would keep requests waiting."""
        for number in range(LISTED_AT_ONCE + 11):
            (tmp_path / str(number)).touch()
        counting = OpenDescriptors(tmp_path, told=not_told)
        assert counting.count() == LISTED_AT_ONCE
        assert counting.count() == LISTED_AT_ONCE + 10
        (tmp_path / "0").unlink()
        assert counting.count() == LISTED_AT_ONCE + 10  # as of the last whole listing
        assert counting.count() == LISTED_AT_ONCE + 9

    def test_system_that_does_not_tell_has_none(self, tmp_path: Path) -> None:
        """Rather than a wrong number."""
        assert OpenDescriptors(tmp_path / "none").count() is None


class ProcessCostsTests:
    def test_everything_is_told(self) -> None:
        """It is our own process: it has used something of each."""
        found = ProcessCosts().to_json()
        assert found["cpu_seconds"] > 0
        assert found["resident_bytes"] > 1_000_000
        assert 0 < found["open_fds"] <= found["max_fds"]
        assert len(found["collections"]) == 3

    def test_collections_and_their_time_are_counted(self) -> None:
        """From start to stop."""
        costs = ProcessCosts()
        costs.start()
        try:
            before = costs.to_json()
            gc.collect()
            after = costs.to_json()
        finally:
            costs.stop()
        assert after["collections"][2] == before["collections"][2] + 1
        assert after["pause_seconds"] > before["pause_seconds"] == 0
        gc.collect()
        assert costs.to_json()["pause_seconds"] == after["pause_seconds"]

    def test_memory_that_nobody_tells_of_is_unknown(self, tmp_path: Path) -> None:
        """On other systems than Linux."""
        assert resident_bytes(tmp_path) is None
