"""What `validate`, `diff` and `apply` say of who may ask, and of keys that are let in again."""

from __future__ import annotations

from typing import Any

import yaml

from fengling_gateway.editing.changes import Ownership, plan
from fengling_gateway.editing.credentials import find_expired, find_let_in_again
from fengling_gateway.model.entity import Key
from tests.cli.conftest import Run, Sql, document
from tests.cli.stub_gateway import StubGateway

NOW = 2_000_000_000.0
ISSUER = {"issuer": "https://id.example", "audiences": ["a"], "discovery": True}
REQUIRED = {"auth": {"mode": "required", "methods": ["jwt"]}}
KEY = {"client_id": "batch", "digest": "ab" * 32}


def text(**sections: Any) -> str:
    return yaml.safe_dump(sections)


def routes(**policies: Any) -> dict[str, Any]:
    return {
        name: {"path": f"/{name}", "service_id": "s", "policies": said}
        for name, said in policies.items()
    }


SERVICES = {"s": {}, "t": {}}


class ValidateTests:
    def test_public_routes_and_lost_ones_are_named(self, run: Run) -> None:
        """The first are as somebody wanted, or did not think of; the second are warned of."""
        file = text(services=SERVICES, routes=routes(a={}, b=REQUIRED))
        result = run("validate", "-", stdin=file)
        assert result.exit_code == 0
        assert "route b   lets nobody in: there is no issuer that it takes" in result.stdout
        assert result.stdout.splitlines()[-2:] == [
            "public, for anybody to ask: a",
            "4 valid, 0 rejected, 1 warning",
        ]
        assert run("validate", "-", "--strict", stdin=file).exit_code == 1
        found = document(run("validate", "-", "-o", "json", stdin=file))
        assert found["public"] == ["a"]
        assert [(one["code"], one["route"]) for one in found["warnings"]] == [("nobody", "b")]

    def test_many_public_routes_are_counted(self, run: Run) -> None:
        """Where nobody is asked who they are, all of them are."""
        some = routes(**{f"r{number:02}": {} for number in range(12)})
        result = run("validate", "-", stdin=text(services=SERVICES, routes=some))
        assert "r08, r09 and 2 more" in result.stdout

    def test_expired_key_is_a_warning(self, run: Run) -> None:
        """Unless it is revoked, too; with its line."""
        keys = {
            "old": {**KEY, "expires_at": "2020-01-01T00:00:00Z"},
            "gone": {**KEY, "expires_at": "2020-01-01T00:00:00Z", "enabled": False},
            "good": {**KEY, "expires_at": "2120-01-01T00:00:00Z"},
            "endless": KEY,
        }
        file = text(clients={"batch": {}}, api_keys=keys)
        result = run("validate", "-", stdin=file)
        assert (result.exit_code, result.stdout.count("warning  ")) == (0, 1)
        assert "api_key old   has expired on 2020-01-01 00:00:00Z" in result.stdout
        [warned] = document(run("validate", "-", "-o", "json", stdin=file))["warnings"]
        assert (warned["code"], warned["kind"], warned["id"]) == ("expired", "api_key", "old")
        assert warned["where"].startswith("-:")

    def test_second_issuer_of_a_name_is_refused_with_its_line(self, run: Run) -> None:
        """And the first one, which counts, is named; whichever comes first in the file."""
        file = text(issuers=[{"id": "zeta", **ISSUER}, {"id": "acme", **ISSUER}])
        [rejected] = document(run("validate", "-", "-o", "json", stdin=file))["rejected"]
        assert (rejected["id"], rejected["where"]) == ("zeta", "-:2")
        assert [one["code"] for one in rejected["problems"]] == ["duplicate"]
        assert "that of issuer acme" in rejected["problems"][0]["message"]


class ApplyTests:
    def test_routes_that_become_public_are_named(self, run: Run, sql: Sql) -> None:
        """By whichever change; and nothing is said of those that stay as they are."""
        first = text(services=SERVICES, issuers={"corp": ISSUER}, routes=routes(a={}, b=REQUIRED))
        assert "! public, for anybody to ask: a\n" in run("apply", "-", stdin=first).stdout
        named = routes(a={})["a"]
        quiet = run("apply", "-", stdin=text(routes={"a": {**named, "priority": 3}}))
        assert "public" not in quiet.stdout
        opened = text(routes=routes(b={}))
        assert "ask: b\n" in run("diff", "-", stdin=opened).stdout
        assert document(run("diff", "-", "-o", "json", stdin=opened))["public"] == ["b"]
        run("apply", "-", stdin=text(services={"s": {"policies": REQUIRED}}))
        assert "public" not in run("apply", "-", stdin=opened).stdout
        assert "ask: a, b\n" in run("apply", "-", stdin=text(services={"s": {}})).stdout
        defaults = text(settings={"defaults": REQUIRED})
        assert "public" not in run("apply", "-", stdin=defaults).stdout
        assert "ask: a, b\n" in run("diff", "-", stdin=text(settings={"defaults": {}})).stdout
        split = {"service_id": None, "split": {"s": 1, "t": 1}}
        assert "ask" not in run("apply", "-", stdin=text(routes={"b": split})).stdout
        run("apply", "-", stdin=text(settings={"defaults": {}}))
        weights = {"split": {"s": 9, "t": 1}}
        assert "ask" not in run("diff", "-", stdin=text(routes={"b": weights})).stdout
        assert "ask: b" in run("diff", "-", stdin=text(routes={"b": {"split": {"s": 1}}})).stdout

    def test_issuer_that_goes_leaves_routes_that_are_named(self, run: Run, sql: Sql) -> None:
        """They are not written, and yet it is they that nobody can ask then."""
        issuers = {"issuers": {"corp": ISSUER}}
        run("apply", "-", stdin=text(services=SERVICES, routes=routes(b=REQUIRED), **issuers))
        gone = run("apply", "-", stdin=text(issuers={"corp": {**ISSUER, "enabled": False}}))
        assert "! route b lets nobody in" in gone.stdout

    def test_second_issuer_of_a_name_is_refused(self, run: Run, sql: Sql) -> None:
        """By us where its id comes second, else by the database; both are named."""
        run("apply", "-", stdin=text(issuers={"corp": ISSUER}))
        for name in ("zeta", "acme"):
            result = run("apply", "-", stdin=text(issuers={name: ISSUER}))
            assert result.exit_code == 2
            said = " ".join(result.output.split())
            assert "corp" in said
            assert name in said
        assert sql("SELECT id FROM fengling.issuer") == [("corp",)]

    def test_older_file_lets_nobody_in_unnoticed(self, run: Run, sql: Sql) -> None:
        """A key that was revoked, one that was deleted, and a client that was disabled."""
        older = text(
            clients={"batch": {}, "other": {}},
            api_keys={"a": KEY, "b": KEY, "off": {**KEY, "enabled": False}, "stays": KEY},
        )
        assert "again" not in run("apply", "-", stdin=older).stdout
        sql("UPDATE fengling.api_key SET enabled = false WHERE id = 'a'")
        sql("DELETE FROM fengling.api_key WHERE id IN ('b', 'off')")
        sql("UPDATE fengling.client SET enabled = false WHERE id = 'other'")
        shown = run("diff", "-", stdin=older).stdout.splitlines()
        assert [line for line in shown if line.startswith("!")] == [
            "! client other was disabled, and is let in again",
            "! api_key a was revoked, and is let in again",
            "! api_key b was deleted once, and is let in again",
        ]
        found = document(run("apply", "-", "-o", "json", stdin=older))["warnings"]
        assert [(one["code"], one["id"]) for one in found] == [
            ("let_in_again", "other"),
            ("let_in_again", "a"),
            ("let_in_again", "b"),
        ]

    def test_end_that_is_put_off_lets_in_again_what_was_over(self) -> None:
        """As good as a revocation taken back."""
        key = Key("api_key", "k")

        def was(before: float | None, after: float | None) -> list[str]:
            row = {**KEY, "expires_at": before}
            changes = plan({key: {**KEY, "expires_at": after}}, {key: row}, Ownership())
            return [one.message for one in find_let_in_again(changes, (), NOW)]

        over, ahead = NOW - 10, NOW + 10
        assert was(over, ahead) == was(over, None) == ["had expired, and is let in again"]
        assert was(over, over - 5) == was(ahead, None) == was(ahead, over) == was(None, over) == []

    def test_expired_keys_come_the_oldest_first(self) -> None:
        """Of all kinds of entities."""
        bodies = {
            Key("api_key", "b"): b'{"enabled":true,"expires_at":3.0}',
            Key("api_key", "a"): b'{"enabled":true,"expires_at":4.0}',
            Key("api_key", "c"): b'{"enabled":true,"expires_at":null}',
            Key("api_key", "now"): b'{"enabled":true,"expires_at":5.0}',
            Key("api_key", "later"): b'{"enabled":true,"expires_at":5.1}',
            Key("route", "r"): b"{}",
        }
        assert [one.id for one in find_expired(bodies, 5.0)] == ["b", "a", "now"]


class GetTests:
    def test_routes_are_listed_with_who_may_ask(self, run: Run, gateway: StubGateway) -> None:
        """As the gateway makes it out."""
        items = [{"id": "a", "access": "public"}, {"id": "b", "access": "required"}]
        gateway.answers["GET", "routes"] = 200, {"items": items, "next": None}
        lines = run("get", "routes").stdout.splitlines()
        assert "ACCESS" in lines[0]
        assert "public" in lines[2]
        assert "required" in lines[3]
