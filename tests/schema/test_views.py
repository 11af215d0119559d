"""The views for people in psql."""

from __future__ import annotations

from tests.schema.session import Session, add_routes, add_service


class EffectivePoliciesTests:
    """defaults || service || route, whole key by whole key."""

    def test_nearest_level_wins_and_null_is_off(self, session: Session) -> None:
        """A policy is replaced, not merged."""
        session.run(
            "INSERT INTO fengling.setting VALUES ('defaults',"
            ' \'{"retry": {"attempts": 1}, "limits": {"max_request_body": 1}, "x-a": 1}\')',
            "INSERT INTO fengling.service (id, policies) VALUES ('hello',"
            ' \'{"retry": {"attempts": 2}, "timeouts": {"idle": 9}}\')',
            "INSERT INTO fengling.route (id, service_id, policies) VALUES ('r', 'hello',"
            ' \'{"limits": null, "timeouts": {"total": 3}}\')',
        )
        assert session.rows("TABLE fengling.effective_policies") == [
            ("r", "hello", {"retry": {"attempts": 2}, "timeouts": {"total": 3}, "x-a": 1})
        ]

    def test_split_has_a_line_for_each_service(self, session: Session) -> None:
        """What holds depends on where a request goes."""
        session.run("BEGIN")
        session.run(
            "INSERT INTO fengling.service (id, policies) VALUES ('v1', '{\"x-v\": 1}'), ('v2', '{}')",
            "INSERT INTO fengling.route (id, split) VALUES ('r', '{\"v1\": 9, \"v2\": 1}')",
            "COMMIT",
        )
        assert session.rows("SELECT * FROM fengling.effective_policies ORDER BY 2") == [
            ("r", "v1", {"x-v": 1}),
            ("r", "v2", {}),
        ]


class HistoryTests:
    """What has happened lately."""

    def test_newest_first_with_what_and_why(self, session: Session) -> None:
        """Long transactions are cut short."""
        session.run("BEGIN", "SELECT fengling.describe('first steps')")
        add_service(session, "hello")
        add_routes(session, 6)
        session.run("COMMIT", "UPDATE fengling.route SET priority = 1 WHERE id = 'r1'")
        assert session.rows("SELECT revision, comment, changes FROM fengling.history LIMIT 2") == [
            (2, None, "update route r1"),
            (
                1,
                "first steps",
                (
                    "create service hello, create route r1, create route r2, create route r3,"
                    " create route r4 and 2 more"
                ),
            ),
        ]
