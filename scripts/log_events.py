"""
Write docs/log-events.md: what the log may say, by its stable ids.

    python scripts/log_events.py            write it
    python scripts/log_events.py --check    fail where it is not what the sources say
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "log-events.md"
LEVELS: Final = {
    "debug": "debug",
    "info": "info",
    "warn": "warning",
    "error": "error",
    "critical": "critical",
    "failure": "critical",
}
HEAD: Final = """\
# What the log says

Each line has an id that stays, whatever its words come to be: `event` where `[log] format` is `json`. Alerts
and searches go by it. Words in braces are fields of the line. `critical` lines have a traceback: they
are faults of the gateway, and worth a report.

<!-- Made by scripts/log_events.py -->

| id | level | |
|---|---|---|
"""


class Said(NamedTuple):
    """A place where something is logged; ``event`` is None where it has no id."""

    event: str | None
    level: str
    words: str
    place: str


def said() -> Iterator[Said]:
    """Yield all of them."""
    for path in sorted((ROOT / "fengling_gateway").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in LEVELS
                and ast.unparse(node.func.value).lower().endswith("log")
            ):
                events = [one.value for one in node.keywords if one.arg == "log_id"]
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                for event in _texts(events[0]) if events else [None]:
                    yield Said(event, LEVELS[node.func.attr], _words(node), place)


def _texts(node: ast.expr) -> list[str]:
    """Return all texts that an expression may be: one, or one of two."""
    found = [one.value for one in ast.walk(node) if isinstance(one, ast.Constant)]
    return [text for text in found if isinstance(text, str)]


def _words(call: ast.Call) -> str:
    if call.args and isinstance(call.args[0], ast.Constant):
        return str(call.args[0].value)
    return ""


def page() -> str:
    """Return the page; of an id with several words, the first ones."""
    found: dict[str, Said] = {}
    for one in said():
        if one.event is not None:
            found.setdefault(one.event, one)
    rows = [
        f"| `{event}` | {one.level} | {one.words.replace('|', chr(92) + '|')} |\n"
        for event, one in sorted(found.items())
    ]
    return HEAD + "".join(rows)


def main() -> None:
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page())
    elif PAGE.read_text() != page():
        sys.exit("docs/log-events.md is not what the sources say: run scripts/log_events.py")


if __name__ == "__main__":
    main()
