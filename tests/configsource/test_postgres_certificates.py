"""Secrets are read from their table, and come to the same whichever way they are read."""

from __future__ import annotations

from typing import Any
from unittest import TestCase

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fengling_gateway.configsource.reading import Reading
from fengling_gateway.model.effective import EffectiveConfig
from fengling_gateway.model.entity import Key
from tests.configsource.postgres_source import SourceInTest, contents
from tests.schema.session import Session, add_routes, add_service
from tests.support.issued import SEALED, SHOP

OTHER = SEALED.replace("A", "B")
SECRET = Key("secret", "k")


def add_pair(session: Session) -> None:
    session.run("BEGIN")
    session.rows("INSERT INTO fengling.secret (id, value) VALUES ('k', %s) RETURNING 1", SEALED)
    session.rows(
        "INSERT INTO fengling.certificate (id, chain, key_secret)"
        " VALUES ('shop', %s, 'k') RETURNING 1",
        SHOP.chain,
    )
    session.run("COMMIT")


def judged(source: SourceInTest, config: EffectiveConfig, reading: Reading) -> EffectiveConfig:
    """Bring a config to where a reading leads."""
    stage = config.stage(reading.rows, full=reading.before is None)
    while True:
        while stage.step():
            pass
        if not stage.wanted:
            break
        wanted = source.source.history(stage.wanted, reading.target.revision)
        stage.supply(source.loop.result(wanted))
    stage.commit()
    return config


class ReadingTests:
    def test_changed_secret_comes_with_its_value(
        self, source: SourceInTest, session: Session
    ) -> None:
        """The log has its fingerprint only."""
        at = source.read().target
        add_pair(session)
        first = source.read(at)
        assert contents(first)["secret k"]["value"] == SEALED
        assert contents(first) == contents(source.read_all())
        session.run(f"UPDATE fengling.secret SET value = '{OTHER}'")
        assert contents(source.read(first.target))["secret k"]["value"] == OTHER
        session.run("DELETE FROM fengling.certificate", "DELETE FROM fengling.secret")
        assert contents(source.read(first.target))["secret k"] is None

    def test_changed_secret_is_read_ahead(self, source: SourceInTest, session: Session) -> None:
        """By the prepared statement, too."""
        source.listening()
        before = source.read().target
        readings: list[Any] = []

        def read(reason: str, _details: Any) -> None:
            if reason == "notification":
                readings.append(source.source.read(before))

        source.on_hint = read
        session.run("INSERT INTO fengling.secret (id, value) VALUES ('k', 'env:KEY')")
        source.loop.until(lambda: readings)
        reading = source.loop.result(readings[0])
        assert contents(reading)["secret k"]["value"] == "env:KEY"
        assert source.state.reads_ahead == 1

    def test_history_has_values_only_of_versions_with_the_present_one(
        self, source: SourceInTest, session: Session
    ) -> None:
        """Others can't be served: they are kept nowhere."""
        add_pair(session)
        session.run(f"UPDATE fengling.secret SET value = '{OTHER}'")
        session.run("UPDATE fengling.secret SET name = 'x'")
        at = source.read().target
        found = source.loop.result(source.source.history([SECRET], at.revision))[SECRET]
        assert [(one["name"], one.get("value")) for one in found] == [
            ("x", OTHER),
            ("", OTHER),
            ("", None),
        ]

    def test_what_starts_while_a_revision_is_held_has_the_secret(
        self, source: SourceInTest, session: Session
    ) -> None:
        """It takes back what is held from the tables, in which there is one value."""
        add_service(session, "hello")
        add_routes(session, 3)
        add_pair(session)
        before = contents(source.read_all())
        session.run("BEGIN", "DELETE FROM fengling.route")
        session.run("INSERT INTO fengling.secret (id, value) VALUES ('new', 'env:N')", "COMMIT")
        reading = source.read_all()
        assert reading.held is not None
        assert contents(reading) == before


steps = st.lists(
    st.one_of(
        st.tuples(st.just("value"), st.integers(0, 2), st.sampled_from([SEALED, OTHER, "env:K"])),
        st.tuples(st.just("name"), st.integers(0, 2), st.sampled_from(["a", "b", "x" * 201])),
        st.tuples(st.just("delete"), st.integers(0, 2), st.none()),
        st.tuples(st.just("certificate"), st.integers(0, 2), st.sampled_from([SHOP.chain, None])),
        st.tuples(st.just("read"), st.none(), st.none()),
    ),
    max_size=15,
)


class ColdStartTests:
    """Step by step and from nothing, a gateway comes to the same."""

    @pytest.fixture(autouse=True)
    def _begin(self, source: SourceInTest, session: Session) -> None:
        # (Validation may be stricter than the tables, and has to be for there to be rejections.)
        session.run('ALTER TABLE fengling.secret DROP CONSTRAINT "name has at most 200 characters"')
        self.source, self.session = source, session

    @settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(steps)
    def test_incremental_reading_is_a_cold_start(self, steps: list[Any]) -> None:
        """Also of what is rejected, and of what falls back."""
        self.session.run("DELETE FROM fengling.certificate", "DELETE FROM fengling.secret")
        first = self.source.read()
        config = judged(self.source, EffectiveConfig(), first)
        at = first.target
        for step in [*steps, ("read", None, None)]:
            if step[0] != "read":
                self._write(*step)
                continue
            reading = self.source.read(at)
            config, at = judged(self.source, config, reading), reading.target
            cold = judged(self.source, EffectiveConfig(), self.source.read_all())
            TestCase().assertEqual(config.bodies, cold.bodies)
            TestCase().assertEqual(config.rejected, cold.rejected)
            assert config.content_hash == cold.content_hash

    def _write(self, what: str, number: int, value: Any) -> None:
        session, name = self.session, f"k{number}"
        if what == "certificate" and value is None:
            session.rows("DELETE FROM fengling.certificate WHERE id = %s RETURNING 1", name)
        elif what == "certificate":
            session.rows(
                "INSERT INTO fengling.certificate (id, chain, key_secret)"
                " SELECT id, %s, id FROM fengling.secret WHERE id = %s"
                " ON CONFLICT DO NOTHING RETURNING 1",
                *(value, name),
            )
        elif what == "delete":
            session.rows("DELETE FROM fengling.certificate WHERE id = %s RETURNING 1", name)
            session.rows("DELETE FROM fengling.secret WHERE id = %s RETURNING 1", name)
        elif what == "name":
            session.rows(
                "UPDATE fengling.secret SET name = %s WHERE id = %s RETURNING 1", value, name
            )
        else:
            session.rows(
                "INSERT INTO fengling.secret (id, value) VALUES (%s, %s)"
                " ON CONFLICT (id) DO UPDATE SET value = EXCLUDED.value RETURNING 1",
                *(name, value),
            )
