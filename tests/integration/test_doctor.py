"""``fenglingctl doctor`` with real servers: each thing that may be wrong is found, with a cure."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from fengling_gateway import schema
from fengling_gateway.doctor import database as doctor_database
from fengling_gateway.doctor.finding import Finding
from fengling_gateway.embedded.ports import free_port
from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.embedded.valkey import ValkeyServer
from tests.configsource.postgres_pooler import DeafPooler
from tests.integration.bus import RawRedis
from tests.integration.conftest import Sql
from tests.integration.ctl import Ctl
from tests.integration.gateway import SYNC_KEY, GatewayProcess, admin_token
from tests.support.wait import wait_until

LEAST_RIGHTS = (
    "reset on >{password} ~fengling:default:nodes ~fengling:default:node:* "
    "~fengling:default:announced:* ~fengling:default:limit:* ~fengling:default:switches "
    "&fengling:default:announce &fengling:default:command &fengling:default:evidence "
    "&fengling:default:prober +ping +select +subscribe +publish +eval +evalsha +time +get +set "
    "+hset +hget +hlen +hgetall +hdel +pexpire +pttl +del +sadd +srem +smembers"
)
"""As in docs/redis.md."""


def look(*arguments: str, status: int = 0, **variables: str) -> dict[str, dict[str, str]]:
    """Run doctor; return its findings by what they are about."""
    done = Ctl(variables)("doctor", "-o", "json", *arguments)
    assert done.status == status, (done.out, done.err)
    document = done.json
    for one in document["findings"]:
        assert (one["state"] == "ok") == (one["cure"] == ""), one
        assert "\n" not in one["said"] + one["cure"]
    return {one["about"]: one for one in document["findings"]}


def wrong(found: dict[str, dict[str, str]]) -> set[str]:
    return {about for about, one in found.items() if one["state"] == "wrong"}


class DatabaseTests:
    """What of a database is looked at."""

    def test_healthy_database_has_nothing_wrong(self, sql: Sql) -> None:
        """And is as it was: no revision, no row."""
        found = look("--database", sql.dsn)
        assert {one["state"] for one in found.values()} <= {"ok", "note"}
        for about in ("reach", "schema", "rights", "triggers", "writable", "queue", "prepared"):
            assert found[f"database.{about}"]["state"] == "ok"
        assert found["database.listen"]["said"].endswith("ms")
        assert found["clock.database"]["state"] == "ok"
        assert sql.revision == 0
        assert sql.value("SELECT count(*) FROM fengling.txn") == 0

    def test_disabled_trigger_is_named_and_its_cure_works(self, sql: Sql) -> None:
        """What doctor says is what to paste."""
        sql.run("ALTER TABLE fengling.route DISABLE TRIGGER record_update")
        one = look("--database", sql.dsn, status=1)["database.triggers"]
        assert "record_update on route" in one["said"]
        sql.run(one["cure"])
        assert look("--database", sql.dsn)["database.triggers"]["state"] == "ok"

    def test_trigger_that_fires_in_replicas_only_counts_as_off(self, sql: Sql) -> None:
        sql.run("ALTER TABLE fengling.txn ENABLE REPLICA TRIGGER make_revision")
        one = look("--database", sql.dsn, status=1)["database.triggers"]
        assert "make_revision on txn" in one["said"]

    def test_missing_triggers_are_named(self, sql: Sql) -> None:
        sql.run("DROP TRIGGER record_insert ON fengling.service")
        one = look("--database", sql.dsn, status=1)["database.triggers"]
        assert "missing: record_insert on service" in one["said"]

    def test_sessions_that_record_nothing_are_found(self, sql: Sql) -> None:
        """Somebody has forgotten a setting of a restore."""
        name = sql.dsn.rpartition("/")[2]
        sql.run(f'ALTER DATABASE "{name}" SET session_replication_role = replica')
        assert wrong(look("--database", sql.dsn, status=1)) == {"database.recording"}

    def test_database_without_schema_is_named(self, fresh_database: str) -> None:
        one = look("--database", fresh_database, status=1)["database.schema"]
        assert "no fengling schema" in one["said"]
        assert "fenglingctl db upgrade" in one["cure"]

    def test_old_schema_is_named(self, sql: Sql) -> None:
        sql.run("UPDATE fengling.schema_version SET version_num = '1'")
        assert "schema 1" in look("--database", sql.dsn, status=1)["database.schema"]["said"]

    def test_server_that_is_not_there_is_named_without_its_password(self) -> None:
        port = free_port()
        done = Ctl()("doctor", "--database", f"postgresql://gateway:pass-word@127.0.0.1:{port}/x")
        assert done.status == 1
        assert f"127.0.0.1:{port}" in done.out
        assert "pass-word" not in done.out + done.err

    def test_role_without_rights_is_told_what_to_grant(self, sql: Sql) -> None:
        """And what is pasted helps."""
        with a_role(sql) as (role, url):
            found = look("--database", url, status=1)
            assert found["database.schema"]["cure"].startswith("GRANT fengling_gateway")
            sql.run(f"GRANT fengling_gateway TO {role}")
            assert look("--database", url)["database.rights"]["state"] == "ok"
            sql.run("REVOKE SELECT ON fengling.service FROM fengling_gateway")
            one = look("--database", url, status=1)["database.rights"]
            assert "SELECT on service" in one["said"]

    def test_gateway_that_may_do_more_than_it_needs_is_noted(
        self, sql: Sql, tmp_path: Path
    ) -> None:
        """Of a person's URL nothing is said: they may."""
        config = settings_file(tmp_path, database=sql.dsn)
        one = look("--config", str(config))["database.rights"]
        assert one["state"] == "note"
        assert "superuser" in one["said"]
        assert look("--database", sql.dsn)["database.rights"]["state"] == "ok"

    def test_pooler_is_found_out_by_what_it_keeps_to_itself(self, sql: Sql, tmp_path: Path) -> None:
        """And `listen_url` around it is the cure."""
        pooler = DeafPooler(sql.dsn)
        try:
            one = look("--database", pooler.dsn, status=1)["database.listen"]
            assert "pooler in transaction mode" in one["said"]
            assert "database.listen_url" in one["cure"]
            config = settings_file(tmp_path, database=pooler.dsn, listen_url=sql.dsn)
            assert look("--config", str(config))["database.listen"]["state"] == "ok"
        finally:
            pooler.close()

    def test_read_only_database_is_noted(self, sql: Sql) -> None:
        name = sql.dsn.rpartition("/")[2]
        sql.run(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        assert look("--database", sql.dsn)["database.writable"]["state"] == "note"

    def test_standby_is_no_place_to_listen(self, own_postgres: PostgresServer) -> None:
        """It is a server that recovers, as one is that was told to."""
        own_postgres.stop()
        (own_postgres.data / "standby.signal").touch()
        own_postgres.start()
        found = look("--database", own_postgres.dsn(), status=1)
        assert "standby" in found["database.writable"]["said"]
        assert "during recovery" in found["database.listen"]["said"]

    def test_frozen_server_is_given_up_on(self, own_postgres: PostgresServer) -> None:
        """It accepts connections and never answers."""
        own_postgres.freeze()
        try:
            one = look("--database", own_postgres.dsn(), status=1)["database.reach"]
        finally:
            own_postgres.thaw()
        assert "timeout" in one["said"]

    def test_prepared_transaction_that_nobody_ends_is_found(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It holds locks that every writer waits for. (A minute old, which is not waited for.)"""
        server = PostgresServer(tmp_path / "pg", settings={"max_prepared_transactions": "2"})
        server.start()
        try:
            server.psql("BEGIN; CREATE TABLE t (); PREPARE TRANSACTION 'forgotten';")
            assert about(server, "database.prepared").state == "ok"
            monkeypatch.setattr(doctor_database, "PREPARED_SECONDS", 0.0)
            one = about(server, "database.prepared")
            assert one.state == "wrong"
            assert "'forgotten'" in one.cure
        finally:
            server.kill()


class RedisTests:
    """What of Redis is looked at."""

    def test_least_rights_of_the_manual_are_enough(
        self, own_valkey: ValkeyServer, tmp_path: Path
    ) -> None:
        """And nothing is left there."""
        url = a_user(own_valkey, LEAST_RIGHTS)
        found = look("--config", str(settings_file(tmp_path, redis=url)))
        assert not wrong(found)
        assert found["redis.rights"]["state"] == "ok"
        assert found["redis.delivers"]["state"] == "ok"
        assert found["redis.eviction"]["state"] == "note"  # INFO is not among them
        assert raw(own_valkey, "KEYS", "*") == []

    @pytest.mark.parametrize(
        ("missing", "said"),
        [
            ("+publish", "PUBLISH fengling:default:announce"),
            ("+subscribe", "SUBSCRIBE fengling:default:announce"),
            ("+hset", "HSET fengling:default:node:doctor"),
            ("+set", "SET fengling:default:announced:doctor"),
            ("&fengling:default:command", "SUBSCRIBE fengling:default:command"),
            ("~fengling:default:switches", "HLEN fengling:default:switches"),
            ("+eval", "scripts are refused"),
        ],
    )
    def test_missing_right_is_named(self, valkey: ValkeyServer, missing: str, said: str) -> None:
        """Each that there is, by the command and what it is for."""
        rights = " ".join(one for one in LEAST_RIGHTS.split() if one != missing)
        with the_user(valkey, rights) as url:
            one = look("--redis", url, status=1)["redis.rights"]
        assert said in one["said"]
        assert "docs/redis.md" in one["cure"]

    def test_redis_in_which_nothing_is_delivered_is_found(
        self, valkey: ValkeyServer, tmp_path: Path
    ) -> None:
        """As by a user who may not publish."""
        rights = " ".join(one for one in LEAST_RIGHTS.split() if one != "+publish")
        with the_user(valkey, rights) as url:
            found = look("--config", str(settings_file(tmp_path, redis=url)), status=1)
        assert found["redis.delivers"]["state"] == "wrong"

    def test_eviction_of_what_is_to_stay_is_found(self, own_valkey: ValkeyServer) -> None:
        """It is worth a note while memory is without a bound, and wrong from then on."""
        assert look("--redis", own_valkey.url)["redis.eviction"]["state"] == "ok"
        raw(own_valkey, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        assert look("--redis", own_valkey.url)["redis.eviction"]["state"] == "note"
        raw(own_valkey, "CONFIG", "SET", "maxmemory", "100mb")
        one = look("--redis", own_valkey.url, status=1)["redis.eviction"]
        assert "allkeys-lru" in one["said"]

    def test_wrong_password_is_told_without_it(self, tmp_path: Path) -> None:
        server = ValkeyServer(tmp_path / "valkey", password="right-one-" + "x" * 20)
        server.start()
        try:
            url = f"redis://:wrong-one-zzz@127.0.0.1:{server.port}/0"
            done = Ctl()("doctor", "--redis", url)
        finally:
            server.kill()
        assert done.status == 1
        assert "WRONGPASS" in done.out
        assert "wrong-one-zzz" not in done.out + done.err

    def test_redis_that_never_answers_is_given_up_on(self, own_valkey: ValkeyServer) -> None:
        own_valkey.freeze()
        try:
            one = look("--redis", own_valkey.url, status=1)["redis.reach"]
        finally:
            own_valkey.thaw()
        assert "no answer within" in one["said"]

    def test_gateways_make_nothing_of_the_proof(
        self,
        gateways: Callable[..., GatewayProcess],
        valkey: ValkeyServer,
        sql: Sql,
    ) -> None:
        """They hear the message, believe it, and do nothing; and they find nothing new."""
        gateway = gateways(database=sql.dsn, redis=valkey.url)
        gateway.wait_ready()
        wait_until(lambda: gateway.manage("status")["redis"]["connected"])
        found = look(
            *("--config", str(gateway.directory / "gateway.toml")),
            *("--management", f"http://127.0.0.1:{gateway.management_port}"),
            FENGLING_TOKEN=admin_token(),
        )
        assert found["redis.delivers"]["state"] == "ok"
        counters = wait_until(
            lambda: (c := gateway.manage("status")["redis"]["counters"]).get("commands_heard") and c
        )
        assert not counters.get("messages_dropped")
        assert gateway.manage("status")["position"]["revision"] == 0


class GatewayTests:
    """What a running gateway says of itself, put into words."""

    def test_healthy_gateway_has_nothing_wrong(self, gateway: GatewayProcess) -> None:
        """A file is its source here, and there is no Redis."""
        found = self._look(gateway)
        assert not wrong(found)
        assert found["gateway.positions"]["said"].startswith("all its workers serve")

    def test_database_that_has_gone_is_found_from_the_gateways_side(
        self, gateways: Callable[..., GatewayProcess], own_postgres: PostgresServer
    ) -> None:
        """It serves on; after a restart from its file."""
        dsn = own_postgres.create_database("fengling")
        schema.upgrade(dsn)
        gateway = gateways(database=dsn)
        gateway.wait_ready()
        wait_until(lambda: list((gateway.directory / "state").rglob("base-*.lkg")))
        own_postgres.stop()
        wait_until(lambda: not gateway.manage("status")["source"]["connected"])
        assert "gateway.source" in wrong(self._look(gateway, status=1))
        gateway.stop()
        gateway.start()
        gateway.wait_ready()
        found = self._look(gateway, status=1)
        assert {"gateway.source", "gateway.served_from"} <= wrong(found)

    def test_polling_rejection_and_hold_are_found(
        self, gateways: Callable[..., GatewayProcess], sql: Sql
    ) -> None:
        """Each with its cure."""
        sql.add_service("v1", "http://192.0.2.1:1")
        for number in range(3):
            sql.add_route(f"r{number}", f"/r{number}", "v1")
        gateway = gateways(database=sql.dsn, settings={"database": {"listen": False}})
        gateway.wait_ready()
        sql.run("INSERT INTO fengling.route (id, path, service_id) VALUES ('bad', '~(', 'v1')")
        gateway.manage("reload?wait=node", method="POST", body={})
        sql.run("DELETE FROM fengling.route WHERE id <> 'bad'")
        gateway.manage("reload?wait=node", method="POST", body={})
        found = self._look(gateway, status=1)
        assert wrong(found) == {"gateway.source", "gateway.rejected", "gateway.held"}
        assert "route bad" in found["gateway.rejected"]["said"]
        held = sql.revision
        assert f"fenglingctl confirm {held}" in found["gateway.held"]["cure"]

    def test_gateway_that_is_not_there_or_refuses_the_token_is_named(
        self, gateway: GatewayProcess
    ) -> None:
        url = f"http://127.0.0.1:{free_port()}"
        found = look("--management", url, status=1, FENGLING_TOKEN="x")
        assert wrong(found) == {"gateway.reach"}
        url = f"http://127.0.0.1:{gateway.management_port}"
        found = look("--management", url, status=1, FENGLING_TOKEN="fgl1.nobody.x")
        assert "token" in found["gateway.reach"]["cure"]

    def _look(self, gateway: GatewayProcess, status: int = 0) -> dict[str, dict[str, str]]:
        url = f"http://127.0.0.1:{gateway.management_port}"
        return look("--management", url, status=status, FENGLING_TOKEN=admin_token())


class CommandTests:
    """The command itself."""

    def test_nothing_named_is_nothing_done(self) -> None:
        done = Ctl()("doctor")
        assert done.status == 2
        assert "--config" in done.err

    def test_table_has_a_cure_below_what_is_wrong(self, fresh_database: str) -> None:
        done = Ctl()("doctor", "--database", fresh_database)
        lines = done.out.splitlines()
        [at] = [n for n, line in enumerate(lines) if line.startswith("wrong")]
        assert "database.schema" in lines[at]
        assert "fenglingctl db upgrade" in lines[at + 1]
        assert lines[-1].startswith("1 wrong")

    def test_settings_that_are_wrong_are_no_finding(self, tmp_path: Path) -> None:
        """Nothing has been looked at: that is status 2."""
        config = tmp_path / "gateway.toml"
        config.write_text("workers = -1\n")
        assert Ctl()("doctor", "--config", str(config)).status == 2


def about(server: PostgresServer, what: str) -> Finding:
    found = doctor_database.database(server.dsn(), None, of_gateway=False)
    return next(one for one in found if one.about == what)


def settings_file(
    directory: Path,
    *,
    database: str | None = None,
    listen_url: str | None = None,
    redis: str | None = None,
) -> Path:
    """Write settings of a gateway with so much in them."""
    file = directory / "gateway.toml"
    lines = [f'state_dir = "{directory}/state"']
    if database is not None:
        lines += ["[database]", f'url = "{database}"']
        lines += [f'listen_url = "{listen_url}"'] if listen_url else []
    else:
        lines[:0] = ['source = "file"']
        lines += ["[file]", 'path = "routes.yaml"']
    if redis is not None:
        lines += ["[redis]", f'url = "{redis}"', "[sync]", f'keys = ["{SYNC_KEY}"]']
    lines += ["[management]", "enabled = false"]
    file.touch(mode=0o600)
    file.write_text("\n".join(lines) + "\n")
    return file


@contextmanager
def a_role(sql: Sql) -> Iterator[tuple[str, str]]:
    """Lend a role of no rights, and the URL by which it comes to the database."""
    role = f"doctor_{secrets.token_hex(4)}"
    sql.run(f"CREATE ROLE {role} LOGIN")
    try:
        yield role, sql.dsn.replace("postgres@", f"{role}@")
    finally:
        sql.run("GRANT SELECT ON fengling.service TO fengling_gateway")
        sql.run(f"DROP OWNED BY {role}; DROP ROLE {role}")


def raw(server: ValkeyServer, *command: str) -> object:
    with closing(RawRedis(server.url)) as connection:
        return connection.ask(*command)


def a_user(server: ValkeyServer, rights: str) -> str:
    """Make a user of Redis; return the URL by which it comes in."""
    name, password = f"doctor-{secrets.token_hex(4)}", secrets.token_hex(8)
    rules = rights.format(password=password).split()
    assert raw(server, "ACL", "SETUSER", name, *rules) == b"OK"
    return f"redis://{name}:{password}@127.0.0.1:{server.port}/0"


@contextmanager
def the_user(server: ValkeyServer, rights: str) -> Iterator[str]:
    """Lend a user of Redis."""
    url = a_user(server, rights)
    yield url
    raw(server, "ACL", "DELUSER", url.partition("//")[2].partition(":")[0])
