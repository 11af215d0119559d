"""Who may do what at the console's API: scopes, tenants, sessions; over two consoles."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from fengling_gateway.auth.tokens import TokenRing
from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.signin.links import make_link
from tests.integration.console import (
    API,
    Asked,
    ConsoleProcess,
    Fleet,
    a_token,
    fleet_with_database,
)
from tests.integration.gateway import TOKEN_KEY
from tests.signin.requests import person
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def fleet(
    postgres: PostgresServer, _migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    directory = tmp_path_factory.mktemp("people")
    with fleet_with_database(postgres, _migrated_template, directory) as fleet:
        for tenant in ("acme", "brix"):
            fleet.sql.run("INSERT INTO fengling.tenant (id) VALUES (%s)", tenant)
            fleet.sql.run(
                "INSERT INTO fengling.client (id, tenant_id) VALUES (%s, %s)",
                f"c-{tenant}",
                tenant,
            )
        fleet.sql.add_service("s1", "http://127.0.0.1:9")
        fleet.sql.add_route("of-all", "/all", "s1")
        for tenant in ("acme", "brix"):
            fleet.sql.run(
                "INSERT INTO fengling.route (id, tenant_id, path, service_id)"
                " VALUES (%s, %s, '/own', 's1')",
                f"of-{tenant}",
                tenant,
            )
        yield fleet


@pytest.fixture(scope="module")
def console(fleet: Fleet) -> ConsoleProcess:
    return fleet.console()


@pytest.fixture(scope="module")
def other(fleet: Fleet, console: ConsoleProcess) -> ConsoleProcess:
    return fleet.console()


ACME = a_token("gateway:write", tenants=["acme"], subject="eve")


class TenantTests:
    def test_editor_of_a_tenant_sees_only_what_is_theirs(self, console: ConsoleProcess) -> None:
        """All else is not there; what is about everything is refused."""
        page = console.get("routes", token=ACME)
        assert ([one["id"] for one in page["items"]], page["total"]) == (["of-acme"], 1)
        assert [one["id"] for one in console.get("tenants", token=ACME)["items"]] == ["acme"]
        assert console.get("services", token=ACME)["items"] == []
        for path in (
            "routes/of-brix",
            "routes/of-all",
            "tenants/brix",
            "services/s1",
            "clients/c-brix",
        ):
            assert console.ask("GET", path, token=ACME).status == 404, path
        for path in ("summary", "events", "export", "revisions", "revisions/1", "fleet", "health"):
            asked = console.ask("GET", path, token=ACME)
            assert (path, asked.status, asked.json["code"]) == (path, 403, "forbidden")
        assert console.ask("GET", "revisions/diff?from=1", token=ACME).status == 403

    def test_editor_of_a_tenant_writes_only_what_is_theirs(self, console: ConsoleProcess) -> None:
        """Not for others, not for all, not what is shared; and what is others' is not there."""
        mine = {"id": "new", "tenant_id": "acme", "path": "/new", "service_id": "s1"}
        assert console.post("routes", mine, token=ACME).status == 201
        for tenant in ("brix", None):
            asked = console.post("routes", {**mine, "id": "x", "tenant_id": tenant}, token=ACME)
            assert (asked.status, asked.json["code"]) == (403, "forbidden")
            asked = console.patch("routes/new", {"tenant_id": tenant}, token=ACME)
            assert asked.status == 403, asked
        for kind, body in (("services", {"id": "x"}), ("tenants", {"id": "acme2"})):
            assert console.post(kind, body, token=ACME).status == 403
        assert console.ask("DELETE", "tenants/acme", if_match="*", token=ACME).status in {403, 409}
        for method in ("PUT", "PATCH", "DELETE"):
            asked = console.ask(
                method, "routes/of-brix", {"path": "/mine"}, if_match="*", token=ACME
            )
            assert asked.status == 404, asked
        assert console.post("apply", {"routes": [mine]}, token=ACME).status == 403
        key = {"id": "k", "client_id": "c-brix", "digest": "0" * 64}
        assert console.post("api_keys", key, token=ACME).status == 403
        assert console.post("api_keys", {**key, "client_id": "c-acme"}, token=ACME).status == 201
        assert console.ask("GET", "routes/of-brix").json["path"] == "/own"
        assert console.ask("DELETE", "routes/new", if_match="*", token=ACME).status == 200

    def test_history_shows_what_was_theirs(self, console: ConsoleProcess, fleet: Fleet) -> None:
        """Not what an entity was before it became theirs."""
        console.create_quietly(
            "routes", id="moved", tenant_id="brix", path="/secret", service_id="s1"
        )
        assert console.patch("routes/moved", {"tenant_id": "acme"}).status == 200
        assert console.patch("routes/moved", {"path": "/open"}).status == 200
        shown = console.get("routes/moved/history", token=ACME)["items"]
        assert (len(shown), "/secret" in json.dumps(console.get("routes/moved/history"))) == (
            1,
            True,
        )
        assert shown[0]["author"] == "ada"
        assert console.get("routes/of-brix/history", token=ACME)["items"] == []

    def test_history_names_nothing_of_others(self, console: ConsoleProcess) -> None:
        """Also where one revision has changed things of both."""
        both = [
            {"id": f"of-{one}", "tenant_id": one, "path": "/own", "service_id": "s1", "priority": 3}
            for one in ("acme", "brix")
        ]
        assert console.post("apply", {"routes": both}).status == 200
        asked = console.ask("GET", "routes/of-acme/history", token=ACME)
        newest = asked.json["items"][0]
        assert (newest["changes"], [one["id"] for one in newest["first"]]) == (1, ["of-acme"])
        assert b"brix" not in asked.content

    def test_warnings_name_nothing_of_others(self, console: ConsoleProcess) -> None:
        """Neither what is odd about their routes, nor that one's own is because of them."""
        locked = {"auth": {"mode": "required", "methods": ["jwt"]}}
        for tenant in ("acme", "brix"):
            console.create_quietly(
                "routes",
                id=f"locked-{tenant}",
                tenant_id=tenant,
                path="/locked",
                service_id="s1",
                policies=locked,
            )
        client = {"id": "c-acme-2", "tenant_id": "acme"}
        told = [
            console.post("clients?dry_run=true", client, token=token).json["warnings"]
            for token in (None, ACME)
        ]
        assert [{one["route"] for one in some} for some in told] == [
            {"locked-acme", "locked-brix"},
            {"locked-acme"},
        ]
        for tenant in ("acme", "brix"):
            assert console.ask("DELETE", f"routes/locked-{tenant}", if_match="*").status == 200

    def test_nobody_lifts_his_own_limits(self, console: ConsoleProcess) -> None:
        """By taking away what is kept of his token; nor shuts out somebody by keeping something."""
        console.create_quietly("management_tokens", id="limited", tenants=["acme"])
        token = a_token("gateway:admin", token_id="limited")
        wait_until(lambda: console.ask("GET", "services/s1", token=token).status == 404)
        path = "management_tokens/limited"
        for method, body in (
            ("DELETE", None),
            ("PUT", {"tenants": ["acme"], "expires_at": "2090-01-01T00:00:00Z"}),
            ("PUT", {"tenants": ["acme"], "scopes": ["gateway:read"]}),
        ):
            asked = console.ask(method, path, body, if_match="*", token=token)
            assert (asked.status, asked.json["code"]) == (403, "forbidden"), asked
        other = {"id": "of-somebody", "tenants": ["acme"], "revoked_at": "2026-01-01T00:00:00Z"}
        assert console.post("management_tokens", other, token=token).status == 403
        revoked = {"tenants": ["acme"], "revoked_at": "2026-01-01T00:00:00Z"}
        asked = console.ask("PUT", path, revoked, if_match="*", token=token)
        assert asked.status == 200, asked
        assert asked.json["changes"][0]["fields"] == {"revoked_at": [None, "2026-01-01T00:00:00Z"]}
        wait_until(lambda: console.ask("GET", "routes", token=token).status == 401)

    def test_nobody_takes_his_tenant_away(self, console: ConsoleProcess) -> None:
        """It is written by those who look after all of them, also when nothing is in it."""
        console.create_quietly("tenants", id="empty")
        token = a_token("gateway:write", tenants=["empty"])
        wait_until(lambda: console.ask("GET", "tenants/empty", token=token).status == 200)
        asked = console.ask("DELETE", "tenants/empty", if_match="*", token=token)
        assert (asked.status, asked.json["code"]) == (403, "forbidden")

    def test_who_is_limited_forces_nothing(self, console: ConsoleProcess) -> None:
        """What a hold keeps back may be everybody's."""
        asked = console.ask(
            "DELETE", "routes/of-acme?force=true&dry_run=true", if_match="*", token=ACME
        )
        assert (asked.status, asked.json["code"]) == (403, "forbidden")
        asked = console.ask("DELETE", "routes/of-acme?dry_run=true", if_match="*", token=ACME)
        assert asked.status == 200

    def test_administrator_of_a_tenant_signs_in_nobody_else(self, console: ConsoleProcess) -> None:
        """History would say of what they change that it was somebody else, and vouch for it."""
        token = a_token("gateway:admin", tenants=["acme"], subject="eve")
        asked = console.post("login-links", {"subject": "ops"}, token=token)
        assert (asked.status, asked.json["code"]) == (403, "forbidden")
        assert console.post("login-links", {"subject": "eve"}, token=token).status == 201

    def test_header_names_one_of_several(self, console: ConsoleProcess) -> None:
        both = a_token("gateway:write", tenants=["acme", "brix"])
        ids = [one["id"] for one in console.get("routes", token=both, X_Tenant_Id="brix")["items"]]
        assert ids == ["of-brix"]
        assert console.ask("GET", "routes", token=ACME, X_Tenant_Id="brix").status == 403


WRITES = [
    ("POST", "routes", {"id": "x", "path": "/x", "service_id": "s1"}),
    ("PUT", "routes/of-all", {"path": "/x", "service_id": "s1"}),
    ("PATCH", "routes/of-all", {"path": "/x"}),
    ("DELETE", "routes/of-all", None),
    ("POST", "apply", {"services": [{"id": "x"}]}),
    ("POST", "gateway/reload", {}),
    ("PUT", "switches/route/of-all", None),
    ("DELETE", "switches/route/of-all", None),
    ("POST", "revisions/1/confirm", None),
    ("POST", "instances/s1-1/probe", None),
]
ADMINISTERS = [
    ("POST", "settings", {"key": "trusted_proxies", "value": ["10.0.0.0/8"]}),
    ("POST", "secrets", {"id": "x", "value": "env:X"}),
    ("POST", "issuers", {"id": "x", "issuer": "https://x.example", "audiences": ["a"]}),
    ("POST", "management_tokens", {"id": "x"}),
    ("GET", "management_tokens", None),
    ("GET", "management_tokens/x", None),
    ("GET", "management_tokens/x/history", None),
    ("POST", "apply", {"settings": [{"key": "trusted_proxies", "value": ["10.0.0.0/8"]}]}),
    ("POST", "apply", {"delete": ["management_token/x"]}),
    ("POST", "rollback", {"to": 1}),
    ("POST", "revisions/1/undo", None),
    ("PUT", "retention", {"keep": "90d"}),
    ("POST", "fleet/n1/drain", {}),
    ("POST", "fleet/n1/restart", None),
]


class ScopeTests:
    @pytest.mark.parametrize(("method", "path", "body"), WRITES)
    def test_who_may_read_writes_nothing(
        self, console: ConsoleProcess, method: str, path: str, body: Any
    ) -> None:
        self.is_refused(console, "gateway:read", method, path, body)

    @pytest.mark.parametrize(("method", "path", "body"), ADMINISTERS)
    def test_who_may_write_gives_nobody_rights(
        self, console: ConsoleProcess, method: str, path: str, body: Any
    ) -> None:
        """Nor himself."""
        self.is_refused(console, "gateway:write", method, path, body)

    def is_refused(
        self, console: ConsoleProcess, scope: str, method: str, path: str, body: Any
    ) -> None:
        asked = console.ask(method, path, body, if_match="*", token=a_token(scope))
        assert (asked.status, asked.json["code"]) == (403, "insufficient_scope")
        assert "insufficient_scope" in asked.headers["www-authenticate"]


def test_tokens_are_shown_to_administrators_alone(console: ConsoleProcess) -> None:
    """Whichever way somebody looks: in a list, in an export, or in what was."""
    made = console.create_quietly("management_tokens", id="shown", name="night shift")
    for path in ("export", f"revisions/{made['revision']}", "revisions/diff?from=1"):
        assert b"night shift" in console.ask("GET", path).content, path
        asked = console.ask("GET", path, token=a_token("gateway:write"))
        assert (asked.status, b"night shift" in asked.content) == (200, False), path


def test_digests_of_keys_are_exported_for_administrators_alone(
    console: ConsoleProcess, fleet: Fleet
) -> None:
    digest = "5e" * 32
    console.create_quietly("api_keys", id="exported", client_id="c-acme", digest=digest)
    assert digest.encode() in console.ask("GET", "export").content
    asked = console.ask("GET", "export", token=a_token("gateway:write"))
    assert (asked.status, digest.encode() in asked.content) == (200, False)


def test_difference_is_shown_up_to_a_bound(console: ConsoleProcess, fleet: Fleet) -> None:
    before = console.get("summary")["position"]["revision"]
    routes = [
        {"id": f"many-{number}", "path": f"/many/{number}", "service_id": "s1"}
        for number in range(1001)
    ]
    assert console.post("apply", {"routes": routes}).status == 200
    found = console.get(f"revisions/diff?from={before}")
    assert (len(found["changes"]), found["change_count"]) == (1000, 1001)
    deleted = [f"route/many-{number}" for number in range(1001)]
    assert console.post("apply?force=true", {"delete": deleted}).status == 200


class Page:
    """A browser at one console or another, with the cookie that it was given."""

    def __init__(self) -> None:
        self.cookie = ""

    def ask(self, console: ConsoleProcess, method: str, path: str, body: Any = None) -> Asked:
        headers = {"Origin": console.address, "Cookie": self.cookie, "If-Match": "*"}
        content = None if body is None else json.dumps(body).encode()
        if content is not None:
            headers["Content-Type"] = "application/json"
        asked = console.fetch(method, API + path, content, headers)
        if given := asked.headers.get("set-cookie"):
            self.cookie = given.partition(";")[0]
        return asked

    def sign_in(self, console: ConsoleProcess, scope: str = "gateway:admin") -> Page:
        link = make_link(
            TokenRing([TOKEN_KEY]),
            person(scope, expires_at=time.time() + 3600, token_id=""),
            now=time.time(),
        )
        asked = self.ask(console, "POST", "/session", {"link": link})
        assert asked.status == 200, asked
        return self


class SessionTests:
    def test_session_of_one_console_is_good_at_the_other(
        self, console: ConsoleProcess, other: ConsoleProcess
    ) -> None:
        """Until it is ended at either."""
        page = Page().sign_in(console)
        for one in (console, other):
            assert page.ask(one, "GET", "/routes").status == 200
        route = {"id": "by-page", "path": "/by-page", "service_id": "s1"}
        assert page.ask(other, "POST", "/routes", route).status == 201
        assert page.ask(console, "DELETE", "/routes/by-page").status == 200
        kept = page.cookie
        assert page.ask(other, "DELETE", "/session").status in {200, 204}
        stolen = Page()
        stolen.cookie = kept
        assert stolen.ask(other, "GET", "/routes").status == 401
        wait_until(lambda: stolen.ask(console, "GET", "/routes").status == 401)

    def test_change_by_a_cookie_needs_a_page_of_ours(self, console: ConsoleProcess) -> None:
        """Wherever it is sent to: nothing is done, and that is counted."""
        page = Page().sign_in(console)
        foreign = {"Origin": "https://evil.example"}, {}, {"Sec-Fetch-Site": "cross-site"}
        route = json.dumps({"id": "evil", "path": "/evil", "service_id": "s1"}).encode()
        for headers in foreign:
            sent = {"Cookie": page.cookie, "Content-Type": "application/json", **headers}
            asked = console.fetch("POST", f"{API}/routes", route, sent)
            assert (asked.status, asked.json["code"]) == (403, "foreign_origin")
        assert console.ask("GET", "routes/evil").status == 404
        metrics = console.fetch("GET", "/metrics").content
        assert b'fengling_console_refusals_total{code="foreign_origin"}' in metrics


def test_what_one_console_writes_the_other_knows(
    console: ConsoleProcess, other: ConsoleProcess
) -> None:
    """At once, so that what follows may refer to it there."""
    for number in range(10):
        assert console.post("services", {"id": f"both-{number}"}).status == 201
        route = {"id": f"both-{number}", "path": f"/b/{number}", "service_id": f"both-{number}"}
        assert other.post("routes", route).status == 201
        assert console.ask("DELETE", f"routes/both-{number}", if_match="*").status == 200
        assert other.ask("DELETE", f"services/both-{number}", if_match="*").status == 200


def test_revoked_token_is_refused_by_both(console: ConsoleProcess, other: ConsoleProcess) -> None:
    """As soon as it is written; its stream of events ends, too."""
    token = a_token("gateway:read", token_id="stolen")
    with other.listening(token) as stream:
        asked = console.post(
            "management_tokens", {"id": "stolen", "revoked_at": "2026-01-01T00:00:00Z"}
        )
        assert asked.status == 201, asked
        for one in (console, other):
            wait_until(lambda one=one: one.ask("GET", "routes", token=token).status == 401)  # type: ignore[misc]
        wait_until(stream.ended.is_set)
