"""A stage for benchmarks of configuration: servers, a filled database, nodes, load, a prober."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final, Self

from benchmarks.harness.children import Children, undisturbed
from benchmarks.harness.configuration import PROBE_HOST, SIDES, fill, newest_revision
from benchmarks.harness.load import LoadGenerator, LoadOutcome, RunningLoad
from benchmarks.harness.node import (
    Cluster,
    Node,
    NodeSettings,
    new_cluster,
    start_node,
    wait_until_served,
)
from benchmarks.harness.prober import Prober
from benchmarks.harness.upstream import Upstream, start_upstream
from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.embedded.valkey import ValkeyServer
from fengling_gateway.schema import upgrade

LOAD_CONNECTIONS: Final = 16
_LOAD_SECONDS: Final = 3600.0
"""Longer than anything measured: load is interrupted, not waited for."""

_SERVED_SECONDS: Final = 60.0


class Servers:
    """PostgreSQL and Valkey from their wheels, and the upstream instances."""

    def __init__(self, children: Children) -> None:
        self.children = children
        self.postgres = PostgresServer(children.directory / "postgres", durable=True)
        self.valkey = ValkeyServer(children.directory / "valkey")
        self.upstream: Upstream

    def __enter__(self) -> Self:
        self.postgres.start()
        self.valkey.start()
        self.upstream = start_upstream(self.children, SIDES, cpus=None)
        return self

    def __exit__(self, *_: object) -> None:
        with undisturbed():
            self.valkey.stop()
            self.postgres.stop()

    def empty_database(self, routes: int) -> str:
        """The DSN of a new database that is going to have so many routes."""
        dsn = self.postgres.create_database(f"bench_{routes}_{secrets.token_hex(3)}")
        upgrade(dsn)
        return dsn

    def filled_database(self, routes: int) -> str:
        """The DSN of a new database with so many routes."""
        dsn = self.empty_database(routes)
        alpha, beta = (self.upstream.ports[side] for side in SIDES)
        fill(dsn, routes=routes, ports=(alpha, beta))
        return dsn


@dataclass(slots=True)
class Scene:
    """A node that serves under load, and connections to each of its workers."""

    children: Children
    node: Node
    prober: Prober
    load: RunningLoad
    cluster: Cluster
    outcome: LoadOutcome | None = None

    def stop_load(self) -> LoadOutcome:
        """What the load saw, from the node's start until now."""
        self.load.interrupt()
        self.outcome = self.load.outcome(within_seconds=30)
        return self.outcome


@contextmanager
def scene(
    servers: Servers, dsn: str, nodes: Sequence[NodeSettings], *, pause_ms: int
) -> Iterator[Scene]:
    """
    Start nodes on a database, the last of them under load and probed.

    Args:
        pause_ms: how long each of the load's connections rests between requests.
    """
    cluster = new_cluster(dsn, servers.valkey.url)
    children = servers.children
    with ExitStack() as stack:
        for settings in nodes:
            node = start_node(children, settings, cluster)
            stack.callback(children.stop, node.child)
            wait_until_served(node, newest_revision(dsn), seconds=_SERVED_SECONDS)
        prober = Prober(node.port, PROBE_HOST, workers=nodes[-1].workers)
        stack.callback(prober.close)
        prober.prepare()
        load = LoadGenerator(children, cpus=None).start(
            node.port,
            seconds=_LOAD_SECONDS,
            connections=LOAD_CONNECTIONS,
            traffic="realistic",
            pause_ms=pause_ms,
        )
        yield Scene(children, node, prober, load, cluster)
