"""
Reading ahead: the changes, over the very connection that has been notified.

A notification that first has to reach the reactor, and from there the reading
thread, has lost a millisecond or two to the scheduler before the question is
even asked. So the listening thread asks it. That connection is no pooler's
(`Listener` proves it), hence the statement can be prepared, which saves its
planning: two thirds of its cost.

Nothing depends on it. Whatever goes wrong, the notification is passed on
without a reading, and the reading thread is asked as ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg2
from psycopg2 import errors

from fengling_gateway.configsource import postgres_queries as queries
from fengling_gateway.configsource.postgres_connection import GRACE_SECONDS, Guarded, problem
from fengling_gateway.configsource.reading import Reading
from fengling_gateway.model.delta import Position
from fengling_gateway.schema.version import SchemaError

TIMEOUT_SECONDS: Final = 0.5
"""What takes longer is better read on the other thread, while this one listens."""


class AheadReader:
    """
    Reads over one listening connection, on its thread.

    Attributes:
        problem: why it reads no more over this connection; None while it does.
    """

    def __init__(self, connection: Guarded) -> None:
        self._connection = connection
        self._prepared = False
        self.problem: str | None = None

    def read(self, after: Position) -> Reading | None:
        """
        Return what has changed after a position; None where that takes another way.

        Raises:
            psycopg2.Error: the connection is lost.
        """
        if self.problem is not None:
            return None
        try:
            if not self._prepared:
                self._prepare()
            return queries.read_prepared(self._connection, after, TIMEOUT_SECONDS + GRACE_SECONDS)
        except errors.QueryCanceled:
            return None
        except SchemaError as error:
            self.problem = str(error)
        except psycopg2.Error as error:
            if self._connection.closed or error.pgcode is None:
                raise
            self.problem = problem(error)
        return None

    def _prepare(self) -> None:
        self._connection.execute(
            # One plan for all arguments: they differ in nothing that a plan could use.
            "SET plan_cache_mode = force_generic_plan; SET statement_timeout = %s;"
            f" SET {queries.SEARCH_PATH}",
            (int(TIMEOUT_SECONDS * 1000),),
            within=GRACE_SECONDS,
        )
        queries.prepare_changes(self._connection, GRACE_SECONDS)
        self._prepared = True


class Offer:
    """
    What has been read ahead, for who asks because of the notification and nobody else.

    One who asks later may mean a later state. While nobody takes what is
    offered, as in a burst, nothing is read ahead.
    """

    def __init__(self) -> None:
        self._expected: Position | None = None
        self._offered: Reading | None = None

    def position(self) -> Position | None:
        """Return after what the next question is going to be, if it is known. Any thread."""
        return self._expected

    def expect(self, position: Position) -> None:
        self._expected = position

    @contextmanager
    def offering(self, reading: Reading | None) -> Iterator[None]:
        """Offer a reading for the block."""
        self._offered = reading
        try:
            yield
        finally:
            if self._offered is not None:
                self._offered = self._expected = None

    def take(self, after: Position | None) -> Reading | None:
        """Return what is offered, if it is the answer to this question."""
        reading = self._offered
        if reading is None or reading.before != after:
            return None
        self._offered = None
        return reading
