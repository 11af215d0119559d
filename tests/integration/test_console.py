"""What is written through the console: served by all workers, and refused where it has to be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.embedded.valkey import ValkeyServer
from tests.conformance.test_management_api import ODD_BODIES
from tests.integration.console import API, ConsoleProcess, Fleet, a_token, fleet_with_database
from tests.integration.gateway import GatewayProcess
from tests.support.issued import SEALED
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def fleet(
    postgres: PostgresServer,
    _migrated_template: str,
    valkey: ValkeyServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Fleet]:
    directory = tmp_path_factory.mktemp("fleet")
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
    # Until the gateway has told of its workers.
    wait_until(lambda: len(workers_seen(console)) == 2)
    return console


def workers_seen(console: ConsoleProcess) -> list[Any]:
    nodes = console.get("fleet")["nodes"]
    return [one for node in nodes for one in node["workers"] if one["state"] == "serving"]


def problems(asked: Any) -> set[tuple[str, str]]:
    """Return the paths and codes of what is wrong."""
    assert asked.headers["content-type"].startswith("application/problem+json")
    return {(one["path"], one["code"]) for one in asked.json["problems"]}


class WritingTests:
    def test_new_route_is_served_by_every_worker_when_the_answer_says_so(
        self, console: ConsoleProcess, gateway: GatewayProcess, fleet: Fleet
    ) -> None:
        """With how long that took; the answer has the entity as it is kept, and its ETag."""
        asked = console.post(
            "routes?wait=all&timeout=20s&comment=first",
            {"id": "hello", "path": "/hello", "service_id": "s1"},
        )
        assert asked.status == 201, asked
        said = asked.json
        assert (said["convergence"]["served"], said["convergence"]["behind"]) == (2, [])
        print(f"served by all after {said['convergence']['took_ms']} ms")
        assert said["revision"] == fleet.sql.revision
        assert [(one["action"], one["id"]) for one in said["changes"]] == [("create", "hello")]
        assert gateway.served_by_every_worker(said["revision"])
        assert {gateway.get("/hello")[0] for _ in range(10)} == {200}
        assert (said["entity"]["path"], asked.etag) == ("/hello", f'"{said["entity"]["version"]}"')
        assert console.ask("GET", "routes/hello").etag == asked.etag
        assert (
            fleet.sql.value(
                "SELECT author || ' ' || comment FROM fengling.revision WHERE id = %s",
                said["revision"],
            )
            == "ada first"
        )

    def test_change_of_what_nobody_has_read_is_refused(self, console: ConsoleProcess) -> None:
        """428 without If-Match, 412 with another version; * is whatever there is."""
        made = console.create("routes", id="stale", path="/stale", service_id="s1")["entity"]
        version = made["version"]
        body = {"path": "/other", "service_id": "s1"}
        for method in ("PUT", "DELETE"):
            asked = console.ask(method, "routes/stale", body)
            assert (asked.status, asked.json["code"]) == (428, "precondition_required")
        for match in (
            f'"{version + 1}"',
            f'W/"{version}"',
            f"{version}",
            f'"{version}", "1"',
            '"x"',
        ):
            asked = console.ask("PUT", "routes/stale", body, if_match=match)
            assert (match, asked.status, asked.json["code"]) == (match, 412, "precondition_failed")
        match = f'"{version}"'
        replaced = console.ask("PUT", "routes/stale", body, if_match=match)
        assert (replaced.status, replaced.etag != match) == (200, True)
        assert console.ask("DELETE", "routes/stale", if_match=match).status == 412
        assert console.ask("DELETE", "routes/stale", if_match="*").status == 200
        asked = console.ask("DELETE", "routes/stale", if_match="*")
        assert (asked.status, asked.json["entities"]) == (404, ["route stale"])

    def test_patch_merges(self, console: ConsoleProcess) -> None:
        """What it says, changes; null is the default again; all else stays."""
        console.create(
            "routes",
            id="patched",
            path="/patched",
            service_id="s1",
            priority=3,
            labels={"team": "a", "n": 1},
            policies={"timeouts": {"total": "3s", "idle": "9s"}},
        )
        asked = console.patch(
            "routes/patched",
            {"priority": None, "labels": {"n": 2}, "policies": {"timeouts": {"idle": None}}},
        )
        assert asked.status == 200, asked
        row = asked.json["entity"]
        assert (row["priority"], row["labels"], row["path"]) == (
            0,
            {"team": "a", "n": 2},
            "/patched",
        )
        assert row["policies"]["timeouts"]["total"] == "3s"
        assert row["policies"]["timeouts"]["idle"] is None

    def test_same_again_changes_nothing(self, console: ConsoleProcess) -> None:
        """No revision, and the version stays."""
        version = console.create("services", id="same", name="Same")["entity"]["version"]
        revision = console.get("revisions?limit=1")["newest"]
        asked = console.patch("services/same", {"name": "Same"})
        assert (asked.status, asked.json["revision"], asked.json["changes"]) == (200, None, [])
        assert asked.etag == f'"{version}"'
        assert console.get("revisions?limit=1")["newest"] == revision

    def test_deletion_of_what_others_need_is_refused_with_their_names(
        self, console: ConsoleProcess
    ) -> None:
        console.create("services", id="needed")
        console.create(
            "instances", id="needed-1", service_id="needed", address="http://127.0.0.1:9"
        )
        console.create("routes", id="needs", path="/needs", service_id="needed")
        asked = console.ask("DELETE", "services/needed", if_match="*")
        assert (asked.status, asked.json["code"]) == (409, "conflict")
        assert asked.json["entities"] == ["instance needed-1", "route needs"]

    def test_what_is_there_is_not_made_again(self, console: ConsoleProcess) -> None:
        asked = console.post("services", {"id": "s1"})
        assert (asked.status, asked.json["entities"]) == (409, ["service s1"])

    @pytest.mark.parametrize(
        ("kind", "body", "wrong"),
        [
            (
                "routes",
                {"id": "wrong", "path": 7, "service_id": "s1", "prioritty": 1},
                {("path", "wrong_type"), ("prioritty", "unknown_field")},
            ),
            ("routes", {"path": "/x", "service_id": "s1"}, {("id", "required")}),
            (
                "routes",
                {"id": "wrong", "path": "/x", "service_id": "nothing"},
                {("", "missing_reference")},
            ),
            (
                "instances",
                {"id": "wrong", "service_id": "s1", "address": "http://10.0.0.1", "zone": ""},
                {("zone", "empty")},
            ),
        ],
    )
    def test_what_is_wrong_is_told_with_its_path(
        self, console: ConsoleProcess, kind: str, body: Any, wrong: Any
    ) -> None:
        """422, with everything that is."""
        asked = console.post(kind, body)
        assert (asked.status, asked.json["code"]) == (422, "invalid")
        assert problems(asked) == wrong
        assert console.ask("GET", f"{kind}/wrong").status == 404

    def test_what_follows_at_once_may_refer_to_it(self, console: ConsoleProcess) -> None:
        """Also if the console has not heard of it from the database yet."""
        for number in range(20):
            assert console.post("services", {"id": f"quick-{number}"}).status == 201
            route = {
                "id": f"quick-{number}",
                "path": f"/q/{number}",
                "service_id": f"quick-{number}",
            }
            asked = console.post("routes", route)
            assert asked.status == 201, asked


class ApplyTests:
    def test_several_are_one_revision(self, console: ConsoleProcess, fleet: Fleet) -> None:
        """Made, changed and deleted together."""
        console.create("services", id="a-old")
        before = fleet.sql.revision
        asked = console.post(
            "apply?wait=all&timeout=20s",
            {
                "services": [{"id": "a-new"}],
                "instances": [
                    {"id": "a-1", "service_id": "a-new", "address": "http://127.0.0.1:9"}
                ],
                "routes": [{"id": "a", "path": "/a", "service_id": "a-new"}],
                "delete": ["service/a-old"],
            },
        )
        assert asked.status == 200, asked
        assert asked.json["revision"] == fleet.sql.revision == before + 1
        actions = {(one["action"], one["kind"], one["id"]) for one in asked.json["changes"]}
        assert actions == {
            ("create", "service", "a-new"),
            ("create", "instance", "a-1"),
            ("create", "route", "a"),
            ("delete", "service", "a-old"),
        }
        revision = console.get(f"revisions/{asked.json['revision']}")
        assert (revision["author"], revision["change_count"]) == ("ada", 4)

    def test_yaml_is_taken_as_files_have_it(self, console: ConsoleProcess) -> None:
        """With prune, what is managed by the same and not in it goes."""
        text = "services:\n  - id: y1\n  - id: y2\nroutes: [{id: y, path: /y, service_id: y1}]\n"
        kind = "application/yaml"
        asked = console.post("apply?managed_by=git", text, kind=kind)
        assert (asked.status, len(asked.json["changes"])) == (200, 3), asked
        text = "services:\n  - id: y1\nroutes: [{id: y, path: /y, service_id: y1}]\n"
        asked = console.post("apply?managed_by=git&prune=true&wait=all", text, kind=kind)
        named = [(one["action"], one["id"]) for one in asked.json["changes"]]
        assert (asked.status, named) == (200, [("delete", "y2")])
        exported = console.ask("GET", "export?managed_by=git")
        assert exported.headers["content-type"] == "application/yaml"
        assert b"y1" in exported.content
        assert b"s1" not in exported.content

    def test_dry_run_writes_nothing(self, console: ConsoleProcess, fleet: Fleet) -> None:
        """It says what would change, and what is odd about that."""
        before = fleet.sql.revision
        dry = {"id": "dry", "path": "/usual", "service_id": "s1"}
        for path, body in (("routes", dry), ("apply", {"routes": [dry]})):
            asked = console.post(f"{path}?dry_run=true", body)
            assert (asked.status, asked.json["dry_run"]) == (200, True), asked
            assert [(one["action"], one["id"]) for one in asked.json["changes"]] == [
                ("create", "dry")
            ]
            assert {one["route"] for one in asked.json["warnings"]} & {"dry", "usual"}
        assert fleet.sql.revision == before
        assert console.ask("GET", "routes/dry").status == 404

    def test_one_that_is_wrong_keeps_all_out(self, console: ConsoleProcess, fleet: Fleet) -> None:
        before = fleet.sql.revision
        body = {
            "services": [{"id": "out"}],
            "routes": [{"id": "r", "path": "/r", "service_id": "no"}],
        }
        asked = console.post("apply", body)
        assert (asked.status, problems(asked)) == (422, {("", "missing_reference")})
        assert fleet.sql.revision == before

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"things": []}, "invalid_parameter"),
            ({"routes": {}}, "invalid_parameter"),
            ({"delete": ["routes/x"]}, "invalid_parameter"),
            ({"delete": [["route"]]}, "invalid_parameter"),
            ([], "invalid_parameter"),
            ("services: [", "invalid"),
            ("", "invalid"),
            ("# nothing\n", "invalid"),
            ("null\n", "invalid"),
        ],
    )
    def test_body_that_is_no_configuration_is_refused(
        self, console: ConsoleProcess, body: Any, code: str
    ) -> None:
        kind = "application/yaml" if isinstance(body, str) else "application/json"
        asked = console.post("apply", body, kind=kind)
        assert (asked.status, asked.json["code"]) == (422, code)

    def test_version_in_a_body_is_compared(self, console: ConsoleProcess) -> None:
        console.create("services", id="versioned")
        body = {"services": [{"id": "versioned", "name": "New", "version": 7}]}
        for _ in ("changed", "gone"):
            asked = console.post("apply", body)
            assert (asked.status, asked.json["entities"]) == (412, ["service versioned"])
            console.ask("DELETE", "services/versioned", if_match="*")

    def test_what_is_named_twice_is_refused(self, console: ConsoleProcess) -> None:
        console.create("services", id="both")
        new = {"id": "both", "name": "New"}
        for body in ({"services": [new], "delete": ["service/both"]}, {"services": [new, new]}):
            asked = console.post("apply", body)
            assert (asked.status, asked.json["code"]) == (422, "invalid_parameter")


def test_what_somebody_manages_is_left_alone(console: ConsoleProcess) -> None:
    """Unless it is taken over; that holds for deleting it, too."""
    console.create("services", id="owned", managed_by="git")
    body = {"services": [{"id": "owned", "name": "Mine"}]}
    asked = console.post("apply", body)
    assert asked.status == 409, asked
    assert "take_over" in asked.json["detail"]
    assert console.post("apply", {"delete": ["service/owned"]}).status == 409
    asked = console.patch("services/owned", {"managed_by": None})
    assert asked.status == 409, asked
    assert "take_over" in asked.json["detail"]
    assert console.patch("services/owned?take_over=true", {"managed_by": "me"}).status == 200
    assert console.post("apply?managed_by=git", {"delete": ["service/owned"]}).status == 409
    for dry_run in ("", "?dry_run=true"):
        asked = console.ask("DELETE", f"services/owned{dry_run}", if_match="*")
        assert (asked.status, asked.json["code"]) == (409, "conflict")
        assert "managed by somebody else: service owned (by me)" in asked.json["detail"]
        assert "take_over" in asked.json["detail"]
    console.create("services", id="taken", managed_by="git")
    taken = console.ask("DELETE", "services/taken?take_over=true", if_match="*")
    assert (taken.status, taken.json["changes"][0]["action"]) == (200, "delete")
    assert console.post("apply?managed_by=me", {"delete": ["service/owned"]}).status == 200


def test_pruning_needs_the_scope_of_what_goes(console: ConsoleProcess, fleet: Fleet) -> None:
    """Or who may only write could make a token good again for what it was limited from."""
    fleet.sql.run(
        "INSERT INTO fengling.management_token (id, tenants, managed_by)"
        " VALUES ('limited', '{acme}', 'git')"
    )
    writer = a_token("gateway:write")
    asked = console.post("apply?managed_by=git&prune=true", {}, token=writer)
    assert (asked.status, asked.json["code"]) == (403, "insufficient_scope")
    assert fleet.sql.value("SELECT count(*) FROM fengling.management_token") == 1
    assert console.post("apply?managed_by=git&prune=true", {}).status == 200


TAKES_BODIES = {
    "routes": "POST",
    "routes/usual": "PUT",
    "settings": "POST",
    "apply": "POST",
    "rollback": "POST",
    "retention": "PUT",
    "gateway/reload": "POST",
    "fleet/n1/drain": "POST",
    "explain": "POST",
    "try": "POST",
    "login-links": "POST",
}


@pytest.mark.parametrize("path", TAKES_BODIES)
def test_odd_body_is_refused(console: ConsoleProcess, path: str) -> None:
    """400, 413 or 422, and a problem document; of a stranger it is not looked at."""
    kind = {"Content-Type": "application/json", "If-Match": "*"}
    credential = {"Authorization": f"Bearer {console.token}"}
    for name, body in ODD_BODIES.items():
        asked = console.fetch(TAKES_BODIES[path], f"{API}/{path}", body, {**kind, **credential})
        assert (name, asked.status in {400, 413, 422}) == (name, True), asked
        assert asked.json["status"] == asked.status
    asked = console.fetch(TAKES_BODIES[path], f"{API}/{path}", b"[" * 20_000, kind)
    assert asked.status == 401


@pytest.mark.parametrize("number", ["9" * 18, "9" * 19, "9" * 6000, "-1", "1.5", "x"])
def test_number_that_is_no_revision_is_refused(console: ConsoleProcess, number: str) -> None:
    """However long it is."""
    for method, path in (
        ("GET", f"revisions/{number}"),
        ("POST", f"revisions/{number}/undo"),
        ("POST", f"revisions/{number}/confirm"),
    ):
        asked = console.ask(method, path)
        assert (path[:50], 400 <= asked.status < 500) == (path[:50], True), asked
    for path in (f"revisions/diff?from={number}", f"revisions?before={number}"):
        asked = console.ask("GET", path)
        assert (path[:50], asked.status < 500) == (path[:50], True), asked


def test_nothing_repeats_what_is_secret(console: ConsoleProcess) -> None:
    """Neither what is answered to the change, nor entities, exports, history and differences."""
    document = {
        "secrets": [{"id": "hidden", "value": SEALED}],
        "clients": [{"id": "hidden"}],
        "api_keys": [{"id": "hidden", "client_id": "hidden", "digest": "7" * 64}],
    }
    told = [console.post("apply", document)]
    assert told[0].status == 200
    revision = told[0].json["revision"]
    for path in (
        *("secrets", "secrets/hidden", "secrets/hidden/history"),
        *("api_keys", "api_keys/hidden", "api_keys/hidden/history"),
        *(f"revisions/{revision}", f"revisions/diff?from={revision - 1}", "revisions"),
    ):
        asked = console.ask("GET", path)
        assert (path, asked.status) == (path, 200)
        told.append(asked)
    told.append(console.post(f"revisions/{revision}/undo?dry_run=true"))
    seen = b"".join(one.content for one in told)
    assert SEALED.encode() not in seen
    assert b"7" * 64 not in seen
