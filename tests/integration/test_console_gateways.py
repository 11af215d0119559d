"""What the console sees of gateways and of the log, asks gateways for, and takes back."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.embedded.valkey import ValkeyServer
from tests.integration.console import ConsoleProcess, Fleet, fleet_with_database
from tests.integration.gateway import GatewayProcess
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def fleet(
    postgres: PostgresServer,
    _migrated_template: str,
    valkey: ValkeyServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Fleet]:
    directory = tmp_path_factory.mktemp("gateways")
    with fleet_with_database(postgres, _migrated_template, directory, valkey.url) as fleet:
        fleet.sql.add_service("s1", fleet.upstream("s1").address)
        fleet.sql.add_route("usual", "/usual", "s1")
        yield fleet


@pytest.fixture(scope="module")
def gateway(fleet: Fleet) -> GatewayProcess:
    return fleet.gateway()


@pytest.fixture(scope="module")
def console(fleet: Fleet, gateway: GatewayProcess) -> ConsoleProcess:
    console = fleet.console()
    wait_until(lambda: len(serving(console)) == 2)
    return console


def serving(console: ConsoleProcess) -> list[Any]:
    nodes = console.get("fleet")["nodes"]
    return [one for node in nodes for one in node["workers"] if one["state"] == "serving"]


def test_workers_that_do_not_serve_it_are_named(
    console: ConsoleProcess, gateway: GatewayProcess
) -> None:
    """It is written all the same; and served by all when they go on."""
    workers = {one["pid"]: one["worker"] for one in serving(console)}
    stuck = gateway.worker_pids()[0]
    os.kill(stuck, signal.SIGSTOP)
    try:
        asked = console.post(
            "routes?wait=all&timeout=1s", {"id": "slow", "path": "/slow", "service_id": "s1"}
        )
        assert (asked.status, asked.json["code"]) == (504, "not_converged"), asked
        convergence = asked.json["convergence"]
        assert convergence["behind"] == [f"n1/{workers[stuck]}"]
        assert (convergence["served"], convergence["workers"]) == (1, 2)
        assert console.get("routes/slow")["path"] == "/slow"
    finally:
        os.kill(stuck, signal.SIGCONT)
    wait_until(lambda: gateway.served_by_every_worker(asked.json["revision"]))
    asked = console.post("gateway/reload?wait=all&timeout=20s", {"comment": "again"})
    assert (asked.status, asked.json["convergence"]["behind"]) == (200, []), asked


def test_direct_sql_is_told_and_in_history_like_the_rest(
    console: ConsoleProcess, fleet: Fleet
) -> None:
    """Who, with what, and what it was before and is after."""
    with console.listening() as stream:
        fleet.sql.run("UPDATE fengling.route SET priority = 7 WHERE id = 'usual'")
        revision = fleet.sql.revision

        def told() -> Any:
            return [
                one for one in stream.named("revision") if one["position"]["revision"] == revision
            ]

        event = wait_until(told)[0]
        assert event["changes"] == [{"kind": "route", "id": "usual", "deleted": False}]
        assert [one["id"] for one in event["revisions"]] == [revision]
        wait_until(lambda: stream.named("summary") and stream.named("fleet"))
        asked = console.patch("routes/usual", {"priority": 8})
        wait_until(
            lambda: [
                one
                for event in stream.named("revision")
                for one in event["revisions"]
                if (one["id"], one["author"]) == (asked.json["revision"], "ada")
            ]
        )
    [newest, older, *_] = console.get("routes/usual/history")["items"]
    assert (newest["author"], older["author"], older["id"]) == ("ada", "postgres", revision)
    assert (older["change"]["before"]["priority"], older["change"]["after"]["priority"]) == (0, 7)
    diff = console.get(f"revisions/diff?from={revision - 1}")["changes"]
    [change] = [one for one in diff if one["id"] == "usual"]
    assert (change["before"]["priority"], change["after"]["priority"]) == (0, 8)


def test_change_is_taken_back(console: ConsoleProcess, gateway: GatewayProcess) -> None:
    """By undoing it, and by going back to before it; each is a revision of its own."""
    made = console.create("routes", id="back", path="/back", service_id="s1")
    assert gateway.get("/back")[0] == 200
    asked = console.post(f"revisions/{made['revision']}/undo?dry_run=true")
    assert [(one["action"], one["id"]) for one in asked.json["changes"]] == [("delete", "back")]
    assert gateway.get("/back")[0] == 200
    asked = console.post(f"revisions/{made['revision']}/undo?wait=all&timeout=20s&comment=oops")
    assert (asked.status, asked.json["convergence"]["behind"]) == (200, []), asked
    assert gateway.get("/back")[0] == 404
    assert "oops" in console.get(f"revisions/{asked.json['revision']}")["comment"]
    asked = console.post("rollback?wait=all&timeout=20s", {"to": made["revision"]})
    assert asked.status == 200, asked
    assert gateway.get("/back")[0] == 200
    again = console.post("rollback", {"to": made["revision"]})
    assert (again.status, again.json["changes"], again.json["revision"]) == (200, [], None), again
    assert console.post("rollback", {"to": 10**9}).status == 404


def test_held_revision_is_served_when_it_is_confirmed(
    console: ConsoleProcess, gateway: GatewayProcess, fleet: Fleet
) -> None:
    """The answer and the summary say that it is held; wait=all does not wait for it."""
    body = {"routes": [{"id": f"h{n}", "path": f"/h/{n}", "service_id": "s1"} for n in range(40)]}
    assert console.post("apply?wait=all&timeout=20s", body).status == 200
    gone = {"delete": [f"route/h{n}" for n in range(40)]}
    asked = console.post("apply?wait=all&timeout=20s", gone)
    assert (asked.status, "convergence" in asked.json) == (200, False), asked
    assert asked.json["held"]
    held = asked.json["revision"]
    wait_until(lambda: console.get("summary")["held"])
    assert gateway.get("/h/1")[0] == 200
    assert console.post(f"revisions/{held}/confirm").status == 200
    wait_until(lambda: gateway.get("/h/1")[0] == 404)
    assert console.get("summary")["held"] is None
    assert console.post(f"revisions/{held}/confirm").status in {200, 409, 422}


def test_drained_node_says_so_until_it_is_back(
    console: ConsoleProcess, gateway: GatewayProcess
) -> None:
    """It is not ready meanwhile, and serves whoever comes all the same."""
    ready = lambda: gateway.get("/readyz", port=gateway.management_port)[0]  # noqa: E731
    assert console.post("fleet/n1/drain", {"on": True}).status == 202
    wait_until(lambda: ready() == 503)
    wait_until(lambda: console.get("summary")["draining"] == ["n1"])
    assert gateway.get("/usual")[0] == 200
    assert console.post("fleet/n1/drain", {"on": False}).status == 202
    wait_until(lambda: ready() == 200)
    assert console.post("fleet/nobody/drain", {}).status == 404


def test_workers_are_replaced_one_after_the_other(
    console: ConsoleProcess, gateway: GatewayProcess
) -> None:
    before = set(gateway.worker_pids())
    assert console.post("fleet/n1/restart").status == 202

    def replaced() -> bool:
        now = {one["pid"] for one in serving(console)}
        return len(now) == 2 and not now & before

    wait_until(replaced, timeout=40)
    assert gateway.get("/usual")[0] == 200


def test_switched_off_route_is_asked_no_more(
    console: ConsoleProcess, gateway: GatewayProcess, fleet: Fleet
) -> None:
    """At once, beside the configuration, until it is switched on again."""
    console.create("routes", id="kill", path="/kill", service_id="s1")
    revision = fleet.sql.revision
    asked = console.ask("PUT", "switches/route/kill?comment=leaks")
    assert asked.status == 200, asked
    wait_until(lambda: {gateway.get("/kill")[0] for _ in range(8)} == {503})
    [item] = console.get("switches")["items"]
    assert (item["id"], item["by"], item["comment"]) == ("kill", "ada", "leaks")
    wait_until(lambda: "route/kill" in json.dumps(console.get("summary")["switches"]))
    assert console.ask("DELETE", "switches/route/kill").status == 200
    wait_until(lambda: {gateway.get("/kill")[0] for _ in range(8)} == {200})
    assert fleet.sql.revision == revision


def test_fleet_shows_what_nodes_say(console: ConsoleProcess) -> None:
    """Without what only machines need."""
    seen = console.get("fleet")
    [node] = [one for one in seen["nodes"] if one["node"] == "n1"]
    assert node["live"]
    assert {one["revision"] for one in node["workers"]} == {seen["position"]["revision"]}
    assert seen["convergence"]["behind"] == []
    assert seen["problem"] == ""
    explained = console.post("explain", {"path": "/usual", "host": "x"})
    assert b"usual" in explained.content


def test_request_that_is_tried_tells_how_it_was_served(
    console: ConsoleProcess, gateway: GatewayProcess
) -> None:
    """By the gateway that is found over Redis; why this route, which instance, and for how long."""
    asked = console.post("try", {"path": "/usual?x=1", "headers": {"X-Mine": "1"}})
    assert asked.status == 200
    tried = asked.json
    assert (tried["status"], tried["sent"]["url"]) == (
        200,
        f"http://127.0.0.1:{gateway.port}/usual?x=1",
    )
    assert (tried["debug"]["route"], tried["debug"]["instance"]) == ("usual", "s1-1")
    assert tried["debug"]["phases"]["total_ms"] > 0
    assert tried["explain"]["route"] == "usual"
    assert not [name for name, _ in tried["headers"] if name.lower() == "x-gateway-debug"]
    nowhere = console.post("try", {"path": "/nowhere"}).json
    assert (nowhere["status"], nowhere["explain"]["route"]) == (404, None)
