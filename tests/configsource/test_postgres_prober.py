"""Who probes instances, asked of a database."""

from __future__ import annotations

import pytest

from fengling_gateway.configsource.reading import ProberRow, SourceError
from tests.configsource.postgres_source import SourceInTest
from tests.schema.session import Session


def asked(source: SourceInTest) -> ProberRow | None:
    return source.loop.result(source.source.prober())


def test_who_probes_is_told_with_the_age_of_its_last_sign(
    source: SourceInTest, session: Session
) -> None:
    """By the database's clock; nobody at first."""
    assert asked(source) == ProberRow(0, None, None)
    session.run(
        "UPDATE fengling.prober SET term = 4, holder = 'c1', since = now() - interval '1 hour'"
    )
    row = asked(source)
    assert row is not None
    assert (row.term, row.holder) == (4, "c1")
    assert 3600 <= (row.age_s or 0) < 3700
    session.run("UPDATE fengling.prober SET heartbeat_at = clock_timestamp() - interval '30 s'")
    row = asked(source)
    assert row is not None
    assert 30 <= (row.age_s or 0) < 60


def test_a_row_that_is_gone_is_nobody(source: SourceInTest, session: Session) -> None:
    """Somebody has cleared the table."""
    session.run("DELETE FROM fengling.prober")
    assert asked(source) is None


def test_asking_is_no_reading_of_the_configuration(source: SourceInTest, session: Session) -> None:
    """Neither makes its age less, nor takes its error away, nor adds one of its own."""
    assert source.state.last_read_at is None
    asked(source)
    assert (source.state.last_read_at, source.state.connected) == (None, True)
    source.state.last_error = "the config source can't be read"
    asked(source)
    assert source.state.last_error == "the config source can't be read"
    session.run("DROP TABLE fengling.prober CASCADE")
    with pytest.raises(SourceError, match="prober"):
        asked(source)
    assert source.state.last_error == "the config source can't be read"
    source.read()
    assert source.state.last_error is None
