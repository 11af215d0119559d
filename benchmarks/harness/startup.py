"""From exec to proxied answers by every worker, and what the processes hold then.

A real gateway with a table of `benchmarks.route_shapes` in a real database, and
the same gateway from its last-known-good file while the database is down.
"""

from __future__ import annotations

import compileall
import json
import py_compile
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple

import fengling_gateway
from benchmarks.harness.configuration import SIDES, connected
from benchmarks.harness.node import NodeSettings, PreparedNode, new_cluster, prepare_node
from benchmarks.harness.prober import parse_answer
from benchmarks.harness.proc import cpu_seconds, resident_bytes, whole_resident_bytes
from benchmarks.harness.scene import Servers
from benchmarks.route_shapes import SERVICES, SHAPES, Body

SHAPE: Final = "mixed"
TARGET_ROUTES: Final = 10_000
START_SECONDS: Final = 2.0
"""What a start with so many routes may take."""

_START_SECONDS: Final = 60.0
_ANSWER_SECONDS: Final = 0.25
"""Whoever is not answered by then asks anew: another worker may serve by now."""

_RETRY_SECONDS: Final = 0.002
_BATCH: Final = 5_000

_SERVICES: Final = """
INSERT INTO fengling.service (id)
  SELECT format('service-%%s', n) FROM generate_series(0, %(services)s - 1) AS n;
INSERT INTO fengling.instance (id, service_id, address)
  SELECT format('instance-%%s-%%s', n, i), format('service-%%s', n),
         format('http://127.0.0.1:%%s', (%(ports)s)[i])
    FROM generate_series(0, %(services)s - 1) AS n, generate_series(1, 2) AS i;
"""
_ROUTES: Final = """
INSERT INTO fengling.route (id, hosts, path, methods, match, service_id)
  SELECT id, hosts, path, methods, match, service_id
    FROM jsonb_to_recordset(%s::jsonb)
      AS route (id text, hosts text[], path text, methods text[], match jsonb, service_id text)
"""


class StartTooSlowError(Exception):
    """Not every worker answered in time."""


class Start(NamedTuple):
    """
    One start.

    Attributes:
        seconds: from exec until each worker had answered, by the instance, a request.
        cpu_seconds: what all processes of the gateway used until then.
        worker_bytes: the proportional set size of the largest worker.
        worker_resident_bytes: its resident set, pages that it shares included.
        supervisor_bytes: the supervisor's proportional set size.
        served_from: what the gateway says it serves from.
    """

    seconds: float
    cpu_seconds: float
    worker_bytes: int
    worker_resident_bytes: int
    supervisor_bytes: int
    served_from: str


@dataclass(frozen=True, slots=True)
class Stage:
    """A gateway that may be started again and again, on its own database."""

    routes: int
    node: PreparedNode
    workers: int


def precompile() -> None:
    """Compile the gateway's modules to bytecode, as an installation does."""
    mode = py_compile.PycInvalidationMode.CHECKED_HASH
    compileall.compile_dir(fengling_gateway.__path__[0], quiet=2, invalidation_mode=mode)


def prepare(servers: Servers, routes: int, workers: int) -> Stage:
    """Make a database with so many routes, and the settings of a gateway on it."""
    shape = SHAPES[SHAPE]
    dsn = servers.empty_database(routes)
    _write(dsn, (shape.body(number) for number in range(routes)), servers.upstream.ports)
    settings = NodeSettings(f"start-{routes}", workers=workers)
    node = prepare_node(servers.children, settings, new_cluster(dsn, servers.valkey.url))
    return Stage(routes, node, workers)


def _write(dsn: str, bodies: Iterable[Body], ports: dict[str, int]) -> None:
    with connected(dsn) as connection, connection.cursor() as cursor:
        values = {"services": SERVICES, "ports": [ports[side] for side in SIDES]}
        cursor.execute(_SERVICES, values)
        bodies = iter(bodies)
        while batch := list(islice(bodies, _BATCH)):
            cursor.execute(_ROUTES, [json.dumps(batch)])
        connection.commit()
        connection.autocommit = True
        cursor.execute("ANALYZE")


def measure_start(servers: Servers, stage: Stage) -> Start:
    """
    Start the gateway once, and stop it.

    Raises:
        StartTooSlowError: a worker did not answer within a minute.
    """
    started_at = time.perf_counter()
    node = stage.node.start()
    try:
        _wait_for_all(node.port, stage.workers, started_at + _START_SECONDS)
        seconds = time.perf_counter() - started_at
        cpu = cpu_seconds(node.child.pid)
        workers = [worker["pid"] for worker in node.workers()]
        return Start(
            seconds=seconds,
            cpu_seconds=cpu,
            worker_bytes=max(map(resident_bytes, workers)),
            worker_resident_bytes=max(map(whole_resident_bytes, workers)),
            supervisor_bytes=resident_bytes(node.child.pid),
            served_from=node.status()["served_from"],
        )
    finally:
        servers.children.stop(node.child)


def _wait_for_all(port: int, workers: int, deadline: float) -> None:
    content = _request_content()
    seen: set[str] = set()
    while len(seen) < workers:
        if time.perf_counter() > deadline:
            raise StartTooSlowError(f"answers came from {sorted(seen) or 'no worker'} only")
        try:
            answer = parse_answer(_ask(port, content))
        except (OSError, ValueError):
            time.sleep(_RETRY_SECONDS)
            continue
        if answer.status == 200 and answer.instance:
            seen.add(answer.worker)


def _request_content() -> bytes:
    request = SHAPES[SHAPE].request(0)
    return b"%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (
        request.method,
        request.path,
        request.host,
    )


def _ask(port: int, content: bytes) -> bytes:
    """Ask on a new connection, which the kernel gives to any worker's socket."""
    with socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_SECONDS) as connection:
        connection.sendall(content)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    if not answer:
        raise ConnectionError("closed without an answer")
    return answer


def summary(from_database: Sequence[Start], from_file: Sequence[Start]) -> dict[str, Any]:
    """
    The metrics of a row: the fastest start of each kind, and the largest memory.

    Raises:
        ValueError: a start was not from where it should be.
    """
    for start, wanted in (
        *((start, "database") for start in from_database),
        *((start, "last-known-good") for start in from_file),
    ):
        if start.served_from != wanted:
            raise ValueError(f"served from {start.served_from}, not {wanted}")

    def largest(of: Callable[[Start], int]) -> float:
        return round(max(map(of, (*from_database, *from_file))) / 1e6, 1)

    def fastest(starts: Sequence[Start]) -> Start:
        return min(starts, key=lambda start: start.seconds)

    return {
        "start_seconds": round(fastest(from_database).seconds, 2),
        "start_slowest_seconds": round(max(start.seconds for start in from_database), 2),
        "start_cpu_seconds": round(fastest(from_database).cpu_seconds, 2),
        "start_from_file_seconds": round(fastest(from_file).seconds, 2),
        "worker_memory_mb": largest(lambda start: start.worker_bytes),
        "worker_resident_mb": largest(lambda start: start.worker_resident_bytes),
        "supervisor_memory_mb": largest(lambda start: start.supervisor_bytes),
    }


def _measure(servers: Servers, stage: Stage, times: int) -> list[Start]:
    """Start it so many times; up to twice as often while each took longer than it may."""
    starts: list[Start] = []
    while len(starts) < times or (
        len(starts) < 2 * times
        and stage.routes <= TARGET_ROUTES
        and min(starts).seconds > START_SECONDS
    ):
        starts.append(measure_start(servers, stage))
    return starts


def measure_starts(
    servers: Servers,
    routes: Sequence[int],
    *,
    workers: int,
    times: int,
    done: Callable[[str], None],
) -> dict[int, dict[str, Any]]:
    """The metrics by number of routes; stops the database for good."""
    precompile()
    stages = [prepare(servers, number, workers) for number in routes]
    from_database = {}
    for stage in stages:
        from_database[stage.routes] = _measure(servers, stage, times)
        done(f"start with {stage.routes:,} routes")
    servers.postgres.stop()
    rows = {}
    for stage in stages:
        from_file = _measure(servers, stage, times)
        rows[stage.routes] = summary(from_database[stage.routes], from_file)
        done(f"start with {stage.routes:,} routes from the file")
    return rows
