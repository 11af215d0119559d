"""What is told, in which order, and how it looks."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from rich.console import Console

from fengling_gateway.quickstart import story as story_module
from fengling_gateway.quickstart.load import Load
from fengling_gateway.quickstart.narrative import ChangeRow, RevisionRow
from fengling_gateway.quickstart.screen import PlainScreen, TerminalScreen
from fengling_gateway.quickstart.stack import Stack
from fengling_gateway.quickstart.story import Story
from fengling_gateway.quickstart.watch import Committed, Seen

REJECTED = {"kind": "route", "id": "orders", "problems": [{"message": "no path"}]}


def status(revision: int, *rejected: dict[str, Any]) -> Seen:
    worker = {"worker": "w0", "pid": 1, "state": "serving", "revision": revision}
    document = {"position": {"revision": revision}, "workers": [worker], "rejected": rejected}
    return Seen(document)


def committed(number: int) -> Committed:
    change = ChangeRow("route", "orders", {"path": "/a"}, {"path": "/b"})
    revision = RevisionRow(number, "config", 0.0, "ops", "psql", "", False, 1, (change,))
    return Committed(revision)


class StoryTests:
    """Events in, lines out."""

    def setup_method(self) -> None:
        self.output = io.StringIO()
        stack = SimpleNamespace(
            management_url="http://127.0.0.1:1",
            token="",
            database=lambda: "",
            demo_revision=1,
            place=SimpleNamespace(control=Path("control")),
            gateway=None,
            announce=lambda pids: None,
        )
        load = Load("127.0.0.1", 1)
        self.story = Story(cast("Stack", stack), PlainScreen(self.output), load)

    def told(self, *events: Any) -> list[str]:
        """Return the lines without their clocks."""
        for event in events:
            self.story.tell(event)
        return [line.split(" ", 2)[2] for line in self.output.getvalue().splitlines()]

    def test_what_a_revision_brings_about_is_told_after_it(self) -> None:
        """The gateway may tell us sooner than the database does."""
        lines = self.told(status(1, REJECTED), status(2), status(2), committed(2), status(2))
        assert lines == [
            "revision 2 · ops via psql · route orders: path /a → /b · served by 1/1 workers",
            "route orders is no longer rejected",
        ]

    def test_it_is_told_without_the_database_too(self, monkeypatch: Any) -> None:
        """After a while."""
        monkeypatch.setattr(story_module, "_AHEAD_SECONDS", 0.0)
        lines = self.told(status(1, REJECTED), status(2))
        assert lines == ["route orders is no longer rejected"]


class TerminalScreenTests:
    """Lines in a terminal."""

    def test_long_lines_are_indented_and_not_filled_up(self) -> None:
        """So that one can copy them."""
        output = io.StringIO()
        console = Console(file=output, width=40, highlight=False)
        TerminalScreen(console).say("good", "one two three " * 5)
        lines = output.getvalue().split("\n")
        assert lines.pop() == ""
        assert len(lines) == 3
        assert [line for line in lines if line != line.rstrip() or len(line) > 40] == []
        assert [line[:11].strip() for line in lines[1:]] == ["", ""]
        assert " ".join(line[11:] for line in lines).split() == ["one", "two", "three"] * 5
