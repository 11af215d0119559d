"""What docs/history.md says of commands is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.conftest import Run

PAGE = (Path(__file__).parents[2] / "docs" / "history.md").read_text()


@pytest.mark.parametrize(
    "command", ["history", "rollback", "events", "db retention", "apply", "diff", "export"]
)
def test_every_option_is_there(run: Run, command: str) -> None:
    """Also those that stand in a text or table."""
    told = run(*command.split(), "--help").stdout
    for line in re.findall(rf"fenglingctl {command}([^`\n]*)", PAGE):
        for option in re.findall(r"--[a-z-]+", line.partition("#")[0]):
            assert option in told, f"fenglingctl {command} {option}"


def test_every_name_of_a_row_is_of_the_help(run: Run) -> None:
    """What the table lists beside `history` are its options."""
    [row] = [line for line in PAGE.splitlines() if "the last revisions;" in line]
    told = run("history", "--help").stdout
    assert all(option in told for option in re.findall(r"--[a-z-]+", row))
