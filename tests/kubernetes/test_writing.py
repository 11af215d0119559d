"""What the cluster wants, written into a real database."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fengling_gateway.configsource.postgres_connection import Guarded
from fengling_gateway.editing.transaction import ConflictError
from fengling_gateway.election.seat import TermOverError
from fengling_gateway.kubernetes import table, writing
from fengling_gateway.kubernetes.discovered import confirm_removal
from fengling_gateway.kubernetes.removal import Removal
from fengling_gateway.kubernetes.removing import TooManyGoError, require_few
from fengling_gateway.kubernetes.wants import Want
from fengling_gateway.kubernetes.withheld import Going
from fengling_gateway.kubernetes.writing import AUTHOR, Written, write
from fengling_gateway.model.entity import Key
from tests.schema.session import Cast, Session

SERVICE = Key("service", "shop.orders")
ROUTE = Key("route", "shop.orders")
POD = Key("instance", "shop.orders_a")
ORIGIN = "shop/orders"

ALL = {
    SERVICE: Want({"name": "shop/orders"}, ORIGIN),
    POD: Want(
        {
            "service_id": "shop.orders",
            "address": "http://10.0.0.1:8080",
            "state": "ready",
            "zone": None,
        },
        ORIGIN,
    ),
    ROUTE: Want({"path": "/orders/{**rest}", "service_id": "shop.orders"}, ORIGIN),
}
CONFIRMED = Going(confirmed=frozenset(["shop.orders"]))
GONE = dict.fromkeys(ALL, Want(None, ORIGIN))


@pytest.fixture
def term(guarded: Guarded) -> int:
    return table.take_over(guarded, "a").number


def revision(session: Session) -> tuple[Any, ...]:
    [row] = session.rows(
        "SELECT id, author, author_verified, comment FROM fengling.revision ORDER BY id DESC LIMIT 1"
    )
    return tuple(row)


def said(connection: Any) -> dict[Key, table.Said]:
    """Return the cluster's word, as it is committed."""
    found = table.read_said(connection, ALL)
    connection.rollback()
    return found


def test_all_of_a_burst_is_one_revision(connection: Any, session: Session, term: int) -> None:
    """With what happened in a line, and the cluster's word beside it."""
    assert write(connection, term, ALL) == Written(revision=1, lost=-1)
    comment = "shop/orders: 1 instance new, 1 route new, 1 service new"
    assert revision(session) == (1, AUTHOR, True, comment)
    words = said(connection)
    assert words[ROUTE] == table.Said(
        ORIGIN, {"path": "/orders/{**rest}", "service_id": "shop.orders"}
    )
    assert words.keys() == ALL.keys()


def test_what_is_so_already_makes_no_revision(connection: Any, session: Session, term: int) -> None:
    """However often it is looked at."""
    write(connection, term, ALL)
    assert write(connection, term, ALL) == Written()
    assert revision(session)[0] == 1


def test_all_of_it_goes(connection: Any, session: Session, term: int) -> None:
    """And the cluster's word with it; what was never there needs nothing."""
    write(connection, term, ALL)
    assert write(connection, term, GONE, CONFIRMED).revision == 2
    assert said(connection) == {}
    assert session.rows("SELECT id FROM fengling.service") == []
    assert write(connection, term, GONE) == Written()


def test_old_term_writes_nothing(
    connection: Any, session: Session, guarded: Guarded, term: int
) -> None:
    """Neither rows nor words."""
    table.take_over(guarded, "b")
    with pytest.raises(TermOverError):
        write(connection, term, ALL)
    assert session.rows("SELECT id FROM fengling.service") == []
    assert said(connection) == {}


def test_instance_without_its_service_waits(connection: Any, term: int) -> None:
    """The rest is written."""
    other = Key("service", "other")
    batch = {POD: ALL[POD], ROUTE: ALL[ROUTE], other: Want({"name": "other"}, "")}
    written = write(connection, term, batch)
    assert written.revision == 1
    assert written.refused == {
        POD: "service shop.orders is not there",
        ROUTE: "service shop.orders is not there",
    }
    assert write(connection, term, ALL).refused == {}


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO fengling.route (id, path, service_id) VALUES ('mine', '/a', 'shop.orders')",
        "INSERT INTO fengling.route (id, path, split) VALUES ('mine', '/a', '{\"shop.orders\": 1}')",
    ],
)
def test_service_that_somebody_needs_stays(
    connection: Any, session: Session, term: int, statement: str
) -> None:
    """Without instances, and it is said why; it goes when nobody needs it any more."""
    write(connection, term, ALL)
    session.run(statement)
    written = write(connection, term, GONE, CONFIRMED)
    assert written.refused == {SERVICE: "route mine needs it"}
    assert session.rows("SELECT id FROM fengling.instance") == []
    session.run("DELETE FROM fengling.route")
    assert write(connection, term, {SERVICE: GONE[SERVICE]}).refused == {}
    assert session.rows("SELECT id FROM fengling.service") == []


def test_somebody_elses_entity_is_left_alone(connection: Any, session: Session, term: int) -> None:
    """It has the id, and somebody else has made it."""
    session.run("INSERT INTO fengling.service (id, managed_by) VALUES ('shop.orders', 'git:shop')")
    written = write(connection, term, ALL)
    assert written.left == {SERVICE: "git:shop"}
    assert said(connection).keys() == {POD, ROUTE}


def routes(session: Session, count: int, managed_by: str = "kubernetes") -> list[str]:
    """Make routes, which have a service."""
    names = [f"{managed_by}-{number}" for number in range(count)]
    session.run(
        "INSERT INTO fengling.service (id, managed_by) VALUES ('shop.x', 'kubernetes')"
        " ON CONFLICT DO NOTHING"
    )
    session.run(
        *(
            "INSERT INTO fengling.route (id, path, service_id, managed_by)"
            f" VALUES ('{name}', '/{name}', 'shop.x', '{managed_by}')"
            for name in names
        )
    )
    return names


@pytest.fixture
def in_between(session: Session, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have a statement committed after it was asked whether too much goes, and before all is written."""

    def have(statement: str) -> None:
        def asked(*args: Any) -> Any:
            loss = require_few(*args)
            session.run(statement)
            return loss

        monkeypatch.setattr(writing, "require_few", asked)

    return have


def gone(names: list[str]) -> dict[Key, Want]:
    return {Key("route", name): Want(None, ORIGIN) for name in names}


class RemovingTests:
    """How many routes may go without anybody's having said so."""

    def test_more_than_half_waits(self, connection: Any, session: Session, term: int) -> None:
        """Nothing of the batch is written; what goes is told, with what it needs."""
        names = routes(session, 3)
        newest = session.rows("SELECT max(id) FROM fengling.revision")
        with pytest.raises(TooManyGoError) as caught:
            write(connection, term, {SERVICE: ALL[SERVICE], **gone(names[:2])})
        error = caught.value
        assert (error.routes, error.of, error.services) == (tuple(names[:2]), 3, {"shop.x"})
        assert session.rows("SELECT max(id) FROM fengling.revision") == newest

    def test_half_goes(self, connection: Any, session: Session, term: int) -> None:
        """As the setting says by default; and nothing of it is held."""
        names = routes(session, 4)
        written = write(connection, term, gone(names[:2]))
        assert (written.revision is None, written.held) == (False, None)

    def test_setting_says_how_much(self, connection: Any, session: Session, term: int) -> None:
        """As for everybody who writes."""
        names = routes(session, 4)
        session.run(
            "INSERT INTO fengling.setting (key, value)"
            " VALUES ('hold', '{\"max_removed_share\": 0.25}')"
        )
        with pytest.raises(TooManyGoError):
            write(connection, term, gone(names[:2]))
        assert write(connection, term, gone(names[:1])).held is None

    def test_what_goes_in_later_batches_counts(
        self, connection: Any, session: Session, term: int
    ) -> None:
        """Ten small steps take away as much as a large one."""
        names = routes(session, 4)
        later = Going(later=frozenset([*names[1:3], "is-not-there"]))
        with pytest.raises(TooManyGoError) as caught:
            write(connection, term, gone(names[:1]), later)
        assert caught.value.routes == tuple(names[:3])

    def test_what_is_new_counts(self, connection: Any, session: Session, term: int) -> None:
        """What is only called otherwise from here on goes at once."""
        names = routes(session, 1)
        assert write(connection, term, {**ALL, **gone(names)}).held is None

    def test_confirmed_goes_and_the_rest_is_judged_by_itself(
        self, connection: Any, session: Session, term: int
    ) -> None:
        """One confirmation is none of others."""
        names = routes(session, 6)
        confirmed = Going(confirmed=frozenset(names[:3]))
        with pytest.raises(TooManyGoError) as caught:
            write(connection, term, gone(names[:5]), confirmed)
        assert caught.value.routes == tuple(names[3:5])
        assert write(connection, term, gone(names[:4]), confirmed).held is None
        assert session.rows("SELECT count(*) FROM fengling.route") == [(2,)]

    def test_confirmed_goes_whatever_else_is_kept(
        self, connection: Any, session: Session, term: int
    ) -> None:
        """Else it would be asked of again and again."""
        names = routes(session, 10)
        going = Going(later=frozenset(names[1:8]), confirmed=frozenset(names[:1]))
        assert write(connection, term, gone(names[:1]), going).held is None

    def test_somebody_elses_held_revision_stays_held(
        self, connection: Any, session: Session, term: int
    ) -> None:
        """To confirm what the cluster has no more is not to confirm that."""
        names, _ = routes(session, 2), routes(session, 6, "ui")
        session.run("DELETE FROM fengling.route WHERE managed_by = 'ui'")
        written = write(connection, term, gone(names), Going(confirmed=frozenset(names)))
        assert "held" in str(written.held)

    def test_what_is_disabled_goes(self, connection: Any, session: Session, term: int) -> None:
        """Nobody is served by it, so nobody is asked; also beside others that are kept."""
        names = routes(session, 10)
        session.run(f"UPDATE fengling.route SET enabled = false WHERE id = '{names[0]}'")
        later = Going(later=frozenset(names[1:8]))
        assert write(connection, term, gone(names[:1]), later).lost == 0
        with pytest.raises(TooManyGoError) as caught:
            write(connection, term, gone(names[1:3]), later)
        assert caught.value.routes == tuple(names[1:8])

    def test_what_has_gone_shortly_before_counts(
        self, connection: Any, session: Session, term: int
    ) -> None:
        """Objects that go one after the other are gone all the same."""
        names = routes(session, 10)
        assert write(connection, term, gone(names[:3])).lost == 3
        few = Going(lately=3)
        with pytest.raises(TooManyGoError) as caught:
            write(connection, term, gone(names[3:6]), few)
        assert (caught.value.of, caught.value.lately) == (7, 3)
        assert write(connection, term, {**ALL, **gone(names[3:6])}, few).lost == 2

    def test_few_go_while_somebody_elses_revision_is_held(
        self, connection: Any, session: Session, term: int
    ) -> None:
        """They are served with it; of what it removes, the cluster is not to blame."""
        names, _ = routes(session, 4), routes(session, 6, "ui")
        session.run("DELETE FROM fengling.route WHERE managed_by = 'ui'")
        assert "removes 6 of 10" in str(write(connection, term, gone(names[:2])).held)
        with pytest.raises(TooManyGoError) as caught:
            write(connection, term, gone(names[2:]))
        assert (caught.value.routes, caught.value.of) == (tuple(names[2:]), 2)

    def test_revision_that_is_held_in_between_is_not_confirmed(
        self, connection: Any, session: Session, term: int, in_between: Any
    ) -> None:
        """Although what is written right after it is."""
        names, _ = routes(session, 2), routes(session, 6, "ui")
        in_between("DELETE FROM fengling.route WHERE managed_by = 'ui'")
        written = write(connection, term, gone(names), Going(confirmed=frozenset(names)))
        assert "held" in str(written.held)
        assert session.rows("SELECT count(*) FROM fengling.revision WHERE forced") == [(0,)]

    def test_what_becomes_too_much_in_between_is_asked_of_again(
        self, connection: Any, session: Session, term: int, in_between: Any
    ) -> None:
        """Two who remove half each."""
        names, _ = routes(session, 4), routes(session, 4, "ui")
        in_between("DELETE FROM fengling.route WHERE managed_by = 'ui'")
        with pytest.raises(ConflictError):
            write(connection, term, gone(names[:3]))
        assert session.rows("SELECT count(*) FROM fengling.route") == [(4,)]
        with pytest.raises(TooManyGoError):
            write(connection, term, gone(names[:3]))

    def test_others_routes_are_not_ours_to_remove(
        self, connection: Any, session: Session, term: int
    ) -> None:
        """They count among those that there are."""
        names, others = routes(session, 2), routes(session, 3, "ui")
        assert write(connection, term, gone([*names, *others])).held is None
        assert session.rows("SELECT count(*) FROM fengling.route") == [(3,)]


def test_rights_of_a_console_suffice(cast: Cast) -> None:
    """To follow a cluster, to ask whether too much goes, and to confirm it."""
    guarded = Guarded(cast.dsn_of("console"), connect_timeout=5)
    term = table.take_over(guarded, "a").number
    connection = cast.enter("console").connection
    connection.autocommit = False
    assert write(connection, term, ALL).revision is not None
    with pytest.raises(TooManyGoError) as caught:
        write(connection, term, GONE)
    removal = Removal.of_term(term, 1, caught.value.routes, caught.value.of)
    table.beat(guarded, term, json.dumps({"writing": {"removal": removal.to_json()}}))
    guarded.close()
    confirm_removal(connection, removal.id, by="jane")
    assert table.read_news(connection, 0).confirmed == table.Confirmed(removal.id, "jane")
    assert write(connection, term, GONE, CONFIRMED).held is None
