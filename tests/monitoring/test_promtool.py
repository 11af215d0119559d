"""The shipped rules, judged by promtool: their form, and when each alert fires."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.monitoring.queries import PROMETHEUS
from tests.support.prometheus import program


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(
        [program("promtool"), *arguments], capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_configuration_and_rules_are_well_formed() -> None:
    """As Prometheus reads them, with the files of rules that are named."""
    promtool("check", "config", PROMETHEUS / "prometheus.yml")
    promtool("check", "rules", *sorted(PROMETHEUS.glob("fengling-*.yml")))


@pytest.mark.parametrize("cases", ["alerts.yml", "alerts_of_days.yml"])
def test_alerts_fire_when_they_should_and_only_then(cases: str) -> None:
    """By made-up series; `test_rules` sees to it that each alert is among them."""
    promtool("test", "rules", Path(__file__).parent / cases)
