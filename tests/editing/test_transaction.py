"""What belongs to changes is written with them, or nothing is."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg2 import extensions

from fengling_gateway.editing.changes import Planned
from fengling_gateway.editing.transaction import Committed, ConflictError, Signature, write
from fengling_gateway.model.entity import Key
from tests.schema.session import Session

KEPT = "SELECT namespace, name FROM fengling.discovered_service"


def new(service: str) -> Planned:
    return Planned(Key("service", service), "create", (), {"id": service})


def keep(cursor: Any) -> None:
    cursor.execute("INSERT INTO fengling.discovered_service (namespace, name) VALUES ('n', 'a')")


class AlsoTests:
    def test_it_is_kept_with_the_changes(self, session: Session, connection: Any) -> None:
        """What looks at them before the commit sees it, and takes nothing of it back."""
        seen: list[Any] = []

        def look() -> None:
            with connection.cursor() as cursor:
                cursor.execute(KEPT)
                seen.extend(cursor)

        assert write(connection, [new("a")], Signature(), None, look, keep).revision == 1
        assert session.rows(KEPT) == seen == [("n", "a")]

    def test_it_is_kept_without_any_change(self, session: Session, connection: Any) -> None:
        """Which makes no revision."""
        assert write(connection, [], Signature(), also=keep) == Committed(None, None)
        assert session.rows(KEPT) == [("n", "a")]

    def test_it_goes_where_a_change_conflicts(self, session: Session, connection: Any) -> None:
        """The connection is as good as before."""
        session.run("INSERT INTO fengling.service (id) VALUES ('a')")
        with pytest.raises(ConflictError):
            write(connection, [new("a")], Signature(), also=keep)
        assert session.rows(KEPT) == []
        assert connection.status == extensions.STATUS_READY

    def test_it_may_refuse_everything(self, session: Session, connection: Any) -> None:
        """By whatever it raises, which is told as it is."""

        def refuse(cursor: Any) -> None:
            keep(cursor)
            raise LookupError("no")

        with pytest.raises(LookupError):
            write(connection, [new("a")], Signature(), also=refuse)
        assert session.rows(KEPT) == session.rows("SELECT id FROM fengling.service") == []
        assert connection.status == extensions.STATUS_READY
