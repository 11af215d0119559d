"""Reading the configuration: what the reading thread does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg2
from psycopg2 import errors

from fengling_gateway.configsource import postgres_queries as queries
from fengling_gateway.configsource.postgres_connection import GRACE_SECONDS, Guarded, problem
from fengling_gateway.configsource.reading import (
    NotHeldError,
    ProberRow,
    Reading,
    SourceError,
    UnfitSourceError,
)
from fengling_gateway.model.delta import Position
from fengling_gateway.model.entity import Key
from fengling_gateway.schema.version import SchemaError, check

_T = TypeVar("_T")

_PROBER = """\
SELECT term, holder,
       extract(epoch FROM clock_timestamp() - coalesce(heartbeat_at, since))::float8
FROM fengling.prober"""
_PROBER_SECONDS = 3.0
"""One row; whoever waits for more is kept from it by a lock."""


class Reader:
    """
    Asks questions over one connection that it keeps.

    All methods block, raise nothing but `SourceError`, and belong to one
    thread; `abort` and `abort_overdue` belong to any.
    """

    def __init__(self, dsn: str, *, connect_timeout: float, statement_timeout: float) -> None:
        self._dsn = dsn
        self._connect_timeout = connect_timeout
        self._statement_timeout = statement_timeout
        self._within = statement_timeout + GRACE_SECONDS
        self._connection: Guarded | None = None
        self._aborted = threading.Event()

    @property
    def is_connected(self) -> bool:
        connection = self._connection
        return connection is not None and not connection.closed

    def read(self, after: Position | None) -> Reading:
        def work(connection: Guarded) -> Reading:
            changes = None if after is None else self._read_changes(connection, after)
            if changes is not None:
                return changes
            with queries.reading(connection, self._statement_timeout, after) as head:
                return queries.read_tables(connection, head, self._within)

        return self._ask(work)

    def _read_changes(self, connection: Guarded, after: Position) -> Reading | None:
        try:
            return queries.read_changes(connection, after, self._statement_timeout)
        except errors.QueryCanceled:
            return None  # they only become more: the tables are what is bounded

    def read_all(self) -> Reading:
        return self.read(None)

    def read_at(self, revision: int) -> Reading:
        def work(connection: Guarded) -> Reading | SourceError:
            with queries.reading(connection, self._statement_timeout) as head:
                try:
                    return queries.read_at(connection, head, revision, self._within)
                except queries.NoSuchStateError as error:
                    # An answer, and not raised here: the connection is as good as before.
                    return SourceError(str(error))

        found = self._ask(work)
        if isinstance(found, SourceError):
            raise found
        return found

    def history(self, keys: list[Key], up_to: int) -> dict[Key, list[dict[str, Any]]]:
        def work(connection: Guarded) -> dict[Key, list[dict[str, Any]]]:
            with queries.reading(connection, self._statement_timeout):
                return queries.read_history(connection, keys, up_to, self._within)

        return self._ask(work)

    def confirm(self, revision: int, author: str) -> None:
        def work(connection: Guarded) -> NotHeldError | None:
            try:
                said = self._call(connection, "fengling.confirm(%s, %s)", revision, author)
            except errors.NoDataFound as error:
                # An answer, and not raised here: the connection is as good as before.
                return NotHeldError(problem(error))
            return NotHeldError(said) if "is not held" in said else None

        refused = self._ask(work)
        if refused is not None:
            raise refused

    def prober(self) -> ProberRow | None:
        """Say who probes instances; None where the one row that says it is gone."""

        def work(connection: Guarded) -> ProberRow | None:
            rows = connection.execute(
                f"SET LOCAL {queries.SEARCH_PATH}; SET LOCAL statement_timeout = %s; {_PROBER}",
                (int(_PROBER_SECONDS * 1000),),
                within=_PROBER_SECONDS + GRACE_SECONDS,
            )
            return ProberRow(*rows[0]) if rows else None

        return self._ask(work)

    def prune_step(self) -> bool:
        """Shorten the log by a little, if it is time for that; whether there is more to do."""

        def work(connection: Guarded) -> bool:
            try:
                return bool(self._call(connection, "fengling.prune_step()"))
            except errors.ReadOnlySqlTransaction:
                return False  # a standby: its primary is shortened, and it follows

        return self._ask(work)

    def _call(self, connection: Guarded, function: str, *arguments: Any) -> Any:
        """Call a function that writes; in the transaction that one message makes."""
        [[result]] = connection.execute(
            f"SET LOCAL {queries.SEARCH_PATH}; SET LOCAL statement_timeout = %s; SELECT {function}",
            (int(self._statement_timeout * 1000), *arguments),
            within=self._within,
        )
        return result

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def abort(self) -> None:
        """Make the question under way fail, soon."""
        self._aborted.set()
        connection = self._connection
        if connection is not None:
            connection.abort()

    def abort_overdue(self) -> None:
        """Make the question under way fail if it has been waiting for too long."""
        connection = self._connection
        if connection is not None and connection.abort_overdue():
            self._aborted.set()

    def _ask(self, work: Callable[[Guarded], _T]) -> _T:
        self._aborted.clear()
        kept = self._connection is not None
        try:
            return self._ask_once(work)
        except psycopg2.Error as error:
            # The server may have gone and come back since the last question. Once more
            # on a new connection, unless somebody has lost patience meanwhile.
            if not kept or not _is_lost(error) or self._aborted.is_set():
                raise SourceError(self._explain(error)) from error
        try:
            return self._ask_once(work)
        except psycopg2.Error as error:
            raise SourceError(self._explain(error)) from error

    def _ask_once(self, work: Callable[[Guarded], _T]) -> _T:
        try:
            return work(self._connection or self._connect())
        except SchemaError as error:
            self.close()
            # (With a cause of its own it could not even look.)
            unfit = UnfitSourceError if error.__cause__ is None else SourceError
            raise unfit(str(error)) from error
        except BaseException:
            self.close()  # in a failed transaction, or worse
            raise

    def _connect(self) -> Guarded:
        self._connection = Guarded(self._dsn, connect_timeout=self._connect_timeout)
        if self._aborted.is_set():
            raise SourceError("given up")
        with self._connection.step(self._within):
            check(self._connection.raw)
        return self._connection

    def _explain(self, error: psycopg2.Error) -> str:
        if self._aborted.is_set():
            return f"no answer from the database within {self._within:g} s"
        if isinstance(error, errors.UndefinedTable | errors.UndefinedFunction):
            return f"{problem(error)}; the schema fengling is missing or not whole"
        return problem(error)


def _is_lost(error: psycopg2.Error) -> bool:
    """Whether the connection is at fault, and not the question."""
    if isinstance(error, errors.QueryCanceled):
        return False
    return isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
