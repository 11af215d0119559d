"""
What there is an election for, and what all elections ask the database; everything here blocks.

A seat has an advisory lock and a table with one row: ``term`` (grows with each takeover), ``holder``,
``since`` and ``heartbeat_at``.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Protocol, TypeVar

IDLE_SECONDS: Final = 3
"""A session that is silent for so long is ended by the server, and its lock with it."""

ANSWER_SECONDS: Final = 2.0
"""How long a heartbeat, or a look at who holds a seat, may take."""


_HOLDER: Final = """
SELECT term, holder, extract(epoch FROM clock_timestamp() - since)::float8,
       extract(epoch FROM clock_timestamp() - heartbeat_at)::float8
FROM fengling.{table}
"""
_TAKE_OVER: Final = """
UPDATE fengling.{table}
SET term = term + 1, holder = %s, since = clock_timestamp(), heartbeat_at = clock_timestamp()
RETURNING term
"""


class Connection(Protocol):
    """What is needed of a `configsource.postgres_connection.Guarded`."""

    def execute(
        self, sql: str, arguments: Any = None, *, within: float
    ) -> list[tuple[Any, ...]]: ...


class TermOverError(Exception):
    """Somebody else has been elected; what was to be written is not."""


class Holder(NamedTuple):
    """Who holds a seat; ages in seconds, None if nobody ever has."""

    term: int
    name: str | None
    age: float | None
    heartbeat_age: float | None


class Beat(NamedTuple):
    """
    What a heartbeat brings back.

    Attributes:
        pid: of the server's side of the session.
        note: a number that the seat's table tells its holder; 0 where it tells none.
    """

    pid: int
    note: int = 0


class Numbered(Protocol):
    """What whoever is elected finds: the number of its term at least."""

    @property
    def number(self) -> int: ...


TermT = TypeVar("TermT", bound=Numbered)
TermT_co = TypeVar("TermT_co", bound=Numbered, covariant=True)
TermT_contra = TypeVar("TermT_contra", bound=Numbered, contravariant=True)


class Seat(Protocol[TermT_co]):
    """
    What is elected. Functions of a connection block, and are called on the candidate's thread.

    Attributes:
        name: in a word, for threads.
    """

    @property
    def name(self) -> str: ...

    def try_lock(self, connection: Connection) -> bool:
        """Whether this session holds the seat from here on, for as long as it lives."""

    def holder(self, connection: Connection) -> Holder: ...

    def take_over(self, connection: Connection, name: str) -> TermT_co:
        """Begin a term, and read what is known; only for who has the lock."""

    def beat(self, connection: Connection, term: int) -> Beat:
        """
        Say that whoever holds the seat is alive.

        Raises:
            TermOverError: the term is over.
        """

    def log_elected(self, term: int) -> None:
        """Write into the log that this console has been elected. On the reactor thread."""

    def log_lost(self, *, was_elected: bool, reason: str) -> None:
        """Write into the log why this console can't hold the seat. On the reactor thread."""


def application(name: str) -> str:
    """Return what a console is called by the database, and so in history, as whatever else it writes."""
    return f"fengling-console {name}"


def open_session(connection: Connection) -> None:
    """Have the server end this session soon after it has fallen silent."""
    connection.execute(
        f"SET idle_session_timeout = '{IDLE_SECONDS}s'; SET statement_timeout = '10s'",
        within=ANSWER_SECONDS,
    )


def try_lock(connection: Connection, lock: int) -> bool:
    """Take an advisory lock for as long as this session lives, unless somebody else has it."""
    [(taken,)] = connection.execute(
        "SELECT pg_try_advisory_lock(%s)", (lock,), within=ANSWER_SECONDS
    )
    return bool(taken)


def holder(connection: Connection, table: str) -> Holder:
    """Return who holds the seat of a table of schema fengling."""
    [row] = connection.execute(_HOLDER.format(table=table), within=ANSWER_SECONDS)
    return Holder(*row)


def take_over(connection: Connection, table: str, name: str) -> int:
    """Begin a term of the seat of a table, and return its number; only for who has the lock."""
    [(number,)] = connection.execute(_TAKE_OVER.format(table=table), (name,), within=ANSWER_SECONDS)
    return int(number)
