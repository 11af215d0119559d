"""The API's operations on services of a cluster, over a real database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from fengling_gateway.access.problems import ProblemError
from fengling_gateway.configsource.postgres_connection import Guarded
from fengling_gateway.console.answers import DISCOVERED
from fengling_gateway.console.call import Answer
from fengling_gateway.console.kubernetes_api import STEP_SECONDS, KubernetesApi
from fengling_gateway.kubernetes import table
from fengling_gateway.kubernetes.table import Seen, Told
from fengling_gateway.model.management_tokens import READ, WRITE
from tests.console.asking import Asked
from tests.console.desk import DirectStore, result
from tests.schema.session import Session
from tests.signin.requests import person

URL = "/api/console/kubernetes/services"
SHOP = {"namespace": "shop", "name": "orders"}


class KnownDiscovery:
    """A part in watching the cluster that says what a test wants."""

    def __init__(self) -> None:
        self.is_mine = True
        self.problem: str | None = None
        self.looks = 0

    def look(self) -> None:
        self.looks += 1


class KubernetesApiTests:
    @pytest.fixture(autouse=True)
    def _api(self, migrated_database: str) -> Iterator[None]:
        self.store: Any = DirectStore(migrated_database)
        self.clock, self.discovery = Clock(), KnownDiscovery()
        self.api = KubernetesApi(store=self.store, clock=self.clock, discovery=self.discovery)
        guarded = Guarded(migrated_database, connect_timeout=5)
        self.term = table.take_over(guarded, "console-a").number
        guarded.close()
        self.sql = Session(migrated_database)
        self.tell(seen=[Seen("shop", name, {"ports": []}) for name in ("orders", "stock")])
        yield
        self.sql.close()
        self.store.connection.close()

    def tell(self, **what: Any) -> None:
        table.tell(self.store.connection, self.term, **what)

    def asked(self, operation: Any, *arguments: Any, who: Any = None, **path: str) -> Deferred[Any]:
        self.request = Asked(*arguments, operator=who)
        return Deferred.fromCoroutine(operation(self.request.call(**path)))

    def answer(self, operation: Any, *arguments: Any, who: Any = None, **path: str) -> Answer:
        answer: Answer = result(self.asked(operation, *arguments, who=who, **path))
        return answer

    def refused(self, operation: Any, *arguments: Any, who: Any = None, **path: str) -> str:
        with pytest.raises(ProblemError) as refused:
            self.answer(operation, *arguments, who=who, **path)
        return refused.value.code

    # Reading

    def test_status_tells_who_watches(self) -> None:
        """And how much there is to decide."""
        told = self.answer(self.api.status, "GET", "/api/console/kubernetes").value
        assert told["enabled"] is True
        assert (
            told["leader"].items()
            >= {"term": 1, "holder": "console-a", "is_mine": True, "problem": None}.items()
        )
        assert told["counts"]["pending"] == 2

    def test_without_a_cluster_there_is_nothing(self) -> None:
        """No console has ever watched one; everything is empty, and nothing fails."""
        self.sql.run(
            "UPDATE fengling.discovery SET term = 0", "TRUNCATE fengling.discovered_service"
        )
        api = KubernetesApi(store=self.store, clock=self.clock, discovery=None)
        told = self.answer(api.status, "GET", "/api/console/kubernetes").value
        assert (told["enabled"], told["leader"]["is_mine"], told["status"]) == (False, False, None)
        assert self.answer(api.services, "GET", URL).value == {
            "items": [],
            "next": None,
            "total": 0,
        }

    def test_list_goes_on_where_a_page_ends(self) -> None:
        """By namespace and name."""
        first = self.answer(self.api.services, "GET", f"{URL}?limit=1").value
        assert (first["next"], first["total"]) == ("shop/orders", 2)
        assert first["items"][0].keys() == set(DISCOVERED["required"])
        second = self.answer(self.api.services, "GET", f"{URL}?after=shop/orders").value
        assert [one["name"] for one in second["items"]] == ["stock"]
        assert self.answer(self.api.services, "GET", f"{URL}?q=ORD&state=pending").value["total"]

    def test_what_is_no_question_is_refused(self) -> None:
        """With what is known."""
        for query in ("after=shop", "after=a/b/c", "state=maybe", "limit=0", "x=1"):
            assert self.refused(self.api.services, "GET", f"{URL}?{query}") == "invalid_parameter"

    def test_one_can_be_looked_at(self) -> None:
        """What isn't there is not found, whatever it is called."""
        found = self.answer(self.api.service, "GET", f"{URL}/shop/orders", **SHOP).value
        assert (found["state"], found["offer"]) == ("pending", {"ports": []})
        for name in ("nothing", "\0", "A", "x" * 254, "-a"):
            path = {"namespace": "shop", "name": name}
            assert self.refused(self.api.service, "GET", f"{URL}/shop/x", **path) == "not_found"

    def test_reading_is_for_who_sees_all_tenants(self) -> None:
        """What runs in a cluster is nobody's."""
        who = person(WRITE, tenants=("acme",))
        for operation in (self.api.status, self.api.services, self.api.service, self.api.approve):
            assert self.refused(operation, "GET", URL, who=who, **SHOP) == "forbidden"

    # Deciding

    def test_approval_is_looked_at_at_once(self) -> None:
        """By this console, if it is the one that watches; else with its next heartbeat."""
        body = {"comment": "fine", "hosts": ["B.example", "a.example"], "path": None}
        row = self.answer(self.api.approve, "POST", f"{URL}/shop/orders", body, **SHOP).value
        assert (row["state"], row["decided_by"], row["comment"]) == ("approved", "ada", "fine")
        assert row["asked"] == {"hosts": ["a.example", "b.example"]}, "as a route has it"
        assert self.discovery.looks == 1
        assert self.request.noted == [("approve shop/orders of Kubernetes", "done")]
        self.discovery.is_mine = False
        row = self.answer(self.api.reject, "POST", f"{URL}/shop/orders", None, **SHOP).value
        assert (row["state"], row["asked"], row["comment"]) == ("rejected", {}, None)
        assert self.discovery.looks == 1

    def test_any_host_and_no_tenant_are_kept(self) -> None:
        """What is left out is as the cluster says; so are hosts, and a path, that are null."""
        body: dict[str, Any] = {"hosts": [], "path": None, "tenant_id": None}
        row = self.answer(self.api.approve, "POST", f"{URL}/shop/orders", body, **SHOP).value
        assert row["asked"] == {"hosts": [], "tenant_id": None}
        row = self.answer(self.api.approve, "POST", URL, {"hosts": None}, **SHOP).value
        assert row["asked"] == {}

    def test_only_what_was_shown_is_approved(self) -> None:
        """Where the cluster asks for something else by now, whoever approves looks again."""
        body = {"annotations": {"path": "/shown"}}
        assert self.refused(self.api.approve, "POST", URL, body, **SHOP) == "conflict"
        body = {"annotations": {"path": 1}}
        assert self.refused(self.api.approve, "POST", URL, body, **SHOP) == "invalid_parameter"
        assert self.sql.value("SELECT max(decision) FROM fengling.discovered_service") == 0

    def test_everything_that_is_wrong_is_told_at_once(self) -> None:
        """Each with its path; nothing is decided."""
        body = {"hosts": ["ok.example", "a b"], "path": "x", "tenant_id": ""}
        with pytest.raises(ProblemError) as refused:
            self.answer(self.api.approve, "POST", f"{URL}/shop/orders", body, **SHOP)
        found = [one["path"] for one in refused.value.members["problems"]]
        assert (refused.value.code, found) == ("invalid", ["hosts[1]", "path", "tenant_id"])
        for body in ({"other": 1}, {"comment": "a\nb"}):
            assert self.refused(self.api.approve, "POST", URL, body, **SHOP) == "invalid_parameter"
        assert self.refused(self.api.reject, "POST", URL, {"path": "/"}, **SHOP)
        assert self.sql.value("SELECT max(decision) FROM fengling.discovered_service") == 0

    def test_decision_about_nothing_is_noted_as_failed(self) -> None:
        """It is not found."""
        path = {"namespace": "shop", "name": "nothing"}
        assert self.refused(self.api.approve, "POST", URL, None, **path) == "not_found"
        assert self.request.noted == [("approve shop/nothing of Kubernetes", "failed")]
        assert self.discovery.looks == 0

    def test_decision_needs_the_scope(self) -> None:
        """Reading is not deciding."""
        for operation in (self.api.approve, self.api.reject, self.api.forget):
            refused = self.refused(operation, "POST", URL, who=person(READ), **SHOP)
            assert refused == "insufficient_scope"

    def test_taken_back_it_waits_or_goes(self) -> None:
        """Whichever the cluster says."""
        self.answer(self.api.approve, "POST", f"{URL}/shop/orders", None, **SHOP)
        answer = self.answer(self.api.forget, "DELETE", f"{URL}/shop/orders", **SHOP)
        assert (answer.status, answer.value["state"]) == (200, "pending")
        self.answer(self.api.approve, "POST", f"{URL}/shop/orders", None, **SHOP)
        self.tell(gone=[("shop", "orders")])
        assert self.answer(self.api.forget, "DELETE", f"{URL}/shop/orders", **SHOP).status == 204
        assert self.refused(self.api.forget, "DELETE", URL, **SHOP) == "not_found"

    def test_result_can_be_waited_for(self) -> None:
        """Of this decision: that of an earlier one is none."""
        self.tell(results=[Told("shop", "orders", {"decision": 0, "state": "removed"})])
        waiting = self.asked(
            self.api.approve, "POST", f"{URL}/shop/orders?wait=result", None, **SHOP
        )
        self.clock.advance(STEP_SECONDS)
        assert not waiting.called
        [number] = [one.number for one in table.read_news(self.store.connection, 0).decisions]
        self.tell(results=[Told("shop", "orders", {"decision": number, "state": "served"})])
        self.clock.advance(STEP_SECONDS)
        assert result(waiting).value["result"] == {"decision": number, "state": "served"}

    def test_who_has_waited_long_enough_is_told_what_there_is(self) -> None:
        """The decision stands."""
        waiting = self.asked(
            self.api.approve, "POST", f"{URL}/shop/orders?wait=result&timeout=1s", None, **SHOP
        )
        self.clock.pump([STEP_SECONDS] * 6)
        row = result(waiting).value
        assert (row["state"], row["result"]) == ("approved", None)
        assert self.clock.getDelayedCalls() == []

    def test_removal_is_confirmed_as_shown(self) -> None:
        """Whoever watches looks at once; what is not shown can't be confirmed."""
        status = {"writing": {"removal": {"id": "3f9a", "routes": 2}}}
        self.told(status)
        assert self.refused(self.api.confirm, "POST", "/", {"removal": "another"}) == "conflict"
        assert self.refused(self.api.confirm, "POST", "/", {}) == "invalid_parameter"
        reader = person(READ)
        body = {"removal": "3f9a"}
        assert self.refused(self.api.confirm, "POST", "/", body, who=reader) == "insufficient_scope"
        told = self.answer(self.api.confirm, "POST", "/", body).value
        assert told["status"] == status
        assert told["confirmed"] == {"id": "3f9a", "state": "waiting"}
        assert self.discovery.looks == 1
        assert self.sql.value("SELECT confirmed FROM fengling.discovery") == "3f9a"

    def test_removal_is_waited_for(self) -> None:
        """Until it is gone, or the time is over, or nobody knows of it any more."""
        for then, state in (
            ({"writing": {"removal": None, "going": [], "gone": ["3f9a"]}}, "gone"),
            ({"writing": {"removal": {"id": "other"}, "going": ["3f9a"]}}, "waiting"),
            ({}, "unknown"),
        ):
            self.told({"writing": {"removal": {"id": "3f9a", "routes": 2}}})
            url = f"{URL}?wait=result&timeout=1s"
            asked = self.asked(self.api.confirm, "POST", url, {"removal": "3f9a"})
            self.clock.advance(STEP_SECONDS)
            assert not asked.called
            self.told(then)
            self.clock.pump([STEP_SECONDS] * 6)
            told = result(asked).value
            assert (told["status"], told["confirmed"]["state"]) == (then, state)
        assert self.clock.getDelayedCalls() == []

    def test_nothing_is_confirmed_that_nobody_will_hear_of(self) -> None:
        """What is shown is of a console that is gone."""
        self.told({"writing": {"removal": {"id": "3f9a", "routes": 2}}})
        body = {"removal": "3f9a"}
        for silent in ("clock_timestamp() - interval '11 s'", "NULL"):
            self.sql.run(f"UPDATE fengling.discovery SET heartbeat_at = {silent}")
            assert self.refused(self.api.confirm, "POST", "/", body) == "conflict"

    def told(self, status: dict[str, Any]) -> None:
        """Have whoever watches tell how it gets on."""
        self.sql.run(
            f"UPDATE fengling.discovery SET status = '{json.dumps(status)}',"
            " heartbeat_at = clock_timestamp()"
        )
