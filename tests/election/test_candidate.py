"""Candidates for the seat of who probes, by a real PostgreSQL."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest

from fengling_gateway.configsource.postgres_connection import Guarded
from fengling_gateway.election.candidate import LEASE_SECONDS, Candidate, CandidateEvents
from fengling_gateway.election.seat import TermOverError, open_session
from fengling_gateway.health.seat import SEAT
from tests.support.wait import wait_until


class Standing:
    """A candidate in a thread, and what it tells."""

    def __init__(self, dsn: str, name: str) -> None:
        self.told: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self.candidate = Candidate(
            dsn,
            seat=SEAT,
            name=name,
            connect_timeout=5.0,
            events=CandidateEvents(
                waiting=lambda holder: self.told.put(("waiting", holder)),
                elected=lambda term, *_: self.told.put(("elected", term)),
                beaten=lambda term, *_: self.told.put(("beaten", term)),
                lost=lambda reason: self.told.put(("lost", reason)),
            ),
            jitter=lambda: 1.0,
        )
        self._thread = threading.Thread(target=self.candidate.run, daemon=True)
        self._thread.start()

    def wait_for(self, what: str) -> Any:
        while True:
            told, value = self.told.get(timeout=15)
            if told == what:
                return value

    def stop(self) -> None:
        self.candidate.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def stand(migrated_database: str) -> Iterator[Callable[[str], Standing]]:
    """Return a function that makes somebody stand for election."""
    made: list[Standing] = []

    def one(name: str) -> Standing:
        made.append(Standing(migrated_database, name))
        return made[-1]

    yield one
    for candidate in made:
        candidate.stop()


@pytest.fixture
def connection(migrated_database: str) -> Iterator[Guarded]:
    """Return a connection to the same database."""
    one = Guarded(migrated_database, connect_timeout=5)
    yield one
    one.close()


def sql(connection: Guarded, statement: str) -> list[tuple[Any, ...]]:
    return connection.execute(statement, within=10)


class CandidateTests:
    def test_first_is_elected_and_others_wait(
        self, stand: Callable[[str], Standing], connection: Guarded
    ) -> None:
        """Everybody knows who it is; when it goes, somebody else follows in the next term."""
        first = stand("a")
        assert first.wait_for("elected").number == 1
        second = stand("b")
        holder = second.wait_for("waiting")
        assert (holder.term, holder.name) == (1, "a")
        first.stop()
        assert second.wait_for("elected").number == 2
        assert sql(connection, "SELECT holder FROM fengling.prober") == [("b",)]

    def test_heartbeat_is_in_the_table(
        self, stand: Callable[[str], Standing], connection: Guarded
    ) -> None:
        """It tells gateways that somebody probes."""
        one = stand("a")
        one.wait_for("elected")
        before = sql(connection, "SELECT heartbeat_at FROM fengling.prober")
        one.wait_for("beaten")
        assert sql(connection, "SELECT heartbeat_at FROM fengling.prober") > before

    def test_ended_session_is_noticed(
        self, stand: Callable[[str], Standing], connection: Guarded
    ) -> None:
        """At the next heartbeat; then it stands again."""
        one = stand("a")
        one.wait_for("elected")
        sql(
            connection,
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
            " AND pid <> pg_backend_pid()",
        )
        one.wait_for("lost")
        assert one.wait_for("elected").number == 2

    def test_another_term_is_noticed(
        self, stand: Callable[[str], Standing], connection: Guarded
    ) -> None:
        """However it came about."""
        one = stand("a")
        one.wait_for("elected")
        sql(connection, "UPDATE fengling.prober SET term = 7")
        assert one.wait_for("lost") == "term 1 is over"
        assert one.wait_for("elected").number == 8

    def test_slow_look_at_what_is_known_takes_nothing_off_the_term(
        self, migrated_database: str, connection: Guarded
    ) -> None:
        """Or whoever needs longer for it than a lease would never probe."""
        left: queue.SimpleQueue[float] = queue.SimpleQueue()
        candidate = Candidate(
            migrated_database,
            seat=SEAT,
            name="a",
            connect_timeout=5.0,
            events=CandidateEvents(
                waiting=lambda _: None,
                elected=lambda _, first, at: left.put(at + LEASE_SECONDS - time.monotonic()),
                beaten=lambda *_: None,
                lost=lambda _: None,
            ),
            jitter=lambda: 1.0,
        )
        sql(connection, "BEGIN; LOCK fengling.instance_health")
        thread = threading.Thread(target=candidate.run, daemon=True)
        thread.start()
        waiting = (
            "SELECT pg_stat_clear_snapshot();"
            " SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            f" AND clock_timestamp() - query_start > '{LEASE_SECONDS} s'"
        )
        wait_until(lambda: sql(connection, waiting) == [()])
        sql(connection, "ROLLBACK")
        seconds = left.get(timeout=15)
        candidate.stop()
        thread.join(10)
        assert seconds > 0

    def test_silent_session_loses_the_lock(
        self, migrated_database: str, stand: Callable[[str], Standing]
    ) -> None:
        """Its holder is stopped, or cut off: within five seconds there is another."""
        silent = Guarded(migrated_database, connect_timeout=5)
        open_session(silent)
        assert SEAT.try_lock(silent)
        SEAT.take_over(silent, "stopped")
        assert stand("b").wait_for("elected").number == 2
        with pytest.raises((psycopg2.Error, TermOverError)):
            SEAT.beat(silent, 1)
        silent.close()


def test_two_processes_worth_of_candidates_never_probe_at_once(
    stand: Callable[[str], Standing],
) -> None:
    """Terms are given once each."""
    three = [stand(name) for name in "abc"]
    seen: list[int] = []

    def elected() -> list[Standing]:
        found = []
        for one in three:
            while not one.told.empty():
                told, value = one.told.get()
                if told == "elected":
                    seen.append(value.number)
                    found.append(one)
        return found

    for _ in range(3):
        [winner] = wait_until(elected)
        three.remove(winner)
        winner.stop()
    assert seen == [1, 2, 3]
