"""The pure parts of ``scripts/bench routes``: what counts as a miss, and what a row holds."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import routes
from benchmarks.harness import startup


def row(count: int, **given: Any) -> dict[str, Any]:
    usual = {
        "name": "fengling",
        "shape": "mixed",
        "routes": count,
        "match_us": 0.5,
        "start_seconds": 1.0,
        "start_from_file_seconds": 1.0,
        "worker_memory_mb": 50.0,
    }
    return {**usual, **given}


def start(seconds: float, **given: Any) -> startup.Start:
    usual = {
        "cpu_seconds": 1.0,
        "worker_bytes": 40_000_000,
        "worker_resident_bytes": 60_000_000,
        "supervisor_bytes": 70_000_000,
        "served_from": "database",
    }
    return startup.Start(seconds=seconds, **{**usual, **given})


def test_a_run_within_the_targets_is_no_failure() -> None:
    """Nor are times at 100,000 routes, for which there is no target."""
    assert routes.verdict([row(10), row(10_000), row(100_000, start_seconds=9.0)]) == []


@pytest.mark.parametrize(
    ("missed", "word"),
    [
        ({"start_seconds": 2.1}, "a start takes 2.1 s: over"),
        ({"start_from_file_seconds": 2.1}, "from the file"),
        ({"worker_memory_mb": 121.0}, "a worker takes 121.0 MB"),
        ({"match_us": 0.8}, "a match at 10,000 routes"),
    ],
)
def test_each_missed_target_is_named(missed: dict[str, float], word: str) -> None:
    """One line for each."""
    (failure,) = routes.verdict([row(10), row(10_000, **missed)])
    assert word in failure


def test_a_shape_without_a_gateway_is_judged_by_its_matches() -> None:
    """Its rows have no times of a start."""
    plain = {"shape": "hosts", "match_us": 0.5}
    assert routes.verdict([{**plain, "routes": 10}, {**plain, "routes": 10_000}]) == []
    assert routes.format_starts([{**plain, "routes": 10}]) == ""


def test_the_fastest_start_and_the_largest_memory_count() -> None:
    """The slowest start stands beside."""
    from_file = [start(0.9, served_from="last-known-good", worker_bytes=41_000_000)]
    metrics = startup.summary([start(3.0), start(1.2, cpu_seconds=1.7)], from_file)
    assert metrics == {
        "start_seconds": 1.2,
        "start_slowest_seconds": 3.0,
        "start_cpu_seconds": 1.7,
        "start_from_file_seconds": 0.9,
        "worker_memory_mb": 41.0,
        "worker_resident_mb": 60.0,
        "supervisor_memory_mb": 70.0,
    }


def test_a_start_from_the_database_is_not_taken_for_one_from_the_file() -> None:
    """What is measured must be what it is called."""
    with pytest.raises(ValueError, match="served from database"):
        startup.summary([start(1.0)], [start(1.0)])


def test_no_gateway_is_started_without_its_table() -> None:
    """The gateway serves the mixed one."""
    assert routes.parse(["--quick"]).starts == (10, 10_000)
    assert routes.parse([]).starts == (10, 10_000, 100_000)
    assert routes.parse(["--no-gateway"]).starts == ()
    assert routes.parse(["--shapes", "a host for each"]).starts == ()
