"""Which schema a database has, and whether this code can work with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg2

from fengling_gateway.schema.timed import connect_timed

WANTED: Final = 7
"""The newest migration that this code knows."""

MIN_SERVER: Final = 140000
"""Oldest PostgreSQL, as `server_version_num`."""

_UPGRADE = "run: fenglingctl db upgrade --database URL"


class SchemaError(Exception):
    """The database cannot be used as it is; the message is one line for operators."""


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """
    A database's schema beside the one this code wants.

    ``found`` is None where there is none. ``database`` names it for people,
    ``server_version`` is PostgreSQL's own text.
    """

    found: int | None
    wanted: int
    database: str
    server_version: str

    @property
    def usable(self) -> bool:
        return self.found is not None and self.wanted <= self.found <= self.wanted + 1

    def describe(self) -> str:
        if self.found is None:
            return f"database {self.database} has no fengling schema; {_UPGRADE}"
        if self.found < self.wanted:
            return (
                f"database {self.database} has schema {self.found}, "
                f"this version needs {self.wanted}; {_UPGRADE}"
            )
        if self.found > self.wanted + 1:
            return (
                f"database {self.database} has schema {self.found}, this version works with "
                f"{self.wanted} and {self.wanted + 1}; install a newer fengling-gateway"
            )
        if self.found > self.wanted:
            return (
                f"database {self.database} has schema {self.found}, newer than this version's "
                f"{self.wanted}, which works with it"
            )
        return f"database {self.database} has schema {self.found}, which is up to date"


@dataclass(frozen=True)
class Upgraded(SchemaStatus):
    """A database's schema after an upgrade, and ``before`` it: None where there was none."""

    before: int | None

    def describe(self) -> str:
        if self.found == self.before:
            renewed = ", the grants are renewed" if self.found == self.wanted else ""
            return f"{super().describe()}; nothing to upgrade{renewed}"
        had = "no schema" if self.before is None else f"schema {self.before}"
        return f"{super().describe()}; it had {had} before"


def status(dsn: str) -> SchemaStatus:
    """
    Look at a database; blocks.

    Raises:
        SchemaError: it cannot be reached or read.
    """
    with connected(dsn) as connection:
        return status_of(connection)


def status_of(connection: Any) -> SchemaStatus:
    """Like `status`, over a psycopg2 connection, in its current transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_database(), current_setting('server_version'),"
            " to_regclass('fengling.schema_version') IS NOT NULL"
        )
        database, server_version, exists = cursor.fetchone()
        found = None
        if exists:
            cursor.execute("SELECT version_num FROM fengling.schema_version")
            row = cursor.fetchone()
            found = int(row[0]) if row is not None else None
    return SchemaStatus(found, WANTED, database, server_version)


def refuse_unusable(found: int, connection: Any) -> None:
    """
    Judge a schema that has been looked up already, over a psycopg2 connection.

    Raises:
        SchemaError: this code cannot work with it.
    """
    version = connection.info.parameter_status("server_version") or ""
    status = SchemaStatus(found, WANTED, connection.info.dbname, version)
    if not status.usable:
        raise SchemaError(status.describe())


def check(database: str | Any) -> SchemaStatus:
    """
    Make sure that this code can work with a database (a DSN or a psycopg2 connection); blocks.

    Raises:
        SchemaError: it cannot: no schema, too old, too new, or out of reach.
    """
    if isinstance(database, str):
        found = status(database)
    else:
        try:
            found = status_of(database)
        except psycopg2.Error as error:
            raise SchemaError(one_line(error)) from error
    if not found.usable:
        raise SchemaError(found.describe())
    return found


@contextmanager
def connected(dsn: str) -> Iterator[Any]:
    """
    Lend a connection.

    Raises:
        SchemaError: for every error of psycopg2 in the block, too.
    """
    try:
        connection = connect_timed(dsn, "fengling schema")
        try:
            yield connection
        finally:
            connection.close()
    except psycopg2.Error as error:
        raise SchemaError(one_line(error)) from error


def one_line(error: BaseException) -> str:
    """Flatten an error of PostgreSQL, which likes several lines, for a log or a terminal."""
    lines = [line.strip() for line in str(error).splitlines()]
    return "; ".join(line for line in lines if line and not line.startswith(("^", "LINE "))) or (
        type(error).__name__
    )
