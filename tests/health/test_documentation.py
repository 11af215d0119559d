"""What docs/health.md says."""

from __future__ import annotations

import json
import re
from pathlib import Path

from fengling_gateway.health.status import watched_document
from fengling_gateway.health.targets import Targets
from fengling_gateway.health.verdicts import Standing
from fengling_gateway.health.watched import Watched
from fengling_gateway.model.health_checks import HTTP
from fengling_gateway.model.times import parse_duration
from tests.health.builders import probed

PAGE = (Path(__file__).parents[2] / "docs" / "health.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the tables in a section."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


class DocumentationTests:
    def test_every_field_is_documented_with_its_default(self) -> None:
        """In the order in which canonical bodies are judged."""
        told = {name.strip("`"): default for name, default, _ in rows("health_check")}
        assert list(told) == list(HTTP.names)
        for name, default in HTTP.defaults.items():
            said: object = told[name]
            if isinstance(default, float) and name != "jitter":
                said = parse_duration(told[name])
            elif not isinstance(default, str):
                said = json.loads(told[name])
            assert said == default, name

    def test_every_part_of_an_instance_s_status_is_documented(self) -> None:
        """Programs read it."""
        targets = Targets()
        targets.follow(probed({}, "http://10.0.0.1").bodies)
        watched = Watched(targets.by_id["i0"], Standing(), None, 0.0)
        told = {name for cells in rows("What is told") for name in re.findall(r"`(\w+)`", cells[0])}
        told |= {"rise", "fall", "service_id", "address"}
        assert told == set(watched_document(watched, None, 0.0))
