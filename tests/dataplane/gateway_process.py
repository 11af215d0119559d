"""A data plane in a process of its own, for tests with real sockets.

Usage: gateway_process.py CONFIGURATION, a JSON object with ``settings`` (of the
data plane), ``reactor`` (lean or stock), ``changes`` ([kind, body] pairs),
``certificates`` ([name, hosts, chain, key], as of the table) and ``descriptors``
(how many it may have; null: as many as we). It prints the port it listens on. On
its input it takes an object, TLS settings by listener, to read certificates
again; a list, the certificates of the table from then on; "use N", to hold so
much memory, in pieces, in place of what it held before; else it answers with a
line of JSON: its counters, the names that it has resolved, what its transports
buffer, and its memory.
"""

from __future__ import annotations

import json
import os
import random
import resource
import socket
import sys
import threading
import time


def main(configuration: dict) -> None:
    limit_descriptors(configuration["descriptors"])
    if configuration["reactor"] == "lean":
        from fengling_gateway.dataplane import lean_epoll

        lean_epoll.install()
    from twisted.internet import reactor, stdio  # noqa: TID251 - this process's own
    from twisted.logger import globalLogBeginner, textFileLogObserver
    from twisted.protocols.basic import LineReceiver

    from fengling_gateway.auth.issuer_store import IssuerStore
    from fengling_gateway.dataplane.plane import DataPlane
    from fengling_gateway.dataplane.settings import DataPlaneSettings
    from fengling_gateway.dataplane.tls_certificates import Certificate
    from fengling_gateway.routing.snapshot import CompileContext
    from fengling_gateway.supervisor.sockets import BACKLOG
    from tests.dataplane.snapshots import make_snapshot

    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)], redirectStandardIO=False)
    settings = DataPlaneSettings.from_json(configuration["settings"])
    plane = DataPlane(
        reactor=reactor,
        settings=settings,
        worker_name="w1",
        rng=random.Random(1),
    )

    def offer(certificates: list) -> None:
        plane.offer_certificates(
            Certificate(name, tuple(hosts), chain.encode(), key.encode())
            for name, hosts, chain, key in certificates
        )

    offer(configuration["certificates"])
    context = CompileContext(random.Random(1), settings.upstream_networks())
    snapshot = make_snapshot(*configuration["changes"], context=context)
    bodies, identity = snapshot.bodies, snapshot.identity_headers
    plane.offer_issuers(IssuerStore(None).apply(bodies["issuer"], bodies["secret"], identity))
    plane.apply(snapshot)
    listening = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    listening.setblocking(False)
    plane.listen("http", listening)

    def buffered() -> list[int]:
        return [
            len(transport.dataBuffer) - transport.offset + transport._tempDataLen
            for transport in {*reactor.getReaders(), *reactor.getWriters()}
            if hasattr(transport, "_tempDataLen")
        ]

    held: list[bytearray] = []

    class Asked(LineReceiver):
        delimiter = b"\n"

        def lineReceived(self, line: bytes) -> None:
            if line.startswith(b"{"):
                problems = plane.read_certificates(json.loads(line))
                self.sendLine(json.dumps(problems).encode())
                return
            if line.startswith(b"["):
                offer(json.loads(line))
                self.sendLine(b"offered")
                return
            if line.startswith(b"use "):
                held[:] = [bytearray(b"x" * 4096) for _ in range(int(line[4:]) // 4096)]
                self.sendLine(b"used")
                return
            if line == b"drain":
                plane.start_draining(10.0).addCallback(lambda _: self.sendLine(b"drained"))
                return
            answer = {
                "counters": plane.counters(),
                "names": plane.resolved_names(),
                "threads": threading.active_count(),
                "buffered": max(buffered(), default=0),
                "rss": resident_bytes(),
                "cpu": time.process_time(),
                "descriptors": len(os.listdir("/proc/self/fd")),
                "peak_rss": peak_resident_bytes(),
            }
            self.sendLine(json.dumps(answer).encode())

        def connectionLost(self, reason: object = None) -> None:
            if reactor.running:
                reactor.stop()

    stdio.StandardIO(Asked(), reactor=reactor)
    sys.stdout.write(f"{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    reactor.run()


def limit_descriptors(number: int | None) -> None:
    if number is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, number))


def resident_bytes() -> int:
    with open("/proc/self/statm") as numbers:
        return int(numbers.read().split()[1]) * resource.getpagesize()


def peak_resident_bytes() -> int:
    # (What getrusage says begins with what our parent had when it started us.)
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
