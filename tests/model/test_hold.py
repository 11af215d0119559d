"""What has to be confirmed, by the same rule here and in the database."""

from __future__ import annotations

import json
from typing import Any

import psycopg2
import pytest

from fengling_gateway.model.effective import EffectiveConfig
from fengling_gateway.model.entity import Key
from fengling_gateway.model.hold import (
    HOLD,
    Tally,
    max_removed_share,
    must_be_held,
    removes_too_much,
    tally_of,
)
from fengling_gateway.model.validation import Accepted, validate

SHARES: list[tuple[Any, float]] = [
    ({"max_removed_share": 0.1}, 0.1),
    ({"max_removed_share": 0.7}, 0.7),
    ({"max_removed_share": 0}, 0.0),
    ({"max_removed_share": 1}, 1.0),
    ({"max_removed_share": 0.9, "unknown": 1}, 0.9),
    ({"max_removed_share": 7}, 0.5),
    ({"max_removed_share": -0.1}, 0.5),
    ({"max_removed_share": "x"}, 0.5),
    ({"max_removed_share": True}, 0.5),
    ({"max_removed_share": None}, 0.5),
    ({}, 0.5),
]


class RemovesTooMuchTests:
    @pytest.mark.parametrize(
        ("before", "after", "share", "held"),
        [
            (0, 0, 0.5, False),
            (0, 9, 0.5, False),
            (37, 0, 0.5, True),
            (1, 0, 1.0, True),
            (10, 5, 0.5, False),
            (10, 4, 0.5, True),
            (10, 9, 0.0, True),
            (10, 10, 0.0, False),
            (10, 1, 1.0, False),
            (10, 3, 0.7, False),
            (10, 2, 0.7, True),
            (10, 20, 0.5, False),
        ],
    )
    def test_rule(self, before: int, after: int, share: float, held: bool) -> None:
        """More than the share, or everything, waits; what was nothing can't be removed."""
        assert removes_too_much(before, after, share) is held


class MaxRemovedShareTests:
    @pytest.mark.parametrize(("value", "share"), SHARES)
    def test_nonsense_counts_as_the_default(self, value: Any, share: float) -> None:
        """What the database can't use, we don't use either."""
        assert max_removed_share({"key": "hold", "value": value}) == share

    @pytest.mark.parametrize("row", [None, {}, [], "hold", {"value": [0.9]}, {"value": 0.9}])
    def test_missing_or_malformed_row_counts_as_the_default(self, row: Any) -> None:
        """A file may hold anything."""
        assert max_removed_share(row) == 0.5


class TallyTests:
    def test_rows_count_that_are_enabled(self) -> None:
        """Also rejected ones, and whatever they say in place of a boolean; services don't."""
        rows: list[tuple[Key, object]] = [
            (Key("route", "a"), {"respond": {}}),
            (Key("route", "b"), {"respond": {}, "enabled": True}),
            (Key("route", "c"), {"respond": {}, "enabled": False}),
            (Key("route", "rejected"), {"path": "nonsense"}),
            (Key("route", "rejected-too"), {"enabled": "no"}),
            (Key("route", "rejected-and-disabled"), {"path": "nonsense", "enabled": False}),
            (Key("service", "s"), {}),
            (HOLD, {"value": {"max_removed_share": 0.8}}),
        ]
        assert tally_of(rows) == Tally(4, 0.8)

    def test_share_before_the_change_counts(self) -> None:
        """As in the database, where it may be changed in the same transaction."""
        assert must_be_held(Tally(10, 0.5), Tally(4, 0.9))
        assert not must_be_held(Tally(10, 0.9), Tally(4, 0.5))

    def test_restored_config_counts_what_it_serves(self) -> None:
        """The file has no rows; a policy of that name disables nothing."""
        rows = {
            "a": {"respond": {}},
            "b": {"respond": {}, "enabled": False},
            "c": {"respond": {}, "policies": {"x-audit": {"enabled": False}}},
        }
        bodies = {}
        for name, row in rows.items():
            verdict = validate(Key("route", name), row)
            assert isinstance(verdict, Accepted)
            bodies[Key("route", name)] = verdict.body
        config = EffectiveConfig()
        config.restore(bodies)
        assert config.tally == Tally(2, 0.5)


class DatabaseTests:
    def test_database_judges_alike(self, migrated_database: str) -> None:
        """Every share, against every number of ten and of seven routes."""
        connection = psycopg2.connect(migrated_database)
        try:
            with connection.cursor() as cursor:
                for value, _ in SHARES:
                    cursor.execute("DELETE FROM fengling.setting")
                    cursor.execute(
                        "INSERT INTO fengling.setting (key, value) VALUES ('hold', %s)",
                        [json.dumps(value)],
                    )
                    for before in (0, 1, 7, 10):
                        cursor.execute(
                            "SELECT array_agg("
                            "  fengling.removes_too_much(after, %s, served => 1) ORDER BY after)"
                            " FROM generate_series(0, 11) AS after",
                            [before],
                        )
                        (held,) = cursor.fetchone()
                        share = max_removed_share({"value": value})
                        assert held == [
                            removes_too_much(before, after, share) for after in range(12)
                        ], (value, before)
        finally:
            connection.close()
