"""The connection of a command to the database with the configuration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2

from fengling_gateway.cli.errors import CommandError
from fengling_gateway.schema import SchemaError, check
from fengling_gateway.schema.timed import connect_timed
from fengling_gateway.schema.version import one_line


@contextmanager
def connected(dsn: str) -> Iterator[Any]:
    """
    Lend a connection to a database whose schema fits.

    Raises:
        CommandError: also for what the database refuses within the block.
    """
    try:
        connection = connect_timed(dsn, "fenglingctl")
        _name_nothing_of_strangers(connection)
    except psycopg2.Error as error:
        raise CommandError(f"the database can't be reached: {one_line(error)}") from error
    try:
        check(connection)
        connection.rollback()
        yield connection
    except SchemaError as error:
        raise CommandError(str(error)) from error
    except psycopg2.Error as error:
        what = (
            "the connection to the database broke" if connection.closed else "the database refuses"
        )
        raise CommandError(f"{what}: {one_line(error)}") from error
    finally:
        connection.close()


def _name_nothing_of_strangers(connection: Any) -> None:
    """Have names without a schema mean PostgreSQL's own, whatever others make in the database."""
    with connection.cursor() as cursor:
        cursor.execute("SET search_path = pg_catalog, pg_temp")
    connection.commit()
