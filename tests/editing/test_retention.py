"""For how long the log is kept."""

from __future__ import annotations

from typing import Any

import pytest

from fengling_gateway.editing.retention import RetentionError, read_retention, set_retention
from tests.schema.session import Session, add_service
from tests.schema.test_prune import age


def test_it_is_read_as_people_say_it(session: Session, connection: Any) -> None:
    """With how far the log has been shortened."""
    found = read_retention(connection)
    assert (found.keep, found.keep_health, found.known_from) == ("1 year", "1 day", 0)
    assert found.document()["shortened_at"] is None
    add_service(session, "a", "b")
    session.run("UPDATE fengling.service SET name = 'x'")
    age(session, 2)
    while session.value("SELECT fengling.prune_step()"):
        pass
    connection.rollback()
    found = read_retention(connection)
    assert (found.known_from, found.pruned_to) == (2, 2)
    assert found.document()["shortened_at"].endswith("Z")


def test_it_is_set_one_by_one(connection: Any) -> None:
    """In the words of people or of programs; None is for good."""
    assert set_retention(connection, keep="90d").keep == "90 days"
    found = set_retention(connection, keep=None, keep_health="2 hours")
    assert (found.keep, found.keep_health) == (None, "02:00:00")
    assert set_retention(connection, keep_health=None).keep_health is None


@pytest.mark.parametrize(
    ("time", "why"),
    [
        ("6 days", "keep is at least 7 days, or null: for good"),
        ("soon", 'invalid input syntax for type interval: "soon"'),
        ("99999999999 years", "interval"),
    ],
)
def test_what_can_not_be_is_refused(connection: Any, time: str, why: str) -> None:
    """The connection is good for more."""
    with pytest.raises(RetentionError, match=why):
        set_retention(connection, keep=time)
    assert read_retention(connection).keep == "1 year"
