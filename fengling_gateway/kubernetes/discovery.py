"""
Discovery in a cluster: elected or waiting, what a console composes.

Of all consoles one follows the cluster (`following.Following`), in the terms in
which it is elected; another one only knows who does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from fengling_gateway.election.candidate import Candidate
from fengling_gateway.election.election import Election
from fengling_gateway.election.seat import TermOverError
from fengling_gateway.kubernetes.backends import Backends
from fengling_gateway.kubernetes.following import Following, Rules, World
from fengling_gateway.kubernetes.gateway_side import GatewaySide
from fengling_gateway.kubernetes.reporting import Report
from fengling_gateway.kubernetes.seat import DiscoverySeat
from fengling_gateway.kubernetes.table import DiscoveryTerm, News
from fengling_gateway.kubernetes.wants import Row, Want, Wants
from fengling_gateway.kubernetes.watching import Reflecting, Watched
from fengling_gateway.kubernetes.withheld import Going
from fengling_gateway.kubernetes.writer import Writer, WriterCounts
from fengling_gateway.kubernetes.writing import Written, services_of
from fengling_gateway.model.entity import Key

_log = Logger()


@dataclass(frozen=True, slots=True)
class DiscoverySettings:
    """
    What of the settings is used here; times in seconds.

    Attributes:
        session_dsn: of a direct connection, no pooler between: the one whose life is the term.
        name: of this console: the holder of the term.
    """

    session_dsn: str
    name: str
    rules: Rules
    gateway_api: bool = False
    connect_timeout: float = 5.0


class Database(Protocol):
    """Who asks the database, in threads; every Deferred fails as `writing.write` does."""

    def write(self, term: int, batch: Mapping[Key, Want], going: Going) -> Deferred[Written]: ...

    def tell(self, term: int, report: Report) -> Deferred[None]: ...

    def news(self, after: int) -> Deferred[News]: ...


class Cluster(Protocol):
    """
    Who asks the API server, and makes what watches it.

    Attributes:
        url: where it is.
    """

    @property
    def url(self) -> str: ...

    def reflect(self, watched: Watched, namespace: str | None, user: Any) -> Reflecting: ...

    def gateway_side(self, wants: Wants, backends: Backends) -> GatewaySide: ...

    def stop(self) -> Deferred[None]:
        """End the connections that are kept."""


class Discovery:
    """
    Every method is for the reactor's thread.

    Args:
        judge: says which of some rows the configuration would refuse, and why.
        changed: called when there is something new to show.
    """

    def __init__(
        self,
        *,
        reactor: Any,
        rng: Random,
        settings: DiscoverySettings,
        cluster: Cluster,
        database: Database,
        judge: Callable[[Mapping[Key, Row]], Deferred[Mapping[Key, str]]],
        changed: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._cluster = cluster
        self._database = database
        self._judge = judge
        self._changed = changed
        self._following: Following | None = None
        self._stopping: Deferred[None] = succeed(None)
        self._news = 0
        self._is_reading = False
        self._stopped = False
        # None: what another console has told stays there.
        self._told: str | None = None
        self._writer = Writer(
            clock=reactor,
            rng=rng,
            write=self._write,
            told=self._written,
            term_over=self._term_over,
        )
        seat = DiscoverySeat(self._status_text)
        self._election: Election[DiscoveryTerm] = Election(
            reactor=reactor,
            seat=seat,
            stand=lambda events: Candidate(
                settings.session_dsn,
                seat=seat,
                name=settings.name,
                connect_timeout=settings.connect_timeout,
                events=events,
                jitter=lambda: rng.uniform(0.5, 1.0),
            ),
            user=self,
        )

    def __repr__(self) -> str:
        return f"<Discovery {self._settings.name}, {self._election}>"

    @property
    def is_mine(self) -> bool:
        """Whether this console follows the cluster now."""
        return self._election.term is not None

    @property
    def problem(self) -> str | None:
        """Why this console can't follow the cluster, or what it wants is not written."""
        return self._election.problem or self._writer.problem

    @property
    def counts(self) -> WriterCounts:
        """How much has been written since this console began, in all its terms."""
        return self._writer.counts

    def start(self) -> None:
        self._election.start()

    def stop(self) -> Deferred[None]:
        """Follow no more, and let another console do."""
        self._stopped = True
        self._end()
        stops = [self._stopping, self._election.stop(), self._cluster.stop()]
        return DeferredList(stops).addCallback(lambda _: None)

    def look(self) -> None:
        """Read now what has been decided: there may be something new."""
        following, term = self._following, self._election.term
        if following is None or term is None or self._is_reading:
            return
        self._is_reading = True
        asked = self._database.news(self._news)
        asked.addCallbacks(self._decided, self._undecided, callbackArgs=(following,))

    def status(self) -> dict[str, Any]:
        """Return what it sees and does; of another console, what that has told is in the table."""
        following = self._following
        told = {} if following is None else following.status()
        problem = _problem_of_all(told.get("resources", ()))
        server = {
            "url": self._cluster.url,
            "selector": str(self._settings.rules.selector),
            "problem": problem,
        }
        return {"api_server": server, **told}

    def served(self, revision: int) -> None:
        """Hear up to which revision everything is served."""
        self._writer.awaited.served(revision)

    def others_changed(self, keys: Iterable[Key]) -> None:
        """Hear that somebody else has written entities."""
        if self._following is not None:
            self._following.others_changed(keys)

    # What the election tells

    def elected(self, term: DiscoveryTerm) -> None:
        if self._stopped:
            return
        self._news = term.news
        try:
            self._begin(term)
        except Exception:  # then rather let somebody else
            _log.failure("beginning to follow the cluster", log_id="kubernetes.not_begun")
            self._election.resign("a defect of ours, while beginning to follow the cluster")

    def _begin(self, term: DiscoveryTerm) -> None:
        self._following = Following(
            term,
            clock=self._reactor,
            rules=self._settings.rules,
            world=World(self._cluster.reflect, self._database.tell),
            writer=self._writer,
            gateway_side=self._cluster.gateway_side if self._settings.gateway_api else None,
            changed=self._changed,
        )
        self._following.start()

    def beaten(self, term: int, note: int) -> None:
        # (Written with the next heartbeat: the thread that does must not look into what changes.)
        self._note_status()
        if note > self._news:
            self.look()

    def term_lost(self, reason: str) -> None:
        self._end()

    def _term_over(self, reason: str) -> None:
        self._election.resign(reason)

    def _note_status(self) -> None:
        if self._following is not None:
            self._told = json.dumps(self.status())

    def _end(self) -> None:
        self._told = None
        following, self._following = self._following, None
        if following is not None:
            self._stopping = following.stop()

    def _status_text(self) -> str | None:
        """Return what is written with each heartbeat; called on the election's thread."""
        return self._told

    # Decisions

    def _decided(self, found: News, following: Following) -> None:
        self._is_reading = False
        if following is not self._following:
            return
        try:
            following.decided(found.decisions)
            if found.confirmed is not None:
                following.confirmed(found.confirmed)
        except Exception:  # it is read again with the next heartbeat
            _log.failure("following decisions", log_id="kubernetes.not_decided")
            return
        self._news = found.number

    def _undecided(self, failure: Failure) -> None:
        # The next heartbeat says again that there is something.
        self._is_reading = False
        _log.warn(
            "decisions can't be read: {reason}",
            reason=failure.getErrorMessage(),
            log_id="kubernetes.undecided",
        )

    # Writing

    def _write(self, term: int, batch: Mapping[Key, Want]) -> Deferred[Written]:
        return Deferred.fromCoroutine(self._judged(term, batch))

    async def _judged(self, term: int, batch: Mapping[Key, Want]) -> Written:
        """Write what the configuration would not refuse; the rest stays as it is."""
        following = self._following
        judged = await self._judge(self._to_judge(batch))
        if following is None or following is not self._following:
            raise TermOverError(f"term {term} is over")
        # (Services were judged, too, that are not in the batch.)
        refused = {key: why for key, why in judged.items() if key in batch}
        good = {key: want for key, want in batch.items() if key not in refused}
        going = following.wants.going(good)._replace(lately=self._writer.lately)
        written = await self._database.write(term, good, going)
        return replace(written, refused={**written.refused, **refused})

    def _to_judge(self, batch: Mapping[Key, Want]) -> dict[Key, Row]:
        """Return services and routes, with the services that they refer to."""
        rows = {key: want for key, want in batch.items() if want.row and key.kind != "instance"}
        wanted = {} if self._following is None else self._following.wants.rows
        named = {Key("service", one) for want in rows.values() for one in services_of(want.row)}
        rows |= {key: wanted[key] for key in named if key in wanted}
        return {key: want.row for key, want in rows.items() if want.row is not None}

    def _written(self, batch: Mapping[Key, Want], written: Written) -> None:
        if self._following is not None:
            self._following.written(batch, written)
        if written.lost:  # (Whoever follows the cluster next has to know of it.)
            self._note_status()


def _problem_of_all(resources: Iterable[Mapping[str, Any]]) -> str | None:
    """Return a problem that all resources have some of: then it is the server's."""
    problems = [one["problem"] for one in resources]
    return str(problems[0]) if problems and all(problems) else None
