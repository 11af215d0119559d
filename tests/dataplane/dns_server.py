"""A DNS server that says what a test wants, over UDP and TCP on the same port.

As a program, to be stopped by a signal: python -m tests.dataplane.dns_server ZONE,
a JSON object; it prints its port, and ends with its input.

A zone has a record for each name: ``A`` and ``AAAA`` lists of addresses, ``ttl``,
``CNAME``, ``rcode`` (SERVFAIL, …), ``silent`` (it does not answer), ``long`` (its
answer does not fit into a datagram). Of any other name it says that there is none.
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from twisted.names import dns

ROOT = Path(__file__).parents[2]
RCODES = {"FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "REFUSED": 5}
Zone = dict[str, dict[str, Any]]


class DnsServer:
    """
    Serves a zone, which may be changed at any time, in threads.

    Attributes:
        asked: the names that it was asked for, with the kinds of addresses.
    """

    def __init__(self, zone: Zone | None = None, host: str = "127.0.0.1") -> None:
        self.zone: Zone = zone or {}
        self.asked: list[tuple[str, str]] = []
        self.by_stream: list[str] = []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._datagrams, self._listening = _pair(family, host)
        self.address = self._datagrams.getsockname()[:2]
        for serve in (self._serve_datagrams, self._serve_streams):
            threading.Thread(target=serve, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse_streams()
        with suppress(OSError):  # it says that nobody is connected, and wakes the thread
            self._datagrams.shutdown(socket.SHUT_RDWR)
        self._datagrams.close()

    def refuse_streams(self) -> None:
        """Be there for datagrams only."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _serve_datagrams(self) -> None:
        while True:
            try:
                data, peer = self._datagrams.recvfrom(65535)
                if not data:
                    return
                answer = self._answer(data)
                if answer is not None:
                    fits = len(answer) <= 512 and not self._record(data).get("long")
                    self._datagrams.sendto(answer if fits else _truncated(data), peer)
            except OSError:
                return

    def _serve_streams(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            # Whoever asks may leave before the end.
            with connection, suppress(ConnectionError, struct.error):
                (length,) = struct.unpack("!H", connection.recv(2, socket.MSG_WAITALL))
                data = connection.recv(length, socket.MSG_WAITALL)
                self.by_stream.append(_asked(data)[0])
                answer = self._answer(data)
                if answer is not None:
                    connection.sendall(struct.pack("!H", len(answer)) + answer)

    def _record(self, data: bytes) -> dict[str, Any]:
        return self.zone.get(_asked(data)[0].lower(), {"rcode": "NXDOMAIN"})

    def _answer(self, data: bytes) -> bytes | None:
        name, kind = _asked(data)
        self.asked.append((name, kind))
        record = self._record(data)
        if record.get("silent"):
            return None
        question = dns.Message()
        question.fromStr(data)
        message = dns.Message(
            question.id,
            answer=1,
            recDes=1,
            recAv=1,
            maxSize=0,
            rCode=RCODES.get(record.get("rcode", ""), 0),
        )
        message.queries = question.queries
        ttl, owner = record.get("ttl", 60), name
        if "CNAME" in record:
            alias = dns.Record_CNAME(record["CNAME"], ttl)
            message.answers.append(dns.RRHeader(owner, dns.CNAME, dns.IN, ttl, alias))
            owner = record["CNAME"]
            record = self.zone[owner]
        made: Any = {"A": dns.Record_A, "AAAA": dns.Record_AAAA}.get(kind)
        for address in record.get(kind, ()) if made else ():
            payload = made(address, ttl)
            message.answers.append(dns.RRHeader(owner, payload.TYPE, dns.IN, ttl, payload))
        return message.toStr()


def _pair(family: int, host: str) -> tuple[socket.socket, socket.socket]:
    """Sockets for datagrams and streams with the same port."""
    while True:
        datagrams = socket.socket(family, socket.SOCK_DGRAM)
        datagrams.bind((host, 0))
        listening = socket.socket(family)
        try:
            listening.bind(datagrams.getsockname()[:2])
            listening.listen()
        except OSError:
            datagrams.close()
            listening.close()
            continue
        return datagrams, listening


def _asked(data: bytes) -> tuple[str, str]:
    message = dns.Message()
    message.fromStr(data)
    query = message.queries[0]
    return query.name.name.decode(), dns.QUERY_TYPES.get(query.type, "?")


def _truncated(data: bytes) -> bytes:
    question = dns.Message()
    question.fromStr(data)
    message = dns.Message(question.id, answer=1, trunc=1)
    message.queries = question.queries
    return message.toStr()


@contextmanager
def dns_process(zone: Zone) -> Iterator[tuple[subprocess.Popen[str], tuple[str, int]]]:
    """A server in a process of its own, and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.dataplane.dns_server", json.dumps(zone)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process, ("127.0.0.1", int(process.stdout.readline()))
    finally:
        process.kill()
        process.wait(10)
        process.stdin.close()
        process.stdout.close()


if __name__ == "__main__":
    with DnsServer(json.loads(sys.argv[1])) as server:
        sys.stdout.write(f"{server.address[1]}\n")
        sys.stdout.flush()
        sys.stdin.read()
