"""
The plain manifests start what they say: migration, console and gateways as processes.

Each has the command, environment, files and user of its pod; see `tests.support.pods`.
"""

from __future__ import annotations

import http.client
import re
import secrets
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fengling_gateway.embedded.owned import scratch_directory
from fengling_gateway.embedded.ports import free_port
from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.embedded.valkey import ValkeyServer
from tests.integration.conftest import Sql
from tests.integration.gateway import Upstream
from tests.support.pods import ROOT, SECRET_FILES, Container, confines, manifest
from tests.support.wait import wait_until

Secrets = dict[tuple[str, str], str]

GROUPS = {"gateway": "fengling_gateway", "console": "fengling_console, fengling_voucher"}


class Cluster:
    """What runs of the manifests, against a database and a Valkey that hold nothing yet."""

    def __init__(self, postgres: PostgresServer, redis: str) -> None:
        self.database = postgres.create_database()
        name = self.database.rpartition("/")[2]
        self.roles = {role: f"{role}_{name}" for role in ("gateway", "console")}
        self.secrets: Secrets = {
            ("fengling-owner-database", "url"): self.database,
            ("fengling-redis", "url"): redis,
            ("fengling-keys", "token-keys"): f"2026-11:{secrets.token_hex(32)}",
            ("fengling-keys", "sync-keys"): f"2026-11:{secrets.token_hex(32)}\n"
            f"2026-10:{secrets.token_hex(32)}",
        }
        for role, user in self.roles.items():
            self.secrets[f"fengling-{role}-database", "url"] = postgres.dsn(name, user)
        self._started: list[Container] = []

    def migrate(self) -> None:
        """Run the migration's Job to its end, and make the roles that people make."""
        job = self.start("Job", "fengling-migration")
        assert job.wait() == 0, job.log
        sql = Sql(self.database)
        for role, groups in GROUPS.items():
            self.make_role(role)
            sql.run(f"GRANT {groups} TO {self.roles[role]}")

    def make_role(self, role: str) -> None:
        sql = Sql(self.database)
        if sql.value("SELECT 1 FROM pg_roles WHERE rolname = %s", self.roles[role]) is None:
            sql.run(f"CREATE ROLE {self.roles[role]} LOGIN")

    def start(self, kind: str, name: str, **also: str) -> Container:
        directory = scratch_directory(f"{name}-")
        container = Container(manifest(kind, name), directory, secrets=self.secrets, also=also)
        self._started.append(container)
        container.start()
        return container

    def gateway(self) -> Container:
        return self.start(
            "Deployment", "fengling-gateway", FENGLING_UPSTREAM__ALLOW='["127.0.0.0/8"]'
        )

    def close(self) -> None:
        for one in self._started:
            one.close()


@contextmanager
def a_cluster(postgres: PostgresServer, valkey: ValkeyServer) -> Iterator[Cluster]:
    cluster = Cluster(postgres, valkey.url)
    try:
        yield cluster
    finally:
        cluster.close()
        postgres.psql(f'DROP DATABASE "{cluster.database.rpartition("/")[2]}" WITH (FORCE)')
        for role in cluster.roles.values():
            postgres.psql(f"DROP ROLE IF EXISTS {role}")


@pytest.fixture
def empty_cluster(postgres: PostgresServer, valkey: ValkeyServer) -> Iterator[Cluster]:
    """Return one whose database has no schema."""
    with a_cluster(postgres, valkey) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def cluster(postgres: PostgresServer, valkey: ValkeyServer) -> Iterator[Cluster]:
    """Return one that is migrated, and has a route, for all tests here."""
    upstream = Upstream("v1")
    with a_cluster(postgres, valkey) as cluster:
        cluster.migrate()
        serve_hello(cluster, upstream)
        yield cluster
    upstream.close()


def documented(container: Container, program: str) -> str:
    """Return the command that the documentation has run in a pod, with the paths of this one."""
    text = (ROOT / "docs" / "kubernetes-install.md").read_text().replace("\\\n", "")
    [command] = re.findall(f"k exec deploy/fengling-{program} -- sh -c '(.+?)'", text, re.DOTALL)
    return str(command).replace(SECRET_FILES, str(container.volume(SECRET_FILES)))


def serve_hello(cluster: Cluster, upstream: Upstream) -> None:
    sql = Sql(cluster.database)
    sql.run("INSERT INTO fengling.service (id) VALUES ('v1')")
    sql.run(
        "INSERT INTO fengling.instance (service_id, address) VALUES ('v1', %s)", upstream.address
    )
    sql.run("INSERT INTO fengling.route (id, path, service_id) VALUES ('hello', '/hello', 'v1')")


def hello(gateway: Container) -> int:
    """Ask for /hello; returns the status."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.ports["http"], timeout=10)
    try:
        connection.request("GET", "/hello")
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.fixture
def gateway(cluster: Cluster) -> Iterator[Container]:
    """Return a gateway that is ready, and serves /hello."""
    gateway = cluster.gateway()
    gateway.wait_ready()
    yield gateway
    gateway.close()


class GatewayPodTests:
    def test_term_ends_readiness_first_and_the_process_last(self, gateway: Container) -> None:
        """What is under way ends in between, and the status is 0."""
        assert gateway.probe("livenessProbe") == gateway.probe("startupProbe") == 200
        with socket.create_connection(("127.0.0.1", gateway.ports["http"]), 10) as client:
            client.sendall(b"POST /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nbegun")
            assert hello(gateway) == 200  # (so the head of the other has been read, too)
            gateway.signal(signal.SIGTERM)
            wait_until(lambda: gateway.probe("readinessProbe") == 503)
            assert gateway.probe("livenessProbe") == 200
            client.sendall(b"done")
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
        assert gateway.wait() == 0

    def test_container_that_starts_again_serves_from_its_volume(
        self, cluster: Cluster, gateway: Container
    ) -> None:
        """The database may be away then: an emptyDir outlives the container."""
        state = gateway.volume("/var/lib/fengling")
        wait_until(lambda: list(state.rglob("*.lkg")))
        gateway.signal(signal.SIGTERM)
        assert gateway.wait() == 0
        away = f"postgresql://gateway@127.0.0.1:{free_port()}/fengling"
        gateway.update({**cluster.secrets, ("fengling-gateway-database", "url"): away})
        gateway.start()
        gateway.wait_ready()
        assert hello(gateway) == 200

    def test_keys_that_change_in_a_secret_are_taken_at_hup(
        self, cluster: Cluster, gateway: Container
    ) -> None:
        """A kubelet changes the file; nothing is restarted."""
        fresh = {("fengling-keys", "token-keys"): f"2026-12:{secrets.token_hex(32)}"}
        gateway.update({**cluster.secrets, **fresh})
        gateway.signal(signal.SIGHUP)
        wait_until(lambda: "management.token_keys changed" in gateway.log)
        assert gateway.probe("readinessProbe") == 200

    def test_gateway_before_its_migration_waits(self, empty_cluster: Cluster) -> None:
        """It is alive meanwhile, so that nobody restarts it, and ready when there is something."""
        empty_cluster.make_role("gateway")
        gateway = empty_cluster.gateway()
        wait_until(lambda: gateway.probe("livenessProbe") == 200, timeout=60)
        assert gateway.probe("readinessProbe") == 503
        empty_cluster.migrate()
        gateway.wait_ready()

    def test_doctor_looks_at_what_the_pod_has(self, gateway: Container) -> None:
        """At its database, too, by the variable that names its file."""
        command = documented(gateway, "gateway")
        management = f"http://127.0.0.1:{gateway.ports['management']}"
        told = gateway.execute("sh", "-c", command.replace("http://127.0.0.1:8001", management))
        assert "ok    database.reach" in told
        assert "ok    gateway.reach" in told

    def test_nothing_but_volumes_is_written(self, gateway: Container) -> None:
        """Everything else is read-only, and it is nobody's who could change that."""
        if not confines():
            pytest.skip("needs root, and mount namespaces")
        assert gateway.process is not None
        status = Path(f"/proc/{gateway.process.pid}/status").read_text()
        assert re.search(r"^Uid:\t10001\t10001", status, re.MULTILINE)
        assert re.search(r"^CapBnd:\t0+$", status, re.MULTILINE)
        mounts = Path(f"/proc/{gateway.process.pid}/mountinfo").read_text().splitlines()
        [root] = [one.split() for one in mounts if one.split()[4] == "/"]
        assert "ro" in root[5].split(",")
        assert "holds passwords or keys" not in gateway.log


class ConsolePodTests:
    def test_console_is_ready_and_ends_at_term(self, cluster: Cluster) -> None:
        """It needs no volume but its secrets; and gives out a link, as documented."""
        console = cluster.start("Deployment", "fengling-console")
        console.wait_ready()
        assert console.probe("livenessProbe") == 200
        where = f"FENGLING_CONSOLE=http://127.0.0.1:{console.ports['http']}"
        assert "http://" in console.execute(
            "sh", "-c", f"export {where}; {documented(console, 'console')}"
        )
        console.signal(signal.SIGTERM)
        assert console.wait() == 0


class MigrationTests:
    def test_job_may_run_again(self, cluster: Cluster) -> None:
        """As it does before each upgrade."""
        again = cluster.start("Job", "fengling-migration")
        assert again.wait() == 0, again.log
