"""Running the migrations: alembic underneath, plain SQL inside."""

from __future__ import annotations

from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any, Final

import psycopg2
import sqlalchemy
from alembic import command
from alembic.config import Config
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from fengling_gateway.schema.timed import GRACE_SECONDS, STATEMENT_SECONDS, connect_timed
from fengling_gateway.schema.version import (
    MIN_SERVER,
    WANTED,
    SchemaError,
    Upgraded,
    connected,
    one_line,
    status_of,
)

MIGRATIONS: Final = Path(__file__).with_name("migrations")

LONGEST_STATEMENT_SECONDS: Final = 600.0
"""A migration may have to go through millions of rows; for so long nobody else writes."""

_LOCK_ID: Final = 0x66656E676C696E67
"""Advisory lock held during an upgrade: "fengling" in ASCII, so that it is easy to place."""


def upgrade(dsn: str, *, lock_timeout_seconds: float = 10.0) -> Upgraded:
    """
    Bring a database to schema `WANTED`; blocks.

    All in one transaction: it happens, or nothing does. Two upgrades at once
    are one after the other. It gives up rather than queue for a table lock
    behind somebody's long transaction, because everybody else would queue
    behind it, and for another upgrade it waits no longer. Of a database that is up to date it renews the grants; a newer
    schema that this code can work with is left alone.

    Raises:
        SchemaError: the database cannot be reached, is not fit, or has a newer schema.
    """
    with connected(dsn) as connection, connection.cursor() as cursor:
        _refuse_unfit(connection, cursor)
        connection.step_seconds = lock_timeout_seconds + GRACE_SECONDS
        _wait_for_others(cursor, lock_timeout_seconds)
        connection.step_seconds = STATEMENT_SECONDS + GRACE_SECONDS
        before = status_of(connection)
        connection.commit()
        if before.found is None or before.found <= WANTED:
            _run(dsn, lock_timeout_seconds)
        elif not before.usable:
            raise SchemaError(before.describe())
        after = status_of(connection)
        return Upgraded(**asdict(after), before=before.found)


def script(since: int = 0) -> str:
    """Return the SQL from a schema (0: none) to `WANTED`, for who must review or run it by hand."""
    output = StringIO()
    config = _config(output_buffer=output)
    command.upgrade(config, f"{_name(since)}:head", sql=True)
    return output.getvalue()


def _refuse_unfit(connection: Any, cursor: Any) -> None:
    if connection.server_version < MIN_SERVER:
        version = connection.info.parameter_status("server_version")
        raise SchemaError(f"PostgreSQL {version} is too old; 14 or newer is needed")
    cursor.execute("SELECT current_database(), current_setting('server_encoding')")
    database, encoding = cursor.fetchone()
    if encoding != "UTF8":
        raise SchemaError(
            f"database {database} has encoding {encoding}; make it with: "
            f"CREATE DATABASE {database} ENCODING 'UTF8' TEMPLATE template0"
        )


def _wait_for_others(cursor: Any, seconds: float) -> None:
    cursor.execute(f"SET lock_timeout = {_milliseconds(seconds)}")
    try:
        cursor.execute("SELECT pg_advisory_lock(%s)", (_LOCK_ID,))
    except psycopg2.errors.LockNotAvailable as error:
        raise SchemaError(
            f"another upgrade of this database has not ended within {seconds:g} s"
        ) from error


def _milliseconds(seconds: float) -> int:
    """To PostgreSQL 0 is no limit, and not the shortest one."""
    return max(1, int(seconds * 1000))


def _run(dsn: str, lock_timeout_seconds: float) -> None:
    # A statement may wait for several locks; this is for those that take their time.
    longest = lock_timeout_seconds + LONGEST_STATEMENT_SECONDS

    def make() -> Any:
        connection = connect_timed(dsn, "fengling schema")
        connection.step_seconds = longest + GRACE_SECONDS
        return connection

    engine = sqlalchemy.create_engine("postgresql+psycopg2://", creator=make, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(
                f"SET lock_timeout = {_milliseconds(lock_timeout_seconds)};"
                f" SET statement_timeout = {_milliseconds(longest)}"
            )
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, _name(WANTED))
            connection.commit()
    except DBAPIError as error:
        raise SchemaError(f"upgrade failed: {one_line(error.orig or error)}") from error
    finally:
        engine.dispose()


def _config(**keywords: Any) -> Config:
    config = Config(**keywords)
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _name(version: int) -> str:
    return f"{version:04d}" if version else "base"
