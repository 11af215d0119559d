"""Counters told in parts."""

from __future__ import annotations

from typing import Any

import pytest

from fengling_gateway.dataplane.counters_in_parts import ROWS, CountersInParts


@pytest.mark.parametrize("number", [0, 1, ROWS, ROWS + 1, 3 * ROWS])
def test_parts_are_the_whole(number: int) -> None:
    """A last part says so, and only then is forgotten what others want the places of."""
    told: list[bool] = []
    rows: list[Any] = [lambda n=n: [n] for n in range(number)]
    parts = CountersInParts({"retries": 3}, rows, lambda: told.append(True))
    first = parts.next()
    found, is_more = first["requests"], first["is_more"]
    assert first["retries"] == 3
    while is_more:
        assert not told
        part = parts.next()
        assert set(part) == {"requests", "is_more"}
        assert len(part["requests"]) <= ROWS
        found, is_more = found + part["requests"], part["is_more"]
    assert told == [True]
    whole = CountersInParts({"retries": 3}, rows, lambda: None).whole()
    assert (whole["retries"], whole["requests"]) == (3, found)
    assert len(found) == number


def test_rows_are_as_they_are_when_they_are_told() -> None:
    values = [1]
    parts = CountersInParts({}, [lambda: list(values)], lambda: None)
    values[0] = 2
    assert parts.next()["requests"] == [[2]]
