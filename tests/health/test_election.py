"""Who probes, by a real PostgreSQL."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
from twisted.internet.task import Clock

from fengling_gateway.configsource.postgres_connection import Guarded
from fengling_gateway.health import table
from fengling_gateway.health.election import LEASE_SECONDS, Candidate, CandidateEvents, Election
from fengling_gateway.health.table import Holder, Term, TermOverError, Verdict
from tests.support.wait import wait_until


class Standing:
    """A candidate in a thread, and what it tells."""

    def __init__(self, dsn: str, name: str) -> None:
        self.told: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self.candidate = Candidate(
            dsn,
            name=name,
            connect_timeout=5.0,
            events=CandidateEvents(
                waiting=lambda holder: self.told.put(("waiting", holder)),
                elected=lambda term, _: self.told.put(("elected", term)),
                beaten=lambda term, _: self.told.put(("beaten", term)),
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
            name="a",
            connect_timeout=5.0,
            events=CandidateEvents(
                waiting=lambda _: None,
                elected=lambda _, at: left.put(at + LEASE_SECONDS - time.monotonic()),
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
        table.open_session(silent)
        assert table.try_lock(silent)
        table.take_over(silent, "stopped")
        assert stand("b").wait_for("elected").number == 2
        with pytest.raises((psycopg2.Error, TermOverError)):
            table.beat(silent, 1)
        silent.close()


VERDICT = Verdict("i", "unhealthy", "refused", 1.0, "http://a:1")


class TableTests:
    @pytest.fixture(autouse=True)
    def _term(self, connection: Guarded) -> None:
        sql(
            connection,
            "INSERT INTO fengling.service (id) VALUES ('s');"
            "INSERT INTO fengling.instance (id, service_id, address)"
            " VALUES ('i', 's', 'http://a:1'), ('j', 's', 'http://b:1')",
        )
        self.term = table.take_over(connection, "a").number

    def test_verdicts_are_one_revision(self, connection: Guarded) -> None:
        """With an author, and a word for who reads history."""
        table.write(connection, self.term, "c1", [VERDICT, VERDICT._replace(instance_id="j")])
        assert sql(
            connection,
            "SELECT kind, author, comment, changes FROM fengling.revision ORDER BY id DESC LIMIT 1",
        ) == [("health", "c1", "instances: 2 unhealthy", 2)]
        table.write(connection, self.term, "c1", [VERDICT._replace(health="healthy", reason="ok")])
        [(comment,)] = sql(
            connection, "SELECT comment FROM fengling.revision ORDER BY id DESC LIMIT 1"
        )
        assert comment == "i healthy: ok"

    def test_verdict_is_as_old_as_it_is(self, connection: Guarded) -> None:
        """It may have waited for the database."""
        table.write(connection, self.term, "c1", [VERDICT._replace(age=3600.0)])
        [row] = sql(
            connection,
            "SELECT health, reason, source, term, address, now() - since > '50 min'"
            " FROM fengling.instance_health",
        )
        assert row == ("unhealthy", "refused", "c1", self.term, "http://a:1", True)

    def test_verdict_of_a_deleted_instance_is_left_out(self, connection: Guarded) -> None:
        """The others of its transaction are written."""
        table.write(connection, self.term, "c1", [VERDICT._replace(instance_id="no"), VERDICT])
        assert sql(connection, "SELECT instance_id FROM fengling.instance_health") == [("i",)]

    def test_who_is_not_probed_any_more_is_forgotten(self, connection: Guarded) -> None:
        """But not what somebody else has written."""
        table.write(connection, self.term, "c1", [VERDICT])
        sql(
            connection,
            "INSERT INTO fengling.instance_health (instance_id, health) VALUES ('j', 'unhealthy')",
        )
        gone = [VERDICT._replace(instance_id=one, health=None) for one in "ij"]
        table.write(connection, self.term, "c1", gone)
        assert sql(connection, "SELECT instance_id FROM fengling.instance_health") == [("j",)]

    def test_late_writer_is_refused(self, connection: Guarded) -> None:
        """Nothing of what it wanted to write is there, and nothing it wanted to forget is gone."""
        table.write(connection, self.term, "c1", [VERDICT])
        table.take_over(connection, "b")
        with pytest.raises(TermOverError, match=f"term {self.term} is over, b probes in term"):
            table.write(connection, self.term, "c1", [VERDICT._replace(health="healthy")])
        table.write(connection, self.term, "c1", [VERDICT._replace(health=None)])
        assert sql(connection, "SELECT health FROM fengling.instance_health") == [("unhealthy",)]

    def test_who_takes_over_knows_what_was_known(self, connection: Guarded) -> None:
        """Verdicts with their reasons, and who came and went lately."""
        for health in ("unhealthy", "healthy", "unhealthy"):
            table.write(connection, self.term, "c1", [VERDICT._replace(health=health)])
        term = table.take_over(connection, "b")
        assert term.number == self.term + 1
        [known] = term.known
        assert known[:3] == ("i", "unhealthy", "refused")
        assert known.address == "http://a:1"
        assert [fall.instance_id for fall in term.falls] == ["i", "i"]
        assert all(fall.age < 60 for fall in term.falls)

    def test_nobody_has_ever_probed(self, connection: Guarded) -> None:
        """There is a row all the same."""
        sql(connection, "UPDATE fengling.prober SET term = 0, holder = NULL, heartbeat_at = NULL")
        assert table.holder(connection)[:2] == (0, None)


class User:
    """What an election tells."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def elected(self, term: Term) -> None:
        self.told.append(("elected", term.number))

    def beaten(self, term: int) -> None:
        self.told.append(("beaten", term))

    def term_lost(self, reason: str) -> None:
        self.told.append(("lost", reason))


class Script:
    """A candidate whose thread ends at once; what it would tell, a test does."""

    def __init__(self, events: CandidateEvents) -> None:
        self.events = events
        self.aborted = 0

    def run(self) -> None: ...

    def stop(self) -> None: ...

    def abort(self) -> None:
        self.aborted += 1

    def abort_overdue(self) -> None: ...


class Reactor(Clock):
    def callFromThread(self, function: Callable[..., object], *arguments: object) -> None:
        function(*arguments)


class ElectionTests:
    """The side of the reactor."""

    @pytest.fixture(autouse=True)
    def _election(self) -> Iterator[None]:
        self.clock, self.user = Reactor(), User()
        self.scripts: list[Script] = []
        self.election = Election(
            reactor=self.clock, stand=self.stand, user=self.user, monotonic=self.clock.seconds
        )
        self.election.start()
        [self.script] = self.scripts
        self.events = self.script.events
        self.clock.advance(100.0)
        yield
        wait_until(lambda: self.election.stop().called)

    def stand(self, events: CandidateEvents) -> Script:
        self.scripts.append(Script(events))
        return self.scripts[-1]

    def test_term_holds_as_long_as_nobody_else_can_have_the_lock(self) -> None:
        """Counted from when the server was asked, not from when it answered."""
        self.events.elected(Term(4, (), ()), 99.5)
        assert self.election.term == 4
        self.clock.advance(1.0)
        self.events.beaten(4, 100.75)
        self.clock.pump([0.25] * 10)
        assert self.election.term == 4
        self.clock.advance(0.25)
        assert self.election.term is None
        assert self.script.aborted == 1
        assert self.user.told == [
            *(("elected", 4), ("beaten", 4), ("beaten", 4), ("lost", "no heartbeat for 3 s")),
        ]
        self.events.beaten(4, self.clock.seconds())
        assert self.election.term is None, "what the thread still believes is over"

    def test_election_that_is_told_too_late_is_none(self) -> None:
        """This process was stopped between the answer and now."""
        self.events.elected(Term(4, (), ()), 96.0)
        assert (self.election.term, self.user.told, self.script.aborted) == (None, [], 1)

    def test_reason_is_kept_for_status(self) -> None:
        """Until it can stand again; nobody is told of a loss without a term."""
        self.events.lost("connection refused")
        assert self.election.problem == "connection refused"
        self.events.waiting(Holder(3, "b", 1.0, 0.1))
        assert self.election.problem is None
        assert self.user.told == []

    def test_resigning_ends_the_term_at_once(self) -> None:
        """And the thread begins anew."""
        self.events.elected(Term(4, (), ()), 100.0)
        self.election.resign("term 4 is over")
        assert self.election.term is None
        assert self.user.told[-1] == ("lost", "term 4 is over")
        assert self.script.aborted == 1


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
