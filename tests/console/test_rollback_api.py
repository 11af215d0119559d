"""Going back by the API, over a real database: what is told, written and noted of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock

from fengling_gateway.access.problems import ProblemError
from fengling_gateway.console.call import Answer, Call
from fengling_gateway.console.committing import Committing
from fengling_gateway.console.fleet import FleetWatch
from fengling_gateway.console.rollback_api import RollbackApi
from fengling_gateway.console.store import StoreError
from fengling_gateway.editing.planning import InvalidError
from fengling_gateway.editing.retention import RetentionError
from fengling_gateway.editing.revisions import NoRevisionError
from fengling_gateway.editing.rollback import ChangedSinceError, NothingError
from fengling_gateway.editing.transaction import ConflictError, UncertainError
from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.model.delta import Position
from tests.console.asking import Asked
from tests.console.desk import DirectStore, result
from tests.console.test_fleet import Nodes, node, worker
from tests.schema.session import Session
from tests.signin.requests import NOW, person

SERVICE = "INSERT INTO fengling.service (id, name) VALUES ('orders', 'Orders')"
ROUTE = "INSERT INTO fengling.route (id, path, service_id) VALUES ('all', '/**', 'orders')"
MOVED = "UPDATE fengling.route SET path = '/new' WHERE id = 'all'"
SECRET = "INSERT INTO fengling.secret (id, value) VALUES ('s', 'env:ONE')"
OTHER_SECRET = "UPDATE fengling.secret SET value = 'env:TWO'"


class Store(DirectStore):
    """One between whose questions something may happen."""

    then: Callable[[], object] | None = None
    is_away = False

    def run(self, question: Any, *args: Any) -> Deferred[Any]:
        if self.is_away:
            return fail(StoreError("the database can't be reached"))
        answer = super().run(question, *args)
        if self.then is not None:
            self.then()
        return answer


class Mirror:
    position = Position("e", 1, "t")
    problem = ""


class Gone:
    """
    Who goes back, and the database that he goes back in.

    Numbers of revisions are those after ``start``.
    """

    def __init__(self, dsn: str, sql: Session, start: int) -> None:
        self.sql = sql
        self.start = start
        self.store = Store(dsn)
        self.clock = Clock()
        self.nodes = Nodes()
        self.fleet = FleetWatch(clock=self.clock, nodes=self.nodes)
        self.fleet.start()
        mirror: Any = Mirror()
        committing = Committing(mirror=mirror, fleet=self.fleet, wall=self.clock.seconds)
        store: Any = self.store
        self.api = RollbackApi(store=store, committing=committing, wall=lambda: NOW)

    def waiting_for(self, asked: Asked, operation: str, of: int = 3) -> Deferred[Answer]:
        carry_out: Callable[[Call], Any] = getattr(self.api, operation)
        return Deferred.fromCoroutine(carry_out(asked.call(revision=str(self.start + of))))

    def undo(self, revision: int, query: str = "") -> Any:
        asked = Asked("POST", f"/?{query}")
        return result(self.waiting_for(asked, "undo", revision)).value

    def back_to(self, revision: int, query: str = "") -> Any:
        asked = Asked("POST", f"/?{query}", {"to": self.start + revision})
        return result(self.waiting_for(asked, "rollback")).value

    @property
    def newest(self) -> tuple[int, str, str | None]:
        query = "SELECT id - %s, author, comment FROM fengling.revision ORDER BY id DESC LIMIT 1"
        [(number, author, comment)] = self.sql.rows(query, self.start)
        return int(number), author, comment

    @property
    def path(self) -> Any:
        return self.sql.value("SELECT max(path) FROM fengling.route")


@pytest.fixture(scope="module")
def database(postgres: PostgresServer, _migrated_template: str) -> Iterator[str]:
    """Return the DSN of one for all tests, as each has what it needs made anew."""
    dsn = postgres.create_database(template=_migrated_template)
    yield dsn
    postgres.psql(f'DROP DATABASE "{dsn.rpartition("/")[2]}" WITH (FORCE)')


@pytest.fixture
def gone(database: str) -> Iterator[Gone]:
    """Orders (revision 1), a route to them (2), which then moves (3)."""
    sql = Session(database)
    sql.run(
        "SET fengling.force = 'on'",
        *(f"DELETE FROM fengling.{kind}" for kind in ("route", "instance", "secret", "service")),
        "UPDATE fengling.retention SET keep = NULL, keep_health = NULL",
    )
    made = Gone(database, sql, sql.value("SELECT max(id) FROM fengling.revision") or 0)
    sql.run(SERVICE, ROUTE, MOVED)
    yield made
    made.fleet.stop()
    assert made.clock.getDelayedCalls() == []
    made.store.connection.close()
    sql.close()


def test_revision_is_undone_as_one_of_its_own(gone: Gone) -> None:
    """By who asks for it, with his reason; and what it takes back is told."""
    told = gone.undo(3, "comment=oops")
    what = f"undo of revision {gone.start + 3}"
    assert (told["what"], told["revision"], told["held"]) == (what, gone.start + 4, None)
    [change] = told["changes"]
    assert (change["action"], change["id"], change["fields"]) == (
        "update",
        "all",
        {"path": ["/new", "/**"]},
    )
    assert [one["revisions"] for one in told["dropped"]] == [1]
    assert (told["left"], told["public"]) == ([], [])
    assert gone.newest == (4, "ada", f"{what}: oops")
    assert gone.path == "/**"


def test_everything_is_as_it_was_at_a_revision(gone: Gone) -> None:
    told = gone.back_to(1)
    assert [(one["action"], one["id"]) for one in told["changes"]] == [("delete", "all")]
    assert [one["revisions"] for one in told["dropped"]] == [2]
    assert gone.newest == (4, "ada", f"rollback to revision {gone.start + 1}")
    assert gone.path is None


def test_what_is_done_is_noted(gone: Gone) -> None:
    """With all that it changes."""
    asked = Asked("POST", "/")
    told = result(gone.waiting_for(asked, "undo")).value
    [[noted], _] = asked.trail.page(after=None, limit=9)
    assert (noted["outcome"], noted["after"]) == ("done", told["changes"])


def test_what_removes_too_much_is_held_unless_it_is_forced(gone: Gone) -> None:
    """And not waited for: nobody serves it until it is confirmed."""
    told = gone.back_to(1, "wait=all")
    assert "removes" in told["held"]
    assert "convergence" not in told
    gone.back_to(3)
    assert gone.path == "/new"
    assert gone.back_to(1, "force=true")["held"] is None


def test_number_may_be_one_with_a_point(gone: Gone) -> None:
    """To JSON it is the same."""
    asked = Asked("POST", "/", {"to": float(gone.start + 3)})
    assert result(gone.waiting_for(asked, "rollback")).value["revision"] is None


def test_dry_run_writes_nothing(gone: Gone) -> None:
    """Nor is it noted: nothing has been done."""
    asked = Asked("POST", "/?dry_run=true&wait=all", {"to": gone.start + 1})
    told = result(gone.waiting_for(asked, "rollback")).value
    assert told["dry_run"] is True
    assert [one["action"] for one in told["changes"]] == ["delete"]
    assert "revision" not in told
    assert (gone.newest[0], gone.path, asked.noted) == (3, "/new", [])


def test_nothing_to_go_back_from_makes_no_revision(gone: Gone) -> None:
    """And there is nothing to wait for."""
    told = gone.back_to(3, "wait=all")
    assert (told["changes"], told["revision"]) == ([], None)
    assert "convergence" not in told
    assert gone.newest[0] == 3


def test_what_can_not_come_back_is_told(gone: Gone) -> None:
    """Nobody has the values of secrets any more; and none of them is in what is told."""
    gone.sql.run(SECRET, OTHER_SECRET)
    told = gone.back_to(4)
    [left] = told["left"]
    assert (left["entity"], left["code"]) == ("secret s", "secret_value")
    assert left["message"]
    gone.sql.run("UPDATE fengling.secret SET name = 'x'")
    assert "env:" not in str(gone.undo(6))


def test_what_is_odd_is_told_before_it_is_done(gone: Gone) -> None:
    gone.sql.run(
        "DELETE FROM fengling.route",
        "INSERT INTO fengling.route (id, path, service_id) VALUES ('early', '/**', 'orders')",
    )
    told = gone.back_to(2, "dry_run=true")
    assert {one["action"] for one in told["changes"]} == {"create", "delete"}
    assert told["public"] == ["all"]
    gone.sql.run("INSERT INTO fengling.client (id) VALUES ('c')", "DELETE FROM fengling.client")
    told = gone.undo(7, "dry_run=true")
    assert [one["action"] for one in told["changes"]] == ["create"]
    assert [one["code"] for one in told["warnings"]] == ["let_in_again"]


@pytest.mark.parametrize(
    ("operation", "number", "error"),
    [
        ("rollback", 9, NoRevisionError),
        ("undo", 9, NoRevisionError),
        ("undo", 2, ChangedSinceError),
        ("undo", 1, InvalidError),
    ],
)
def test_where_there_is_no_way_back_nothing_is_written(
    gone: Gone, operation: str, number: int, error: type[Exception]
) -> None:
    """Nothing is noted either: nothing has been done."""
    asked = Asked("POST", "/", {"to": gone.start + number} if operation == "rollback" else None)
    with pytest.raises(error):
        result(gone.waiting_for(asked, operation, number))
    assert (gone.newest[0], asked.noted) == (3, [])


def test_revision_without_configuration_can_not_be_undone(gone: Gone) -> None:
    gone.sql.run(
        "INSERT INTO fengling.instance (id, service_id, address) VALUES ('i', 'orders', 'http://h')",
        "INSERT INTO fengling.instance_health (instance_id, health) VALUES ('i', 'healthy')",
    )
    assert gone.newest[0] == 5
    with pytest.raises(NothingError):
        gone.undo(5)


def test_body_that_names_no_revision_is_refused(gone: Gone) -> None:
    bodies: list[Any] = [None, {}, [1], b"{", {"to": 1, "force": True}]
    bodies += [{"to": to} for to in (None, "1", True, -1, 1.5, 2**63)]
    for body in bodies:
        with pytest.raises(ProblemError) as caught:
            result(gone.waiting_for(Asked("POST", "/", body), "rollback"))
        code = "malformed_json" if body == b"{" else "invalid_parameter"
        assert (body, caught.value.code) == (body, code)
    assert gone.newest[0] == 3


@pytest.mark.parametrize(
    ("operation", "body"), [("undo", None), ("rollback", b"{"), ("keep", b"{")]
)
def test_only_who_may_do_anything_goes_back(gone: Gone, operation: str, body: Any) -> None:
    """What comes back may be anything; and before anything is looked at that he has sent."""
    for scope in ("gateway:write", "gateway:read"):
        with pytest.raises(ProblemError) as caught:
            result(gone.waiting_for(Asked("PUT", "/", body, operator=person(scope)), operation))
        assert caught.value.code == "insufficient_scope"
    who = person("gateway:admin", tenants=frozenset(("acme",)))
    body = {"to": 1} if operation == "rollback" else None
    with pytest.raises(ProblemError) as caught:
        result(gone.waiting_for(Asked("PUT", "/", body, operator=who), operation))
    assert caught.value.code == "forbidden"
    assert gone.newest[0] == 3


def test_who_is_faster_is_not_overwritten(gone: Gone) -> None:
    """It is planned on what there was; when that has changed since, nothing is written."""

    def change() -> None:
        gone.store.then = None
        gone.sql.run("UPDATE fengling.route SET path = '/theirs'")

    gone.store.then = change
    asked = Asked("POST", "/")
    with pytest.raises(ConflictError, match="route all"):
        result(gone.waiting_for(asked, "undo"))
    assert gone.path == "/theirs"
    assert asked.noted == [(f"undo of revision {gone.start + 3}", "failed")]


def test_what_it_comes_back_to_must_still_be_there(gone: Gone) -> None:
    """As the service of a route that comes back."""
    gone.sql.run("DELETE FROM fengling.route")

    def change() -> None:
        gone.store.then = None
        gone.sql.run("DELETE FROM fengling.service")

    gone.store.then = change
    with pytest.raises(ConflictError, match="service orders"):
        gone.undo(4)
    assert gone.path is None


def test_database_that_goes_in_the_middle_is_told_and_noted(gone: Gone) -> None:
    def go() -> None:
        gone.store.is_away = True

    gone.store.then = go
    asked = Asked("POST", "/")
    with pytest.raises(StoreError):
        result(gone.waiting_for(asked, "undo"))
    assert (asked.noted, gone.path) == ([(f"undo of revision {gone.start + 3}", "failed")], "/new")


def test_database_that_goes_at_the_very_end_leaves_it_uncertain(gone: Gone) -> None:
    """To who asked, and in what is noted."""

    def cut() -> None:
        gone.store.then = None
        pid = gone.store.connection.get_backend_pid()
        gone.sql.run(
            "CREATE FUNCTION public.cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" PERFORM pg_terminate_backend({pid}); PERFORM pg_sleep(10); RETURN NULL; END $$",
            "CREATE CONSTRAINT TRIGGER cut AFTER UPDATE ON fengling.route"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.cut()",
        )

    gone.store.then = cut
    asked = Asked("POST", "/")
    with pytest.raises(UncertainError):
        result(gone.waiting_for(asked, "undo"))
    gone.sql.run("DROP FUNCTION public.cut CASCADE")
    assert (asked.noted, gone.path) == (
        [(f"undo of revision {gone.start + 3}", "uncertain")],
        "/new",
    )


def test_who_waits_is_told_who_does_not_serve_it(gone: Gone) -> None:
    """With what has been taken back: it is written."""
    gone.nodes.states = {"a": node(worker(1, gone.start + 4), worker(2, gone.start + 3))}
    waiting = gone.waiting_for(Asked("POST", "/?wait=all&timeout=1s"), "undo")
    gone.clock.pump([0.0, 1, 1])
    with pytest.raises(ProblemError) as caught:
        result(waiting)
    assert caught.value.code == "not_converged"
    told = caught.value.members
    assert (told["revision"], told["convergence"]["behind"]) == (gone.start + 4, ["a/2"])
    assert (told["what"], gone.path) == (f"undo of revision {gone.start + 3}", "/**")


class RetentionTests:
    def keep(self, gone: Gone, body: Any) -> tuple[Asked, Deferred[Answer]]:
        asked = Asked("PUT", "/", body)
        return asked, gone.waiting_for(asked, "keep")

    def test_retention_is_told_and_set(self, gone: Gone) -> None:
        """What is not named stays as it is; and who asks needs no rights to change it."""
        asked, keeping = self.keep(gone, {"keep": "1 year", "keep_health": "30 days"})
        assert result(keeping).value["keep"] == "1 year"
        assert asked.noted == [("retention", "done")]
        _, keeping = self.keep(gone, {"keep": None})
        assert result(keeping).value["keep"] is None
        reader = Asked("GET", "/", operator=person("gateway:read"))
        found = result(gone.waiting_for(reader, "retention")).value
        assert (found["keep"], found["keep_health"]) == (None, "30 days")
        limited = Asked("GET", "/", operator=person(tenants=frozenset(("acme",))))
        with pytest.raises(ProblemError):
            result(gone.waiting_for(limited, "retention"))

    @pytest.mark.parametrize(
        "body", [None, {}, {"keep": 7}, {"keep": "x" * 51}, {"keep_config": "1 year"}]
    )
    def test_body_that_says_nothing_is_refused(self, gone: Gone, body: Any) -> None:
        asked, keeping = self.keep(gone, body)
        with pytest.raises(ProblemError) as caught:
            result(keeping)
        assert (caught.value.code, asked.noted) == ("invalid_parameter", [])

    @pytest.mark.parametrize("time", ["soon", "1 s", "-1 year", "9999999999 years"])
    def test_time_that_is_none_is_refused(self, gone: Gone, time: str) -> None:
        """That it was tried is noted."""
        asked, keeping = self.keep(gone, {"keep": time})
        with pytest.raises(RetentionError):
            result(keeping)
        assert asked.noted == [("retention", "failed")]
