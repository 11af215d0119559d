"""Real sockets around a data plane in a process of its own."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fengling_gateway.balancing.upstream_networks import LOOPBACK
from tests.dataplane.snapshots import Entity, plain
from tests.support.wait import wait_until

ROOT = Path(__file__).parents[2]


class Gateway:
    """A running data plane; ``logged`` are the lines of its log."""

    def __init__(self, process: subprocess.Popen[str], logged: list[str]) -> None:
        self._process = process
        self.logged = logged
        assert process.stdout is not None
        self.port = int(process.stdout.readline())

    def ask(self) -> dict[str, Any]:
        """Its counters, buffers and memory."""
        answer: dict[str, Any] = json.loads(self._say(""))
        return answer

    def limit_descriptors(self, number: int) -> None:
        """Let it have so many from now on."""
        _, hard = resource.prlimit(self._process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self._process.pid, resource.RLIMIT_NOFILE, (number, hard))

    @property
    def cpu_seconds(self) -> float:
        """What it has used, as the system counts: a hundredth is the least."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self) -> list[int]:
        """Those that it has open."""
        return sorted(int(one) for one in os.listdir(f"/proc/{self._process.pid}/fd"))

    def use(self, size: int) -> None:
        """Have it hold so many bytes of memory, beside what it needs."""
        assert self._say(f"use {size}") == "used\n"

    def drain(self) -> str:
        """Drain it; what it says when that is done."""
        return self._say("drain").strip()

    def offer(self, *certificates: Any) -> None:
        """Have it use these certificates of the table: id, names, chain, key."""
        assert self._say(json.dumps(certificates)) == "offered\n"

    def read_certificates(self, tls: dict[str, Any]) -> list[str]:
        """Have it read the files of its listener again; what it finds wrong with them."""
        problems: list[str] = json.loads(self._say(json.dumps({"http": tls})))
        return problems

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let whatever happens meanwhile be found at once."""
        self._process.send_signal(signal.SIGSTOP)
        wait_until(lambda: b") T " in Path(f"/proc/{self._process.pid}/stat").read_bytes())
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _say(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()

    def connect(self, *, receive_buffer: int | None = None) -> socket.socket:
        client = socket.socket()
        client.settimeout(30)
        if receive_buffer is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.connect(("127.0.0.1", self.port))
        return client


@contextmanager
def running_gateway(
    *entities: Entity,
    reactor: str = "lean",
    certificates: Sequence[Any] = (),
    descriptors: int | None = None,
    **settings: Any,
) -> Iterator[Gateway]:
    configuration = {
        "settings": {"upstream_allow": LOOPBACK, **settings},
        "reactor": reactor,
        "changes": entities,
        "certificates": certificates,
        "descriptors": descriptors,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.dataplane.gateway_process", json.dumps(configuration)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    logged: list[str] = []
    assert process.stderr is not None
    reader = threading.Thread(target=logged.extend, args=(process.stderr,), daemon=True)
    reader.start()
    try:
        yield Gateway(process, logged)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)
        reader.join(10)
        assert process.stdout is not None
        process.stdout.close()
        process.stderr.close()
    assert "Traceback" not in "".join(logged), "".join(logged)


@contextmanager
def running_instance(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve every connection in a thread of its own; gives the address."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
    connections: list[socket.socket] = []

    def serve_quietly(connection: socket.socket) -> None:
        with connection:
            try:
                serve(connection)
            except OSError:
                pass

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            connections.append(connection)
            threading.Thread(target=serve_quietly, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


@contextmanager
def silent_address() -> Iterator[str]:
    """An address where nothing answers a connection: its queue is full."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        queued: list[socket.socket] = []
        while _connects(listening, queued):
            pass
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            for one in queued:
                one.close()


def _connects(listening: socket.socket, queued: list[socket.socket]) -> bool:
    queued.append(socket.socket())
    queued[-1].settimeout(0.2)
    try:
        queued[-1].connect(listening.getsockname())
    except TimeoutError:
        return False
    return True


def read_head(connection: socket.socket) -> tuple[bytes, bytes]:
    """A head, and what was read beyond it."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionError("closed in the middle of a head")
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def forwarding(address: str, *more: Entity) -> list[Entity]:
    return plain(*more, address=address)
