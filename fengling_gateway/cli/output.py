"""Results as a table for people, or as JSON or YAML for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import click
import yaml
from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fengling_gateway.observability.plain import plain, plain_json

FORMATS: Final = ("table", "json", "yaml")
_LAID_OUT: Final = 500
"""Rows that are laid out with colours and folded lines: 10,000 take half a minute."""

_GAP: Final = 3
"""Between two columns, where there is room."""

_UNLIMITED_WIDTH: Final = 10_000
_STATE_STYLES: Final = {
    **dict.fromkeys(("serving", "healthy", "ready", "yes"), "green"),
    **dict.fromkeys(("starting", "draining", "drain", "unknown", "held", "pinned"), "yellow"),
    **dict.fromkeys(("stalled", "gone", "unhealthy", "maintenance", "no", "rejected"), "red"),
}

F = TypeVar("F", bound=Callable[..., Any])


def output_option(command: F) -> F:
    """Add ``-o``; the command gets it as ``output``."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="How to print the result.",
    )(command)


def console() -> Console:
    """Return a console on stdout: as wide as the terminal, or as wide as the text."""
    out = sys.stdout
    return Console(file=out, width=None if out.isatty() else _UNLIMITED_WIDTH, highlight=False)


def print_value(value: Any, output: str) -> None:
    """Print a plain value as JSON or YAML."""
    if output == "yaml":
        text = _yaml(value, allow_unicode=True)
        is_plain = all(plain(line) == line for line in text.split("\n"))
        click.echo((text if is_plain else _yaml(value, allow_unicode=False)).rstrip())
    else:
        click.echo(plain_json(json.dumps(value, indent=2, ensure_ascii=False, default=str)))


def _yaml(value: Any, *, allow_unicode: bool) -> str:
    text: str = yaml.safe_dump(
        value, sort_keys=False, allow_unicode=allow_unicode, default_flow_style=False
    )
    return text


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """Print rows under headings, or a sentence where there are none."""
    cells = [[cell(value) for value in row] for row in rows]
    if not cells:
        click.echo(empty)
    elif len(cells) > _LAID_OUT:
        _print_plainly(columns, cells)
    else:
        out = console()
        out.print(lay_out(columns, cells, out.width))


def lay_out(
    columns: Sequence[str], rows: Sequence[Sequence[Text]], width: int, *, right: int | None = None
) -> Table:
    """
    Return a table that fits into a width: what is long is folded, and numbers are not.

    Args:
        right: the first of the columns that hold numbers, and so all after it.
    """
    lines = [[Text(name) for name in columns], *rows]
    widths = [max(map(_widest, column)) for column in zip(*lines, strict=True)]
    has_room = sum(widths) + _GAP * (len(columns) - 1) <= width
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        header_style="bold",
        padding=(0, 1) if has_room else 0,
    )
    for number, name in enumerate(columns):
        is_number = right is not None and number >= right
        table.add_column(
            name,
            justify="right" if is_number else "left",
            overflow="fold",
            no_wrap=is_number,
        )
    for row in rows:
        table.add_row(*row)
    return table


def _widest(text: Text) -> int:
    return max(map(cell_len, text.plain.split("\n")))


def _print_plainly(columns: Sequence[str], rows: Sequence[Sequence[Text]]) -> None:
    """Print a long table, which nobody looks at but with a pager, or grep."""
    lines = [list(columns), *([value.plain for value in row] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["─" * width for width in widths])
    for line in lines:
        padded = map(set_cell_size, line, widths)
        click.echo("   ".join(padded).rstrip())


def print_facts(facts: Iterable[tuple[str, Any]]) -> None:
    """Print names and values, aligned."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(cell(name), cell(value))
    console().print(table)


def cell(value: Any) -> Text:
    """Return a value as it looks in a table."""
    if isinstance(value, Text):
        return value
    if value is None or value in ("", [], {}):
        return Text("–", style="dim")
    if isinstance(value, bool):
        value = "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(one, str | int | float) for one in value):
        return Text(plain(", ".join(map(str, value))))
    if isinstance(value, dict | list):
        return Text(plain_json(json.dumps(value, ensure_ascii=False, default=str)))
    return Text(plain(str(value)), style=_STATE_STYLES.get(str(value), ""))


def ago(at: float | None, now: float) -> str | None:
    """Return how long ago a time was, in words."""
    if at is None:
        return None
    seconds = max(0.0, now - at)
    if seconds < 10:
        return f"{seconds:.1f} s ago"
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
