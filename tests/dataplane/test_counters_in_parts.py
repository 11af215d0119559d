"""Counters told in parts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fengling_gateway.dataplane.counters import Counters
from fengling_gateway.dataplane.counters_in_parts import ROWS, CountersInParts, rows_of
from fengling_gateway.http.forward_error import ForwardError


def parts_of(counters: Counters, told: Any = lambda: None) -> CountersInParts:
    return CountersInParts(counters.without_rows(), *counters.pairs(), told)


def rows_in(pairs: dict[str, Any]) -> list[Any]:
    rows: list[Any] = json.loads(json.dumps(rows_of(pairs)))
    return rows


@pytest.mark.parametrize("number", [0, 1, ROWS, ROWS + 1, 3 * ROWS])
def test_parts_are_the_whole(number: int) -> None:
    """A last part says so, and only then is forgotten what others want the places of."""
    counters = Counters(max_pairs=2 * ROWS)
    for one in range(number):
        counters.record((f"r{one}", f"s{one % 7}"), 200 + one % 400, 0.1, None)
        if one % 5 == 0:
            counters.record((f"r{one}", f"s{one % 7}"), 502, 0.1, ForwardError.CONNECT_FAILED)
    told: list[bool] = []
    parts = parts_of(counters, lambda: told.append(True))
    found: dict[str, Any] = {"requests": []}
    is_more = True
    while is_more:
        assert not told
        part = json.loads(json.dumps(parts.next()))
        is_more, rows = part.pop("is_more"), rows_in(part.pop("pairs"))
        assert len(rows) <= ROWS
        found = {**found, **part, "requests": found["requests"] + rows}
    assert told == [True]
    assert found == json.loads(json.dumps(counters.to_json()))


def test_pairs_are_told_as_they_are_then() -> None:
    """What is served meanwhile is counted."""
    counters = Counters()
    counters.record(("r", "s"), 200, 0.1, None)
    parts = parts_of(counters)
    assert parts.next()["pairs"]["routes"] == []
    counters.record(("r", "s"), 404, 0.1, ForwardError.NO_ROUTE)
    assert rows_in(json.loads(json.dumps(parts.next()["pairs"]))) == [
        ["r", "s", [0, 0, 1, 0, 1, 0], {"no_route": 1}]
    ]
