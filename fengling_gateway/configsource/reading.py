"""
What every config source answers with, whatever it reads from.

Values only: no Twisted, no I/O. The rows are raw, as somebody wrote them;
judging them is the work of `fengling_gateway.model.validation`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from fengling_gateway.model.delta import Position
from fengling_gateway.model.entity import Key

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

MAX_REVISIONS_READ = 1000
"""Most `RevisionInfo` of one `Reading`: they are for narration, not for correctness."""

OnHint = Callable[[str, dict[str, Any]], None]
"""
Told that there may be something to read: a reason (one word) and details.

Reasons: ``notification``, ``connected`` (again), ``changed``; before a
notification perhaps ``expected``, with the ``position`` that it leads to. A hint
carries no truth; losing one costs time until the next poll and nothing else.
"""


class SourceError(Exception):
    """The source could not answer; the message is one line for operators."""


class UnfitSourceError(SourceError):
    """The source answers, and is of no use before somebody has done something about it."""


class NotHeldError(SourceError, ValueError):
    """The revision that somebody wants to confirm is not one to be confirmed."""


class Row(NamedTuple):
    """One entity as it is stored; ``values`` is None where it has been deleted."""

    key: Key
    values: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class RevisionInfo:
    """
    Who changed how much, when and why: one line of the log.

    ``author`` is what the transaction claimed; only with ``author_verified``
    has a console vouched for it. ``committed_at`` is in seconds since the Unix
    epoch by the database's clock. ``changes`` counts entities.
    """

    revision: int
    token: str
    kind: str
    committed_at: float
    author: str
    author_verified: bool
    db_user: str
    application: str
    client_addr: str | None
    comment: str | None
    forced: bool
    held: bool
    changes: int


@dataclass(frozen=True, slots=True)
class Held:
    """
    A newest revision that removes too much to be served without a confirmation.

    ``unseen``: it is not the revision that does, but a change since that made none of its own.
    """

    revision: int
    routes_before: int
    routes_after: int
    unseen: bool = False

    @property
    def what(self) -> str:
        """What is held, in words."""
        if self.unseen:
            return f"a change without a revision (after revision {self.revision})"
        return f"revision {self.revision}"

    def describe(self) -> str:
        removed = self.routes_before - self.routes_after
        return f"held: {self.what} removes {removed} of {self.routes_before} routes"


@dataclass(frozen=True, slots=True)
class Reading:
    """
    What has to be known to get from ``before`` to ``target``.

    ``before`` None: ``rows`` are the whole configuration, and what is not among
    them does not exist. Otherwise they are the entities changed in between,
    each once and in no particular order. ``revisions`` are those after the
    position asked with, newest last, at most `MAX_REVISIONS_READ`, held ones
    included. ``rows_read`` counts rows fetched from the source. ``continues``: the
    position asked with is of the source's own past, although what has happened
    since is not told in rows of its own (``before`` is None).
    """

    target: Position
    before: Position | None
    rows: Sequence[Row]
    revisions: list[RevisionInfo]
    held: Held | None
    rows_read: int
    continues: bool = False


class ProberRow(NamedTuple):
    """
    Who probes instances, as the database has it; ``term`` is 0 where nobody ever has.

    ``age_s``: for how many seconds nothing has been heard of it, by the database's clock.
    """

    term: int
    holder: str | None
    age_s: float | None


@dataclass(slots=True)
class SourceState:
    """
    What a source knows about itself, for status pages. Times are epoch seconds.

    ``last_error`` is None again once the source has answered; ``last_error_at``
    remembers.
    """

    connected: bool = False
    listening: bool = False
    last_read_at: float | None = None
    last_error: str | None = None
    last_error_at: float | None = None
    reconnects: int = 0
    notifications: int = 0
    reads: int = 0
    reads_ahead: int = 0
    full_reads: int = 0
    rows_read: int = 0
    notes: dict[str, str] = field(default_factory=dict)


class ConfigSource(Protocol):
    """
    Where readings come from. Every method is called on the reactor thread.

    All Deferreds fail with `SourceError` only (or are cancelled by `stop`).
    """

    state: SourceState

    def start(self) -> None:
        """Begin to connect and to hint."""
        ...

    def stop(self) -> Deferred[None]:
        """Stop; fires when nothing of the source runs any more."""
        ...

    def read(self, after: Position | None) -> Deferred[Reading]:
        """Read what changed after a position; everything where the source does not know it."""
        ...

    def history(self, keys: list[Key], up_to: int) -> Deferred[dict[Key, list[dict[str, Any]]]]:
        """Look up the versions of entities, newest first, of revisions ≤ ``up_to``."""
        ...

    def read_all(self) -> Deferred[Reading]:
        """Read everything that is to be served now, from the tables and not from the log."""
        ...

    def confirm(self, revision: int, author: str) -> Deferred[None]:
        """Release a held revision."""
        ...
