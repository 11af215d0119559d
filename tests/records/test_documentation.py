"""The fields of the access log, as they are documented."""

from __future__ import annotations

from pathlib import Path

from fengling_gateway.dataplane.record_keeping import BLOCK_BYTES, MAX_WAITING_BYTES
from fengling_gateway.records.fields import FIELDS

PAGE = Path(__file__).parents[2] / "docs" / "access-log.md"


def test_every_field_is_documented() -> None:
    """In the order and with the words of the code."""
    lines = PAGE.read_text().splitlines()
    rows = [line for line in lines if line.startswith("| `") and "header:" not in line]
    assert rows == [f"| `{name}` | {field.says} |" for name, field in FIELDS.items()]


def test_sizes_are_those_of_the_code() -> None:
    """What is handed over at once, and what may wait."""
    text = PAGE.read_text()
    assert f"when there are {BLOCK_BYTES >> 10} KiB" in text
    assert f"more than {MAX_WAITING_BYTES >> 20} MiB wait" in text
