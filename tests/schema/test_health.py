"""What the database makes sure of about health: whose verdicts count, and how checks are written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from psycopg2 import errors

from tests.schema.session import Session, add_service

_VERDICT = "INSERT INTO fengling.instance_health (instance_id, health, term) VALUES ('i', %s, %s)"
_AGAIN = " ON CONFLICT (instance_id) DO UPDATE SET health = EXCLUDED.health, term = EXCLUDED.term"


@pytest.fixture
def probed(session: Session) -> Session:
    """Return a session with an instance `i`, probed by `console-b` in term 4."""
    add_service(session, "s")
    session.run(
        "INSERT INTO fengling.instance (id, service_id, address) VALUES ('i', 's', 'http://a:1')",
        "UPDATE fengling.prober SET term = 4, holder = 'console-b'",
    )
    return session


def write(session: Session, health: str, term: int | None) -> None:
    session.rows(f"{_VERDICT}{_AGAIN} RETURNING 1", health, term)


class TermTests:
    def test_verdict_of_this_term_is_taken(self, probed: Session) -> None:
        """Whoever probes may write, again and again."""
        write(probed, "unhealthy", 4)
        write(probed, "healthy", 4)
        assert probed.rows("SELECT health, term FROM fengling.instance_health") == [("healthy", 4)]

    def test_verdict_of_an_older_term_is_refused(self, probed: Session) -> None:
        """A prober that was stopped and goes on is told who probes instead."""
        write(probed, "healthy", 4)
        with pytest.raises(errors.ObjectNotInPrerequisiteState) as refused:
            write(probed, "unhealthy", 3)
        assert (refused.value.diag.message_primary or "").startswith(
            'health of instance "i": term 3 is over, console-b probes in term 4'
        )
        assert probed.value("SELECT health FROM fengling.instance_health") == "healthy"

    def test_row_of_an_older_term_is_taken_over(self, probed: Session) -> None:
        """What the one before has written is there, and can be changed."""
        write(probed, "unhealthy", 4)
        probed.run("UPDATE fengling.prober SET term = 5")
        write(probed, "healthy", 5)
        assert probed.value("SELECT term FROM fengling.instance_health") == 5

    def test_term_that_has_not_been_is_refused(self, probed: Session) -> None:
        """A database was set back, or somebody invents terms."""
        with pytest.raises(errors.ObjectNotInPrerequisiteState, match="no term 9 yet"):
            write(probed, "healthy", 9)

    def test_other_writers_need_no_term(self, probed: Session) -> None:
        """By plain SQL, on whatever row."""
        write(probed, "unhealthy", 4)
        probed.run(
            "UPDATE fengling.prober SET term = 5",
            "UPDATE fengling.instance_health SET health = 'healthy', reason = 'I looked'",
        )
        assert probed.value("SELECT health FROM fengling.instance_health") == "healthy"
        write(probed, "unhealthy", None)
        assert probed.value("SELECT health FROM fengling.instance_health") == "unhealthy"

    def test_heartbeats_make_no_revision(self, probed: Session) -> None:
        """They come each second."""
        before = probed.value("SELECT revision FROM fengling.head")
        probed.run("UPDATE fengling.prober SET heartbeat_at = now()")
        assert probed.value("SELECT revision FROM fengling.head") == before

    def test_another_prober_alone_is_no_change(self, probed: Session) -> None:
        """There is one row, always."""
        with pytest.raises(errors.UniqueViolation):
            probed.run("INSERT INTO fengling.prober DEFAULT VALUES")


class HealthCheckTests:
    @pytest.mark.parametrize(
        ("check", "why"),
        [
            ([], "health_check is a JSON object"),
            ({"pth": "/"}, 'unknown key "pth" in health_check'),
            ({"type": "grpc"}, 'the type of health_check is "grpc"'),
            ({"type": "tcp", "path": "/"}, 'health_check of type "tcp" asks nothing by HTTP'),
            ({"path": "health"}, 'the path of health_check, "health", does not begin with /'),
            ({"fall": "3"}, "health_check.fall is a number"),
            ({"expected": 200}, "health_check.expected is a list"),
            ({"interval": True}, "health_check.interval is a duration"),
        ],
    )
    def test_odd_check_is_refused_early(self, session: Session, check: Any, why: str) -> None:
        """With what is odd about it, before any gateway sees it."""
        add_service(session, "s")
        with pytest.raises(errors.CheckViolation) as refused:
            session.rows(
                "UPDATE fengling.service SET health_check = %s RETURNING 1", json.dumps(check)
            )
        assert why in (refused.value.diag.message_primary or "")

    @pytest.mark.parametrize(
        "check",
        [
            {},
            {"type": "tcp", "interval": 5, "timeout": "1s"},
            {"path": "/health", "host": None, "expected": ["200-299", 404], "rise": 1, "fall": 2},
        ],
    )
    def test_check_is_accepted(self, session: Session, check: Any) -> None:
        """As it is documented."""
        add_service(session, "s")
        session.rows("UPDATE fengling.service SET health_check = %s RETURNING 1", json.dumps(check))
