"""Memory of an idle keep-alive connection, in one worker, against the peers.

Connections are opened one after the other, each carries a request, and all are
kept. What all processes of a proxy have grown by meanwhile (resident set), over
their number, is what one costs. Before that as many as `_WARM_UP` come and go,
so that what is kept for reuse is not taken for theirs. Then the same over TLS 1.3,
with those that can.
"""

from __future__ import annotations

import argparse
import resource
import socket
import ssl
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks import proxy
from benchmarks.harness import report
from benchmarks.harness.children import (
    Child,
    Children,
    StartError,
    free_port,
    run_with_children,
)
from benchmarks.harness.cores import divide_available
from benchmarks.harness.proc import whole_resident_bytes
from benchmarks.harness.traffic import HOST
from benchmarks.harness.upstream import BODY_BYTES, Upstream, start_upstream
from benchmarks.peers import EXTRAS, PEERS, Peer
from benchmarks.peers.peer import Site
from benchmarks.tls import PEERS_WITH_TLS, make_certificate

_PEERS: Final = ("fengling", "fengling-plain", "nginx", "haproxy", "envoy", "caddy", "traefik")
_LIMIT_BYTES: Final = 12 * 1024
"""What one may cost us."""

_WARM_UP: Final = 200
_SETTLE_SECONDS: Final = 1.0
_REQUEST: Final = (
    f"GET /hello?a=1 HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
    "Accept: */*\r\nAccept-Encoding: gzip, deflate\r\nCookie: a=b; c=d\r\n\r\n"
).encode()


def connect(port: int, context: ssl.SSLContext | None) -> socket.socket:
    """
    Open a connection that has carried a request, with TLS or without.

    Raises:
        StartError: it was not answered.
    """
    client = socket.create_connection(("127.0.0.1", port), timeout=10)
    if context is not None:
        client = context.wrap_socket(client, server_hostname=HOST)
    client.sendall(_REQUEST)
    answer = b""
    while len(answer.partition(b"\r\n\r\n")[2]) < BODY_BYTES:
        piece = client.recv(65536)
        if not piece:
            raise StartError(f"an answer was cut: {answer[:100]!r}")
        answer += piece
    if not answer.startswith(b"HTTP/1.1 200"):
        raise StartError(f"not served: {answer[:100]!r}")
    return client


def resident(child: Child) -> int:
    return sum(whole_resident_bytes(process.pid) for process in child.processes())


def measure(
    name: str, child: Child, port: int, number: int, context: ssl.SSLContext | None
) -> report.Row:
    """Open so many, and see what they cost."""
    with ExitStack() as some:
        for _ in range(_WARM_UP):
            some.enter_context(connect(port, context))
    time.sleep(_SETTLE_SECONDS)
    before = resident(child)
    with ExitStack() as all_of_them:
        for _ in range(number):
            all_of_them.enter_context(connect(port, context))
        time.sleep(_SETTLE_SECONDS)
        after = resident(child)
    return {
        "name": name,
        "bytes_per_connection": round((after - before) / number),
        "connections": number,
        "base_mb": round(before / 1e6, 1),
        "mb": round(after / 1e6, 1),
    }


def site_of(
    name: str, children: Children, upstream: Upstream, number: int, certificate: str | None
) -> Site:
    """Return where a peer is to be, with room for so many connections."""
    directory = children.directory / f"{name}.d"
    directory.mkdir()
    ports = tuple(upstream.ports.values())
    return Site(directory, free_port(), ports, certificate, connections=number + 2 * _WARM_UP)


def room(wanted: int) -> int:
    """As many as there are descriptors for: a proxy needs up to two for each."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(wanted, (hard - 1500) // 2)


def format_rows(rows: Sequence[report.Row]) -> str:
    """The table, cheapest first."""
    lines = [
        [
            row["name"],
            report.number(row["bytes_per_connection"], 0),
            report.number(row["connections"], 0),
            report.number(row["base_mb"]),
            report.number(row["mb"]),
        ]
        for row in sorted(rows, key=lambda row: row["bytes_per_connection"])
    ]
    return report.table(["", "bytes/connection", "connections", "MB before", "MB after"], lines)


def verdict(rows: Sequence[report.Row]) -> list[str]:
    """What makes the run a failure."""
    return [
        f"{row['name']}: {row['bytes_per_connection']} bytes for an idle connection"
        for row in rows
        if row["name"].startswith("fengling") and row["bytes_per_connection"] > _LIMIT_BYTES
    ]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench idle", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2,000 connections")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there, too")
    parser.add_argument("--only", metavar="NAMES", help="for example fengling,nginx")
    parser.add_argument("--connections", type=int)
    options = parser.parse_args(arguments)
    options.connections = options.connections or (2000 if options.quick else 10_000)
    try:
        options.peers = proxy.choose(options.only) if options.only else chosen_by_default()
    except ValueError as error:
        parser.error(f"argument --only: {error}")
    return options


def chosen_by_default() -> list[Peer]:
    return [peer for peer in (*PEERS, *EXTRAS) if peer.name in _PEERS]


def run(options: argparse.Namespace, children: Children) -> list[report.Row]:
    cores = divide_available()
    number = room(options.connections)
    print(f"{report.machine()}\n{cores.describe()}; {number} connections")
    upstream = start_upstream(children, ("one", "two"), cpus=cores.others)
    certificate = make_certificate(children.directory)
    context = ssl.create_default_context(cafile=certificate)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    rows = []
    for peer, has_tls in contests(options.peers):
        name = f"{peer.name}-tls" if has_tls else peer.name
        site = site_of(name, children, upstream, number, certificate if has_tls else None)
        child = peer.start(children, site, cores)
        row = measure(name, child, site.port, number, context if has_tls else None)
        print(f"{name}: {row['bytes_per_connection']} bytes", flush=True)
        rows.append(row)
        children.stop(child)
    return rows


def contests(peers: Sequence[Peer]) -> list[tuple[Peer, bool]]:
    """Return who takes part, and whether with TLS."""
    found = list(proxy.installed(peers))
    return [
        *((peer, False) for peer in found),
        *((peer, True) for peer in found if peer.name in PEERS_WITH_TLS),
    ]


def main() -> None:
    options = parse()
    rows = run_with_children(run, options)
    print(f"\n{format_rows(rows)}")
    report.write(options.json, "idle", rows, {"connections": options.connections})
    problems = verdict(rows)
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
