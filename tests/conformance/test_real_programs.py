"""Programs that others have written, talking through the gateway."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

from tests.dataplane.processes import Gateway, forwarding, running_gateway
from tests.dataplane.snapshots import route

SIZES: Final = (0, 1, 125, 126, 65_535, 65_536, 1_000_000)

# WebSocket, by the library of that name on both ends


def echo(connection: ServerConnection) -> None:
    """Say everything back, in as many fragments as it has words; close as told."""
    for message in connection:
        if message == "close":
            connection.close(4321, "as you wish")
        elif isinstance(message, str) and message.startswith("fragments"):
            connection.send(message.split(" "))
        else:
            connection.send(message)


@pytest.fixture(scope="module")
def chat() -> Iterator[Gateway]:
    with serve(echo, "127.0.0.1", 0, max_size=None) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        with running_gateway(*forwarding(address)) as gateway:
            yield gateway
        server.shutdown()


def talk(gateway: Gateway, **options: Any) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{gateway.port}/chat", max_size=None, proxy=None, **options)


@pytest.mark.parametrize("compression", ["deflate", None])
def test_messages_pass_unchanged(chat: Gateway, compression: str | None) -> None:
    """Text and binary, of every form of length, compressed or not."""
    rng = random.Random(1)
    with talk(chat, compression=compression) as client:
        for size in SIZES:
            for message in (rng.randbytes(size), "é" * (size // 2)):
                client.send(message)
                assert client.recv(timeout=30) == message


def test_fragmented_messages_pass(chat: Gateway) -> None:
    """In both directions, with a ping between two fragments."""
    with talk(chat) as client:

        def fragments() -> Iterator[str]:
            yield "fragments "
            assert client.ping().wait(30)
            yield "one two"

        client.send(fragments())
        assert client.recv(timeout=30) == "fragmentsonetwo"


def test_close_code_and_reason_are_relayed(chat: Gateway) -> None:
    """Whoever closes."""
    with talk(chat) as client:
        client.send("close")
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=30)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4321, "as you wish")
    with talk(chat) as client:
        client.close(4000, "enough")
        assert client.protocol.close_rcvd is not None
        assert client.protocol.close_rcvd.code == 4000


def test_drain_closes_with_going_away() -> None:
    """A client then knows that it should come back."""
    with serve(echo, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        with running_gateway(*forwarding(address)) as gateway:
            with talk(gateway) as client:
                client.send("hello")
                assert client.recv(timeout=30) == "hello"
                assert gateway.drain() == "drained"
                with pytest.raises(ConnectionClosed) as closed:
                    client.recv(timeout=30)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
        server.shutdown()


# git over HTTP, with its own server behind

BACKEND: Final = Path(
    subprocess.run(
        ["git", "--exec-path"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if shutil.which("git")
    else "/nowhere",
    "git-http-backend",
)


class GitHandler(BaseHTTPRequestHandler):
    """Runs git's CGI program for each request."""

    protocol_version = "HTTP/1.1"
    root: Path

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        environ = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "REMOTE_USER": "somebody",
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        body = self.read_body()
        environ["CONTENT_LENGTH"] = str(len(body))
        ran = subprocess.run([BACKEND], input=body, capture_output=True, env=environ, check=True)
        head, _, content = ran.stdout.partition(b"\r\n\r\n")
        headers = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        status = next((value for name, value in headers if name == "Status"), "200 OK")
        self.send_response(int(status.split()[0]))
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if content:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(content), content))
        self.wfile.write(b"0\r\n\r\n")

    do_POST = do_GET

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, *args: Any) -> None: ...


@contextmanager
def git_server(root: Path) -> Iterator[str]:
    handler = type("Handler", (GitHandler,), {"root": root})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.skipif(not BACKEND.exists(), reason="git without its HTTP server")
def test_git_clones_and_pushes(tmp_path: Path) -> None:
    """Small requests with a length, and a large chunked one with Expect."""

    def git(*words: str, cwd: Path = tmp_path) -> str:
        nobody = ["-c", "user.name=n", "-c", "user.email=n@example.com", "-c", "http.proxy="]
        ran = subprocess.run(
            ["git", *nobody, *words],
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"},
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    git("init", "-q", "--bare", "server/project.git")
    git("config", "http.receivepack", "true", cwd=tmp_path / "server/project.git")
    no_limit = route(policies={"limits": {"max_request_body": None}})
    with (
        git_server(tmp_path / "server") as address,
        running_gateway(*forwarding(address, no_limit)) as gateway,
    ):
        url = f"http://127.0.0.1:{gateway.port}/project.git"
        git("clone", "-q", url, "first")
        first = tmp_path / "first"
        for size in (10, 5_000_000):
            (first / f"file-{size}").write_bytes(random.Random(size).randbytes(size))
            git("add", ".", cwd=first)
            git("commit", "-q", "-m", f"{size} bytes", cwd=first)
            git("push", "-q", "origin", "HEAD:refs/heads/main", cwd=first)
        git("clone", "-q", "-b", "main", url, "second")
        head = git("rev-parse", "HEAD", cwd=first)
        assert git("rev-parse", "HEAD", cwd=tmp_path / "second") == head
        git("fsck", "--full", cwd=tmp_path / "second")
