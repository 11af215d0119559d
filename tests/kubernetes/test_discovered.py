"""What there is to decide of a cluster's services, and deciding it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fengling_gateway.configsource.postgres_connection import Guarded
from fengling_gateway.kubernetes import table
from fengling_gateway.kubernetes.discovered import (
    NotDiscoveredError,
    OtherOfferError,
    OtherRemovalError,
    Sought,
    confirm_removal,
    decide,
    forget,
    get_service,
    list_services,
    overview,
)
from fengling_gateway.kubernetes.table import Seen, Told
from tests.schema.session import Session

NAMES = [("bank", "ledger"), ("shop", "orders"), ("shop", "orders-api"), ("shop", "stock")]


@pytest.fixture
def term(guarded: Guarded) -> int:
    return table.take_over(guarded, "console-a").number


@pytest.fixture
def _found(connection: Any, term: int) -> None:
    table.tell(connection, term, seen=[Seen(*name, {"ports": []}) for name in NAMES])


def approve(connection: Any, name: str, **asked: Any) -> dict[str, Any]:
    return decide(connection, "shop", name, "approved", asked=asked, comment="ok", by="jane")


def names(connection: Any, **sought: Any) -> list[str]:
    return [one["name"] for one in list_services(connection, Sought(**sought), limit=100).rows]


@pytest.mark.usefixtures("_found")
class ListTests:
    def test_pages_follow_each_other(self, connection: Any) -> None:
        """In the order of namespaces and names; each knows how many there are."""
        first = list_services(connection, Sought(), limit=3)
        assert [(one["namespace"], one["name"]) for one in first.rows] == NAMES[:3]
        assert (first.after, first.total) == (NAMES[2], 4)
        second = list_services(connection, Sought(), after=first.after, limit=3)
        assert [one["name"] for one in second.rows] == ["stock"]
        assert (second.after, second.total) == (None, 4)

    def test_filters_are_and(self, connection: Any) -> None:
        """State, namespace, and words of any case."""
        approve(connection, "orders")
        assert names(connection, namespace="bank") == ["ledger"]
        assert names(connection, state="approved") == ["orders"]
        assert names(connection, state="pending", words=("SHOP", "order")) == ["orders-api"]
        assert names(connection, words=("%",)) == []

    def test_what_has_problems_can_be_looked_for(self, connection: Any, term: int) -> None:
        """Of what is approved; the rest has time. Counted the same."""
        for name in ("orders", "orders-api", "stock"):
            approve(connection, name)
        table.tell(
            connection,
            term,
            seen=[Seen("bank", "ledger", {"problems": ["no port"]})],
            results=[
                Told("shop", "orders", {"state": "refused", "problems": []}),
                Told("shop", "orders-api", {"state": "served", "problems": ["no pod"]}),
                Told("shop", "stock", {"state": "served", "asks_for_more": True}),
            ],
        )
        assert names(connection, state="problems") == ["orders", "orders-api"]
        assert names(connection, state="changed") == ["stock"]
        counts = {"pending": 1, "approved": 3, "rejected": 0}
        assert overview(connection).counts == {**counts, "gone": 0, "problems": 2, "changed": 1}


def approve_shown(connection: Any, annotations: dict[str, str], name: str = "orders") -> Any:
    return decide(
        connection,
        "shop",
        name,
        "approved",
        asked={},
        comment=None,
        by="jane",
        annotations=annotations,
    )


@pytest.mark.usefixtures("_found")
class DecideTests:
    def test_decision_is_told_to_who_watches(self, connection: Any) -> None:
        """With what was asked for, and who decided; each time with a new number."""
        row = approve(connection, "orders", hosts=["a.example"])
        assert (row["state"], row["decided_by"], row["comment"]) == ("approved", "jane", "ok")
        assert row == get_service(connection, "shop", "orders")
        [decision] = table.read_news(connection, 0).decisions
        assert decision == (
            *("shop", "orders", "approved", {"hosts": ["a.example"]}),
            *(None, row["decision"], None, "jane"),
        )
        assert approve(connection, "orders")["decision"] > row["decision"]

    def test_only_what_was_looked_at_is_approved(self, connection: Any, term: int) -> None:
        """Between looking and deciding, the cluster may have asked for something else."""
        shown, other = {"path": "/o"}, {"path": "/{**rest}"}
        table.tell(connection, term, seen=[Seen("shop", "orders", {"annotations": other})])
        with pytest.raises(OtherOfferError, match="shop/orders"):
            approve_shown(connection, shown)
        assert names(connection, state="approved") == []
        assert approve_shown(connection, other)["approved"] == other
        with pytest.raises(NotDiscoveredError):
            approve_shown(connection, shown, "nothing")

    def test_taken_back_it_waits_again(self, connection: Any, term: int) -> None:
        """For a person: the rule that would approve it has had its turn."""
        approve(connection, "orders", path="/o")
        row = forget(connection, "shop", "orders", by="joe")
        assert row is not None
        assert (row["state"], row["decided_by"], row["asked"], row["comment"]) == (
            *("pending", "joe", {}, None),
        )
        table.tell(connection, term, seen=[Seen("shop", "orders", {}, "approved", "rule *")])
        assert names(connection, state="approved") == []

    def test_taken_back_when_it_is_gone_nothing_is_shown(
        self, connection: Any, term: int, guarded: Guarded, session: Session
    ) -> None:
        """Who watches is told, and the row goes with the next who does, if not before."""
        number = approve(connection, "orders")["decision"]
        table.tell(connection, term, gone=[("shop", "orders")])
        assert names(connection, state="gone") == ["orders"]
        assert forget(connection, "shop", "orders", by="joe") is None
        with pytest.raises(NotDiscoveredError):
            get_service(connection, "shop", "orders")
        with pytest.raises(NotDiscoveredError):
            approve(connection, "orders")
        assert "orders" not in names(connection)
        [decision] = table.read_news(connection, number).decisions
        assert decision.state == "pending"
        connection.rollback()
        table.take_over(guarded, "b")
        assert session.value("SELECT count(*) FROM fengling.discovered_service") == 3

    def test_nobody_decides_of_what_is_not_there(self, connection: Any) -> None:
        """It is no way to approve something beforehand: rules are."""
        with pytest.raises(NotDiscoveredError, match="shop/nothing"):
            approve(connection, "nothing")


class OverviewTests:
    def test_nobody_has_ever_watched(self, connection: Any) -> None:
        """There is something to say all the same."""
        found = overview(connection)
        assert found.leader == {"term": 0, "holder": None, "since": None, "heartbeat_age_s": None}
        assert found.status is None
        assert set(found.counts.values()) == {0}

    def test_who_watches_is_told(self, connection: Any, guarded: Guarded, term: int) -> None:
        """With what it has said of itself."""
        table.beat(guarded, term, '{"problem": null}')
        found = overview(connection)
        assert (found.leader["term"], found.leader["holder"]) == (1, "console-a")
        assert found.leader["since"].endswith("Z")
        assert 0 <= found.leader["heartbeat_age_s"] < 60
        assert found.status == {"problem": None}


def test_removal_is_confirmed_as_it_was_shown(connection: Any, guarded: Guarded, term: int) -> None:
    """Whoever watches hears of it with his next heartbeat, once; another one is refused."""
    status = json.dumps({"writing": {"removal": {"id": "abc"}}})
    before = table.beat(guarded, term, status).note
    with pytest.raises(OtherRemovalError):
        confirm_removal(connection, "abd", by="jane")
    assert table.beat(guarded, term, None).note == before
    confirm_removal(connection, "abc", by="jane")
    assert table.beat(guarded, term, None).note > before
    news = table.read_news(connection, before)
    assert (news.decisions, news.confirmed) == ((), ("abc", "jane"))
    assert table.read_news(connection, news.number) == table.News((), None, news.number)
    assert table.take_over(guarded, "console-b").news == news.number
