"""What is over before its time: in the database, and in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest

from fengling_gateway.signin.spent import (
    LINK,
    SESSION,
    EndedSessions,
    prune,
    read_newer,
    spend,
)

FAR = 4_000_000_000.0


@pytest.fixture
def connections(migrated_database: str) -> Iterator[list[Any]]:
    """Two consoles'."""
    both = [psycopg2.connect(migrated_database) for _ in range(2)]
    yield both
    for one in both:
        one.close()


def test_credential_is_spent_once(connections: list[Any]) -> None:
    """For whoever asks first."""
    one, other = connections
    assert spend(one, LINK + "a", FAR)
    assert not spend(one, LINK + "a", FAR)
    assert not spend(other, LINK + "a", FAR)
    assert spend(other, SESSION + "a", FAR)


def test_of_two_at_the_same_time_one_wins(migrated_database: str) -> None:
    """Each of many links, with two consoles that ask for all of them at once."""
    barrier = threading.Barrier(2)
    won: list[list[bool]] = [[], []]

    def console(results: list[bool]) -> None:
        connection = psycopg2.connect(migrated_database)
        for number in range(50):
            barrier.wait(30)
            results.append(spend(connection, f"{LINK}{number}", FAR))
        connection.close()

    threads = [threading.Thread(target=console, args=(one,)) for one in won]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [one + other for one, other in zip(*won, strict=True)] == [1] * 50


def test_ended_sessions_are_read(connections: list[Any]) -> None:
    """With their ends; links are not, nor what is over anyway."""
    one, other = connections
    assert read_newer(other, 0.0) == ({}, 0.0)
    spend(one, SESSION + "a", FAR)
    spend(one, LINK + "b", FAR)
    spend(one, SESSION + "c", 1000.0)
    newer = read_newer(other, 0.0)
    assert newer.sessions == {"a": FAR}
    spend(one, SESSION + "d", FAR)
    assert "d" in read_newer(other, newer.latest).sessions


def test_what_is_committed_late_is_read(connections: list[Any]) -> None:
    """A row counts from its INSERT, and is seen from its COMMIT on."""
    one, other = connections
    with one.cursor() as cursor:
        cursor.execute(
            "INSERT INTO fengling.spent_credential (id, expires_at) "
            "VALUES ('session/slow', now() + interval '1 hour')"
        )
    spend(other, SESSION + "quick", FAR)
    latest = read_newer(other, 0.0).latest
    one.commit()
    assert "slow" in read_newer(other, latest).sessions


def test_what_is_old_is_not_read_again(connections: list[Any]) -> None:
    """Only what has happened of late."""
    one, _ = connections
    with one, one.cursor() as cursor:
        cursor.execute(
            "INSERT INTO fengling.spent_credential (id, spent_at, expires_at) "
            "VALUES ('session/old', now() - interval '5 minutes', now() + interval '1 hour')"
        )
    spend(one, SESSION + "new", FAR)
    newer = read_newer(one, 0.0)
    assert newer.sessions.keys() == {"old", "new"}
    assert read_newer(one, newer.latest).sessions.keys() == {"new"}


def test_what_would_be_over_anyway_is_deleted(connections: list[Any]) -> None:
    """An hour later: clocks differ."""
    one, _ = connections
    with one, one.cursor() as cursor:
        cursor.execute(
            "INSERT INTO fengling.spent_credential (id, expires_at) VALUES "
            "('link/old', now() - interval '61 minutes'), "
            "('link/young', now() - interval '59 minutes')"
        )
    assert prune(one) == 1
    assert not spend(one, LINK + "young", FAR)


def test_console_may_do_all_of_it(migrated_database: str, connections: list[Any]) -> None:
    """With the role that it is given."""
    one, other = connections
    with one, one.cursor() as cursor:
        cursor.execute("SET SESSION ROLE fengling_console")
    assert spend(one, SESSION + "a", FAR)
    assert read_newer(one, 0.0).sessions == {"a": FAR}
    assert prune(one) == 0
    with other, other.cursor() as cursor:
        cursor.execute("SET SESSION ROLE fengling_gateway")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        read_newer(other, 0.0)


def test_nothing_of_it_makes_a_revision(connections: list[Any]) -> None:
    """It is no configuration."""
    one, other = connections

    def revisions() -> int:
        with other, other.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM fengling.revision")
            [count] = cursor.fetchone()
            return int(count)

    before = revisions()
    spend(one, SESSION + "a", FAR)
    assert revisions() == before


def test_memory_is_bounded_and_forgets_nobody() -> None:
    """What ends no later than what was forgotten is over, ended or not."""
    ended = EndedSessions(max_kept=3)
    ended.add({name: 100.0 + number for number, name in enumerate("abcde")}, now=0.0)
    assert len(ended) == 3
    assert all(ended.is_over(name, 100.0 + number) for number, name in enumerate("abcde"))
    assert ended.is_over("other", 101.0)
    assert not ended.is_over("other", 101.5)


def test_memory_forgets_what_is_over() -> None:
    """By itself, so that nothing grows."""
    ended = EndedSessions()
    ended.add({"a": 100.0}, now=0.0)
    ended.add({"b": 300.0}, now=200.0)
    assert len(ended) == 1
    assert ended.is_over("b", 300.0)
