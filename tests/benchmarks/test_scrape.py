"""The benchmark of scrapes: what it has served, and what makes a run fail."""

from __future__ import annotations

from typing import Any

from benchmarks import scrape

ROW: dict[str, Any] = {
    "name": "scrape",
    "routes": 10_000,
    "workers": 8,
    "series": 15_000,
    "bytes": 1_200_000,
    "scrape_ms": 200.0,
    "scrape_ms_fastest": 150.0,
    "supervisor_cpu_ms": 150.0,
    "worker_cpu_ms": 8.0,
    "worker_blocked_ms": 1.1,
    "worker_blocked_ms_worst": 4.5,
    "quiet_blocked_ms": 1.0,
    "scrapes": 20,
}


def test_every_route_is_of_a_service_and_some_have_no_instances() -> None:
    """Failures have series, too."""
    entities = scrape.entities(1000, (1, 2))
    services = {one["id"]: one["instances"] for one in entities["services"]}
    assert {one["service_id"] for one in entities["routes"]} <= services.keys()
    assert len(entities["routes"]) == 1000
    assert sum(not instances for instances in services.values()) == 50


def test_what_makes_a_run_fail() -> None:
    """Each of the limits; a quick run judges no times."""
    assert scrape.verdict(ROW, is_quick=False) == []
    for name, value in (("series", 20_001), ("scrape_ms", 251.0), ("worker_blocked_ms", 5.1)):
        assert len(scrape.verdict({**ROW, name: value}, is_quick=False)) == 1
        assert len(scrape.verdict({**ROW, name: value}, is_quick=True)) == (name == "series")
    assert scrape.format_row(ROW).splitlines()[2].split()[:3] == ["10,000", "8", "15,000"]
