"""Shortening the log without losing what is still needed of it."""

from __future__ import annotations

from tests.schema.session import Session, add_routes, add_service, revisions


def age(session: Session, up_to: int, interval: str = "2 years") -> None:
    """Make revisions old."""
    session.run(
        f"UPDATE fengling.revision SET committed_at = now() - '{interval}'::interval"
        f" WHERE id <= {up_to}"
    )


def logged(session: Session) -> list[tuple[int, str]]:
    return session.rows(
        "SELECT revision, entity_id FROM fengling.revision_change ORDER BY revision, ordinal"
    )


class PruneTests:
    """What goes and what stays."""

    def test_young_revisions_stay(self, session: Session) -> None:
        """Nothing is old, so nothing goes."""
        add_service(session, "a")
        session.run("UPDATE fengling.service SET name = 'x'")
        assert session.rows("SELECT * FROM fengling.prune()") == [(0, 0)]
        assert revisions(session) == [1, 2]

    def test_old_versions_go_and_the_one_at_the_border_stays(self, session: Session) -> None:
        """Of every entity there is a version to fall back on, at any age."""
        add_service(session, "a", "b")
        for name in ("x", "y", "z"):
            session.run(f"UPDATE fengling.service SET name = '{name}' WHERE id = 'a'")
        age(session, 4)
        session.run("SELECT fengling.prune()")
        assert logged(session) == [(2, "b"), (4, "a"), (5, "a")]
        assert revisions(session) == [2, 4, 5]

    def test_deleted_entities_go_for_good(self, session: Session) -> None:
        """Instances with generated ids would pile up otherwise."""
        add_service(session, "a", "b")
        session.run("DELETE FROM fengling.service WHERE id = 'a'")
        session.run(
            "UPDATE fengling.service SET name = 'x'", "UPDATE fengling.service SET name = ''"
        )
        age(session, 4)
        session.run("SELECT fengling.prune()")
        assert logged(session) == [(4, "b"), (5, "b")]

    def test_revision_by_a_clock_that_was_wrong_takes_no_young_ones_along(
        self, session: Session
    ) -> None:
        """The clock was set back by years for a moment; what came before it is of this week."""
        add_service(session, "a")
        for name in ("x", "y", "z"):
            session.run(f"UPDATE fengling.service SET name = '{name}'")
        age(session, 1)
        session.run(
            "UPDATE fengling.revision SET committed_at = '1970-01-01' WHERE id = 3",
            "SELECT fengling.prune()",
        )
        assert logged(session) == [(1, "a"), (2, "a"), (3, "a"), (4, "a")]

    def test_readers_behind_the_border_are_told(self, session: Session) -> None:
        """`pruned_to` is what makes them read everything."""
        add_service(session, "a", "b", "c")
        age(session, 2)
        session.run("SELECT fengling.prune()")
        assert session.value("SELECT pruned_to FROM fengling.retention") == 2

    def test_health_goes_early(self, session: Session) -> None:
        """A day of transitions is enough; the state of each instance stays."""
        add_service(session, "a")
        session.run("INSERT INTO fengling.instance VALUES ('i', 'a', NULL, 'http://h:1')")
        session.run("INSERT INTO fengling.instance_health VALUES ('i', 'healthy')")
        session.run("UPDATE fengling.instance_health SET health = 'unhealthy'")
        session.run("UPDATE fengling.instance_health SET health = 'healthy'")
        session.run("UPDATE fengling.service SET name = 'x'")
        age(session, 5, "2 days")
        session.run("SELECT fengling.prune()")
        assert logged(session) == [(1, "a"), (2, "i"), (5, "i"), (6, "a")]

    def test_what_a_held_revision_needs_stays(self, session: Session) -> None:
        """What is served ends at the baseline, and the way back from the tables to it is the log."""
        add_service(session, "a")
        add_routes(session, 4, service="a")
        session.run("DELETE FROM fengling.route", "UPDATE fengling.service SET name = 'x'")
        session.run("UPDATE fengling.service SET name = 'y'")
        age(session, 5)
        session.run("SELECT fengling.prune()")
        assert [number for number, _ in logged(session)] == [1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 5]
        assert session.value("SELECT pruned_to FROM fengling.retention") == 1
