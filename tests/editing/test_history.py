"""Reading the log of changes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fengling_gateway.editing.changes import FieldChange
from fengling_gateway.editing.history import (
    difference,
    entity_at,
    entity_history,
    read_revision,
)
from fengling_gateway.editing.revisions import (
    ForgottenError,
    NoRevisionError,
    Sought,
    list_revisions,
)
from fengling_gateway.model.entity import Key
from tests.schema.session import Session, add_routes, add_service
from tests.schema.test_prune import age

ROUTE = Key("route", "r1")


@pytest.fixture
def session(session: Session) -> Session:
    """Return a session with two services (revisions 1, 2) and a route (3)."""
    add_service(session, "hello", "v2")
    add_routes(session, 1)
    return session


def numbers(connection: Any, limit: int = 50, **sought: Any) -> list[int]:
    page = list_revisions(connection, Sought(**sought), limit=limit)
    return [one.id for one in page.revisions]


class TestPages:
    """Lists of revisions."""

    def test_direct_sql_shows_up_like_the_rest(self, session: Session, connection: Any) -> None:
        """With who was logged in, by what, and what he claims."""
        session.run(
            "SET application_name = 'psql'",
            "BEGIN",
            "SELECT fengling.describe('canary', author => 'ops')",
            "SET LOCAL fengling.force = on",
            "DELETE FROM fengling.route",
            "COMMIT",
        )
        [newest, *_] = list_revisions(connection, Sought()).revisions
        assert (newest.author, newest.author_verified, newest.db_user) == ("ops", False, "postgres")
        assert (newest.application, newest.comment, newest.state) == ("psql", "canary", "forced")
        assert [(one.action, str(one.key)) for one in newest.first] == [("delete", "route r1")]
        document = json.loads(json.dumps(newest.document()))
        assert document["committed_at"].endswith("Z")
        assert document["first"] == [{"action": "delete", "kind": "route", "id": "r1"}]

    def test_pages_follow_one_another(self, session: Session, connection: Any) -> None:
        """Newest first, each revision once, and an end."""
        first = list_revisions(connection, Sought(), limit=2)
        assert ([one.id for one in first.revisions], first.before) == ([3, 2], 2)
        second = list_revisions(connection, Sought(), limit=2, before=first.before)
        assert ([one.id for one in second.revisions], second.before) == ([1, 0], None)
        assert not second.is_shortened

    def test_filters_are_all_fulfilled(self, session: Session, connection: Any) -> None:
        """By author, user, entity, comment and time."""
        session.run("BEGIN", "SELECT fengling.describe('100% Canary', author => 'ops')")
        session.run("UPDATE fengling.route SET priority = 1", "COMMIT")
        assert numbers(connection, author="ops") == [4]
        assert numbers(connection, db_user="postgres", entity="service") == [2, 1]
        assert numbers(connection, entity="route", entity_id="r1") == [4, 3]
        assert numbers(connection, entity="route", author="postgres") == [3]
        assert numbers(connection, text="0% canary") == [4]
        assert numbers(connection, text="0_ canary") == []
        at = list_revisions(connection, Sought()).revisions[0].committed_at
        assert numbers(connection, since=at) == [4]
        assert numbers(connection, until=at) == [3, 2, 1, 0]
        assert numbers(connection, since=at + 1) == []

    def test_pages_without_an_author_are_full(self, session: Session, connection: Any) -> None:
        """What one writes all the time is between, and on none of them; each other revision is, once."""
        for number in range(6):
            author = "ops" if number % 3 else "kubernetes"
            session.run("BEGIN", f"SELECT fengling.describe('x', author => '{author}')")
            session.run(f"UPDATE fengling.route SET priority = {number + 1}", "COMMIT")
        sought, found, before = Sought(without="kubernetes"), [], None
        while True:
            page = list_revisions(connection, sought, limit=2, before=before)
            found.append([one.id for one in page.revisions])
            before = page.before
            if before is None:
                break
        assert found == [[9, 8], [6, 5], [3, 2], [1, 0]]
        assert numbers(connection, author="kubernetes") == [7, 4]
        assert numbers(connection, without="kubernetes", author="kubernetes") == []

    def test_health_is_apart(self, session: Session, connection: Any) -> None:
        """It is asked for by its kind, or with everything."""
        session.run("INSERT INTO fengling.instance VALUES ('i', 'hello', NULL, 'http://h:1')")
        session.run("INSERT INTO fengling.instance_health VALUES ('i', 'healthy')")
        assert numbers(connection)[0] == 4
        assert numbers(connection, kind="health") == [5]
        assert numbers(connection, kind=None, limit=2) == [5, 4]
        [(revision, change)] = entity_history(connection, Key("instance_health", "i")).entries
        assert (revision.kind, change.after and change.after["health"]) == ("health", "healthy")

    def test_what_is_held_says_so(self, session: Session, connection: Any) -> None:
        """While it is, behind one that is, once confirmed, and when it never was served."""

        def states() -> list[str]:
            connection.rollback()
            return [one.state for one in list_revisions(connection, Sought(), limit=2).revisions]

        session.run("DELETE FROM fengling.route", "UPDATE fengling.service SET name = 'x'")
        assert states() == ["waiting", "held"]
        session.run("SELECT fengling.confirm(4, 'ops')")
        assert states() == ["served", "confirmed"]
        assert list_revisions(connection, Sought(), before=5).revisions[0].confirmed_by == "ops"
        add_routes(session, 1)
        session.run("DELETE FROM fengling.route")
        add_routes(session, 1)
        assert states() == ["served", "never served"]


class TestOneRevision:
    """What a revision changed."""

    def test_fields_are_shown_before_and_after(self, session: Session, connection: Any) -> None:
        """As people write them; bookkeeping is not."""
        session.run(
            "UPDATE fengling.service SET connect_timeout = '250 ms', policies = '{\"retry\": null}'"
            " WHERE id = 'v2'"
        )
        [change] = read_revision(connection, 4).changes
        assert (change.action, change.key) == ("update", Key("service", "v2"))
        assert change.fields == (
            FieldChange("connect_timeout", "3s", "250ms"),
            FieldChange("policies", {}, {"retry": None}),
        )
        assert change.before is not None
        assert change.before["idle_timeout"] == "1m"
        assert not change.before.keys() & {"id", "version", "updated_at"}

    def test_of_what_is_new_the_unusual_is_a_field(self, session: Session, connection: Any) -> None:
        """And of what is gone; the rest is as by default."""
        session.run("BEGIN", "SET LOCAL fengling.force = on", "DELETE FROM fengling.route")
        session.run(
            "INSERT INTO fengling.route (id, path, redirect, valid_to) VALUES ('old', '/old',"
            " '{\"location\": \"/\"}', '2030-01-01T01:00:00+01')",
            "COMMIT",
        )
        fields = {str(one.key): one.fields for one in read_revision(connection, 4).changes}
        assert fields == {
            "route r1": (
                FieldChange("path", "/r1", None),
                FieldChange("service_id", "hello", None),
            ),
            "route old": (
                FieldChange("path", None, "/old"),
                FieldChange("redirect", None, {"location": "/"}),
                FieldChange("valid_to", None, "2030-01-01T00:00:00Z"),
            ),
        }

    def test_secrets_and_digests_are_fingerprints(self, session: Session, connection: Any) -> None:
        """In fields and in whole images."""
        digest = "ab" * 32
        session.run("INSERT INTO fengling.secret (id, value) VALUES ('s', 'env:CANARY')")
        session.run("UPDATE fengling.secret SET value = 'env:CANARY_2'")
        session.run("INSERT INTO fengling.client (id) VALUES ('c')")
        session.run(
            f"INSERT INTO fengling.api_key (id, client_id, digest) VALUES ('k', 'c', '{digest}')"
        )
        [change] = read_revision(connection, 5).changes
        [field] = change.fields
        assert field.name == "value"
        assert field.before != field.after
        assert str(field.after).startswith("(")
        told = json.dumps([read_revision(connection, n).changes[0].document() for n in (4, 5, 7)])
        assert "CANARY" not in told
        assert digest not in told
        assert f"({digest[:12]})" in told

    def test_many_changes_come_in_parts(self, session: Session, connection: Any) -> None:
        """All of them, each once."""
        session.run("UPDATE fengling.service SET name = 'x'")
        first = read_revision(connection, 4, limit=1)
        second = read_revision(connection, 4, limit=1, after=first.after or 0)
        assert {one.key.id for one in first.changes + second.changes} == {"hello", "v2"}
        assert second.after is None

    def test_what_never_was_is_told_from_what_is_forgotten(
        self, session: Session, connection: Any
    ) -> None:
        """The one is a mistake of who asks."""
        session.run(
            "UPDATE fengling.service SET name = 'x'", "DELETE FROM fengling.service WHERE id = 'v2'"
        )
        add_service(session, "late")
        age(session, 5)
        session.run("SELECT fengling.prune()")
        with pytest.raises(NoRevisionError, match="there is no revision 7; the newest is 6"):
            read_revision(connection, 7)
        with pytest.raises(
            ForgottenError, match=r"revision 2 is no longer known: .* from revision 5"
        ):
            read_revision(connection, 2)
        shortened = read_revision(connection, 4).revision
        assert (shortened.changes, shortened.kept) == (2, 1)
        assert list_revisions(connection, Sought()).is_shortened
        at = list_revisions(connection, Sought()).revisions[0].committed_at
        assert not list_revisions(connection, Sought(since=at)).is_shortened


class TestOneEntity:
    """Who changed this."""

    def test_its_revisions_come_with_what_they_did(self, session: Session, connection: Any) -> None:
        """From the newest to the one that made it."""
        session.run(
            "UPDATE fengling.route SET priority = 1", "UPDATE fengling.service SET name = 'x'"
        )
        session.run("UPDATE fengling.route SET priority = 2")
        history = entity_history(connection, ROUTE)
        assert [(one.id, change.fields[:1]) for one, change in history.entries] == [
            (6, (FieldChange("priority", 1, 2),)),
            (4, (FieldChange("priority", 0, 1),)),
            (3, (FieldChange("path", None, "/r1"),)),
        ]
        assert not history.is_shortened
        first = entity_history(connection, ROUTE, limit=1)
        assert first.before == 6
        assert [one.id for one, _ in entity_history(connection, ROUTE, before=6).entries] == [4, 3]

    def test_what_it_was_at_any_revision_is_known(self, session: Session, connection: Any) -> None:
        """Before it was, while it was, and after."""
        session.run(
            "UPDATE fengling.route SET priority = 1", "UPDATE fengling.service SET name = 'x'"
        )
        session.run(
            "BEGIN", "SET LOCAL fengling.force = on", "DELETE FROM fengling.route", "COMMIT"
        )
        found = [entity_at(connection, ROUTE, revision) for revision in range(7)]
        assert [one and one["priority"] for one in found] == [None, None, None, 0, 1, 1, None]
        with pytest.raises(NoRevisionError):
            entity_at(connection, ROUTE, 7)

    def test_a_shortened_log_says_so(self, session: Session, connection: Any) -> None:
        """What is left of an entity is its version at the border; that one holds from then on."""
        for priority in range(1, 5):
            session.run(f"UPDATE fengling.route SET priority = {priority}")
        age(session, 5)
        session.run("SELECT fengling.prune()")
        history = entity_history(connection, ROUTE)
        assert ([one.id for one, _ in history.entries], history.is_shortened) == ([7, 6, 5], True)
        assert (entity_at(connection, ROUTE, 5) or {})["priority"] == 2
        with pytest.raises(ForgottenError, match="what route r1 was at revision 4 is no longer"):
            entity_at(connection, ROUTE, 4)
        hello = entity_at(connection, Key("service", "hello"), 3)
        assert hello, "unchanged since 1, so it is known"

    def test_health_forgets_early_and_nothing_else_does(
        self, session: Session, connection: Any
    ) -> None:
        """The log of the configuration has no holes where that of health has."""
        session.run("INSERT INTO fengling.instance VALUES ('i', 'hello', NULL, 'http://h:1')")
        session.run("INSERT INTO fengling.instance_health VALUES ('i', 'healthy')")
        session.run("UPDATE fengling.instance_health SET health = 'unhealthy'")
        session.run("UPDATE fengling.route SET priority = 1")
        age(session, 7, "2 days")
        session.run("SELECT fengling.prune()")
        assert entity_history(connection, Key("instance_health", "i")).is_shortened
        assert not entity_history(connection, ROUTE).is_shortened
        assert len(difference(connection, 0, 7)) == 4


class TestDifference:
    """Between two revisions."""

    def test_several_changes_are_one(self, session: Session, connection: Any) -> None:
        """The first before against the last after; there and back again is none."""
        session.run(
            "UPDATE fengling.route SET priority = 1", "UPDATE fengling.service SET name = 'x'"
        )
        session.run(
            "UPDATE fengling.service SET name = ''", "UPDATE fengling.route SET priority = 2"
        )
        [change] = difference(connection, 3, 7)
        assert (change.key, change.revision, change.fields) == (
            *(ROUTE, 7),
            (FieldChange("priority", 0, 2),),
        )
        [back] = difference(connection, 7, 3)
        assert back.fields == (FieldChange("priority", 2, 0),)
        assert difference(connection, 4, 4) == []

    def test_made_and_gone_are_told_from_changed(self, session: Session, connection: Any) -> None:
        """Seen from either end; made and gone in between is nothing."""
        session.run(
            "BEGIN", "SET LOCAL fengling.force = on", "DELETE FROM fengling.route", "COMMIT"
        )
        add_service(session, "short")
        session.run("DELETE FROM fengling.service WHERE id = 'short'")
        forth = [(one.action, one.key.id) for one in difference(connection, 1, 6)]
        assert forth == [("create", "v2")]
        assert [one.action for one in difference(connection, 6, 3)] == ["create"]

    def test_of_what_is_forgotten_there_is_no_difference(
        self, session: Session, connection: Any
    ) -> None:
        """Half of one would be worse than none."""
        session.run(
            "UPDATE fengling.service SET name = 'x'", "UPDATE fengling.service SET name = 'y'"
        )
        age(session, 4)
        session.run("SELECT fengling.prune()")
        assert len(difference(connection, 4, 5)) == 2
        for pair in ((3, 5), (5, 3)):
            with pytest.raises(ForgottenError, match="all that there was at revision 3"):
                difference(connection, *pair)
        with pytest.raises(NoRevisionError):
            difference(connection, 4, 6)


def test_columns_that_came_later_count_as_their_default(session: Session, connection: Any) -> None:
    """Images of before a migration lack them."""
    session.run("UPDATE fengling.service SET name = 'x' WHERE id = 'v2'")
    session.run(
        "UPDATE fengling.revision_change SET before = before - '{idle_timeout,tls,balancing}'::text[]"
    )
    [change] = read_revision(connection, 4).changes
    assert change.fields == (FieldChange("name", "", "x"),)
    session.run("UPDATE fengling.service SET idle_timeout = '5s' WHERE id = 'v2'")
    session.run("UPDATE fengling.revision_change SET before = before - 'idle_timeout'")
    connection.rollback()
    [change] = read_revision(connection, 5).changes
    assert change.fields == (FieldChange("idle_timeout", "1m", "5s"),)
