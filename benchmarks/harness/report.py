"""Tables for people and JSON for programs."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
"""``name``, and metrics in words with units. A metric that was not measured is absent."""


def table(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the first is flush left, numbers flush right."""
    cells = [list(headings), *(list(line) for line in lines)]
    widths = [max(len(line[n]) for line in cells) for n in range(len(headings))]

    def render(line: Sequence[str]) -> str:
        first = line[0].ljust(widths[0])
        rest = (cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))
        return "  ".join([first, *rest]).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([render(cells[0]), rule, *map(render, cells[1:])])


def number(value: float | None, digits: int = 1) -> str:
    """With thousands separated; a dash for what was not measured."""
    return "-" if value is None else f"{value:,.{digits}f}"


def ratio(value: float | None, reference: float | None) -> str:
    """How many times the reference; a dash where either is missing."""
    if value is None or not reference:
        return "-"
    quotient = value / reference
    return f"{quotient:.1f} x" if quotient >= 10 else f"{quotient:.2f} x"


def machine() -> str:
    """What it ran on, in one line."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    load = os.getloadavg()[0]
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, load average {load:.1f}"


def document(bench: str, rows: Sequence[Row], conditions: Mapping[str, Any]) -> str:
    """The JSON that ``--json`` writes: the rows, and beside them how they came about."""
    values = {
        "bench": bench,
        "rows": [dict(row) for row in rows],
        "conditions": {
            "machine": machine(),
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
            **conditions,
        },
    }
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def write(
    path: Path | None, bench: str, rows: Sequence[Row], conditions: Mapping[str, Any]
) -> None:
    """Write the document to `path`; nothing if that is None."""
    if path is not None:
        path.write_text(document(bench, rows, conditions))
        print(f"\nwritten to {path}")
