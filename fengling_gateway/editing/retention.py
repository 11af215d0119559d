"""For how long the log of changes is kept, and since when."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import psycopg2
from psycopg2 import errorcodes, sql

from fengling_gateway.editing.revisions import iso
from fengling_gateway.schema.version import one_line

_WRONG: Final = frozenset(
    (
        errorcodes.INVALID_DATETIME_FORMAT,
        errorcodes.DATETIME_FIELD_OVERFLOW,
        errorcodes.INTERVAL_FIELD_OVERFLOW,
        errorcodes.CHECK_VIOLATION,
    )
)


@dataclass(frozen=True, slots=True)
class Retention:
    """
    How long the log is kept, as PostgreSQL writes it ("1 year"); None: for good.

    ``keep_health`` is that of health alone; None: as long as the rest. ``known_from`` is the oldest
    revision of which the log tells all there was, ``pruned_to`` up to where it has holes, if only of
    health. ``shortened_at``: when that was done last, in seconds since the epoch.
    """

    keep: str | None
    keep_health: str | None
    known_from: int
    pruned_to: int
    shortened_at: float | None

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {**asdict(self), "shortened_at": iso(self.shortened_at)}


class RetentionError(Exception):
    """A time for which the log can't be kept; the message says why."""


def read_retention(connection: Any) -> Retention:
    """Return for how long the log is kept; in the current transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL intervalstyle = 'postgres'")
        cursor.execute(
            "SELECT keep::text, keep_health::text, known_from, pruned_to,"
            " CASE WHEN round_ended_at > '-infinity'"
            " THEN extract(epoch FROM round_ended_at)::float8 END FROM fengling.retention"
        )
        return Retention(*cursor.fetchone())


def set_retention(connection: Any, **times: str | None) -> Retention:
    """
    Say for how long the log is to be kept, and commit that. Nothing is deleted at once.

    Args:
        times: ``keep``, ``keep_health`` or both: "90 days", "12h", or None for good.

    Raises:
        RetentionError: that is no time, or too short.
    """
    columns = [name for name in ("keep", "keep_health") if name in times]
    assert columns, "nothing is to be set"
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                sql.SQL("UPDATE fengling.retention SET {}").format(
                    sql.SQL(", ").join(
                        sql.SQL("{} = %s").format(sql.Identifier(name)) for name in columns
                    )
                ),
                [times[name] for name in columns],
            )
        connection.commit()
    except psycopg2.Error as error:
        if error.pgcode not in _WRONG:
            raise
        connection.rollback()
        # (The name of a constraint is the sentence that says what would be right.)
        raise RetentionError(error.diag.constraint_name or one_line(error)) from error
    found = read_retention(connection)
    connection.rollback()
    return found
