"""A health checker in this process: what it tells, and what it is told."""

from __future__ import annotations

import random
import time
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from fengling_gateway.balancing.upstream_networks import LOOPBACK, UpstreamNetworks
from fengling_gateway.election.election import Election
from fengling_gateway.health import service as service_module
from fengling_gateway.health import table
from fengling_gateway.health.live import KeyedConfiguration
from fengling_gateway.health.probing import Probing
from fengling_gateway.health.service import HealthService, HealthSettings
from fengling_gateway.model.entity import Key
from tests.health.builders import body, no_certificate
from tests.health.instance import TestInstance
from tests.health.test_probing import KnownNames
from tests.support.wait import eventually

SLOW = {"interval": "1h", "jitter": 0, "timeout": "2s"}
"""Probed at once when it appears, and then only if something asks for it."""

FAILING = {"failures": 5, "successes": 0, "error": "connect_failed", "ejected_for": 10.0}


class ServiceTests(TestCase):
    @pytest.fixture(autouse=True)
    def _database(self, migrated_database: str) -> None:
        self.dsn = migrated_database

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: TID251 - real connections are the point

        self.reactor = reactor
        self.beats: list[tuple[int, str]] = []
        self.bodies: dict[Key, bytes] = {}
        self.live = KeyedConfiguration(lambda: self.bodies)
        self.put("service", "s", health_check=SLOW)
        self.sql("INSERT INTO fengling.service (id) VALUES ('s')")

    def put(self, kind: str, entity_id: str, **values: Any) -> None:
        key = Key(kind, entity_id)
        self.bodies[key] = body(kind, entity_id, **values)
        self.live.changed([key])

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        connection = psycopg2.connect(self.dsn)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description is not None else []
        finally:
            connection.close()

    def instance(self, name: str) -> TestInstance:
        instance = TestInstance()
        self.addCleanup(instance.kill)
        self.sql(
            "INSERT INTO fengling.instance (id, service_id, address)"
            f" VALUES ('{name}', 's', '{instance.address}')"
        )
        self.put("instance", name, service_id="s", address=instance.address)
        return instance

    def service(self, name: str) -> HealthService:
        service = HealthService(
            reactor=self.reactor,
            rng=random.Random(1),
            settings=HealthSettings(dsn=self.dsn, session_dsn=self.dsn, name=name),
            configuration=self.live,
            prober=Probing(
                reactor=self.reactor,
                networks=UpstreamNetworks(LOOPBACK),
                names=KnownNames(),
                certificates=no_certificate,
            ),
            on_heartbeat=lambda term, holder: self.beats.append((term, holder)),
        )
        service.start()
        self.addCleanup(service.stop)
        return service

    def until(self, condition: Any) -> Deferred[Any]:
        return eventually(self.reactor, condition, timeout=20)

    def health(self, name: str) -> list[Any]:
        return [
            one
            for (one,) in self.sql(
                f"SELECT health FROM fengling.instance_health WHERE instance_id = '{name}'"
            )
        ]

    async def test_status_tells_what_is_known(self) -> None:
        """Of who probes, and of every instance of a service with a health check."""
        self.instance("a")
        self.put("instance", "b", service_id="s", address="http://10.0.0.1", state="maintenance")
        self.put("service", "plain")
        self.put("instance", "c", service_id="plain", address="http://10.0.0.2")
        service = self.service("c1")
        await self.until(lambda: self.health("a") == ["healthy"])
        status = service.status()
        prober = status["prober"]
        assert (prober["term"], prober["holder"], prober["is_mine"]) == (1, "c1", True)
        assert prober["problem"] is None
        assert sorted(status["instances"]) == ["a", "b"]
        found = status["instances"]["a"]
        assert (found["health"], found["reason"]) == ("healthy", "its first probe passed")
        assert found["since"].endswith("Z")
        assert (found["passes"], found["failures"]) == (1, 0)
        assert found["last_probe"]["outcome"] == "passed"
        assert found["last_probe"]["seen"] == "HTTP 200"
        assert found["last_probe"]["ms"] > 0
        assert 3000 < found["next_probe_s"] <= 3600
        assert status["instances"]["b"]["not_probed"] == "it is in maintenance"
        assert service.instance_status("c") is None
        await self.until(lambda: service.counts()["verdicts_written"] == 1)
        assert self.beats[0] == (1, "c1")

    async def test_what_changes_in_a_moment_of_doubt_is_not_missed(self) -> None:
        """A late heartbeat may arrive before anybody has seen that it was late."""
        service = self.service("c1")
        await self.until(lambda: self.beats)
        doubt = self.patch(Election, "term", None)
        self.instance("a")
        doubt.restore()
        await self.until(lambda: self.health("a") == ["healthy"])
        assert service.is_mine

    async def test_clock_that_is_set_between_two_terms_holds_nobody_down(self) -> None:
        """What is known at the beginning of a term is by the clock as it is then."""
        service = self.service("c1")
        await self.until(lambda: self.beats)
        other = psycopg2.connect(self.dsn)
        self.addCleanup(other.close)
        with other.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
                f" AND pid <> pg_backend_pid(); SELECT pg_advisory_lock({table.LOCK})"
            )
        await self.until(lambda: not service.is_mine)
        self.sql("UPDATE fengling.prober SET term = term + 1")
        self.instance("a")
        self.sql(
            "INSERT INTO fengling.instance_health (instance_id, health) VALUES ('a', 'unhealthy')"
        )
        clock = SimpleNamespace(monotonic=lambda: time.monotonic() - 3600.0)
        self.patch(service_module, "time", clock)
        other.close()
        await self.until(lambda: service.is_mine)
        await service.probe_now("a")
        await service.probe_now("a")
        await self.until(lambda: self.health("a") == ["healthy"])

    async def test_evidence_and_one_probe_make_a_verdict(self) -> None:
        """Long before the next probe would have been."""
        instance = self.instance("a")
        service = self.service("c1")
        await self.until(lambda: self.health("a") == ["healthy"])
        service.evidence_received("n1", {"a": FAILING, "else": FAILING})
        await self.until(lambda: service.counts()["probes_passed"] == 2)
        assert self.health("a") == ["healthy"], "the probe passed"
        instance.kill()
        service.evidence_received("n1", {"a": FAILING})
        await self.until(lambda: self.health("a") == ["unhealthy"])
        [(reason,)] = self.sql("SELECT reason FROM fengling.instance_health")
        assert reason == (
            "connection refused (3 failures in a row, 2 of them by what gateways report: "
            "connect_failed)"
        )
        assert service.instance_status("a")["evidence"]["node"] == "n1"

    async def test_probe_on_demand(self) -> None:
        """By whoever is asked; it counts where it is the prober's."""
        instance = self.instance("a")
        first = self.service("c1")
        await self.until(lambda: self.health("a") == ["healthy"])
        second = self.service("c2")
        await self.until(lambda: second.prober_status()["holder"] == "c1")
        assert not second.is_mine
        assert second.instance_status("a")["not_probed"] == "another console probes"
        instance.kill()
        found = await second.probe_now("a")
        assert (found["outcome"], found["counts"]) == ("failed", False)
        assert first.instance_status("a")["failures"] == 0
        found = await first.probe_now("a")
        assert (found["seen"], found["counts"]) == ("connection refused", True)
        assert first.instance_status("a")["failures"] == 1
        found = await first.probe_now("no")
        assert found == {
            "outcome": "not_probed",
            "seen": "its service has no health check",
            "ms": None,
            "counts": False,
        }

    async def test_verdicts_are_written_before_it_stops(self) -> None:
        """And another console begins at once."""
        self.instance("a")
        first = self.service("c1")
        await self.until(lambda: first.instance_status("a").get("passes") == 1)
        await first.stop()
        assert self.health("a") == ["healthy"]
        assert not first.is_mine
        second = self.service("c2")
        await self.until(lambda: second.is_mine)
        assert second.instance_status("a")["reason"] == "its first probe passed"

    async def test_refused_address_is_told_and_not_held_against_it(self) -> None:
        """Nothing is written."""
        self.put("instance", "a", service_id="s", address="http://169.254.169.254")
        service = self.service("c1")
        await self.until(lambda: (service.instance_status("a") or {}).get("last_probe"))
        last = service.instance_status("a")["last_probe"]
        assert last["outcome"] == "not_probed"
        assert "metadata" in last["seen"]
        assert self.health("a") == []
