"""Consoles as processes, a real PostgreSQL, real instances: what operators see of it all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from fengling_gateway.embedded.postgres import PostgresServer
from tests.health.instance import DOWN, UP, TestInstance
from tests.support.wait import wait_until

CHECK = '{"interval": "200ms", "fall": 3, "rise": 2, "timeout": "150ms"}'
"""An instance that is gone is unhealthy after 0.6 s and one more at most: tests wait for far longer."""


class Cluster:
    """A database with a service `s`, consoles beside it, and what they write."""

    def __init__(self, dsn: str, directory: Path) -> None:
        self.dsn = dsn
        self._directory = directory
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.instances: dict[str, TestInstance] = {}
        self.sql(f"INSERT INTO fengling.service (id, health_check) VALUES ('s', '{CHECK}')")

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        connection = psycopg2.connect(self.dsn)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description is not None else []
        finally:
            connection.close()

    def add_instance(self, name: str) -> TestInstance:
        instance = self.instances[name] = TestInstance()
        self.sql(
            "INSERT INTO fengling.instance (id, service_id, address)"
            f" VALUES ('{name}', 's', '{instance.address}')"
        )
        return instance

    def start(self, name: str) -> None:
        with open(self._directory / f"{name}.log", "wb") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "tests.health.prober_process", self.dsn, name],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=Path(__file__).parents[2],
            )

    def signal(self, name: str, number: int) -> None:
        os.kill(self.processes[name].pid, number)

    def health(self, name: str) -> str | None:
        rows = self.sql(f"SELECT health FROM fengling.instance_health WHERE instance_id = '{name}'")
        return rows[0][0] if rows else None

    def wait_for(self, **wanted: str | None) -> None:
        """Wait until instances are said to be so."""

        def is_so() -> bool:
            self._look_for_dead()
            found = {name: self.health(name) for name in wanted}
            assert found == wanted
            return True

        wait_until(is_so, timeout=30)

    def wait_for_holder(self, name: str) -> int:
        """Wait until a console probes; return its term."""

        def term() -> int | None:
            [(term, holder)] = self.sql("SELECT term, holder FROM fengling.prober")
            assert holder == name, f"{holder} probes"
            found: int = term
            return found

        return wait_until(term, timeout=30)

    def _look_for_dead(self) -> None:
        """Fail at once where a console has ended of its own accord."""
        for name, process in self.processes.items():
            if (process.poll() or 0) > 0:
                raise RuntimeError((self._directory / f"{name}.log").read_text())

    def authors(self) -> list[str]:
        """Return who wrote each revision of health, the oldest first."""
        return [
            author
            for (author,) in self.sql(
                "SELECT author FROM fengling.revision WHERE kind = 'health' ORDER BY id"
            )
        ]

    def stop(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
        for instance in self.instances.values():
            instance.kill()


@pytest.fixture
def cluster(migrated_database: str, tmp_path: Path) -> Iterator[Cluster]:
    one = Cluster(migrated_database, tmp_path)
    yield one
    one.stop()


class OneConsoleTests:
    def test_killed_instance_becomes_unhealthy_and_comes_back(self, cluster: Cluster) -> None:
        """With a reason for people; the others are left alone."""
        instance = cluster.add_instance("a")
        cluster.add_instance("b")
        cluster.start("c1")
        cluster.wait_for(a="healthy", b="healthy")
        instance.kill()
        cluster.wait_for(a="unhealthy", b="healthy")
        [(reason, source, address)] = cluster.sql(
            "SELECT reason, source, address FROM fengling.instance_health WHERE health = 'unhealthy'"
        )
        assert reason == "connection refused (3 failures in a row)"
        assert (source, address) == ("c1", instance.address)
        instance.start()
        cluster.wait_for(a="healthy")

    def test_answers_decide_by_the_check(self, cluster: Cluster) -> None:
        """As it is now: an edit takes effect, and keeps what is known."""
        instance = cluster.add_instance("a")
        cluster.start("c1")
        cluster.wait_for(a="healthy")
        instance.answer = DOWN
        cluster.wait_for(a="unhealthy")
        cluster.sql(
            "UPDATE fengling.service SET health_check = health_check || '{\"expected\": [503]}'"
        )
        cluster.wait_for(a="healthy")
        instance.answer = UP
        cluster.wait_for(a="unhealthy")
        cluster.sql("UPDATE fengling.service SET health_check = NULL")
        cluster.wait_for(a=None)

    def test_word_of_an_operator_is_taken_over(self, cluster: Cluster) -> None:
        """By plain SQL; probes that pass say otherwise after a while."""
        cluster.add_instance("a")
        cluster.start("c1")
        cluster.wait_for(a="healthy")
        wait_until(
            lambda: cluster.sql(
                "UPDATE fengling.instance_health SET health = 'unhealthy', reason = 'by hand'"
                " WHERE health = 'healthy' RETURNING 1"
            )
        )
        cluster.wait_for(a="healthy")
        assert cluster.authors()[-1] == "c1"
        [(application,)] = cluster.sql(
            "SELECT application FROM fengling.revision WHERE kind = 'health' ORDER BY id DESC LIMIT 1"
        )
        assert application == "fengling-console c1"

    def test_restarted_console_goes_on_from_what_is_known(self, cluster: Cluster) -> None:
        """Nothing is written again, and nothing forgotten."""
        cluster.add_instance("a").kill()
        cluster.add_instance("b")
        cluster.start("c1")
        cluster.wait_for(a="unhealthy", b="healthy")
        written = len(cluster.authors())
        cluster.signal("c1", signal.SIGKILL)
        cluster.processes["c1"].wait()
        cluster.start("c2")
        assert cluster.wait_for_holder("c2") == 2
        cluster.instances["b"].kill()
        cluster.wait_for(a="unhealthy", b="unhealthy")
        assert cluster.authors()[written:] == ["c2"]


class SeveralConsolesTests:
    def test_stopped_holder_is_replaced(self, cluster: Cluster) -> None:
        """Nothing is lost meanwhile, and when it goes on it does no harm."""
        first, second = cluster.add_instance("a"), cluster.add_instance("b")
        cluster.start("c1")
        cluster.wait_for_holder("c1")
        cluster.wait_for(a="healthy", b="healthy")
        cluster.start("c2")
        cluster.signal("c1", signal.SIGSTOP)
        first.kill()
        assert cluster.wait_for_holder("c2") == 2
        cluster.wait_for(a="unhealthy", b="healthy")
        written = len(cluster.authors())
        cluster.signal("c1", signal.SIGCONT)
        cluster.signal("c2", signal.SIGTERM)
        assert cluster.wait_for_holder("c1") == 3, "it is a candidate like any other"
        second.kill()
        first.start()
        cluster.wait_for(a="healthy", b="unhealthy")
        assert set(cluster.authors()[written:]) == {"c1"}

    def test_console_that_stops_lets_another_probe(self, cluster: Cluster) -> None:
        """At once, and it ends."""
        cluster.add_instance("a")
        cluster.start("c1")
        cluster.wait_for(a="healthy")
        cluster.start("c2")
        cluster.signal("c1", signal.SIGTERM)
        assert cluster.wait_for_holder("c2") == 2
        assert cluster.processes["c1"].wait(15) == 0


def test_verdict_survives_that_the_database_is_away(
    own_postgres: PostgresServer, tmp_path: Path
) -> None:
    """What happened meanwhile is written when it is back."""
    from fengling_gateway import schema

    dsn = own_postgres.create_database("health")
    schema.upgrade(dsn)
    cluster = Cluster(dsn, tmp_path)
    try:
        instance = cluster.add_instance("a")
        cluster.start("c1")
        cluster.wait_for(a="healthy")
        own_postgres.stop()
        instance.kill()
        own_postgres.start()
        cluster.wait_for(a="unhealthy")
    finally:
        cluster.stop()
