"""A database session as an operator has one in psql, for tests of what the database does."""

from __future__ import annotations

from typing import Any, Final

import psycopg2

from fengling_gateway.embedded.postgres import PostgresServer


class Session:
    """
    One connection in autocommit: BEGIN and COMMIT are statements like any other.

    Attributes:
        notices: what psql would have printed so far, without the newlines.
    """

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.connection = psycopg2.connect(dsn)
        self.connection.autocommit = True

    def run(self, *statements: str) -> None:
        with self.connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def rows(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(query, arguments or None)
            return cursor.fetchall()

    def value(self, query: str, *arguments: object) -> Any:
        [[value]] = self.rows(query, *arguments)
        return value

    @property
    def notices(self) -> list[str]:
        return [notice.strip() for notice in self.connection.notices]

    def listen(self) -> None:
        self.run("LISTEN gateway_config_changed")

    def notifications(self) -> list[str]:
        """Return the payloads that have arrived, and forget them."""
        self.run("SELECT 1")
        payloads = [one.payload for one in self.connection.notifies]
        self.connection.notifies.clear()
        return payloads

    def close(self) -> None:
        self.connection.close()


class Cast:
    """
    A database, and sessions of users as an administrator makes them.

    `jane` writes, `console` does and vouches for authors, `gw` reads; `mallory`
    has no role of ours.
    """

    USERS: Final = {
        "jane": "IN ROLE fengling_console",
        "console": "IN ROLE fengling_console, fengling_voucher",
        "gw": "IN ROLE fengling_gateway",
        "mallory": "",
    }

    def __init__(self, server: PostgresServer) -> None:
        for name, role in self.USERS.items():
            server.psql(
                f"DO $$ BEGIN CREATE ROLE {name} LOGIN {role};"
                " EXCEPTION WHEN duplicate_object THEN NULL; END $$"
            )
        self.dsn = server.create_database(template="migrated")
        self._server = server
        self._opened: list[Session] = []

    def dsn_of(self, user: str) -> str:
        return self.dsn.replace("postgres@", f"{user}@")

    def enter(self, user: str = "postgres") -> Session:
        self._opened.append(Session(self.dsn_of(user)))
        return self._opened[-1]

    def end(self) -> None:
        for session in self._opened:
            session.close()
        self._server.psql(f'DROP DATABASE "{self.dsn.rpartition("/")[2]}" WITH (FORCE)')


def changes(session: Session, revision: int | None = None) -> list[tuple[Any, ...]]:
    """Return (entity, id, action) of a revision's changes, of the newest by default."""
    return sorted(
        session.rows(
            "SELECT entity, entity_id, action FROM fengling.revision_change"
            " WHERE revision = coalesce(%s, (SELECT revision FROM fengling.head))",
            revision,
        )
    )


def revisions(session: Session) -> list[int]:
    """Return the numbers of all revisions, without the 0 of the empty database."""
    return [one for (one,) in session.rows("SELECT id FROM fengling.revision ORDER BY id") if one]


def add_service(session: Session, *ids: str) -> None:
    for one in ids:
        session.run(f"INSERT INTO fengling.service (id) VALUES ('{one}')")


def add_routes(session: Session, count: int, *, service: str = "hello") -> None:
    session.run(
        "INSERT INTO fengling.route (id, path, service_id)"
        f" SELECT 'r' || i, '/r' || i, '{service}' FROM generate_series(1, {count}) AS i"
    )
