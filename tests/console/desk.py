"""A mirror and an editor over a real database, without a reactor: each question is answered at once."""

from __future__ import annotations

import random
from typing import Any

import psycopg2
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from fengling_gateway.balancing.upstream_networks import UpstreamNetworks
from fengling_gateway.configsource.postgres_reader import Reader
from fengling_gateway.configsource.reading import SourceState
from fengling_gateway.configsource.reload import ReloadSettings
from fengling_gateway.console.edits import Edit, Editor, PlannedEdit, write
from fengling_gateway.console.mirror import Mirror
from fengling_gateway.editing.transaction import Committed, Signature


class DirectSource:
    """The database as a source of the configuration; it gives no hints."""

    def __init__(self, dsn: str) -> None:
        self.state = SourceState()
        self._reader = Reader(dsn, connect_timeout=10, statement_timeout=10)

    def start(self) -> None:
        pass

    def stop(self) -> Deferred[None]:
        self._reader.close()
        return succeed(None)

    def read(self, after: Any) -> Deferred[Any]:
        return maybeDeferred(self._reader.read, after)

    def read_all(self) -> Deferred[Any]:
        return maybeDeferred(self._reader.read_all)

    def history(self, keys: Any, up_to: int) -> Deferred[Any]:
        return maybeDeferred(self._reader.history, keys, up_to)


class DirectStore:
    """Asks with one connection."""

    def __init__(self, dsn: str) -> None:
        self.connection = psycopg2.connect(dsn)

    def run(self, question: Any, *args: Any, **kwargs: Any) -> Deferred[Any]:
        answer = maybeDeferred(question, self.connection, *args, **kwargs)
        if not self.connection.closed:
            self.connection.rollback()
            self.connection.set_session(isolation_level="READ COMMITTED", readonly=False)
        return answer


class Desk:
    """Where edits are planned and written."""

    def __init__(self, dsn: str, networks: UpstreamNetworks | None = None) -> None:
        self.store: Any = DirectStore(dsn)
        self.source: Any = DirectSource(dsn)
        self.mirror = Mirror(
            clock=Clock(),
            make_source=lambda hint: self.source,
            settings=ReloadSettings(poll_interval=5, compare_interval=600),
            rng=random.Random(0),
            networks=UpstreamNetworks() if networks is None else networks,
        )
        self.editor = Editor(store=self.store, mirror=self.mirror)

    def plan(self, edit: Edit) -> PlannedEdit:
        planned: PlannedEdit = result(Deferred.fromCoroutine(self.editor.plan(edit)))
        return planned

    def write(self, planned: PlannedEdit, signature: Signature) -> Committed:
        committed: Committed = result(self.store.run(write, planned, signature, None))[0]
        return committed

    def look(self) -> None:
        result(self.mirror.look("test"))

    def close(self) -> None:
        self.mirror.stop()
        self.store.connection.close()


def result(waiting: Deferred[Any]) -> Any:
    """Return what a Deferred has fired with."""
    found: list[Any] = []
    waiting.addBoth(found.append)
    assert found, "it waits for something"
    if isinstance(found[0], Failure):
        found[0].raiseException()
    return found[0]
