"""``fenglingctl pin``, ``freeze`` and ``unpin``: what is served whatever is committed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fengling_gateway import schema
from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.embedded.valkey import ValkeyServer
from tests.integration.conftest import Sql
from tests.integration.ctl import Ctl, Ended
from tests.integration.gateway import GatewayProcess, Upstream, admin_token
from tests.integration.world import metrics, wait_for_line
from tests.support.wait import wait_until

SPARE = '{"name": "spare", "path": "/hello"}'


def ctl(gateway: GatewayProcess, *arguments: str) -> Ended:
    url = f"http://127.0.0.1:{gateway.management_port}"
    return Ctl({"FENGLING_TOKEN": admin_token(), "FENGLING_MANAGEMENT": url})(*arguments)


def done(gateway: GatewayProcess, *arguments: str) -> str:
    ended = ctl(gateway, *arguments)
    assert ended.status == 0, (ended.out, ended.err)
    return ended.out


def served(gateway: GatewayProcess) -> str:
    """Return which service answers at /hello; by every worker, sooner or later."""
    status, body = gateway.get("/hello")
    return body.decode() if status == 200 else str(status)


def all_serve(gateway: GatewayProcess, revision: int) -> bool:
    workers = [one for one in gateway.workers() if one["state"] == "serving"]
    return len(workers) >= 2 and {one["revision"] for one in workers} == {revision}


def newest(gateway: GatewayProcess) -> int | None:
    return (gateway.manage("status")["pinned"] or {}).get("newest")


@pytest.fixture
def two(sql: Sql, upstreams: Callable[[str], Upstream]) -> Sql:
    """Return a database in which /hello goes to v1; v2 is there, too."""
    configure(sql, upstreams)
    return sql


def configure(sql: Sql, upstreams: Callable[[str], Upstream]) -> None:
    for name in ("v1", "v2"):
        sql.add_service(name, upstreams(name).address)
    sql.add_route("hello", "/hello", "v1")


def switch(sql: Sql, service: str) -> int:
    sql.run("UPDATE fengling.route SET service_id = %s WHERE id = 'hello'", service)
    return sql.revision


class PinTests:
    """One gateway with two workers."""

    def test_frozen_gateway_serves_on_and_knows_what_is_newer(
        self, gateways: Callable[..., GatewayProcess], two: Sql
    ) -> None:
        """And serves what is newest as soon as it is unpinned."""
        gateway = gateways(database=two.dsn)
        gateway.wait_ready()
        at = two.revision
        assert done(gateway, "freeze", "-m", "looking") == f"pinned at {at}\n"
        switch(two, "v2")
        last = switch(two, "v1")
        last = switch(two, "v2")
        wait_until(lambda: newest(gateway) == last)
        assert all_serve(gateway, at)
        assert '"v1"' in served(gateway)
        assert f"pinned at {at}, 3 revisions behind, by test: looking" in done(gateway, "status")
        ready = gateway.fetch("/readyz", port=gateway.management_port)
        assert (ready[0], f"pinned at {at}, 3 revisions behind" in ready[2].decode()) == (200, True)
        samples = metrics(gateway)
        assert samples["fengling_config_pinned"] == 1
        assert samples["fengling_config_pinned_behind"] == 3
        assert done(gateway, "unpin") == f"not pinned: serves {last}\n"
        wait_until(lambda: all_serve(gateway, last))
        assert '"v2"' in served(gateway)
        assert metrics(gateway)["fengling_config_pinned"] == 0
        last = switch(two, "v1")
        wait_until(lambda: all_serve(gateway, last))

    def test_pin_outlives_the_process_and_needs_no_database(
        self,
        gateways: Callable[..., GatewayProcess],
        own_postgres: PostgresServer,
        upstreams: Callable[[str], Upstream],
    ) -> None:
        """Neither to go on, nor to be unpinned: then the newest that was known is served."""
        dsn = own_postgres.create_database("fengling")
        schema.upgrade(dsn)
        sql = Sql(dsn)
        configure(sql, upstreams)
        gateway = gateways(database=dsn)
        gateway.wait_ready()
        at = sql.revision
        done(gateway, "pin", "--here")
        last = switch(sql, "v2")
        wait_until(lambda: newest(gateway) == last)
        sql.close()
        gateway.kill()
        gateway.start()
        gateway.wait_ready()
        wait_until(lambda: all_serve(gateway, at))
        assert '"v1"' in served(gateway)
        own_postgres.stop()
        gateway.stop()
        gateway.start()
        gateway.wait_ready()
        wait_until(lambda: newest(gateway) == last)
        assert all_serve(gateway, at)
        assert '"v1"' in served(gateway)
        wait_for_line(gateway, f"this node is pinned at {at}")
        done(gateway, "unpin")
        wait_until(lambda: all_serve(gateway, last))
        assert '"v2"' in served(gateway)
        done(gateway, "pin", str(at), "-m", "from its own files")
        wait_until(lambda: all_serve(gateway, at))
        assert '"v1"' in served(gateway)

    def test_older_revision_comes_from_the_log_of_changes(
        self, gateways: Callable[..., GatewayProcess], two: Sql
    ) -> None:
        """Where the node has never served it."""
        at = two.revision
        switch(two, "v2")
        two.run("UPDATE fengling.route SET path = '/elsewhere' WHERE id = 'hello'")
        two.run("INSERT INTO fengling.tenant (id) VALUES ('later')")
        gateway = gateways(database=two.dsn)
        gateway.wait_ready()
        assert served(gateway) == "404"
        assert done(gateway, "pin", str(at)) == f"pinned at {at}, 3 revisions behind\n"
        wait_until(lambda: all_serve(gateway, at))
        assert '"v1"' in served(gateway)
        assert gateway.manage("tenants")["items"] == []
        done(gateway, "pin", str(at + 1))
        wait_until(lambda: all_serve(gateway, at + 1))
        assert '"v2"' in served(gateway)
        done(gateway, "unpin")
        wait_until(lambda: served(gateway) == "404")

    def test_what_can_not_be_had_is_refused_with_the_reason(
        self, gateways: Callable[..., GatewayProcess], two: Sql
    ) -> None:
        """And nothing is pinned."""
        two.run("INSERT INTO fengling.secret (id, value) VALUES ('key', 'env:A')")
        at = two.revision
        two.run("UPDATE fengling.secret SET value = 'env:B'")
        gateway = gateways(database=two.dsn)
        gateway.wait_ready()
        for revision, why in (
            ("999", "the database has no such revision"),
            (str(at), "no longer knows what these secrets were: key"),
        ):
            refused = ctl(gateway, "pin", revision)
            assert refused.status == 2
            assert "this host has not kept it" in refused.err
            assert why in refused.err
        two.run("UPDATE fengling.retention SET known_from = %s", at + 1)
        assert "reaches back to revision" in ctl(gateway, "pin", str(at)).err
        assert gateway.manage("status")["pinned"] is None

    def test_health_of_instances_is_followed_while_pinned(
        self,
        gateways: Callable[..., GatewayProcess],
        two: Sql,
        upstreams: Callable[[str], Upstream],
    ) -> None:
        """It is no configuration: who dies meanwhile is no longer asked."""
        spare = upstreams("spare").address
        two.run(
            "INSERT INTO fengling.instance (id, service_id, address) VALUES ('v1-2', 'v1', %s)",
            spare,
        )
        gateway = gateways(database=two.dsn)
        gateway.wait_ready()
        at = two.revision
        done(gateway, "freeze")
        two.run(
            "INSERT INTO fengling.instance_health (instance_id, health, source)"
            " VALUES ('v1-1', 'unhealthy', 'test')"
        )
        wait_until(lambda: {served(gateway) for _ in range(20)} == {SPARE})
        assert all_serve(gateway, at)
        two.run("UPDATE fengling.instance_health SET health = 'healthy'")
        wait_until(lambda: '"v1"' in served(gateway))

    def test_command_wants_one_thing(self) -> None:
        for arguments in (("pin",), ("pin", "3", "--here")):
            assert Ctl()(*arguments).status == 2


class ClusterTests:
    """Several gateways, which hear each other over Redis."""

    def test_all_are_pinned_and_unpinned_at_once(
        self, gateways: Callable[..., GatewayProcess], two: Sql, valkey: ValkeyServer
    ) -> None:
        """Each takes the revision from where it can."""
        settings: dict[str, Any] = {"database": two.dsn, "redis": valkey.url}
        one, other = gateways(**settings), gateways(**settings)
        for gateway in (one, other):
            gateway.wait_ready()
            wait_until(lambda g=gateway: g.manage("status")["redis"]["connected"])  # type: ignore[misc]
        at = two.revision
        last = switch(two, "v2")
        for gateway in (one, other):
            wait_until(lambda g=gateway: all_serve(g, last))  # type: ignore[misc]
        assert "1 other told" in done(one, "pin", str(at), "--all")
        for gateway in (one, other):
            wait_until(lambda g=gateway: all_serve(g, at))  # type: ignore[misc]
            assert '"v1"' in served(gateway)
        assert other.manage("status")["pinned"]["by"] == f"test on {one.node}"
        done(one, "unpin")
        last = switch(two, "v1")
        reloaded = ctl(one, "reload", "--wait", "all")
        assert reloaded.status == 0, reloaded
        assert f"pinned, and not waited for: {other.node}" in reloaded.err
        wait_until(lambda: all_serve(one, last))
        assert all_serve(other, at)
        two.run("UPDATE fengling.route SET priority = 3")
        done(other, "unpin", "--all")
        for gateway in (one, other):
            wait_until(lambda g=gateway: all_serve(g, two.revision))  # type: ignore[misc]

    def test_without_redis_only_this_one_is_pinned(
        self, gateways: Callable[..., GatewayProcess], two: Sql
    ) -> None:
        """And that is said; whoever meant all hears it by the status, too."""
        gateway = gateways(database=two.dsn)
        gateway.wait_ready()
        ended = ctl(gateway, "freeze", "--all")
        assert (ended.status, "only this node is told" in ended.err) == (1, True)
