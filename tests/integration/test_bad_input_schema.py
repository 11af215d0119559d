"""A database that can't be used, from the start or from some moment on: one clear line."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import pytest

from fengling_gateway import schema
from fengling_gateway.embedded.ports import free_port
from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.schema.version import WANTED
from tests.integration.conftest import Sql
from tests.integration.gateway import GatewayProcess, Load
from tests.integration.world import (
    World,
    fenglingctl,
    lines_with,
    metrics,
    wait_for_line,
    world_with_database,
)
from tests.support.wait import wait_until

Gateways = Callable[..., GatewayProcess]

OFTEN: Final = {"database": {"poll_interval": "100ms"}}
CANNOT: Final = "the config source can't be read: "


def set_version(dsn: str, version: str) -> None:
    sql = Sql(dsn)
    sql.run("UPDATE fengling.schema_version SET version_num = %s", version)
    sql.close()


def name_of(dsn: str) -> str:
    return dsn.rpartition("/")[2]


class StartTests:
    """From the start."""

    @pytest.fixture(params=["absent", "too old", "too new"])
    def unusable(self, request: pytest.FixtureRequest) -> tuple[str, str]:
        """Return a DSN and what is to be said of it."""
        if request.param == "absent":
            dsn = request.getfixturevalue("fresh_database")
            return dsn, (
                f"database {name_of(dsn)} has no fengling schema; "
                "run: fenglingctl db upgrade --database URL"
            )
        dsn = request.getfixturevalue("migrated_database")
        if request.param == "too old":
            set_version(dsn, "0000")
            return dsn, (
                f"database {name_of(dsn)} has schema 0, this version needs {schema.WANTED}; "
                "run: fenglingctl db upgrade --database URL"
            )
        set_version(dsn, f"{schema.WANTED + 2:04d}")
        return dsn, (
            f"database {name_of(dsn)} has schema {schema.WANTED + 2}, this version works with "
            f"{schema.WANTED} and {schema.WANTED + 1}; install a newer fengling-gateway"
        )

    def test_gateway_says_one_line_and_waits(
        self, unusable: tuple[str, str], gateways: Gateways
    ) -> None:
        """Not one for each look; it is alive and not ready."""
        dsn, said = unusable
        gateway = gateways(database=dsn, worker_count=1, settings=OFTEN)
        wait_for_line(gateway, " ERROR ", CANNOT, said, "nothing is served yet")
        wait_until(lambda: gateway.manage("status")["looks"] >= 5)
        assert len(lines_with(gateway, CANNOT)) == 1
        assert len(lines_with(gateway, "there is no last-known-good file")) == 1
        status = gateway.manage("status")
        assert (status["state"], status["position"]) == ("starting", None)
        assert status["source"]["last_error"] == said
        assert gateway.get("/livez", port=gateway.management_port)[0] == 200
        assert gateway.get("/readyz", port=gateway.management_port)[0] == 503
        assert "Traceback" not in gateway.log

    def test_commands_say_one_line(self, unusable: tuple[str, str]) -> None:
        """And exit with status 2, what asks for it and what needs it."""
        dsn, said = unusable
        ran = fenglingctl("db", "status", "--database", dsn)
        assert (ran.returncode, ran.stdout, ran.stderr) == (2, f"{said}\n", "")
        ran = fenglingctl("validate", "--database", dsn)
        line = f"fenglingctl: the database can't be read: {said}\n"
        assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", line)
        if "newer" in said:
            ran = fenglingctl("db", "upgrade", "--database", dsn)
            assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", f"fenglingctl: {said}\n")

    def test_upgrade_is_seen_without_a_restart(
        self, fresh_database: str, gateways: Gateways
    ) -> None:
        """The newcomer's order: first the gateway, then the schema."""
        gateway = gateways(database=fresh_database, worker_count=1, settings=OFTEN)
        wait_for_line(gateway, CANNOT)
        ran = fenglingctl("db", "upgrade", "--database", fresh_database)
        said = (
            f"database {name_of(fresh_database)} has schema {schema.WANTED}, which is up to date"
            "; it had no schema before"
        )
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{said}\n", "")
        gateway.wait_ready()
        wait_for_line(gateway, "the config source can be read again")
        assert gateway.manage("status")["source"]["last_error"] is None
        assert gateway.get("/")[0] == 404

    def test_next_schema_is_good_enough(self, migrated_database: str, gateways: Gateways) -> None:
        """The database is upgraded first, then one gateway after the other."""
        set_version(migrated_database, f"{schema.WANTED + 1:04d}")
        ran = fenglingctl("db", "status", "--database", migrated_database)
        assert (ran.returncode, ran.stderr) == (0, "")
        gateways(database=migrated_database, worker_count=1).wait_ready()

    def test_unreachable_database_is_one_line(self, gateways: Gateways) -> None:
        """For both; no password in it."""
        dsn = f"postgresql://gateway:hunter2@127.0.0.1:{free_port()}/none"
        ran = fenglingctl("db", "status", "--database", dsn)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert len(ran.stderr.splitlines()) == 1
        gateway = gateways(database=dsn, worker_count=1, settings=OFTEN)
        line = wait_for_line(gateway, " WARN ", CANNOT)
        assert "Connection refused" in line
        assert "Connection refused" in ran.stderr
        asked = fenglingctl("reload", gateway=gateway)
        assert (asked.returncode, asked.stdout) == (2, "")
        assert CANNOT + "connection to server" in asked.stderr
        assert len(asked.stderr.splitlines()) == 1
        assert "hunter2" not in ran.stderr + asked.stderr + gateway.log


class Fault(NamedTuple):
    """What is done to the database, what is then said, and how it is undone."""

    name: str
    do: str
    said: str
    undo: str


FAULTS: Final = [
    Fault(
        "schema-renamed",
        "ALTER SCHEMA fengling RENAME TO mislaid",
        "has no fengling schema",
        "ALTER SCHEMA mislaid RENAME TO fengling",
    ),
    Fault(
        "table-renamed",
        "ALTER TABLE fengling.revision RENAME TO mislaid",
        "the schema fengling is missing or not whole",
        "ALTER TABLE fengling.mislaid RENAME TO revision",
    ),
    Fault(
        "schema-closed",
        "REVOKE USAGE ON SCHEMA fengling FROM fengling_gateway",
        "permission denied for schema fengling",
        "GRANT USAGE ON SCHEMA fengling TO fengling_gateway",
    ),
    Fault(
        "log-closed",
        "REVOKE SELECT ON fengling.revision_change FROM fengling_gateway;"
        " UPDATE fengling.route SET priority = priority + 1 WHERE id = 'hello'",
        "permission denied for table revision_change",
        "GRANT SELECT ON fengling.revision_change TO fengling_gateway",
    ),
    Fault(
        "role-closed",
        "ALTER ROLE {role} NOLOGIN; SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE usename = '{role}'",
        "is not permitted to log in",
        "ALTER ROLE {role} LOGIN",
    ),
    Fault(
        "schema-too-new",
        "UPDATE fengling.schema_version SET version_num = '0009'",
        "install a newer fengling-gateway",
        f"UPDATE fengling.schema_version SET version_num = '{WANTED:04d}'",
    ),
]


class Running(NamedTuple):
    world: World
    gateway: GatewayProcess
    role: str

    def sql(self, statement: str) -> None:
        self.world.sql.run(statement.format(role=self.role))

    def move(self) -> int:
        """Commit a change that can be told from what was; returns its revision."""
        self.world.sql.run("UPDATE fengling.route SET priority = priority + 1 WHERE id = 'hello'")
        return self.world.sql.revision


@pytest.fixture(scope="module")
def running(
    postgres: PostgresServer, _migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """Lend a gateway whose database role may no more than it must."""
    directory = tmp_path_factory.mktemp("schema")
    role = f"gateway_{secrets.token_hex(4)}"
    with world_with_database(postgres, _migrated_template, directory) as world:
        world.sql.run(f"CREATE ROLE {role} LOGIN IN ROLE fengling_gateway")
        add_routes(world)
        dsn = postgres.dsn(name_of(world.sql.dsn), user=role)
        gateway = world.gateway(database=dsn, settings=OFTEN)
        yield Running(world, gateway, role)
    postgres.psql(f"DROP ROLE {role}")


def add_routes(world: World) -> None:
    world.sql.add_service("v1", world.upstream("v1").address)
    for name in ("hello", "second", "third"):
        world.sql.add_route(name, f"/{name}", "v1")


class FaultTests:
    """While it runs."""

    @pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
    def test_fault_is_named_and_healed(self, running: Running, fault: Fault) -> None:
        """What was served is served on; what is committed after it is served, too."""
        gateway = running.gateway
        lines = len(lines_with(gateway, CANNOT, fault.said))
        again = len(lines_with(gateway, "the config source can be read again"))
        with Load(gateway.port, "/hello").running() as load:
            running.sql(fault.do)
            try:
                wait_until(lambda: fault.said in (self._error(gateway) or ""))
                looks = gateway.manage("status")["looks"]
                wait_until(lambda: gateway.manage("status")["looks"] >= looks + 3)
                assert not gateway.manage("status")["source"]["connected"]
                assert metrics(gateway)["fengling_config_source_connected"] == 0
                said = lines_with(gateway, CANNOT, fault.said, "what is served stays")
                assert len(said) == lines + 1
                assert gateway.get("/readyz", port=gateway.management_port)[0] == 200
            finally:
                running.sql(fault.undo)
            revision = running.move()
            wait_until(lambda: gateway.served_by_every_worker(revision), timeout=10)
            load.wait_for(20)
        assert (load.refused, load.failed) == ([], [])
        wait_until(lambda: self._error(gateway) is None)
        source = gateway.manage("status")["source"]
        assert source["connected"]
        wait_until(lambda: gateway.manage("status")["source"]["listening"])
        wait_until(
            lambda: len(lines_with(gateway, "the config source can be read again")) == again + 1
        )
        assert "Traceback" not in gateway.log

    def test_schema_dropped_and_made_again_is_held_until_it_has_routes(
        self, running: Running
    ) -> None:
        """A new database without routes is no reason to serve nothing."""
        gateway, sql = running.gateway, running.world.sql
        with Load(gateway.port, "/hello").running() as load:
            running.sql("DROP SCHEMA fengling CASCADE")
            wait_until(lambda: "has no fengling schema" in (self._error(gateway) or ""))
            schema.upgrade(sql.dsn)
            wait_for_line(gateway, " ERROR ", "held: revision 0 removes 3 of 3 routes")
            load.wait_for(20)
            add_routes(running.world)
            # Its revisions begin anew: what the workers serve already has a larger number.
            wait_until(lambda: gateway.manage("status")["position"]["revision"] == sql.revision)
            wait_until(lambda: gateway.served_by_every_worker(sql.revision), timeout=10)
            load.wait_for(20)
        assert (load.refused, load.failed) == ([], [])
        assert gateway.manage("status")["held"] is None

    def _error(self, gateway: GatewayProcess) -> str | None:
        found: str | None = gateway.manage("status")["source"]["last_error"]
        return found
