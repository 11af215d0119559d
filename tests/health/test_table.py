"""What a prober writes into the database, and finds there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fengling_gateway.configsource.postgres_connection import Guarded
from fengling_gateway.election.seat import TermOverError
from fengling_gateway.health import table
from fengling_gateway.health.seat import SEAT
from fengling_gateway.health.table import Verdict


@pytest.fixture
def connection(migrated_database: str) -> Iterator[Guarded]:
    """Return a connection to the database."""
    one = Guarded(migrated_database, connect_timeout=5)
    yield one
    one.close()


def sql(connection: Guarded, statement: str) -> list[tuple[Any, ...]]:
    return connection.execute(statement, within=10)


VERDICT = Verdict("i", "unhealthy", "refused", 1.0, "http://a:1")


class TableTests:
    @pytest.fixture(autouse=True)
    def _term(self, connection: Guarded) -> None:
        sql(
            connection,
            "INSERT INTO fengling.service (id) VALUES ('s');"
            "INSERT INTO fengling.instance (id, service_id, address)"
            " VALUES ('i', 's', 'http://a:1'), ('j', 's', 'http://b:1')",
        )
        self.term = table.take_over(connection, "a").number

    def test_verdicts_are_one_revision(self, connection: Guarded) -> None:
        """With an author, and a word for who reads history."""
        table.write(connection, self.term, "c1", [VERDICT, VERDICT._replace(instance_id="j")])
        assert sql(
            connection,
            "SELECT kind, author, comment, changes FROM fengling.revision ORDER BY id DESC LIMIT 1",
        ) == [("health", "c1", "instances: 2 unhealthy", 2)]
        table.write(connection, self.term, "c1", [VERDICT._replace(health="healthy", reason="ok")])
        [(comment,)] = sql(
            connection, "SELECT comment FROM fengling.revision ORDER BY id DESC LIMIT 1"
        )
        assert comment == "i healthy: ok"

    def test_verdict_is_as_old_as_it_is(self, connection: Guarded) -> None:
        """It may have waited for the database."""
        table.write(connection, self.term, "c1", [VERDICT._replace(age=3600.0)])
        [row] = sql(
            connection,
            "SELECT health, reason, source, term, address, now() - since > '50 min'"
            " FROM fengling.instance_health",
        )
        assert row == ("unhealthy", "refused", "c1", self.term, "http://a:1", True)

    def test_verdict_of_a_deleted_instance_is_left_out(self, connection: Guarded) -> None:
        """The others of its transaction are written."""
        table.write(connection, self.term, "c1", [VERDICT._replace(instance_id="no"), VERDICT])
        assert sql(connection, "SELECT instance_id FROM fengling.instance_health") == [("i",)]

    def test_who_is_not_probed_any_more_is_forgotten(self, connection: Guarded) -> None:
        """But not what somebody else has written."""
        table.write(connection, self.term, "c1", [VERDICT])
        sql(
            connection,
            "INSERT INTO fengling.instance_health (instance_id, health) VALUES ('j', 'unhealthy')",
        )
        gone = [VERDICT._replace(instance_id=one, health=None) for one in "ij"]
        table.write(connection, self.term, "c1", gone)
        assert sql(connection, "SELECT instance_id FROM fengling.instance_health") == [("j",)]

    def test_late_writer_is_refused(self, connection: Guarded) -> None:
        """Nothing of what it wanted to write is there, and nothing it wanted to forget is gone."""
        table.write(connection, self.term, "c1", [VERDICT])
        table.take_over(connection, "b")
        with pytest.raises(TermOverError, match=f"term {self.term} is over, b probes in term"):
            table.write(connection, self.term, "c1", [VERDICT._replace(health="healthy")])
        table.write(connection, self.term, "c1", [VERDICT._replace(health=None)])
        assert sql(connection, "SELECT health FROM fengling.instance_health") == [("unhealthy",)]

    def test_who_takes_over_knows_what_was_known(self, connection: Guarded) -> None:
        """Verdicts with their reasons, and who came and went lately."""
        for health in ("unhealthy", "healthy", "unhealthy"):
            table.write(connection, self.term, "c1", [VERDICT._replace(health=health)])
        term = table.take_over(connection, "b")
        assert term.number == self.term + 1
        [known] = term.known
        assert known[:3] == ("i", "unhealthy", "refused")
        assert known.address == "http://a:1"
        assert [fall.instance_id for fall in term.falls] == ["i", "i"]
        assert all(fall.age < 60 for fall in term.falls)

    def test_nobody_has_ever_probed(self, connection: Guarded) -> None:
        """There is a row all the same."""
        sql(connection, "UPDATE fengling.prober SET term = 0, holder = NULL, heartbeat_at = NULL")
        assert SEAT.holder(connection)[:2] == (0, None)
