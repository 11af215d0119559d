"""API keys beside real gateways: from a statement in psql to what every worker answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.conftest import Sql
from tests.integration.gateway import GatewayProcess
from tests.integration.world import fenglingctl, metrics, rejected, wait_for_line
from tests.support.wait import wait_until

ASKED = 12
"""Requests on connections of their own, so that each worker gets some."""

ROUTE = (
    "INSERT INTO fengling.route (id, path, respond, policies) VALUES ('r', '/r', '{}',"
    ' \'{"auth": {"mode": "required", "methods": ["api_key"]}}\')'
)


def make_key(dsn: str, key_id: str, *more: str) -> str:
    made = fenglingctl("key", "create", key_id, "--client", "batch", "--database", dsn, *more)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def answers(gateway: GatewayProcess, key: str) -> set[int]:
    """What all workers answer to a key."""
    return {gateway.get("/r", headers={"X-Api-Key": key})[0] for _ in range(ASKED)}


def served(gateway: GatewayProcess, sql: Sql) -> None:
    wait_until(lambda: gateway.served_by_every_worker(sql.revision))


class RevocationTests:
    @pytest.fixture
    def gateway(self, gateways: Callable[..., GatewayProcess], sql: Sql) -> GatewayProcess:
        sql.run(ROUTE)
        self.key = make_key(sql.dsn, "first", "--new-client")
        gateway = gateways(database=sql.dsn)
        gateway.wait_ready()
        served(gateway, sql)
        assert answers(gateway, self.key) == {200}
        return gateway

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE fengling.api_key SET enabled = false WHERE id = 'first'",
            "UPDATE fengling.api_key SET expires_at = now() - '1 min'::interval WHERE id = 'first'",
            "UPDATE fengling.api_key SET digest = repeat('0', 64) WHERE id = 'first'",
            "UPDATE fengling.client SET enabled = false WHERE id = 'batch'",
            "DELETE FROM fengling.api_key WHERE id = 'first'",
        ],
    )
    def test_revoked_key_is_refused_by_every_worker(
        self, gateway: GatewayProcess, sql: Sql, statement: str
    ) -> None:
        """From the moment that its revision is served, whatever was remembered of the key."""
        other = make_key(sql.dsn, "other", "--for", "1h")
        sql.run(statement)
        served(gateway, sql)
        assert answers(gateway, self.key) == {401}
        assert answers(gateway, other) == ({401} if "client" in statement else {200})

    def test_undoing_does_not_bring_it_back(self, gateway: GatewayProcess, sql: Sql) -> None:
        """Nor does a row that is wrong; only who says so does."""
        revoked = fenglingctl("key", "revoke", "first", "--database", sql.dsn)
        assert (revoked.returncode, revoked.stdout) == (0, f"revision {sql.revision}: 1 revoked\n")
        served(gateway, sql)
        sql.run(f"SELECT fengling.undo({sql.revision})")
        assert answers(gateway, self.key) == {401}
        sql.run("DELETE FROM fengling.api_key")
        sql.run(f"SELECT fengling.undo({sql.revision})")
        served(gateway, sql)
        assert answers(gateway, self.key) == {401}
        sql.run("UPDATE fengling.api_key SET enabled = true WHERE id = 'first'")
        served(gateway, sql)
        assert answers(gateway, self.key) == {200}

    def test_lists_and_metrics_have_it_and_nothing_has_the_digest(
        self, gateway: GatewayProcess, sql: Sql
    ) -> None:
        """A fingerprint tells keys apart."""
        digest = str(sql.value("SELECT digest FROM fengling.api_key"))
        [listed] = gateway.manage("api_keys")["items"]
        assert (listed["id"], listed["fingerprint"]) == ("first", digest[:12])
        [route] = gateway.manage("routes")["items"]
        assert route["access"] == "required"
        sql.run("UPDATE fengling.api_key SET expires_at = '2020-01-01Z', name = 'x'")
        served(gateway, sql)
        status = gateway.manage("status")
        assert status["entities"]["api_key"] == status["entities"]["client"] == 1
        [warned] = [one for one in status["warnings"] if one["kind"] == "api_key"]
        assert "has expired on 2020-01-01" in warned["message"]
        assert metrics(gateway)['fengling_config_entities{kind="api_key"}'] == 1
        wait_for_line(gateway, f"revision {sql.revision}", "api_key first")
        said = str([status, gateway.manage("api_keys/first"), gateway.log])
        assert digest not in said
        assert self.key[-43:] not in said

    def test_host_that_starts_without_its_database_lets_in_whom_it_let_in_last(
        self, gateway: GatewayProcess, sql: Sql
    ) -> None:
        """By its last-known-good file; what was revoked before stays so."""
        other = make_key(sql.dsn, "other")
        sql.run("UPDATE fengling.api_key SET enabled = false WHERE id = 'first'")
        served(gateway, sql)
        gateway.stop()
        gateway.database = "postgresql://nobody@127.0.0.1:1/none"
        gateway.start()
        gateway.wait_ready()
        assert gateway.manage("status")["served_from"] == "last-known-good"
        assert answers(gateway, self.key) == {401}
        assert answers(gateway, other) == {200}


class FileTests:
    def test_key_of_a_file_is_revoked_by_it(
        self, gateways: Callable[..., GatewayProcess], tmp_path: Path
    ) -> None:
        """Also by a slip: what is wrong lets nobody in."""
        made = fenglingctl("key", "create", "k", "--client", "batch", "--new-client", "--yaml")
        key, path = made.stdout.strip(), tmp_path / "routes.yaml"
        route = (
            "routes: [{id: r, path: /r, respond: {}, "
            "policies: {auth: {mode: required, methods: [api_key]}}}]\n"
        )

        def write(text: str) -> None:
            beside = path.with_suffix(".new")
            beside.write_text(text)
            beside.rename(path)

        write(route + made.stderr)
        gateway = gateways(source="file", settings={"file": {"path": str(path)}})
        gateway.wait_ready()
        assert answers(gateway, key) == {200}
        write(route + made.stderr + "  enabled: no\n")
        wait_until(lambda: "api_key k" in rejected(gateway))
        wait_until(lambda: gateway.served_by_every_worker(2))
        assert rejected(gateway)["api_key k"]["serving"] == "nothing"
        assert answers(gateway, key) == {401}
        write(route + made.stderr)
        wait_until(lambda: gateway.served_by_every_worker(3))
        assert answers(gateway, key) == {200}
        write(route + made.stderr + "  enabled: false\n")
        wait_until(lambda: gateway.served_by_every_worker(4))
        assert answers(gateway, key) == {401}
