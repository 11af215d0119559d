"""Notifications: which come through, and what becomes of them."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from fengling_gateway.configsource import postgres, postgres_listener
from fengling_gateway.configsource.postgres import PostgresSource
from fengling_gateway.configsource.postgres_listener import announced_position, merged
from fengling_gateway.configsource.reading import SourceError
from fengling_gateway.model.delta import Position
from tests.configsource.postgres_loop import ThreadLoop
from tests.configsource.postgres_pooler import DeafPooler
from tests.configsource.postgres_source import Settings, SourceInTest
from tests.schema.session import Session, add_service

TOKEN: Final = "0b9a8f7c-6d5e-4f3a-9d0e-5a7c3b1f4826"


class NotificationTests:
    """From NOTIFY to a hint."""

    def test_start_hints_that_it_is_connected(self, source: SourceInTest) -> None:
        """Whatever was missed before, now is the time to look."""
        source.hint("connected")
        assert source.state.listening

    def test_commit_hints_with_its_revision(self, source: SourceInTest, session: Session) -> None:
        """What the payload says comes along; the truth is in the database."""
        source.listening()
        add_service(session, "hello")
        hint = source.hint("notification")
        assert (hint["revision"], hint["eventType"], hint["action"]) == (1, "service", "create")
        assert hint["epoch"] == source.read().target.epoch

    def test_rollback_hints_nothing(self, source: SourceInTest, session: Session) -> None:
        """PostgreSQL sends what is committed."""
        source.listening()
        session.run("BEGIN")
        add_service(session, "hello")
        session.run("ROLLBACK")
        add_service(session, "second")
        assert source.hint("notification")["details"]["id"] == "second"

    @pytest.mark.parametrize(
        "payload",
        [
            "",
            "reload please",
            "{",
            "[1, 2]",
            "null",
            '{"action": 7, "revision": "x", "details": []}',
            '{"eventType": "cluster", "action": "merge", "more": {}}',
            "[" * 7000,
            "é" * 3999,
            "x" * 7999,
        ],
        ids=lambda payload: f"{payload[:12]}:{len(payload)}",
    )
    def test_any_payload_is_a_hint(
        self, source: SourceInTest, session: Session, payload: str
    ) -> None:
        """Other programs send on this channel; nothing they send does harm."""
        source.listening()
        session.rows("SELECT pg_notify('gateway_config_changed', %s)", payload)
        assert source.hint("notification")["count"] == 1
        assert source.state.last_error is None

    @pytest.mark.parametrize(
        "payload",
        [
            '{"action": "reload"}',
            (
                '{"eventType": "gateway", "action": "reload", "timestamp": "2026-03-02T08:00:00Z",'
                ' "details": {}}'
            ),
        ],
    )
    def test_both_known_generations_ask_for_a_reload(
        self, source: SourceInTest, session: Session, payload: str
    ) -> None:
        """The long form and the bare one."""
        source.listening()
        session.rows("SELECT pg_notify('gateway_config_changed', %s)", payload)
        assert source.hint("notification")["action"] == "reload"

    def test_other_channels_are_not_heard(self, source: SourceInTest, session: Session) -> None:
        """Ours is one among many."""
        source.listening()
        session.run("NOTIFY something_else", "NOTIFY gateway_config_changed, 'x'")
        assert source.hint("notification") == {"count": 1}

    def test_burst_crosses_to_the_reactor_in_a_few_hints(
        self, source: SourceInTest, session: Session
    ) -> None:
        """Ten thousand notifications while the reactor is busy are one hint, or a few."""
        source.listening()
        session.run(
            "DO $$ BEGIN FOR i IN 1..10000 LOOP"
            " PERFORM pg_notify('gateway_config_changed', json_build_object("
            " 'action', 'update', 'revision', i)::text); END LOOP; END $$"
        )
        source.loop.until(lambda: source.state.notifications == 10_000)
        assert source.hints[-1][1]["revision"] == 10_000
        assert sum(details["count"] for _, details in source.hints) == 10_000
        assert len(source.hints) < 1000


class ExpectedTests:
    """What is told before it is read."""

    def test_position_is_told_before_the_reading(
        self, source: SourceInTest, session: Session
    ) -> None:
        """It is the very one that the reading then leads to."""
        source.listening()
        source.read()
        add_service(session, "hello")
        expected = source.hint("expected")
        token = str(session.value("SELECT token FROM fengling.revision WHERE id = 1"))
        epoch = session.value("SELECT fengling.epoch()")
        assert expected["position"] == Position(epoch, 1, token)

    @pytest.mark.parametrize(
        "payload",
        [
            "",
            "[]",
            '{"epoch": "e", "revision": 5}',
            '{"epoch": "e", "revision": 5, "details": {"held": false}}',
            '{"epoch": "e", "revision": 5, "details": {"held": false, "token": 7}}',
            '{"epoch": "e", "revision": 5, "details": {"held": true, "token": "t"}}',
            '{"epoch": "e", "details": {"held": false, "token": "t"}}',
            '{"epoch": "e", "revision": 5, "details": ["held", "token"]}',
            '{"epoch": "e", "revision": 5, "details": {"held": false, "token": "\\ud800"}}',
            f'{{"epoch": "e", "revision": 5, "details": {{"held": false, "token": "{36 * "t"}"}}}}',
            f'{{"epoch": "e", "revision": true, "details": {{"held": false, "token": "{TOKEN}"}}}}',
            f'{{"epoch": "e", "revision": {2**63}, "details": {{"held": false, "token": "{TOKEN}"}}}}',
        ],
    )
    def test_other_payloads_name_no_position(self, payload: str) -> None:
        """Whoever else writes them; and a revision that is held is served by nobody."""
        assert announced_position(payload) is None

    def test_who_names_what_does_not_exist_is_believed_once(
        self, source: SourceInTest, session: Session
    ) -> None:
        """Any user of the database can, and would have the whole cluster look each time."""
        source.listening()
        source.read()
        told: list[int] = []

        def hinted(reason: str, details: dict[str, Any]) -> None:
            if reason == "expected":
                told.append(details["position"].revision)

        source.on_hint = hinted
        epoch = session.value("SELECT fengling.epoch()")
        for revision in (7, 8, 9):
            said = {"epoch": epoch, "revision": revision}
            payload = json.dumps({**said, "details": {"held": False, "token": TOKEN}})
            session.rows("SELECT pg_notify('gateway_config_changed', %s)", payload)
            source.hint("notification")
            source.read()
        assert told == [7]
        for name in ("first", "second"):  # what is true makes up for it
            add_service(session, name)
            source.hint("notification")
            source.read()
        assert told == [7, 2]

    def test_nothing_is_expected_behind_its_notification(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It would be waited for in vain."""
        made: list[Any] = []
        monkeypatch.setattr(postgres, "Listener", lambda *_, events, **__: made.append(events))
        loop = ThreadLoop()
        hints: list[str] = []
        PostgresSource(
            reactor=loop,
            settings=Settings("postgresql://h"),
            on_hint=lambda reason, _: hints.append(reason),
            rng=random.Random(1),
        )
        [events] = made
        for revision in (1, 2):  # while the reactor is busy
            events.expected(Position("e", revision, TOKEN))
            events.notified(["{}"], None)
        loop.until(lambda: "notification" in hints)
        loop.turn()
        assert hints == ["expected", "notification"]

    def test_position_must_follow_what_is_known(self) -> None:
        """In the same history, further on; another one has to be read first."""
        here = Position("e", 4, "t4")
        said = f'{{"epoch": "e", "revision": 5, "details": {{"held": false, "token": "{TOKEN}"}}}}'
        position = announced_position(said)
        assert position == Position("e", 5, TOKEN)
        assert position.follows(here)
        for other in (Position("e", 5, TOKEN), Position("e", 4, "t9"), Position("f", 5, "t5")):
            assert not other.follows(position)


class MergedTests:
    """One hint of many payloads."""

    def test_last_one_wins(self) -> None:
        """What is newest matters."""
        hint = merged({}, ['{"revision": 1, "action": "create"}', '{"revision": 2}', "?"])
        assert hint == {"count": 3, "revision": 2, "action": "create"}

    def test_reload_is_not_forgotten(self) -> None:
        """Somebody asked for it, whatever came after."""
        hint = merged({}, ['{"action": "reload"}', '{"action": "update"}'])
        assert merged(hint, ['{"action": "update", "revision": 9}']) == {
            "count": 3,
            "action": "reload",
            "revision": 9,
        }


class UnprovenTests:
    """Connections that accept LISTEN and deliver nothing."""

    @pytest.fixture
    def pooler(
        self, migrated_database: str, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[DeafPooler]:
        monkeypatch.setattr(postgres_listener, "ANSWER_SECONDS", 0.3)
        pooler = DeafPooler(migrated_database)
        yield pooler
        pooler.close()

    def test_pooler_is_found_out_and_reading_goes_on(
        self, sources: Callable[..., SourceInTest], pooler: DeafPooler, session: Session
    ) -> None:
        """Polling finds what notifications do not tell."""
        source = sources(pooler.dsn)
        source.loop.until(lambda: "listen" in source.state.notes)
        assert not source.state.listening
        assert "is a pooler between?" in source.state.notes["listen"]
        add_service(session, "hello")
        assert source.read().target.revision == 1

    def test_listen_url_goes_around_it(
        self, sources: Callable[..., SourceInTest], pooler: DeafPooler, session: Session
    ) -> None:
        """The advice in the message works."""
        source = sources(pooler.dsn, listen_url=session.dsn)
        source.listening()
        add_service(session, "hello")
        source.hint("notification")
        assert source.read().target.revision == 1

    def test_without_listen_there_is_no_listening_thread(
        self, sources: Callable[..., SourceInTest], session: Session
    ) -> None:
        """A setting for those who know."""
        source = sources(session.dsn, listen=False)
        add_service(session, "hello")
        assert source.read().target.revision == 1
        assert (source.state.connected, source.state.listening) == (True, False)
        assert source.hints == []


class StopTests:
    """Ending."""

    def test_stop_ends_both_threads(
        self, sources: Callable[..., SourceInTest], migrated_database: str
    ) -> None:
        """And twice is once."""
        source = sources(migrated_database)
        source.listening()
        source.read()
        source.stop()
        source.stop()
        assert [one for one in threading.enumerate() if "configsource" in one.name] == []
        assert source.hints == []

    def test_question_after_stop_fails(
        self, sources: Callable[..., SourceInTest], migrated_database: str
    ) -> None:
        """At once, instead of waiting for a thread that is gone."""
        source = sources(migrated_database)
        source.stop()
        with pytest.raises(SourceError, match="not running"):
            source.read()

    def test_question_under_way_fails(
        self, sources: Callable[..., SourceInTest], session: Session
    ) -> None:
        """Stopping does not wait for a slow answer."""
        source = sources(session.dsn)
        source.read()
        session.run("BEGIN", "LOCK TABLE fengling.head")
        answer = source.source.read(None)
        source.stop()
        with pytest.raises(SourceError):
            source.loop.result(answer)

    def test_cancelled_question_frees_the_thread(
        self, sources: Callable[..., SourceInTest], session: Session
    ) -> None:
        """The next one does not queue behind it."""
        source = sources(session.dsn)
        source.read()
        session.run("BEGIN", "LOCK TABLE fengling.head")
        answer = source.source.read(None)
        blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        other = Session(session.dsn)
        source.loop.until(lambda: other.value(blocked) == 1)
        answer.addErrback(lambda _: None)
        answer.cancel()
        session.run("ROLLBACK")
        other.close()
        assert source.read().target.revision == 0
        assert source.state.last_error is None
