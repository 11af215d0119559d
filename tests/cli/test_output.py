"""Tables that fit."""

from __future__ import annotations

import io

from rich.console import Console
from rich.text import Text

from fengling_gateway.cli.output import lay_out

COLUMNS = ("ID", "PRIORITY", "PATH", "TARGET", "ACCESS", "TENANT", "ENABLED")
ROW = [Text(one) for one in ("old-hello", "0", "/api/orders/{**rest}", "x" * 40, "a", "–", "yes")]


def printed(width: int) -> list[str]:
    out = Console(file=io.StringIO(), width=width)
    out.print(lay_out(COLUMNS, [ROW], width))
    assert isinstance(out.file, io.StringIO)
    return [line.rstrip() for line in out.file.getvalue().splitlines()]


def test_narrow_table_is_folded_where_it_is_long() -> None:
    """Headings stay whole, and all that is long is there."""
    lines = printed(56)
    assert lines[0].split() == list(COLUMNS)
    assert max(map(len, lines)) <= 56
    assert "".join(lines).count("x") == 40


def test_wide_table_has_room_between_columns() -> None:
    """Each row is a line."""
    lines = printed(140)
    assert len(lines) == 3
    assert "old-hello   0          /api/orders/{**rest}   xxx" in lines[2]
