"""The dashboards for Grafana are what scripts/dashboards describes, and fit on a page."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import combinations
from typing import Any

import pytest

from tests.monitoring.queries import ROOT, dashboards


def test_what_is_checked_in_is_what_is_described() -> None:
    """Whoever changes one, runs scripts/dashboards."""
    done = subprocess.run(
        [sys.executable, "scripts/dashboards", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", dashboards())
class DashboardTests:
    def test_panels_have_places_and_numbers_of_their_own(self, name: str) -> None:
        """None covers another one."""
        panels = dashboards()[name]["panels"]
        assert len({one["id"] for one in panels}) == len(panels) > 10
        for one, other in combinations([panel["gridPos"] for panel in panels], 2):
            assert one["x"] + one["w"] <= 24
            assert apart(one, other) or apart(other, one), (one, other)

    def test_queries_use_variables_that_there_are(self, name: str) -> None:
        """And all of them ask the data source that is chosen."""
        one = dashboards()[name]
        known = {f"${variable['name']}" for variable in one["templating"]["list"]}
        for panel in one["panels"]:
            for target in panel.get("targets", ()):
                used = set(re.findall(r"\$\w+", target["expr"])) - {"$__rate_interval"}
                assert used <= known, target
                assert target["datasource"]["uid"] == "${datasource}"
                assert "<" not in target["expr"].replace(" < ", "")


def apart(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one["x"] + one["w"] <= other["x"] or one["y"] + one["h"] <= other["y"]
