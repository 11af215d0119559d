"""Gateway nodes on a database, for benchmarks: settings, start, and their management API."""

from __future__ import annotations

import json
import secrets
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.harness.children import Child, Children, StartError, free_port
from benchmarks.harness.compiled import as_installed
from benchmarks.harness.programs import beside_python
from fengling_gateway.auth.tokens import TokenRing
from fengling_gateway.model.management_tokens import READ

_READY_SECONDS: Final = 60.0
_SAMPLE_SECONDS: Final = 0.1
_KEY_BYTES: Final = 32

_TOKEN_SECONDS: Final = 86_400

_SETTINGS: Final = """\
cluster = "{cluster}"
node = "{node}"
workers = {workers}
source = "database"
runtime_dir = "{directory}/run"
state_dir = "{directory}/state"

[database]
url = "{database}"
listen = {listen}

[redis]
{redis}

[sync]
push = {push}
keys = ["{sync_key}"]

[upstream]
allow = ["127.0.0.0/8"]

[[listeners]]
name = "http"
address = "127.0.0.1:{port}"

[management]
address = "127.0.0.1:{management_port}"
token_keys = ["{token_key}"]

[debug]
worker_header = true
"""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the nodes of one run share."""

    name: str
    database: str
    redis: str
    sync_key: str
    token_key: str


def new_cluster(database: str, redis: str) -> Cluster:
    """A cluster with a name and keys of its own, so that runs may share a Redis."""
    keys = (f"bench:{secrets.token_hex(_KEY_BYTES)}" for _ in range(2))
    name = f"bench-{secrets.token_hex(4)}"
    return Cluster(name, database, redis, sync_key=next(keys), token_key=next(keys))


def read_token(key: str) -> str:
    """A token that may read the management API of nodes with this key."""
    return TokenRing([key]).issue(
        subject="benchmark",
        scopes=[READ],
        now=time.time(),
        lifetime_seconds=_TOKEN_SECONDS,
        token_id=secrets.token_hex(8),
    )


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """How a node differs from the shipped defaults."""

    name: str
    workers: int = 4
    push: bool = True
    listen: bool = True
    redis: bool = True


def settings_text(
    settings: NodeSettings, cluster: Cluster, directory: Path, ports: tuple[int, int]
) -> str:
    """The node's TOML file; `ports` are those of traffic and of management."""
    redis = f'url = "{cluster.redis}"' if settings.redis else ""
    return _SETTINGS.format(
        cluster=cluster.name,
        node=settings.name,
        workers=settings.workers,
        directory=directory,
        database=cluster.database,
        listen=str(settings.listen).lower(),
        redis=redis,
        push=str(settings.push).lower(),
        sync_key=cluster.sync_key,
        port=ports[0],
        management_port=ports[1],
        token_key=cluster.token_key,
    )


class Node:
    """A running gateway."""

    def __init__(self, child: Child, *, port: int, management_port: int, token: str) -> None:
        self.child = child
        self.port = port
        self._base = f"http://127.0.0.1:{management_port}"
        self._token = token

    def get(self, path: str) -> Any:
        """The JSON at a path of the management API."""
        request = urllib.request.Request(
            self._base + path, headers={"Authorization": f"Bearer {self._token}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.get("/api/gateway/status")
        return status

    def workers(self) -> list[dict[str, Any]]:
        """This node's own workers."""
        workers: list[dict[str, Any]] = self.status()["workers"]
        return workers

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(self._base + "/readyz", timeout=2) as answer:
                ready: bool = answer.status == 200
                return ready
        except (urllib.error.URLError, OSError):
            return False

    def serves(self, revision: int) -> bool:
        """Whether each of its workers serves at least this revision."""
        return all((worker["revision"] or 0) >= revision for worker in self.workers())


@dataclass(frozen=True, slots=True)
class PreparedNode:
    """A gateway's settings in a directory of its own; it may be started more than once."""

    children: Children
    directory: Path
    ports: tuple[int, int]
    token: str

    @property
    def name(self) -> str:
        return self.directory.name

    def start(self) -> Node:
        """Start it; it is not ready yet."""
        program = beside_python("fengling-gateway") or "fengling-gateway"
        path = self.directory / "gateway.toml"
        command = [program, "--config", str(path)]
        child = self.children.start(self.name, command, environment=as_installed())
        port, management_port = self.ports
        return Node(child, port=port, management_port=management_port, token=self.token)


def prepare_node(children: Children, settings: NodeSettings, cluster: Cluster) -> PreparedNode:
    """Write what a gateway needs to start."""
    directory = children.directory / f"{settings.name}-{secrets.token_hex(2)}"
    directory.mkdir()
    ports = free_port(), free_port()
    path = directory / "gateway.toml"
    path.touch(mode=0o600)
    path.write_text(settings_text(settings, cluster, directory, ports))
    return PreparedNode(children, directory, ports, read_token(cluster.token_key))


def start_node(children: Children, settings: NodeSettings, cluster: Cluster) -> Node:
    """
    Start a gateway and wait until it is ready.

    Raises:
        StartError: it ended, or is not ready in time.
    """
    prepared = prepare_node(children, settings, cluster)
    node = prepared.start()
    try:
        node.child.wait_until(node.is_ready, _READY_SECONDS)
    except StartError as error:
        raise StartError(f"{prepared.name}: {error}") from error
    return node


class LagSampler:
    """
    Notes how long a reactor of a node was late at most, as the node tells.

    ``blocked`` is without the time in which its process waited for a CPU, of
    which there are fewer here than processes.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lag")
        self.longest_ms = 0.0
        self.blocked_ms = 0.0

    @contextmanager
    def sampling(self) -> Iterator[LagSampler]:
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            for worker in self._node.workers():
                self.longest_ms = max(self.longest_ms, worker["lag_ms"])
                self.blocked_ms = max(self.blocked_ms, worker["blocked_ms"])


def wait_until_served(node: Node, revision: int, *, seconds: float) -> None:
    """
    Wait until every worker of the node serves the revision.

    Raises:
        TimeoutError: one did not.
    """
    deadline = time.monotonic() + seconds
    while not node.serves(revision):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{node.child.name} does not serve revision {revision}")
        time.sleep(0.02)
