"""CPU per request over TLS 1.3, and per handshake, of one worker, against the peers.

As `benchmarks.proxy`, with the same certificate (ECDSA, P-256) for all. First
requests on connections that are kept, then a connection with a full handshake
for each request. The load does as much of a handshake as the proxy, so that on
few cores it sets the pace; CPU per handshake is the figure to look at.
"""

from __future__ import annotations

import argparse
import socket
import ssl
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from benchmarks import proxy
from benchmarks.harness import malformed, report
from benchmarks.harness.children import Children, StartError, run_with_children
from benchmarks.harness.cores import divide_available
from benchmarks.harness.load import LoadGenerator
from benchmarks.harness.programs import on_path
from benchmarks.harness.traffic import HOST
from benchmarks.harness.upstream import start_upstream
from benchmarks.peers import EXTRAS, PEERS

PEERS_WITH_TLS: Final = ("fengling", "nginx", "haproxy", "envoy", "caddy")
_KINDS: Final = {"keep-alive": "realistic", "handshakes": "closing"}
"""Row sets, and the traffic of each."""


def make_certificate(directory: Path) -> str:
    """
    Return the path of a file with a new certificate for this machine, and its key.

    Raises:
        StartError: openssl is not installed, or refuses.
    """
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    command = [
        *(on_path("openssl") or "openssl", "req", "-x509", "-nodes", "-days", "2"),
        *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST},IP:127.0.0.1"),
        *("-keyout", str(key), "-out", str(certificate)),
    ]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise StartError(f"openssl makes no certificate: {error}") from None
    both = directory / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    return str(both)


def _forwards(port: int, certificate: str) -> bool:
    context = ssl.create_default_context(cafile=certificate)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    request = f"GET /hello?a=1 HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
    answer = b""
    with (
        suppress(OSError),
        socket.create_connection(("127.0.0.1", port), 2.0) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as connection,
    ):
        connection.sendall(request.encode())
        answer = connection.recv(65536)
    return malformed.succeeded(answer)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench tls", description=__doc__)
    parser.add_argument("--only", metavar="NAMES", help="for example fengling,nginx")
    options = proxy.parse_with_rounds(parser, arguments)
    wanted = options.only.split(",") if options.only else PEERS_WITH_TLS
    options.peers = [peer for peer in (*PEERS, *EXTRAS) if peer.name in wanted]
    if len(options.peers) != len(wanted):
        parser.error(f"argument --only: some of these can't: {', '.join(wanted)}")
    return options


def run(options: argparse.Namespace, children: Children) -> list[dict[str, Any]]:
    cores = divide_available()
    load = LoadGenerator(children, cpus=cores.others, scheme="https")
    if load.wrk is None:
        raise StartError("wrk is needed for TLS (apt install wrk)")
    print(f"{report.machine()}\n{cores.describe()}; load by {load.describe()}")
    upstream = start_upstream(children, ("one", "two"), cpus=cores.others)
    certificate = make_certificate(children.directory)
    contestants = proxy.start_all(
        options.peers,
        lambda peer: proxy.start_contestant(
            *(peer, children, upstream, cores),
            certificate=certificate,
            forwards=lambda port: _forwards(port, certificate),
        ),
    )
    rows = []
    for kind, traffic in _KINDS.items():
        print(
            f"\n{kind}: {options.connections} connections, {options.rounds} x {options.seconds:g} s"
        )
        for contestant in contestants:
            contestant.samples.clear()
        options.traffic = traffic
        proxy.run_rounds(contestants, load, options)
        found = [{**contestant.row(), "kind": kind} for contestant in contestants]
        print(f"\n{proxy.format_rows(found, {})}")
        rows += found
    return rows


def main() -> None:
    options = parse()
    rows = run_with_children(run, options)
    conditions = {key: getattr(options, key) for key in ("connections", "rounds", "seconds")}
    report.write(options.json, "tls", rows, conditions)
    problems = proxy.verdict(rows, {})
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
