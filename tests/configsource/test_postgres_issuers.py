"""Issuers, clients and API keys come to the same whichever way they are read, and are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fengling_gateway.configsource.last_known_good import LastKnownGood
from fengling_gateway.model.effective import EffectiveConfig
from fengling_gateway.model.entity import Key
from tests.configsource.postgres_source import SourceInTest, contents
from tests.configsource.test_postgres_certificates import judged
from tests.schema.session import Session

DIGEST = "ab" * 32
EMPTY = "; ".join(f"DELETE FROM fengling.{kind}" for kind in ("api_key", "client", "issuer"))


def write(session: Session, kind: str, name: str, row: dict[str, Any] | None) -> None:
    """Insert, update or (None) delete a row."""
    if row is None:
        session.rows(f"DELETE FROM fengling.{kind} WHERE id = %s RETURNING 1", name)
        return
    columns = ", ".join(["id", *row])
    changes = ", ".join(f"{column} = EXCLUDED.{column}" for column in ["id", *row])
    session.rows(
        f"INSERT INTO fengling.{kind} ({columns})"
        f" SELECT {columns} FROM jsonb_populate_record(NULL::fengling.{kind}, %s)"
        f" ON CONFLICT (id) DO UPDATE SET {changes} RETURNING 1",
        json.dumps({"id": name, **row}),
    )


ISSUER = {
    "issuer": "https://id.example",
    "audiences": ["a"],
    "discovery": True,
    "leeway": "00:00:05",
    "max_lifetime": "1 day",
}


class ReadingTests:
    def test_changes_are_read_as_rows_are(self, source: SourceInTest, session: Session) -> None:
        """Each by itself from the log, and all together from the tables."""
        at = source.read().target
        write(session, "issuer", "corp", ISSUER)
        write(session, "client", "c", {"scopes": ["a"]})
        write(session, "api_key", "k", {"client_id": "c", "digest": DIGEST})
        session.run("UPDATE fengling.api_key SET expires_at = '2036-01-01Z', enabled = false")
        reading = source.read(at)
        assert reading.before == at
        assert contents(reading) == contents(source.read_all())
        config = judged(source, EffectiveConfig(), source.read_all())
        assert config.rejected == {}
        assert json.loads(config.bodies[Key("issuer", "corp")])["max_lifetime"] == 86400.0
        key = json.loads(config.bodies[Key("api_key", "k")])
        assert (key["enabled"], key["expires_at"]) == (False, 2082758400.0)

    def test_last_known_good_has_them(
        self, source: SourceInTest, session: Session, tmp_path: Path
    ) -> None:
        """To the byte."""
        write(session, "issuer", "corp", ISSUER)
        write(session, "client", "c", {"roles": ["b"]})
        write(session, "api_key", "k", {"client_id": "c", "digest": DIGEST})
        reading = source.read()
        config = judged(source, EffectiveConfig(), reading)
        assert len(config.bodies) == 3
        LastKnownGood(tmp_path).rebase(reading.target, config.bodies)
        assert LastKnownGood(tmp_path).load() == (reading.target, config.bodies)


names = st.sampled_from("abc")
steps = st.lists(
    st.one_of(
        st.tuples(st.just("client"), names, st.sampled_from([{}, {"enabled": False}, None])),
        st.tuples(st.just("api_key"), names, names.map(lambda client: {"client_id": client})),
        st.tuples(st.just("api_key"), names, st.none()),
        # (Validation refuses this one, and the table does not.)
        st.tuples(st.just("issuer"), names, st.sampled_from(["x", "y", "header", None])),
        st.tuples(st.just("read"), names, st.none()),
    ),
    max_size=15,
)


class ColdStartTests:
    """Step by step and from nothing, a gateway comes to the same."""

    @settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(steps=steps)
    def test_incremental_reading_is_a_cold_start(
        self, source: SourceInTest, session: Session, steps: list[Any]
    ) -> None:
        """Also of what is rejected, and of issuers that would be taken for one another."""
        # Whoever has triggers switched off, as a restored copy has, may write both.
        session.run(
            'DROP INDEX IF EXISTS fengling."one issuer for each iss"',
            "ALTER TABLE fengling.issuer DISABLE TRIGGER refuse_same_iss",
            'ALTER TABLE fengling.api_key DROP CONSTRAINT IF EXISTS "client_id of an API key"',
            *EMPTY.split("; "),
        )
        first = source.read()
        config = judged(source, EffectiveConfig(), first)
        at = first.target
        for kind, name, row in [*steps, ("read", "", None)]:
            if kind != "read":
                self._write(session, kind, name, row)
                continue
            reading = source.read(at)
            config, at = judged(source, config, reading), reading.target
            cold = judged(source, EffectiveConfig(), source.read_all())
            assert config.bodies == cold.bodies
            assert config.rejected == cold.rejected

    def _write(self, session: Session, kind: str, name: str, row: Any) -> None:
        if kind == "issuer" and row is not None:
            odd = {"headers": {"Host": "sub"}} if row == "header" else {}
            row = {**ISSUER, "issuer": f"https://{row}.example", **odd}
        elif kind == "api_key" and row is not None:
            row = {**row, "digest": DIGEST}
        write(session, kind, name, row)
