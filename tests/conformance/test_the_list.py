"""`docs/conformance.md` names every requirement and every test, and nothing that isn't there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
LIST = (ROOT / "docs" / "conformance.md").read_text()

LAST = {
    "Y": 35,
    "G": 31,
    "C": 15,
    "SM": 21,
    "RT": 15,
    "DS": 10,
    "TW": 17,
    "JW": 14,
    "MG": 6,
    "GA": 16,
}
DECISIONS = {"Host", "XFF", "Connection", "client gone", "retry", "upgrade"}
LIMITS = {
    *("header block", "header deadline", "idle keep-alive", "stream idle", "buffers"),
    *("overload", "path", "admin"),
}
REQUIRED = {
    *(f"{letters}{number}" for letters, last in LAST.items() for number in range(1, last + 1)),
    *(f"C.3 {what}" for what in DECISIONS),
    *(f"C.1 {what}" for what in LIMITS),
}

TABLE_ROW = re.compile(r"^\| (.+) \|$", re.MULTILINE)
NAMED = re.compile(r"`([\w/]+\.py)::([\w:]+)`")
TEST = re.compile(r"^( *)(?:async )?def (test_\w+)|^class (\w+)", re.MULTILINE)


def cells() -> list[list[str]]:
    """The cells of all rows of all tables, their heads left out."""
    rows = [row.split(" | ") for row in TABLE_ROW.findall(LIST)]
    return [row for row in rows if row[0] != "rows" and not set(row[0]) <= set("- |")]


def names_in(path: Path) -> set[str]:
    """The tests of a file, those of classes with their class."""
    found, within = set(), ""
    for indent, name, class_name in TEST.findall(path.read_text()):
        if class_name:
            within = class_name
        else:
            found.add(f"{within}::{name}" if indent else name)
    return found


def test_every_row_is_listed() -> None:
    """Each requirement is in a table, and no table invents one."""
    listed = {one for row in cells() for one in row[0].split(", ")}
    assert listed == REQUIRED


def test_every_listed_test_exists() -> None:
    """Whoever looks a rule up finds its test."""
    for file, name in NAMED.findall(LIST):
        path = ROOT / file if "/" in file else HERE / file
        assert name in names_in(path), f"{file}::{name}"


def test_every_test_is_listed() -> None:
    """A test without a rule is either superfluous or the rule is missing."""
    listed = set(NAMED.findall(LIST))
    for path in HERE.glob("test_*.py"):
        if path != Path(__file__):
            assert {(path.name, name) for name in names_in(path)} <= listed


def test_every_listed_rule_has_a_test() -> None:
    """Each row of a subject's table ends with the test that shows it."""
    subjects = [row for row in cells() if len(row) == 4]
    assert len(subjects) > 200
    assert [row for row in subjects if not NAMED.fullmatch(row[3])] == []


def test_every_link_leads_somewhere() -> None:
    """Decision notes and places that are named exist."""
    for target in re.findall(r"\]\(([\w/.-]+)\)", LIST):
        assert (ROOT / "docs" / target).exists(), target
    for place in re.findall(r"`(tests/[\w/.]+)`", LIST):
        assert (ROOT / place).exists(), place
