"""What the listening thread reads by itself, and who gets it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from fengling_gateway.configsource import postgres_ahead
from fengling_gateway.configsource.reading import Reading
from tests.configsource.postgres_source import SourceInTest, contents
from tests.schema.session import Session, add_service


class Follower:
    """Asks on every notification for what has changed since its last answer."""

    def __init__(self, source: SourceInTest) -> None:
        self.source = source
        source.listening()
        self.readings = [source.read()]
        source.on_hint = self._hinted

    def _hinted(self, reason: str, _: dict[str, Any]) -> None:
        if reason == "notification":
            asked = self.source.source.read(self.readings[-1].target)
            asked.addCallback(self.readings.append)

    def reached(self, revision: int) -> Reading:
        """Turn until this revision has been read; return the reading that did."""
        self.source.loop.until(lambda: self.readings[-1].target.revision >= revision)
        return self.readings[-1]


@pytest.fixture
def follower(source: SourceInTest) -> Follower:
    return Follower(source)


class ReadAheadTests:
    """Who asks because of a notification."""

    def test_is_answered_at_once(
        self, follower: Follower, source: SourceInTest, session: Session
    ) -> None:
        """And as the reading thread would have answered."""
        start = follower.readings[0].target
        add_service(session, "hello")
        ahead = follower.reached(1)
        assert source.state.reads_ahead == 1
        assert ahead == source.read(start)

    def test_each_goes_on_from_the_last(
        self, follower: Follower, source: SourceInTest, session: Session
    ) -> None:
        """Change after change, each in one row."""
        for number in range(1, 6):
            add_service(session, f"s{number}")
            assert list(contents(follower.reached(number))) == [f"service s{number}"]
        assert (source.state.reads_ahead, source.state.full_reads) == (5, 1)

    def test_who_asks_later_asks_the_database(self, source: SourceInTest, session: Session) -> None:
        """A question may mean what has been committed since."""
        source.listening()
        start = source.read().target
        add_service(session, "hello")
        source.hint("notification")
        add_service(session, "second")
        assert len(source.read(start).rows) == 2
        assert source.state.reads_ahead == 0

    def test_other_question_asks_the_database(self, source: SourceInTest, session: Session) -> None:
        """What was read ahead leads on from one position only."""
        source.listening()
        answers: list[Reading] = []
        source.on_hint = lambda *_: source.source.read(None).addCallback(answers.append)
        source.read()
        add_service(session, "hello")
        [answer] = source.loop.until(lambda: answers)
        assert answer.before is None
        assert source.state.reads_ahead == 0

    def test_nobody_takes_it_and_no_more_is_read(
        self, source: SourceInTest, session: Session
    ) -> None:
        """As in a burst, where every look finds more than the notification told of."""
        source.listening()
        source.read()
        add_service(session, "hello")
        source.hint("notification")
        assert source.source._ahead.position() is None
        source.read()
        assert source.source._ahead.position() is not None


@contextmanager
def log_is_locked(session: Session) -> Iterator[Session]:
    """Notify while nobody can read the changes; yields another session."""
    session.run("BEGIN", "LOCK TABLE fengling.revision_change")
    other = Session(session.dsn)
    other.run("NOTIFY gateway_config_changed, 'x'")
    yield other
    session.run("COMMIT")
    other.close()


class NotAheadTests:
    """Whatever goes wrong, the notification comes through."""

    def test_slow_answer_is_left(
        self,
        follower: Follower,
        source: SourceInTest,
        session: Session,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The listening thread has to listen."""
        monkeypatch.setattr(postgres_ahead, "TIMEOUT_SECONDS", 0.02)
        with log_is_locked(session):
            source.loop.until(lambda: source.state.notifications == 1)
        source.loop.until(lambda: len(follower.readings) == 2)
        assert source.state.reads_ahead == 0
        add_service(session, "hello")
        follower.reached(1)
        assert source.state.reads_ahead == 1

    def test_user_who_may_not_read(
        self, sources: Callable[..., SourceInTest], session: Session
    ) -> None:
        """The one of listen_url needs no more than to connect; a note says what it costs."""
        session.run("DROP ROLE IF EXISTS fengling_hears", "CREATE ROLE fengling_hears LOGIN")
        listen_url = session.dsn.replace("//postgres@", "//fengling_hears@")
        source = sources(session.dsn, listen_url=listen_url)
        follower = Follower(source)
        add_service(session, "hello")
        follower.reached(1)
        assert "permission denied" in source.state.notes["read ahead"]
        add_service(session, "second")
        follower.reached(2)
        assert source.state.reads_ahead == 0
        source.stop()
        session.run("DROP ROLE fengling_hears")

    def test_connection_that_breaks_meanwhile(
        self,
        follower: Follower,
        source: SourceInTest,
        session: Session,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """It listens again, and reads ahead again."""
        monkeypatch.setattr(postgres_ahead, "TIMEOUT_SECONDS", 20.0)
        end = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND query ~ '^(PREPARE|EXECUTE) fengling_changes'"
        )
        with log_is_locked(session) as other:
            source.loop.until(lambda: other.rows(end))
            source.loop.until(lambda: source.state.reconnects == 1)
            assert source.state.notifications == 1
        add_service(session, "hello")
        follower.reached(1)
        assert source.state.reads_ahead == 1
