"""What the quickstart says: in a terminal with one live line below, elsewhere as plain lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Protocol

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from fengling_gateway.quickstart.pastes import Paste

_MARKS = {"good": ("✓", "green"), "bad": ("!", "bold yellow"), "plain": ("·", "cyan")}
_ASCII_MARKS = {"good": "ok", "bad": "!!", "plain": "--"}
_PLAIN_INTERVAL_SECONDS = 10.0


class Screen(Protocol):
    """Where the narration goes."""

    def title(self, text: str) -> None: ...

    def step(self, text: str) -> None:
        """Say what is being done now; replaced by the next step or line."""

    def say(self, mood: str, text: str) -> None:
        """Say what has happened. `mood` is good, bad or plain."""

    def links(self, links: list[tuple[str, str]]) -> None: ...

    def pastes(self, pastes: list[Paste]) -> None: ...

    def live(self, text: str, failed: bool) -> None:
        """Show the live line; `failed` when it counts a failure."""


class TerminalScreen:
    """Lines that scroll, above one that stays."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=10, transient=True)

    def open(self) -> None:
        self._live.start()

    def close(self) -> None:
        self._live.stop()

    def title(self, text: str) -> None:
        self._console.print(Text.assemble(("\n  Fengling Gateway", "bold"), ("  " + text, "dim")))
        self._console.print()

    def step(self, text: str) -> None:
        self._live.update(Spinner("dots", Text(f" {text} …", style="dim"), style="cyan"))

    def say(self, mood: str, text: str) -> None:
        mark, style = _MARKS[mood]
        clock = time.strftime("%H:%M:%S")
        head = Text.assemble((clock, "dim"), " ", (mark, style), " ")
        said = Text(text, style="" if mood == "plain" else style)
        # Not a table: that would fill the lines up with blanks, which get copied.
        lines = said.wrap(self._console, max(20, self._console.width - len(head)))
        for line in lines:
            line.rstrip()
        self._console.print(head + Text("\n" + " " * len(head)).join(lines), soft_wrap=True)

    def links(self, links: list[tuple[str, str]]) -> None:
        self._console.print()
        for name, value in links:
            line = Text.assemble((f"  {name:<12}", "dim"), (value, "cyan"))
            self._console.print(line, soft_wrap=True)

    def pastes(self, pastes: list[Paste]) -> None:
        self._console.print(Text("\n  In another terminal, from here:\n", style="bold"))
        for number, paste in enumerate(pastes, 1):
            self._console.print(Text(f"  {number:2}  {paste.title}", style="dim"))
            # Not wrapped by us: a terminal copies its own wrapped lines as one.
            self._console.print(Text(f"      {paste.command}"), soft_wrap=True)
        self._console.print(Text("\n  Ctrl-C ends everything.\n", style="bold"))

    def live(self, text: str, failed: bool) -> None:
        line = Text("  " + text, no_wrap=True, overflow="ellipsis")
        line.stylize("bold red" if failed else "bold green")
        self._live.update(line)


class PlainScreen:
    """One line after another, for a log or a pipe."""

    def __init__(self, output: IO[str]) -> None:
        self._output = output
        self._live_said = 0.0

    def open(self) -> None:
        """Nothing to prepare."""

    def close(self) -> None:
        """Nothing to put back."""

    def title(self, text: str) -> None:
        self._print(f"Fengling Gateway: {text}")

    def step(self, text: str) -> None:
        """Only what has been done is worth a line here."""

    def say(self, mood: str, text: str) -> None:
        self._print(f"{time.strftime('%H:%M:%S')} {_ASCII_MARKS[mood]} {text}")

    def links(self, links: list[tuple[str, str]]) -> None:
        for name, value in links:
            self._print(f"{name}: {value}")

    def pastes(self, pastes: list[Paste]) -> None:
        for number, paste in enumerate(pastes, 1):
            self._print(f"{number}. {paste.title}:\n   {paste.command}")

    def live(self, text: str, failed: bool) -> None:
        now = time.monotonic()
        if now - self._live_said >= _PLAIN_INTERVAL_SECONDS:
            self._live_said = now
            self._print(text)

    def _print(self, text: str) -> None:
        print(text, file=self._output, flush=True)


@contextmanager
def open_screen(*, plain: bool = False) -> Iterator[Screen]:
    """Open the screen that fits standard output."""
    console = Console(highlight=False)
    screen: TerminalScreen | PlainScreen
    if plain or not console.is_terminal or console.is_dumb_terminal:
        screen = PlainScreen(sys.stdout)
    else:
        screen = TerminalScreen(console)
    screen.open()
    try:
        yield screen
    finally:
        screen.close()
