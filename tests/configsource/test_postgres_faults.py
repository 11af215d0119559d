"""Servers that go away, freeze and come back; nothing is missed and nobody waits for ever."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from fengling_gateway import schema
from fengling_gateway.configsource import postgres_listener
from fengling_gateway.configsource.reading import SourceError
from fengling_gateway.embedded.postgres import PostgresServer
from tests.configsource.postgres_source import SourceInTest, contents
from tests.schema.session import Session, add_service


class KilledBackendTests:
    """Connections that are cut, of a server that lives."""

    def test_listening_begins_again_and_hints(self, source: SourceInTest, session: Session) -> None:
        """Whatever was notified meanwhile is not known, so it is a reason to look."""
        source.listening()
        _kill_all(session)
        source.hint("connected")
        assert source.state.reconnects == 1

    def test_changes_in_the_gap_are_read(self, source: SourceInTest, session: Session) -> None:
        """A hundred commits that nobody heard of."""
        source.listening()
        at = source.read().target
        for number in range(10):
            _kill_all(session)
            add_service(session, f"s{number}")
        source.hint("connected")
        reading = source.read(at)
        assert (reading.before, len(reading.rows)) == (at, 10)

    def test_reading_over_a_cut_connection_succeeds(
        self, source: SourceInTest, session: Session
    ) -> None:
        """It notices and asks again over a new one."""
        source.read()
        _kill_all(session)
        add_service(session, "hello")
        assert source.read().target.revision == 1
        assert source.state.connected


def _kill_all(session: Session) -> None:
    session.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


class ServerTests:
    """A server of the test's own, to be treated roughly."""

    @pytest.fixture(autouse=True)
    def _server(
        self,
        own_postgres: PostgresServer,
        sources: Callable[..., SourceInTest],
        monkeypatch: pytest.MonkeyPatch,
    ) -> Iterator[None]:
        monkeypatch.setattr(postgres_listener, "HEARTBEAT_SECONDS", 0.3)
        monkeypatch.setattr(postgres_listener, "ANSWER_SECONDS", 1.0)
        self.server = own_postgres
        self.dsn = own_postgres.create_database("config")
        schema.upgrade(self.dsn)
        self.source = sources(self.dsn, statement_timeout=1.0)
        self.source.listening()
        self._change("first")
        self.server.psql("CHECKPOINT")  # it does not sync: a crash would take the schema
        self.at = self.source.read().target
        yield
        self.server.thaw()

    def _change(self, service: str) -> None:
        session = Session(self.dsn)
        add_service(session, service)
        session.close()

    def _read_after_healing(self) -> set[str]:
        began = time.monotonic()
        self.source.hint("connected")
        reading = self.source.read(self.at)
        assert time.monotonic() - began < 5
        assert reading.before == self.at
        return set(contents(reading))

    @pytest.mark.parametrize("mode", ["fast", "immediate"])
    def test_restart_is_survived(self, mode: str) -> None:
        """Also one without a goodbye, after which the server recovers."""
        self.server.restart(mode)  # type: ignore[arg-type]
        self._change("second")
        assert self._read_after_healing() == {"service second"}

    def test_stopped_server_is_an_error_until_it_is_back(self) -> None:
        """One that names the reason, at once."""
        self.server.stop()
        began = time.monotonic()
        with pytest.raises(SourceError, match="refused"):
            self.source.read(self.at)
        assert time.monotonic() - began < 2
        self.source.loop.until(lambda: not self.source.state.listening)
        assert not self.source.state.connected
        self.source.hints.clear()
        self.server.start()
        self._change("second")
        assert self._read_after_healing() == {"service second"}

    def test_frozen_server_is_given_up(self) -> None:
        """SIGSTOP leaves connections open and answers nothing: only our own clock helps."""
        self.server.freeze()
        began = time.monotonic()
        with pytest.raises(SourceError, match="no answer from the database within 3 s"):
            self.source.read(self.at)
        assert time.monotonic() - began < 6
        self.source.loop.until(lambda: not self.source.state.listening)
        self.source.hints.clear()
        self.server.thaw()
        self._change("second")
        assert self._read_after_healing() == {"service second"}

    def test_stop_with_a_frozen_server_ends(self) -> None:
        """At worst after a connect timeout."""
        self.server.freeze()
        answer = self.source.source.read(self.at)
        answer.addErrback(lambda _: None)
        began = time.monotonic()
        self.source.stop()
        assert time.monotonic() - began < 4

    def test_another_database_under_the_same_name_is_read_in_full(self) -> None:
        """Dropped and made again: another epoch, whatever the numbers."""
        self.server.psql("DROP DATABASE config WITH (FORCE)")
        self.server.psql("CREATE DATABASE config")
        schema.upgrade(self.dsn)
        self._change("other")
        reading = self.source.read(self.at)
        assert reading.before is None
        assert reading.target.epoch != self.at.epoch
        assert set(contents(reading)) == {"service other"}


def test_server_that_starts_later_is_found(
    own_postgres: PostgresServer, sources: Callable[..., SourceInTest]
) -> None:
    """The gateway may be up before its database."""
    dsn = own_postgres.create_database("config")
    schema.upgrade(dsn)
    own_postgres.stop()
    source = sources(dsn)
    with pytest.raises(SourceError, match="refused"):
        source.read()
    assert "refused" in source.state.last_error
    assert source.state.last_error_at == 1795334400.0
    own_postgres.start()
    source.hint("connected")
    assert source.read().target.revision == 0
