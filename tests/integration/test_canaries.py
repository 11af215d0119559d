"""
No secret is in anything that a gateway, its workers or its tools say or write.

A real gateway of two workers, with PostgreSQL and Valkey, has secrets of every
kind, all of which are used. Then everything goes wrong that may: passwords,
keys, rows, tokens, workers. What was said and written meanwhile is gathered
from everywhere, and looked through for each of them.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import signal
import ssl
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jwt
import psycopg2
import pytest
import yaml

from fengling_gateway import schema
from fengling_gateway.auth.tokens import TokenRing
from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.embedded.valkey import ValkeyServer
from fengling_gateway.settings import load_settings
from fengling_gateway.tap.assembly import supervisor_settings
from tests.integration.gateway import TOKEN_KEY, GatewayProcess, Upstream
from tests.integration.test_bad_input_bus import RawRedis
from tests.integration.world import wait_for_line
from tests.support.canaries import Canaries
from tests.support.issued import ROOT, issue
from tests.support.servers import server_directory
from tests.support.wait import wait_until

PLANTED = Canaries()
ISSUER = "https://idp.example"


def word(length: int = 32) -> str:
    """Return a secret that needs no quoting anywhere."""
    return secrets.token_hex(length // 2)


def key(name: str) -> str:
    """Plant a key of a ring and return it as it is written."""
    return f"k{secrets.token_hex(2)}:{PLANTED.plant(name, secrets.token_hex(32))}"


BROKEN = """
from fengling_gateway.configsource import postgres_reader
from fengling_gateway.supervisor import supervisor
from fengling_gateway.syncbus import connection

def failing(what, sound=None):
    failures = []
    def fail(*arguments, **options):
        failures.append(what)
        if sound is not None and len(failures) > 1:
            return sound(*arguments, **options)
        raise RuntimeError(what)
    return fail

postgres_reader.Reader.read = failing("broken reader")
supervisor.node_values = failing("broken timer", supervisor.node_values)
connection.make_endpoint = failing("broken connection")

from fengling_gateway.tap.gateway import main
main()
"""
"""A gateway with faults; arguments of what fails hold secrets."""


class Scene:
    """Everything that is planted, and the processes that have it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.outputs: dict[str, bytes] = {}
        self.database_password = PLANTED.plant("the password of the database", word())
        self.listen_password = PLANTED.plant("the password of the one that listens", word())
        self.redis_password = PLANTED.plant("the password of Redis", word())
        self.bus_key = key("a key of the bus")
        self.token_key = key("a key of tokens")
        self.sealing_key = key("a key of secrets.key_file")
        self.hmac_secret = PLANTED.plant("the secret of an issuer", word(64))
        self.environment_secret = PLANTED.plant("a secret in the environment", word(64))
        self.file_secret = PLANTED.plant("a secret in a file", word(64))
        self.listener = issue("localhost", by=ROOT, key="ec", seed="listener")
        self.shop = issue("shop.example", by=ROOT, key="ec", seed="shop")
        PLANTED.plant("the TLS key of a listener", self.listener.key)
        PLANTED.plant("the TLS key of a certificate", self.shop.key)
        self.token = PLANTED.plant("a token of an operator", self._token())
        self.bearer = PLANTED.plant("a token of a client", self._jwt(self.hmac_secret))
        self.api_key = ""

    def _token(self) -> str:
        return TokenRing([self.token_key]).issue(
            subject="operator",
            scopes=["gateway:admin"],
            now=time.time(),
            lifetime_seconds=3600,
            token_id=secrets.token_hex(8),
        )

    def _jwt(self, secret: str) -> str:
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": "a", "sub": "ann", "iat": now, "exp": now + 600}
        return jwt.encode(claims, secret.encode(), algorithm="HS256")

    def file(self, name: str, content: str) -> Path:
        """Write a file of secrets, outside of what the gateway writes itself."""
        path = self.directory / "secrets" / name
        path.parent.mkdir(exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(content)
        return path

    def note(self, where: str, content: bytes | str | None) -> None:
        """Keep what somebody could read."""
        text = content.encode(errors="surrogateescape") if isinstance(content, str) else content
        self.outputs[where] = self.outputs.get(where, b"") + (text or b"")

    def run(self, *arguments: str, stdin: str | None = None, **environ: str) -> str:
        """Run fenglingctl, keep what it says, and return its standard output."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("FENGLING_", "PG")) or name.startswith("FENGLING_COVER")
        }
        ran = subprocess.run(
            [sys.executable, "-m", "fengling_gateway.cli.main", *arguments],
            env={**environment, "XDG_CONFIG_HOME": "/nonexistent", **environ},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        said = ran.stdout + ran.stderr
        self.note(f"fenglingctl {' '.join(arguments[:3])}", said)
        return ran.stdout


@pytest.fixture(scope="module")
def postgres_of_ours() -> Iterator[PostgresServer]:
    server = PostgresServer(server_directory(), password=word())
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def valkey_of_ours() -> Iterator[ValkeyServer]:
    server = ValkeyServer(server_directory(), password=word())
    server.start()
    yield server
    server.kill()


class Outside:
    """The database and Redis, with users for the gateway."""

    def __init__(self, scene: Scene, postgres: PostgresServer, valkey: ValkeyServer) -> None:
        self.owner = postgres.create_database("canaries")
        schema.upgrade(self.owner)
        self.connection = psycopg2.connect(self.owner)
        self.connection.autocommit = True
        for role, password in (
            ("gateway", scene.database_password),
            ("listening", scene.listen_password),
        ):
            self.sql(f"CREATE ROLE {role} LOGIN PASSWORD '{password}' IN ROLE fengling_gateway")
        host = f"127.0.0.1:{postgres.port}"
        self.url = f"postgresql://gateway:{scene.database_password}@{host}/canaries"
        self.listen_url = f"postgresql://listening:{scene.listen_password}@{host}/canaries"
        self.redis = RawRedis(valkey.url)
        self.redis.ask("AUTH", valkey.url.partition(":")[2].partition("@")[0].strip("/:"))
        self.redis.ask(
            *("ACL", "SETUSER", "fengling", "on", f">{scene.redis_password}", "~*", "&*", "+@all")
        )
        self.redis_url = f"redis://fengling:{scene.redis_password}@127.0.0.1:{valkey.port}/0"
        self.spy = RawRedis(valkey.url)
        self.spy.ask("AUTH", valkey.url.partition(":")[2].partition("@")[0].strip("/:"))
        self.spy.ask("PSUBSCRIBE", "*")

    def sql(self, statement: str, *arguments: object) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, arguments or None)

    def rows(self, query: str) -> str:
        with self.connection.cursor() as cursor:
            cursor.execute(query)
            return "\n".join(str(row[0]) for row in cursor)


@pytest.fixture(scope="module")
def outside(
    scene: Scene, postgres_of_ours: PostgresServer, valkey_of_ours: ValkeyServer
) -> Iterator[Outside]:
    outside = Outside(scene, postgres_of_ours, valkey_of_ours)
    yield outside
    outside.connection.close()
    outside.redis.close()
    outside.spy.close()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("canaries"))


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    upstream = Upstream("v1")
    yield upstream
    upstream.close()


def configure(scene: Scene, outside: Outside, upstream: Upstream) -> None:
    """Write what the gateway serves: each secret is needed for something."""
    database = ("--database", outside.owner)
    keys = ("--key-file", str(scene.file("secret-keys", f"{scene.sealing_key}\n")))
    scene.run("secret", "set", "shop", "--stdin", *keys, *database, stdin=scene.shop.key)
    scene.run("secret", "set", "idp", "--stdin", *keys, *database, stdin=scene.hmac_secret)
    secret_file = scene.file("idp-two", scene.file_secret)
    outside.sql(
        "INSERT INTO fengling.secret (id, value) VALUES ('two', %s), ('three', 'env:CANARY')",
        f"file:{secret_file}",
    )
    outside.sql(
        "INSERT INTO fengling.certificate (id, chain, key_secret) VALUES ('shop', %s, 'shop')",
        scene.shop.chain,
    )
    for number, name in enumerate(("idp", "two", "three")):
        outside.sql(
            "INSERT INTO fengling.issuer (id, issuer, audiences, algorithms, key_secret)"
            " VALUES (%s, %s, '{a}', '{HS256}', %s)",
            *(name, f"{ISSUER}{number or ''}", name),
        )
    outside.sql("INSERT INTO fengling.service (id) VALUES ('v1')")
    outside.sql(
        "INSERT INTO fengling.instance (id, service_id, address) VALUES ('v1-1', 'v1', %s)",
        upstream.address,
    )
    outside.sql(
        "INSERT INTO fengling.route (id, path, service_id, policies) VALUES"
        " ('hello', '/hello', 'v1', '{}'),"
        """ ('closed', '/closed', 'v1', '{"auth": {"mode": "required", "query": "token"}}')"""
    )
    made = scene.run(*"key create shop-1 --client shop --new-client".split(), *database)
    scene.api_key = PLANTED.plant("an API key", made.strip().removeprefix("fgk_shop-1_"))
    # Said once, to who makes it; that it is said nowhere else is what is tested.
    scene.outputs.pop("fenglingctl key create shop-1")
    assert made.startswith("fgk_shop-1_")


@pytest.fixture(scope="module")
def gateway(scene: Scene, outside: Outside, upstream: Upstream) -> Iterator[GatewayProcess]:
    configure(scene, outside, upstream)
    chain = scene.file("listener.pem", scene.listener.chain)
    tls_key = scene.file("listener.key", scene.listener.key)
    certificates = f'{{ chain = "{chain}", key = "{tls_key}" }}'
    gateway = GatewayProcess(
        directory=scene.directory / "n1",
        database=outside.url,
        settings={
            "database": {"listen_url": outside.listen_url, "poll_interval": "300ms"},
            "redis": {"url_file": str(scene.file("redis-url", outside.redis_url))},
            "sync": {"keys": [scene.bus_key]},
            "management": {"token_keys": [scene.token_key, TOKEN_KEY]},
            "secrets": {"key_file": str(scene.directory / "secrets" / "secret-keys")},
            "log": {"level": "debug"},
        },
        listener=(f"tls = {{ certificates = [{certificates}] }}",),
    )
    os.environ["CANARY"] = scene.environment_secret
    try:
        gateway.start()
    finally:
        del os.environ["CANARY"]
    gateway.wait_ready()
    yield gateway
    gateway.stop()


def ask(
    scene: Scene,
    gateway: GatewayProcess,
    path: str,
    *lines: str,
    name: str = "localhost",
    method: str = "GET",
) -> tuple[int, bytes]:
    """Send one request over TLS, and keep the answer: status, and all its bytes."""
    import socket

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=ROOT.pem)
    head = "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {name}", "Connection: close", *lines])
    with (
        closing(socket.create_connection(("127.0.0.1", gateway.port), 10)) as plain,
        context.wrap_socket(plain, server_hostname=name) as secured,
    ):
        secured.sendall(f"{head}\r\n\r\n".encode())
        answer = b"".join(iter(lambda: secured.recv(65536), b""))
    if b" 200 " not in answer.partition(b"\r\n")[0]:  # what an instance says is its own
        scene.note("answers to clients", answer)
    return int(answer.split(b" ", 2)[1]), answer


def manage(
    scene: Scene,
    gateway: GatewayProcess,
    path: str,
    body: Any = None,
    *,
    credential: str | None = None,
) -> Any:
    """Ask the management API, by POST where there is a body, and keep the answer."""
    method = "GET" if body is None else "POST"
    status, headers, content = gateway.fetch(
        path,
        port=gateway.management_port,
        method=method,
        headers={
            "Authorization": credential or f"Bearer {scene.token}",
            "Content-Type": "application/json",
        },
        body=None if body is None else json.dumps(body).encode(),
    )
    where = path.partition("?")[0]
    if scene.token in path:
        where = "a path with a token"
    scene.note(f"{method} {where}", f"{status} {headers}\r\n".encode() + content)
    return json.loads(content) if content.startswith((b"{", b"[")) else None


class UsedTests:
    """Each secret does what it is for, or its absence elsewhere says nothing."""

    def test_connections_and_certificates(
        self, scene: Scene, gateway: GatewayProcess, outside: Outside
    ) -> None:
        """Passwords, keys of the bus and of certificates."""
        status = manage(scene, gateway, "/api/gateway/status")
        assert status["source"]["connected"]
        wait_until(lambda: manage(scene, gateway, "/api/gateway/status")["source"]["listening"])
        wait_until(lambda: manage(scene, gateway, "/api/gateway/status")["redis"]["connected"])
        for name in ("localhost", "shop.example"):
            assert ask(scene, gateway, "/hello", name=name)[0] == 200
        outside.sql("UPDATE fengling.route SET priority = 1 WHERE id = 'hello'")
        counted = "announcements_heard"
        wait_until(
            lambda: manage(scene, gateway, "/api/gateway/status")["redis"]["counters"].get(counted)
        )

    def test_credentials(self, scene: Scene, gateway: GatewayProcess) -> None:
        """Tokens by secrets that are encrypted, in a file and in the environment; an API key."""
        for place, secret in enumerate(
            (scene.hmac_secret, scene.file_secret, scene.environment_secret)
        ):
            now = int(time.time())
            claims = {"iss": f"{ISSUER}{place or ''}", "aud": "a", "sub": "ann"}
            token = jwt.encode(
                {**claims, "iat": now, "exp": now + 60}, secret.encode(), algorithm="HS256"
            )
            status, answer = ask(scene, gateway, "/closed", f"Authorization: Bearer {token}")
            assert status == 200, answer
        key = f"fgk_shop-1_{scene.api_key}"
        assert ask(scene, gateway, "/closed", f"X-Api-Key: {key}")[0] == 200


@pytest.fixture(scope="module")
def provoked(scene: Scene, gateway: GatewayProcess, outside: Outside) -> dict[str, bytes]:
    """Let everything go wrong, and return all that was said and written."""
    for provoke in (
        wrong_requests,
        wrong_tokens_of_operators,
        wrong_passwords,
        wrong_rows,
        wrong_files,
        wrong_messages,
        broken_workers,
        broken_code,
        wrong_settings,
        wrong_commands,
    ):
        provoke(scene, gateway, outside)
    for gather in (
        everything_asked,
        everything_on_disk,
        everything_of_processes,
        everything_in_redis,
        everything_in_the_database,
        everything_exported,
        everything_represented,
    ):
        gather(scene, gateway, outside)
    scene.note("the log", (gateway.directory / "gateway.log").read_bytes())
    return scene.outputs


def wrong_requests(scene: Scene, gateway: GatewayProcess, _: Outside) -> None:
    """Credentials that are damaged, doubled, of strangers or in the wrong place."""
    head, payload, signature = scene.bearer.split(".")
    damaged = f"{head}.{payload}.{signature[::-1]}"
    key = f"fgk_shop-1_{scene.api_key}"
    for lines in (
        (f"Authorization: Bearer {damaged}",),
        (f"Authorization: Bearer {scene.bearer}", f"Authorization: Bearer {scene.bearer}"),
        (f"Authorization: Basic {base64.b64encode(scene.api_key.encode()).decode()}",),
        (f"Authorization: {scene.bearer}",),
        (f"X-Api-Key: {key}x",),
        (f"X-Api-Key: fgk_other_{scene.api_key}",),
        (f"X-Api-Key: {key}", f"Authorization: Bearer {scene.bearer}", "X-Tenant-Id: other"),
        (f"Cookie: session={scene.bearer}",),
        (f"X-Bad : {scene.bearer}",),
        (f"Transfer-Encoding: {scene.bearer}",),
        (f"Content-Length: {scene.bearer}",),
    ):
        ask(scene, gateway, "/closed", *lines)
    for path in (
        f"/closed?token={damaged}",
        f"/nowhere?token={scene.bearer}",
        f"/{scene.bearer}",
        f"/closed?token={scene.bearer} {scene.bearer}",
        f"http://user:{scene.api_key}@localhost/closed",
    ):
        ask(scene, gateway, path)
    ask(scene, gateway, "/closed", method=scene.api_key.replace("-", "x"))


def wrong_tokens_of_operators(scene: Scene, gateway: GatewayProcess, _: Outside) -> None:
    """The same at the other door."""
    for value in (
        f"Bearer {scene.token}x",
        f"Bearer {scene.token[:-5]}AAAAA",
        f"Basic {scene.token}",
        f"Bearer {scene.bearer}",
        f"Bearer fgk_shop-1_{scene.api_key}",
    ):
        manage(scene, gateway, "/api/gateway/status", credential=value)
    manage(scene, gateway, f"/api/gateway/routes/{quote(scene.token)}")
    manage(scene, gateway, f"/api/gateway/status?access_token={scene.token}")
    question = {"path": "/closed", "host": "localhost", "method": "GET"}
    manage(scene, gateway, "/api/gateway/explain", question)
    manage(scene, gateway, "/api/gateway/explain", {"url": scene.token})


def wrong_passwords(scene: Scene, gateway: GatewayProcess, outside: Outside) -> None:
    """They are changed under a gateway that runs, and changed back."""
    kick = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE usename IN ('gateway', 'listening')"
    )
    for role in ("gateway", "listening"):
        outside.sql(f"ALTER ROLE {role} PASSWORD 'another'")
    outside.rows(kick)
    wait_for_line(gateway, "password authentication failed")
    scene.note(
        "status without a database", json.dumps(manage(scene, gateway, "/api/gateway/status"))
    )
    for role, password in (
        ("gateway", scene.database_password),
        ("listening", scene.listen_password),
    ):
        outside.sql(f"ALTER ROLE {role} PASSWORD '{password}'")
    outside.redis.ask("ACL", "SETUSER", "fengling", "resetpass", ">another")
    outside.redis.ask("CLIENT", "KILL", "USER", "fengling")
    wait_for_line(gateway, "WRONGPASS")
    manage(scene, gateway, "/api/gateway/status")
    outside.redis.ask("ACL", "SETUSER", "fengling", "resetpass", f">{scene.redis_password}")
    wait_until(lambda: manage(scene, gateway, "/api/gateway/status")["source"]["listening"])
    wait_until(lambda: manage(scene, gateway, "/api/gateway/status")["redis"]["connected"])


def wrong_rows(scene: Scene, gateway: GatewayProcess, outside: Outside) -> None:
    """Secrets where they don't belong, past all CHECKs: by somebody who restores a dump, say."""
    password, pem = scene.redis_password, scene.shop.key
    checks = outside.rows(
        "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname)"
        " FROM pg_constraint WHERE contype = 'c' AND connamespace = 'fengling'::regnamespace"
        " AND conrelid::regclass::text = ANY ('{fengling.instance,fengling.secret,"
        "fengling.certificate,fengling.issuer,fengling.route,fengling.service,"
        "fengling.api_key,fengling.setting}')"
    )
    for statement in checks.splitlines():
        outside.sql(statement)
    for statement, *arguments in (
        (
            "INSERT INTO fengling.instance (id, service_id, address) VALUES ('bad-1', 'v1', %s)",
            f"http://user:{password}@127.0.0.1:1",
        ),
        ("INSERT INTO fengling.secret (id, value) VALUES ('bad-1', %s)", password),
        ("INSERT INTO fengling.secret (id, value) VALUES ('bad-2', %s)", f"file:{password}"),
        ("INSERT INTO fengling.secret (id, value) VALUES ('bad-3', %s)", pem),
        (
            "INSERT INTO fengling.certificate (id, chain, key_secret) VALUES ('bad-1', %s, 'shop')",
            pem + scene.shop.chain,
        ),
        (
            "INSERT INTO fengling.certificate (id, chain, key_secret) VALUES ('bad-2', %s, 'idp')",
            scene.listener.chain,
        ),
        (
            (
                "INSERT INTO fengling.issuer (id, issuer, audiences, jwks_url) VALUES"
                " ('bad-1', 'https://x.example', '{a}', %s)"
            ),
            f"https://user:{password}@x.example/keys",
        ),
        (
            (
                "INSERT INTO fengling.issuer (id, issuer, audiences, algorithms, keys) VALUES"
                " ('bad-2', 'https://y.example', '{a}', '{HS256}', %s)"
            ),
            json.dumps({"keys": [{"kty": "oct", "k": scene.hmac_secret}]}),
        ),
        (
            "INSERT INTO fengling.api_key (id, client_id, digest) VALUES ('bad-1', 'shop', %s)",
            scene.api_key,
        ),
        ("UPDATE fengling.service SET tls = %s WHERE id = 'v1'", json.dumps({"ca": pem})),
    ):
        try:
            outside.sql(statement, *arguments)
        except psycopg2.Error as error:
            # PostgreSQL shows the row that it refuses to who wrote it: not ours to hide.
            scene.note("refused by the database", str(error.pgcode))
    wait_until(lambda: len(manage(scene, gateway, "/api/gateway/rejected")["items"]) >= 5)
    for kind in (
        "rejected",
        "status",
        "workers",
        "instances",
        "secrets",
        "certificates",
        "issuers",
    ):
        manage(scene, gateway, f"/api/gateway/{kind}")


def wrong_files(scene: Scene, gateway: GatewayProcess, _: Outside) -> None:
    """Keys and secrets that can't be used, at a hangup; each is complained of."""
    files = scene.directory / "secrets"
    good = {path: path.read_text() for path in files.iterdir()}
    for name, content, complaint in (
        ("secret-keys", f"{scene.sealing_key}\nk9:{scene.redis_password}\n", "secrets.key_file"),
        ("secret-keys", f"{scene.sealing_key}:x\n", "secrets.key_file"),
        ("listener.key", scene.listener.key.replace("PRIVATE", "PIRATE"), "listener.key"),
        ("listener.pem", scene.listener.key, "listener.pem"),
        ("redis-url", f"redis://u:{scene.redis_password}@h:x", "redis.url"),
        ("idp-two", scene.shop.key, ""),
    ):
        (files / name).write_text(content)
        before = len(gateway.log)
        gateway.signal(signal.SIGHUP)
        if complaint:
            wait_until(lambda since=before, said=complaint: said in gateway.log[since:])
        else:
            wait_until(lambda: "two" in json.dumps(failed_in_workers(scene, gateway)))
        manage(scene, gateway, "/api/gateway/status")
        for path, text in good.items():
            path.write_text(text)
    gateway.signal(signal.SIGHUP)
    wait_until(lambda: "two" not in json.dumps(failed_in_workers(scene, gateway)))


def failed_in_workers(scene: Scene, gateway: GatewayProcess) -> list[Any]:
    status = manage(scene, gateway, "/api/gateway/status")
    return [worker["failed"] for worker in status["workers"]]


def wrong_messages(scene: Scene, gateway: GatewayProcess, outside: Outside) -> None:
    """Secrets, said by somebody on Redis, are not repeated."""
    cluster = f"test-{os.getpid()}"
    for channel in ("announce", "command"):
        outside.redis.ask("PUBLISH", f"fengling:{cluster}:{channel}", f"F1 {scene.redis_password}!")
    wait_for_line(gateway, "is not believed")


def broken_workers(scene: Scene, gateway: GatewayProcess, outside: Outside) -> None:
    """One is killed, one aborts with a core, one is told nonsense by its own process."""
    for number in (signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV):
        before = gateway.worker_pids()
        os.kill(before[0], number)
        wait_until(lambda before=before: before[0] not in gateway.worker_pids())
        wait_until(lambda: len(gateway.worker_pids()) == 2, timeout=30)
        gateway.wait_ready()
    manage(scene, gateway, "/api/gateway/reload?wait=all&timeout=5", {"comment": "x"})


def broken_code(scene: Scene, _: GatewayProcess, outside: Outside) -> None:
    """Errors that nobody has foreseen, in threads, timers and the bus: they are logged as they are."""
    broken = GatewayProcess(
        directory=scene.directory / "broken-code",
        database=outside.url,
        redis=outside.redis_url,
        node="n2",
        settings={"sync": {"keys": [scene.bus_key]}},
        program=(sys.executable, "-c", BROKEN),
    )
    broken.start()
    try:
        for said in ("broken reader", "broken timer", "broken connection"):
            wait_until(lambda said=said: said in broken.log)
    finally:
        broken.stop()
    assert "Traceback" in broken.log
    scene.note("a gateway whose code is broken", broken.log)


def wrong_settings(scene: Scene, _: GatewayProcess, outside: Outside) -> None:
    """Gateways that don't start: what they say, and what a supervisor says that has no socket."""
    started = []
    for number, settings in enumerate(
        (
            {"database": {"url": outside.url.replace("@", "@@")}},
            {"database": {"url": outside.url + "?sslmode=x"}},
            {"database": {"url": scene.database_password}},
            {"redis": {"url": outside.redis_url.replace(":127", "/127").replace("@", "#")}},
            {"redis": {"url": outside.redis_url + "?ssl_cert_reqs=none"}},
            {"sync": {"keys": [scene.bus_key[:40]]}},
            {"sync": {"keys": scene.bus_key}},
            {"management": {"token_keys": [scene.token_key.replace(":", "")]}},
            {"management": {"token_keys_file": scene.token_key}},
            {"secrets": {"key_file": scene.sealing_key}},
            {"log": {"level": scene.redis_password}},
            {scene.redis_password: {"a": 1}},
            {"database": {scene.database_password: 1}},
        )
    ):
        broken = GatewayProcess(
            directory=scene.directory / f"broken-{number}",
            database=settings.get("database", {}).get("url", outside.url),
            settings=settings,
        )
        broken.start()
        started.append(broken)
    for broken in started:
        try:
            wait_until(lambda broken=broken: broken.process.poll() is not None, timeout=60)
        finally:
            broken.stop()
        scene.note(f"{broken.directory.name}, which does not start", broken.log)
    environment = {
        **os.environ,
        "FENGLING_DATABASE__URL": outside.url.replace("@", "@@"),
        "FENGLING_SYNC__KEYZ": scene.bus_key,
        f"FENGLING_{scene.redis_password}": "x",
    }
    ran = subprocess.run(
        [sys.executable, "-m", "fengling_gateway.tap.gateway"],
        env=environment,
        capture_output=True,
        timeout=30,
        check=False,
    )
    scene.note("a gateway with a wrong environment", ran.stdout + ran.stderr)


def wrong_commands(scene: Scene, gateway: GatewayProcess, outside: Outside) -> None:
    """What tools say of passwords, tokens, keys and files that are wrong."""
    management = ("--management", f"http://127.0.0.1:{gateway.management_port}")
    for url in (
        outside.url.replace("gateway:", "gateway:x"),
        outside.url.replace("@", "@@"),
        outside.url.replace("canaries", "nowhere"),
        outside.url.replace("127.0.0.1", "127.0.0.1:1,127.0.0.1").replace("gateway:", "gateway:x"),
    ):
        for command in (("db", "upgrade"), ("export",)):
            scene.run(*command, "--database", url)
    for token in (scene.token + "x", scene.bearer, scene.token_key):
        scene.run("status", *management, FENGLING_TOKEN=token)
    scene.run("token", "inspect", "-", stdin=scene.token + "x")
    scene.run("secret", "set", "x", "--stdin", "--key-file", scene.sealing_key, stdin="x")
    scene.run("token", "create", "--key-file", str(scene.file("bad", scene.token_key[:50])))
    plain = {
        "secrets": {"x": {"value": scene.file_secret}, "y": {"value": scene.shop.key}},
        "instances": [{"service_id": "v1", "address": f"http://u:{scene.file_secret}@h:1"}],
        "api_keys": {"x": {"client_id": "shop", "digest": scene.api_key}},
        "issuers": {"x": {"issuer": "https://x", "key_secret": scene.hmac_secret}},
        "certificates": {"x": {"chain": scene.shop.key, "key_secret": "shop"}},
    }
    file = str(scene.file("plain.yaml", yaml.safe_dump(plain)))
    for command in (("validate", file), ("apply", file, "--database", outside.owner)):
        scene.run(*command)
    scene.run("diff", file, "--database", outside.owner)


def everything_asked(scene: Scene, gateway: GatewayProcess, _: Outside) -> None:
    """Every path of the management API, with every id that there is, and the metrics."""
    document = manage(scene, gateway, "/api/gateway/openapi.json")
    for path, methods in document["paths"].items():
        if "get" not in methods:
            continue
        if "{id}" not in path:
            manage(scene, gateway, path)
            continue
        listed_at = path.removesuffix("/{id}").replace("/exchanges", "/errors")
        listed = manage(scene, gateway, listed_at)
        for one in listed["items"]:
            identity = one.get("id") or one.get("key") or one["request_id"]
            manage(scene, gateway, path.replace("{id}", quote(str(identity))))
    manage(scene, gateway, "/api/gateway/workers?node=self")
    manage(scene, gateway, "/api/gateway/confirm", {"revision": 1})
    assert b"fengling_" in scene.outputs["GET /metrics"]


def everything_on_disk(scene: Scene, gateway: GatewayProcess, _: Outside) -> None:
    """What the gateway writes itself: last-known-good file, journal, key sets, sockets' names."""
    wait_until(lambda: list((gateway.directory / "state").rglob("*")))
    for part in ("state", "run"):
        for path in (gateway.directory / part).rglob("*"):
            scene.note("names of files", str(path))
            if path.is_file():
                scene.note(f"file {path.name}", path.read_bytes())
    assert any(len(content) > 1000 for where, content in scene.outputs.items() if "file " in where)


def everything_of_processes(scene: Scene, gateway: GatewayProcess, _: Outside) -> None:
    """Command lines and titles of the supervisor, its workers and what else it has started."""
    workers = gateway.worker_pids()
    supervisor = int(Path(f"/proc/{workers[0]}/stat").read_text().rpartition(")")[2].split()[1])
    for pid in (supervisor, *workers):
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"Max core file size +0 ", limits), limits
        for part in ("cmdline", "comm", "status", "wchan"):
            scene.note(f"/proc/…/{part}", Path(f"/proc/{pid}/{part}").read_bytes())
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                scene.note("/proc/…/fd", str(descriptor.readlink()))
            except OSError:
                continue  # it has just been closed
    assert b"fengling_gateway" in scene.outputs["/proc/…/cmdline"]


def everything_in_redis(scene: Scene, gateway: GatewayProcess, outside: Outside) -> None:
    """All keys and values, and all messages since the beginning."""
    outside.redis.ask("PUBLISH", "the-end", "x")
    while True:
        _, _, channel, message = outside.spy.receive()
        if scene.redis_password.encode() + b"!" not in message:  # said by the test itself
            scene.note("messages on Redis", channel + b" " + message)
        if channel == b"the-end":
            break
    for name in outside.redis.ask("KEYS", "*"):
        scene.note("names of keys in Redis", name)
        scene.note("keys in Redis", outside.redis.ask("DUMP", name))
        if outside.redis.ask("TYPE", name) in (b"hash", "hash"):
            scene.note("keys in Redis", b" ".join(outside.redis.ask("HGETALL", name)))
    scene.note("clients of Redis", outside.redis.ask("CLIENT", "LIST"))
    assert b'"revision"' in scene.outputs["messages on Redis"]
    assert b'"workers"' in scene.outputs["keys in Redis"]


def everything_in_the_database(scene: Scene, _: GatewayProcess, outside: Outside) -> None:
    """The log of changes, all our tables and what others see of connections."""
    # What we have planted in the wrong places stands there, and in their history: so has it been
    # written by others. It goes no further, which is what is looked for elsewhere.
    skipped = "AND NOT row_to_json(t)::text LIKE '%%bad-_%%'"
    for table in outside.rows(
        "SELECT format('%I', tablename) FROM pg_tables WHERE schemaname = 'fengling'"
    ).splitlines():
        query = f"SELECT row_to_json(t)::text FROM fengling.{table} AS t WHERE true "
        if table == "service" or table.startswith("revision_change"):
            query += "AND NOT row_to_json(t)::text LIKE '%PRIVATE KEY%' "
        scene.note(f"table {table}", outside.rows(query + skipped.replace("%%", "%")))
    scene.note(
        "pg_stat_activity", outside.rows("SELECT row_to_json(t)::text FROM pg_stat_activity AS t")
    )
    assert b"aes256gcm:" in scene.outputs["table secret"]
    assert b'"shop-1"' in scene.outputs["table api_key"]


def everything_exported(scene: Scene, gateway: GatewayProcess, outside: Outside) -> None:
    """What fenglingctl prints of what there is."""
    outside.sql("DELETE FROM fengling.instance WHERE id LIKE 'bad-%'")
    outside.sql("DELETE FROM fengling.certificate WHERE id LIKE 'bad-%'")
    outside.sql("DELETE FROM fengling.issuer WHERE id LIKE 'bad-%'")
    outside.sql("DELETE FROM fengling.api_key WHERE id LIKE 'bad-%'")
    outside.sql("DELETE FROM fengling.secret WHERE id LIKE 'bad-%'")
    outside.sql("UPDATE fengling.service SET tls = null WHERE id = 'v1'")
    database = ("--database", outside.owner)
    management = ("--management", f"http://127.0.0.1:{gateway.management_port}")
    exported = scene.run("export", *database)
    assert "shop.example" in exported or "shop" in exported
    for command in (("validate",), ("db", "status"), ("key", "list"), ("token", "list")):
        scene.run(*command, *database)
    for command in (
        ("status", "-o", "json"),
        ("status",),
        *(
            ("get", kind, "-o", "yaml")
            for kind in ("routes", "services", "instances", "secrets", "certificates", "issuers")
        ),
        *(("get", kind) for kind in ("api_keys", "clients", "settings", "workers", "rejected")),
        ("explain", "/closed"),
        ("reload", "--wait", "all"),
    ):
        scene.run(*command, *management, FENGLING_TOKEN=scene.token)
    assert "hello" in scene.outputs["fenglingctl get routes -o"].decode()
    everything_bundled(scene, gateway, management)


def everything_bundled(scene: Scene, gateway: GatewayProcess, management: tuple[str, ...]) -> None:
    """What goes to whoever is to help, and what doctor says."""
    config = ("--config", str(gateway.directory / "gateway.toml"))
    log = ("--log", str(gateway.directory / "gateway.log"))
    scene.run("doctor", *config, *management, FENGLING_TOKEN=scene.token)
    file = scene.directory / "bundle.tar.gz"
    scene.run("support-bundle", str(file), *config, *management, *log, FENGLING_TOKEN=scene.token)
    with tarfile.open(file) as bundle:
        for member in bundle.getmembers():
            content = bundle.extractfile(member)
            assert content is not None
            scene.note(f"bundle {member.name.partition('/')[2]}", content.read())
    for name in (
        "configuration.yaml",
        "settings.json",
        "status.json",
        "gateway.log",
        "doctor.json",
    ):
        assert scene.outputs[f"bundle {name}"]


def everything_represented(scene: Scene, gateway: GatewayProcess, _: Outside) -> None:
    """Settings as a debugger, a log line or a failing assertion would show them."""
    settings = load_settings(gateway.directory / "gateway.toml", {})
    for one in (settings, settings.database, settings.redis, settings.sync, settings.secrets):
        scene.note("settings", f"{one!r} {one!s}")
    scene.note("settings", repr(settings.management))
    scene.note("settings of a supervisor", repr(supervisor_settings(settings)))


class CanaryTests:
    """Not one of them, anywhere."""

    def test_all_that_can_be_looked_at_was(self, provoked: dict[str, bytes]) -> None:
        """And is not empty; else the search would find nothing there either."""
        expected = (
            *("the log", "GET /metrics", "GET /api/gateway/status", "table revision_change"),
            *("GET /api/gateway/openapi.json", "GET /api/gateway/audit", "messages on Redis"),
            *(
                "keys in Redis",
                "settings",
                "fenglingctl export --database postgresql",
                "/proc/…/cmdline",
            ),
        )
        for where in expected:
            assert any(name.startswith(where) and provoked[name] for name in provoked), where
        log = provoked["the log"].decode()
        for said in ("password authentication failed", "WRONGPASS", "rejected", "settings:"):
            assert said in log

    def test_no_secret_is_anywhere(self, provoked: dict[str, bytes]) -> None:
        """None of all that were planted, in none of all outputs, in no form."""
        assert len(PLANTED.names) == 14
        found = PLANTED.found(provoked)
        assert not found, "\n".join(found)

    def test_search_finds_what_is_there(self, provoked: dict[str, bytes]) -> None:
        """In any form."""
        planted = Canaries()
        secret = planted.plant("it", word())
        for form in (
            secret,
            quote(f"x{secret}"),
            base64.b64encode(f"user:{secret}".encode()).decode(),
            secret.encode().hex(),
            repr(bytes.fromhex(secret)),
            secret[5:-5],
        ):
            assert planted.found({"here": form.encode()}), form
        assert planted.found(provoked) == []
