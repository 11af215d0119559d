"""How far back the log tells all there was."""

from __future__ import annotations

from pathlib import Path

import psycopg2
import pytest

from fengling_gateway import schema
from fengling_gateway.schema import migrate
from tests.schema.session import Session, add_service
from tests.schema.test_prune import age

KNOWN_FROM = "SELECT known_from FROM fengling.retention"


class KnownFromTests:
    def test_steps_move_it_with_the_first_deletion(self, session: Session) -> None:
        """Nobody may believe in between that all is there."""
        add_service(session, "a")
        session.run(
            "DO $$ BEGIN FOR i IN 1..2500 LOOP"
            " INSERT INTO fengling.revision_change"
            " SELECT 10 + i, 1, 'service', 'a', 'update', '{}', '{}'; END LOOP; END $$",
            "INSERT INTO fengling.revision SELECT (r).* FROM (SELECT jsonb_populate_record(r,"
            " jsonb_build_object('id', 10 + i, 'committed_at', now() - interval '2 years')) AS r"
            " FROM fengling.revision AS r, generate_series(1, 2500) AS i WHERE r.id = 1) AS many",
            "UPDATE fengling.head SET revision = 2511, baseline_revision = 2511",
        )
        age(session, 1)
        assert session.value("SELECT fengling.prune_step()")
        assert session.value(KNOWN_FROM) == 2510
        while session.value("SELECT fengling.prune_step()"):
            pass
        assert session.value(KNOWN_FROM) == 2510

    def test_pruning_health_leaves_it(self, session: Session) -> None:
        """What goes early is not what people ask for."""
        add_service(session, "a")
        session.run("INSERT INTO fengling.instance VALUES ('i', 'a', NULL, 'http://h:1')")
        session.run("INSERT INTO fengling.instance_health VALUES ('i', 'healthy')")
        age(session, 3, "2 days")
        session.run("SELECT fengling.prune()")
        assert session.rows("SELECT pruned_to, known_from FROM fengling.retention") == [(2, 0)]

    @pytest.mark.parametrize("is_shortened", [False, True])
    def test_upgrade_finds_out_how_far(self, fresh_database: str, is_shortened: bool) -> None:
        """Before, nobody wrote it down."""
        directory = Path(migrate.__file__).with_name("migrations") / "sql"
        names = ("refusals", "tables", "log", "recording", "commit", "functions", "pruning")
        with psycopg2.connect(fresh_database) as connection, connection.cursor() as cursor:
            cursor.execute((directory / "prepare.sql").read_text())
            for name in (*names, "undo", "views"):
                cursor.execute((directory / "0001" / f"{name}.sql").read_text())
            cursor.execute(
                "CREATE TABLE fengling.schema_version (version_num varchar(32) PRIMARY KEY);"
                "INSERT INTO fengling.schema_version VALUES ('0001')"
            )
        connection.close()
        session = Session(fresh_database)
        add_service(session, "a", "b")
        session.run("INSERT INTO fengling.instance VALUES ('i', 'a', NULL, 'http://h:1')")
        session.run("INSERT INTO fengling.instance_health VALUES ('i', 'healthy')")
        session.run("UPDATE fengling.service SET name = 'x' WHERE id = 'a'")
        age(session, 4, "2 days")
        if is_shortened:
            age(session, 2)
        session.run("SELECT fengling.prune()")
        schema.upgrade(fresh_database)
        known = session.rows("SELECT pruned_to, known_from FROM fengling.retention")
        session.close()
        assert known == [(4, 2 if is_shortened else 0)]
