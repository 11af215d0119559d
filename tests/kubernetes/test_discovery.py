"""A console that follows a cluster, by a real PostgreSQL."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.trial.unittest import TestCase

from fengling_gateway.configsource.postgres_connection import Guarded
from fengling_gateway.kubernetes import table
from fengling_gateway.kubernetes.discovered import Overview, overview
from fengling_gateway.kubernetes.discovery import Discovery, DiscoverySettings
from fengling_gateway.kubernetes.following import Rules
from fengling_gateway.kubernetes.selection import parse_selector
from tests.schema.session import Session
from tests.support.wait import eventually


class SilentCluster:
    """Which answers nothing."""

    url = "https://cluster.example"
    is_synced = False

    def reflect(self, *_: Any) -> SilentCluster:
        return self

    def start(self) -> None: ...

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def status(self) -> dict[str, Any]:
        return {"problem": "it is silent"}


class SilentDatabase:
    """In which there is no news, and nothing is written."""

    def tell(self, term: int, report: Any) -> Deferred[None]:
        return Deferred()

    def news(self, after: int) -> Deferred[Any]:
        return Deferred()


class DiscoveryTests(TestCase):
    timeout = 60

    @pytest.fixture(autouse=True)
    def _database(self, migrated_database: str) -> None:
        self.dsn = migrated_database

    def discovery(self, name: str) -> Discovery:
        from twisted.internet import reactor  # noqa: TID251 - real connections are the point

        self.reactor: Any = reactor
        cluster: Any = SilentCluster()
        database: Any = SilentDatabase()
        made = Discovery(
            reactor=reactor,
            rng=Random(7),
            settings=DiscoverySettings(
                self.dsn, name, Rules((), parse_selector("managed-by=fengling"), ())
            ),
            cluster=cluster,
            database=database,
            judge=lambda rows: succeed({}),
            changed=lambda: None,
        )
        made.start()
        self.addCleanup(made.stop)
        return made

    def overview(self) -> Overview:
        session = Session(self.dsn)
        try:
            return overview(session.connection)
        finally:
            session.close()

    def follows(self, name: str) -> Deferred[Any]:
        return eventually(self.reactor, lambda: self.overview().leader["holder"] == name)

    def writing(self) -> Any:
        """Return what the console that follows the cluster has told itself of what it writes."""
        status = self.overview().status or {}
        return "api_server" in status and status["writing"]

    @inlineCallbacks
    def test_what_has_gone_lately_is_remembered_over_several_consoles(self) -> Any:
        """Also by one that ends as soon as it has begun, and one that has listed nothing yet."""
        guarded = Guarded(self.dsn, connect_timeout=5)
        term = table.take_over(guarded, "a").number
        table.beat(guarded, term, json.dumps({"writing": {"lately": 5}}))
        guarded.close()
        short = self.discovery("b")
        yield self.follows("b")
        yield short.stop()
        self.discovery("c")
        yield self.follows("c")
        writing = yield eventually(self.reactor, self.writing)
        self.assertEqual(writing["lately"], 5)
