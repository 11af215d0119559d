"""What whoever watches a cluster writes into the database, and finds there."""

from __future__ import annotations

import json
import threading
from typing import Any

import psycopg2
import pytest

from fengling_gateway.configsource.postgres_connection import Guarded
from fengling_gateway.editing import transaction
from fengling_gateway.editing.changes import Planned
from fengling_gateway.editing.transaction import Signature
from fengling_gateway.election.seat import TermOverError
from fengling_gateway.kubernetes import table
from fengling_gateway.kubernetes.seat import SEAT, DiscoverySeat
from fengling_gateway.kubernetes.table import Said, Seen, Told
from fengling_gateway.model.entity import Key
from tests.schema.session import Session
from tests.support.wait import wait_until

ORDERS = Seen("shop", "orders", {"ports": [80]})
ROWS = "SELECT namespace, name, state, decided_by FROM fengling.discovered_service ORDER BY 1, 2"


@pytest.fixture
def term(guarded: Guarded) -> int:
    """Return the number of a term that has begun."""
    return table.take_over(guarded, "a").number


def approve(session: Session, name: str, asked: str = "{}") -> None:
    session.run(
        f"UPDATE fengling.discovered_service SET state = 'approved', asked = '{asked}'"
        f" WHERE name = '{name}'"
    )


class TermTests:
    def test_who_takes_over_hears_how_many_routes_have_gone_lately(self, guarded: Guarded) -> None:
        """As the last term has told; whatever else it may have told is nothing."""
        for told, lost in (({"lately": 5}, 5), ({"lately": "x"}, 0), ({}, 0), (None, 0), ([], 0)):
            term = table.take_over(guarded, "a").number
            table.beat(guarded, term, json.dumps({"writing": told}))
            assert table.take_over(guarded, "b").lost == lost

    def test_who_takes_over_finds_what_is_known(
        self, guarded: Guarded, connection: Any, session: Session, term: int
    ) -> None:
        """Decisions with their numbers, and what the cluster said of its entities."""
        table.tell(connection, term, seen=[ORDERS, Seen("shop", "stock", {})])
        approve(session, "orders", '{"path": "/o/{**rest}"}')
        with connection.cursor() as cursor:
            table.write_said(cursor, {Key("service", "shop.orders"): Said("shop/orders", {"a": 1})})
        connection.commit()
        found = table.take_over(guarded, "b")
        assert found.number == term + 1
        undecided, approved = found.decisions
        assert undecided == ("shop", "stock", "pending", {}, None, 0, None, None)
        assert approved[:4] == ("shop", "orders", "approved", {"path": "/o/{**rest}"})
        assert approved.number > 0
        assert found.said == {Key("service", "shop.orders"): Said("shop/orders", {"a": 1})}

    def test_heartbeat_brings_the_newest_decision(
        self, guarded: Guarded, connection: Any, session: Session, term: int
    ) -> None:
        """By which whoever watches learns that there is one."""
        table.tell(connection, term, seen=[ORDERS])
        assert table.beat(guarded, term).note == 0
        approve(session, "orders")
        note = table.beat(guarded, term).note
        [decision] = table.read_news(connection, 0).decisions
        assert (decision.state, decision.number) == ("approved", note)
        assert table.read_news(connection, note).decisions == ()

    def test_heartbeat_says_how_it_gets_on(
        self, guarded: Guarded, session: Session, term: int
    ) -> None:
        """And keeps what it said when there is nothing new."""
        DiscoverySeat(lambda: json.dumps({"state": "watching"})).beat(guarded, term)
        SEAT.beat(guarded, term)
        assert session.value("SELECT status FROM fengling.discovery") == {"state": "watching"}

    def test_old_term_is_over(self, guarded: Guarded, connection: Any, term: int) -> None:
        """Its holder can't beat, nor write, and is told who watches."""
        table.take_over(guarded, "b")
        with pytest.raises(TermOverError):
            table.beat(guarded, term)
        with pytest.raises(TermOverError, match=f"term {term} is over, b watches Kubernetes in"):
            table.tell(connection, term, seen=[ORDERS])
        assert table.take_over(guarded, "c").decisions == ()

    def test_nobody_takes_over_while_somebody_writes(
        self, migrated_database: str, guarded: Guarded, connection: Any, session: Session, term: int
    ) -> None:
        """What was asked in the old term is either committed before the new one, or never."""
        with connection.cursor() as cursor:
            table.require_term(cursor, term)
        table.beat(guarded, term)  # which has no need to wait
        other = Guarded(migrated_database, connect_timeout=5)
        taken: list[int] = []
        thread = threading.Thread(
            target=lambda: taken.append(table.take_over(other, "b").number), daemon=True
        )
        thread.start()
        wait_until(lambda: waiting(session) == 1)
        assert taken == []
        connection.commit()
        thread.join(10)
        other.close()
        assert taken == [term + 1]


def waiting(session: Session) -> Any:
    return session.value("SELECT count(*) FROM pg_locks WHERE NOT granted")


class TellTests:
    def test_what_is_there_waits_for_a_decision(
        self, connection: Any, session: Session, term: int
    ) -> None:
        """With what would come of it, as it was told last."""
        table.tell(connection, term, seen=[ORDERS])
        table.tell(connection, term, seen=[ORDERS._replace(offer={"ports": [81]})])
        assert session.rows(ROWS) == [("shop", "orders", "pending", None)]
        assert session.value("SELECT offer FROM fengling.discovered_service") == {"ports": [81]}

    def test_what_a_rule_approves_is_approved(
        self, connection: Any, session: Session, term: int
    ) -> None:
        """By the rule, as a decision like any other; also if it waited before there was the rule."""
        table.tell(connection, term, seen=[ORDERS])
        rule = {"state": "approved", "decided_by": "rule shop/*"}
        table.tell(connection, term, seen=[ORDERS._replace(**rule), Seen("shop", "x", {}, **rule)])
        assert session.rows(ROWS) == [
            ("shop", "orders", "approved", "rule shop/*"),
            ("shop", "x", "approved", "rule shop/*"),
        ]
        numbers = [one.number for one in table.read_news(connection, 0).decisions]
        assert len(set(numbers)) == 2

    def test_what_a_rule_has_approved_stays_its_own(
        self, guarded: Guarded, connection: Any, session: Session, term: int
    ) -> None:
        """Also what counts since the rule is gone, which nobody has looked at; until somebody decides."""
        rule = {"state": "approved", "decided_by": "rule shop/*"}
        table.tell(connection, term, seen=[ORDERS._replace(**rule)])
        table.tell(connection, term, seen=[ORDERS._replace(approved={"path": "/o"})])
        for found in (
            table.read_news(connection, 0).decisions,
            table.take_over(guarded, "b").decisions,
        ):
            assert [(one.approved, one.is_rule_s) for one in found] == [({"path": "/o"}, True)]
        approve(session, "orders")
        assert not table.read_news(connection, 0).decisions[0].is_rule_s

    def test_rule_changes_no_decision(self, connection: Any, session: Session, term: int) -> None:
        """A person has the last word, also to say that it has not been decided."""
        table.tell(connection, term, seen=[ORDERS, Seen("shop", "x", {})])
        session.run(
            "UPDATE fengling.discovered_service SET decided_by = 'jane',"
            " state = CASE name WHEN 'x' THEN 'pending' ELSE 'rejected' END"
        )
        rule = {"state": "approved", "decided_by": "rule *"}
        table.tell(connection, term, seen=[ORDERS._replace(**rule), Seen("shop", "x", {}, **rule)])
        assert session.rows(ROWS) == [
            ("shop", "orders", "rejected", "jane"),
            ("shop", "x", "pending", "jane"),
        ]

    def test_what_is_gone_is_forgotten_unless_somebody_decided(
        self, connection: Any, session: Session, term: int
    ) -> None:
        """A decision is there when the service comes back."""
        table.tell(connection, term, seen=[ORDERS, Seen("shop", "x", {})])
        approve(session, "orders")
        table.tell(connection, term, gone=[("shop", "orders"), ("shop", "x")])
        assert session.rows("SELECT name, gone_at > seen_at FROM fengling.discovered_service") == [
            ("orders", True)
        ]
        table.tell(connection, term, seen=[ORDERS])
        assert session.rows(
            "SELECT state, gone_at, seen_at > decided_at FROM fengling.discovered_service"
        ) == [("approved", None, True)]

    def test_results_are_told(self, connection: Any, session: Session, term: int) -> None:
        """Beside the decision that they are of."""
        table.tell(connection, term, seen=[ORDERS])
        table.tell(connection, term, results=[Told("shop", "orders", {"decision": 7})])
        assert session.value("SELECT result FROM fengling.discovered_service") == {"decision": 7}

    def test_failure_leaves_nothing_behind(
        self, connection: Any, session: Session, term: int
    ) -> None:
        """Nor a transaction that somebody would have to end."""
        with pytest.raises(psycopg2.DataError):
            table.tell(
                connection, term, seen=[ORDERS], results=[Told("a\0", "b", {})]
            )  # no text of PostgreSQL's
        table.tell(connection, term)
        assert session.rows(ROWS) == []


class SaidTests:
    def test_last_word_is_kept(self, connection: Any, guarded: Guarded) -> None:
        """Of each entity; of one that the cluster owns no longer nothing."""
        a, b = Key("service", "a"), Key("instance", "a")
        for said in (
            {a: Said("x/a", {"n": 1}), b: Said("x/a", {})},
            {a: Said("x/b", {"n": 2}), b: None},
        ):
            with connection.cursor() as cursor:
                table.write_said(cursor, said)
            connection.commit()
        assert table.take_over(guarded, "a").said == {a: Said("x/b", {"n": 2})}

    def test_it_is_written_with_the_change_or_not_at_all(
        self, connection: Any, guarded: Guarded, term: int
    ) -> None:
        """In one transaction, in the term in which it was asked."""
        key = Key("service", "a")
        change = Planned(key, "create", (), {"id": "a"})

        def also(cursor: Any) -> None:
            table.require_term(cursor, term)
            table.write_said(cursor, {key: Said("x/a", {})})

        assert transaction.write(connection, [change], Signature(), also=also).revision == 1
        assert table.take_over(guarded, "b").said == {key: Said("x/a", {})}
        with pytest.raises(TermOverError):
            transaction.write(connection, [], Signature(), also=also)
