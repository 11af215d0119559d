"""The problems of the management API, and their documentation."""

from __future__ import annotations

import re
from pathlib import Path

from fengling_gateway.management.problems import TITLES

_DOCUMENT = (Path(__file__).parents[2] / "docs" / "errors.md").read_text()
_ROWS = re.findall(r"^\| `(\w+)` \| (\d+) \|", _DOCUMENT, re.MULTILINE)


def test_every_problem_is_documented_with_its_status() -> None:
    """And no other."""
    assert sorted(_ROWS) == sorted((code, str(status)) for code, (status, _) in TITLES.items())
