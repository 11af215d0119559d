"""Revisions that remove too much are held until somebody confirms them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from psycopg2 import errors

from tests.schema.session import Session, add_routes, add_service


@pytest.fixture
def session(session: Session) -> Session:
    """Return a session in a configuration of 37 routes: revision 2."""
    add_service(session, "hello")
    add_routes(session, 37)
    session.connection.notices.clear()
    return session


def served(session: Session) -> Any:
    return session.value("SELECT baseline_revision FROM fengling.head")


def keep(session: Session, count: int) -> None:
    session.run(
        "DELETE FROM fengling.route WHERE id NOT IN"
        f" (SELECT id FROM fengling.route ORDER BY id LIMIT {count})"
    )


class HeldTests:
    """The rule, and what it tells the writer."""

    def test_removing_all_is_held_and_says_how_to_go_on(self, session: Session) -> None:
        """The person at the prompt reads what has happened and what to do."""
        session.run("DELETE FROM fengling.route")
        assert session.notices == [
            (
                "WARNING:  fengling: revision 3 held: removes 37 of 37 routes; "
                "confirm with fengling.confirm(3) or fenglingctl confirm 3"
            )
        ]
        assert served(session) == 2
        assert session.value("SELECT held FROM fengling.revision WHERE id = 3")

    def test_removing_just_half_is_not_held(self, session: Session) -> None:
        """19 of 37 is more than half of them left."""
        keep(session, 19)
        assert served(session) == 3

    def test_removing_more_than_half_is_held(self, session: Session) -> None:
        """18 of 37 is less."""
        keep(session, 18)
        assert served(session) == 2

    def test_disabling_counts_as_removing(self, session: Session) -> None:
        """A disabled route is served to nobody."""
        session.run("UPDATE fengling.route SET enabled = false")
        assert served(session) == 2

    def test_removing_the_only_route_is_held(self, session: Session) -> None:
        """All is all, however few."""
        session.run("BEGIN", "SET LOCAL fengling.force = on")
        keep(session, 1)
        session.run("COMMIT", "DELETE FROM fengling.route")
        assert served(session) == 3

    def test_forced_is_not_held(self, session: Session) -> None:
        """Who says so beforehand is not asked again."""
        session.run("BEGIN", "SET LOCAL fengling.force = 'on'", "TRUNCATE fengling.route", "COMMIT")
        assert served(session) == 3
        assert session.rows("SELECT forced, held FROM fengling.revision WHERE id = 3") == [
            (True, False)
        ]

    def test_later_revision_waits_behind_a_held_one(self, session: Session) -> None:
        """Revisions are served in order, so the writer is told what it waits for."""
        session.run("DELETE FROM fengling.route")
        session.connection.notices.clear()
        session.run("UPDATE fengling.service SET name = 'x'")
        assert session.notices == [
            (
                "WARNING:  fengling: revision 4 held: waits for revision 3, which removes "
                "37 of 37 routes; confirm with fengling.confirm(3) or fenglingctl confirm 3"
            )
        ]

    def test_bringing_them_back_releases(self, session: Session) -> None:
        """A later revision that no longer removes too much is served, with all before it."""
        session.run("DELETE FROM fengling.route")
        add_routes(session, 30)
        assert served(session) == 4

    def test_count_is_against_what_is_served(self, session: Session) -> None:
        """Two halves in two revisions pass; two halves while the first is held do not."""
        keep(session, 20)
        keep(session, 11)
        assert served(session) == 4

    @pytest.mark.parametrize(
        ("value", "left", "held"),
        [
            ('{"max_removed_share": 0.1}', 30, True),
            ('{"max_removed_share": 0.9}', 4, False),
            ('{"max_removed_share": 1}', 1, False),
            ('{"max_removed_share": 1}', 0, True),
            ('{"max_removed_share": 7}', 18, True),
            ('{"max_removed_share": "x"}', 18, True),
            ("{}", 19, False),
        ],
    )
    def test_share_is_a_setting(self, session: Session, value: str, left: int, held: bool) -> None:
        """One that makes no sense counts as the default, a half."""
        session.run(f"INSERT INTO fengling.setting (key, value) VALUES ('hold', '{value}')")
        keep(session, left)
        assert (served(session) == 3) == held

    @pytest.mark.parametrize("before", [None, 0.5, 0.2])
    @pytest.mark.parametrize("constraints", ["IMMEDIATE", "DEFERRED"])
    def test_nobody_allows_it_to_himself(
        self, session: Session, before: float | None, constraints: str
    ) -> None:
        """The share counts that is served, not the one that the same transaction sets."""
        if before is not None:
            session.run(
                "INSERT INTO fengling.setting (key, value)"
                f" VALUES ('hold', '{{\"max_removed_share\": {before}}}')"
            )
        newest = served(session)
        session.run(
            "BEGIN",
            "INSERT INTO fengling.setting (key, value) VALUES ('hold', '{\"max_removed_share\": 1}')"
            " ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value",
            f"SET CONSTRAINTS ALL {constraints}",
        )
        keep(session, 1)
        session.run("COMMIT")
        assert served(session) == newest
        session.run("UPDATE fengling.service SET name = 'x'")
        assert served(session) == newest, "nor by waiting for the next one"
        session.value("SELECT fengling.confirm(%s)", newest + 1)
        assert served(session) == newest + 2

    def test_share_that_is_taken_away_still_counts(self, session: Session) -> None:
        """A stricter one, too: what is served is what was agreed upon."""
        session.run("INSERT INTO fengling.setting VALUES ('hold', '{\"max_removed_share\": 0.9}')")
        session.run("BEGIN", "DELETE FROM fengling.setting")
        keep(session, 10)
        session.run("COMMIT")
        assert served(session) == 4
        keep(session, 4)
        assert served(session) == 4

    def test_confirming_goes_on_with_the_share_that_was_confirmed(self, session: Session) -> None:
        """A later revision is judged by what is served when its turn comes."""
        session.run("BEGIN", "DELETE FROM fengling.route WHERE id <> 'r1' AND id <> 'r2'")
        session.run(
            "INSERT INTO fengling.setting VALUES ('hold', '{\"max_removed_share\": 0.4}')", "COMMIT"
        )
        keep(session, 1)
        session.value("SELECT fengling.confirm(3)")
        assert served(session) == 3

    def test_after_set_constraints_the_whole_transaction_counts(self, session: Session) -> None:
        """A first part that passes does not let the second part pass, nor the reverse."""
        session.run("BEGIN")
        keep(session, 30)
        session.run("SET CONSTRAINTS ALL IMMEDIATE", "DELETE FROM fengling.route", "COMMIT")
        assert served(session) == 2
        session.run("BEGIN")
        add_routes(session, 5)
        session.run("SET CONSTRAINTS ALL IMMEDIATE")
        session.run("UPDATE fengling.route SET enabled = false")
        session.run("UPDATE fengling.route SET enabled = true")
        session.run("DELETE FROM fengling.route")
        add_routes(session, 37)
        session.run("COMMIT")
        assert served(session) == 4
        assert session.value("SELECT held FROM fengling.revision WHERE id = 4") is False


class ConfirmTests:
    """Releasing by hand."""

    def test_confirmed_is_served(self, session: Session) -> None:
        """It is marked, with who and when, and is no revision of its own."""
        session.run("DELETE FROM fengling.route")
        said = session.value("SELECT fengling.confirm(3, 'ops')")
        assert said == "revision 3 is served now"
        assert session.rows(
            "SELECT forced, confirmed_by, confirmed_at IS NOT NULL FROM fengling.revision"
            " WHERE id = 3"
        ) == [(True, "ops", True)]
        assert served(session) == 3
        assert session.value("SELECT revision FROM fengling.head") == 3

    def test_confirm_notifies(self, sessions: Callable[[], Session], session: Session) -> None:
        """Every gateway has to look again, though the newest revision is the same."""
        session.run("DELETE FROM fengling.route")
        listener = sessions()
        listener.listen()
        session.value("SELECT fengling.confirm(3)")
        [payload] = listener.notifications()
        assert json.loads(payload)["revision"] == 3

    def test_confirm_takes_along_what_waits_behind_it(self, session: Session) -> None:
        """Later revisions that remove nothing more were only waiting."""
        session.run("DELETE FROM fengling.route", "UPDATE fengling.service SET name = 'x'")
        session.value("SELECT fengling.confirm(3)")
        assert served(session) == 4

    def test_confirm_does_not_let_pass_what_removes_more(self, session: Session) -> None:
        """Confirmed is what was named; the next one is held for its own sake."""
        keep(session, 10)
        session.run("DELETE FROM fengling.route")
        session.value("SELECT fengling.confirm(3)")
        assert served(session) == 3
        assert session.value("SELECT held FROM fengling.status") == (
            "revision 4 removes 10 of 10 routes; confirm with fengling.confirm(4)"
        )

    def test_confirm_the_last_releases_all_before_it(self, session: Session) -> None:
        """They cannot be served without one another."""
        keep(session, 10)
        session.run("DELETE FROM fengling.route")
        session.value("SELECT fengling.confirm(4)")
        assert served(session) == 4
        assert (
            session.value("SELECT count(*) FROM fengling.revision WHERE held AND NOT forced") == 0
        )

    def test_confirm_of_what_is_not_held_says_so(self, session: Session) -> None:
        """Twice is harmless."""
        assert session.value("SELECT fengling.confirm(1)") == (
            "revision 1 is not held; revision 2 is served"
        )

    def test_confirm_of_an_unknown_revision_fails(self, session: Session) -> None:
        """A typing error must not pass for success."""
        with pytest.raises(errors.NoDataFound, match="there is no revision 99"):
            session.value("SELECT fengling.confirm(99)")

    def test_status_names_what_is_held(self, session: Session) -> None:
        """One line for who looks."""
        keep(session, 2)
        assert session.rows(
            "SELECT newest_revision, served_revision, routes, held FROM fengling.status"
        ) == [(3, 2, 2, "revision 3 removes 35 of 37 routes; confirm with fengling.confirm(3)")]
