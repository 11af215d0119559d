"""``fenglingctl proxy``: what it starts, and one real run."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from fengling_gateway.cli import proxy
from fengling_gateway.cli.files import read_files
from fengling_gateway.model.entity import Key
from fengling_gateway.settings.model import MAX_WORKERS
from tests.cli.conftest import Run
from tests.support.wait import wait_until


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the settings that would have been run, with the rows of their file."""
    seen: list[Any] = []

    def take(settings: Any) -> None:
        seen.extend((settings, read_files([str(settings.file.path)])[0]))

    monkeypatch.setattr(proxy, "_run", take)
    return seen


def test_targets_become_instances_of_one_service(run: Run, settings: list[Any]) -> None:
    """On the file source, without database, Redis and management API."""
    arguments = ("--to", "http://127.0.0.1:9000", "--to", "127.0.0.1:9001", "--workers", "3")
    result = run("proxy", "--listen", "127.0.0.1:8088", *arguments)
    assert result.exit_code == 0, result.output
    made, rows = settings
    assert (made.source, made.workers, made.management.enabled) == ("file", 3, False)
    assert (made.database.url, made.redis.url) == (None, None)
    assert made.listeners[0].host_and_port() == ("127.0.0.1", 8088)
    addresses = [row["address"] for key, row in rows.items() if key.kind == "instance"]
    assert addresses == ["http://127.0.0.1:9000", "http://127.0.0.1:9001"]
    assert rows[Key("route", "all")]["service_id"] == proxy.SERVICE
    assert not Path(made.file.path).exists(), "the directory is removed afterwards"


def test_targets_may_be_anywhere(run: Run, settings: list[Any]) -> None:
    """Whoever names an address on the command line means it; what a file names is this host only."""
    assert run("proxy", "--to", "http://169.254.169.254", "--to", "[::1]:9000").exit_code == 0
    networks = settings[0].data_plane().upstream_networks()
    for address in ("169.254.169.254", "::1", "127.0.0.1"):
        assert networks.refusal(address, 9000) is None
    assert networks.refusal("169.254.169.253", 80) is not None


def test_target_that_is_the_proxy_itself_is_wrong(run: Run, settings: list[Any]) -> None:
    """By whatever name."""
    targets = ("--to", "http://127.0.0.1:8088", "--to", "localhost:8088", "--to", "127.0.0.1:8089")
    result = run("proxy", "--listen", "0.0.0.0:8088", *targets)
    assert result.exit_code == 2
    assert "--to http://127.0.0.1:8088: 127.0.0.1 with port 8088 is this" in result.stderr
    assert "--to http://localhost:8088: localhost is this host" in result.stderr
    assert "8089" not in result.stderr
    assert settings == []


def test_instances_of_a_file_that_are_sent_nothing_are_said(
    run: Run, settings: list[Any], tmp_path: Path
) -> None:
    """The others are served."""
    path = tmp_path / "routes.yaml"
    path.write_text(
        "services: [{id: s, instances: [{id: a, address: 'http://169.254.169.254'},"
        " {id: b, address: 'http://127.0.0.1:9000'}]}]"
    )
    result = run("proxy", "--file", str(path))
    assert result.exit_code == 0
    assert "instance a is sent nothing: 169.254.169.254 is a cloud's metadata" in result.stderr
    assert "instance b" not in result.stderr


def test_a_file_is_served_where_it_is(run: Run, settings: list[Any], tmp_path: Path) -> None:
    """So that it can be edited while it runs."""
    path = tmp_path / "routes.yaml"
    path.write_text("routes: [{id: a, respond: {status: 204}}]")
    assert run("proxy", "--file", str(path)).exit_code == 0
    assert Path(settings[0].file.path) == path
    assert path.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--to", "http://a:1", "--file", "FILE"),
        ("--to", "http://a:1/path"),
        ("--to", "ftp://a:1"),
        ("--to", "http://a:port"),
        ("--to", "http://a:1", "--listen", "nowhere"),
        ("--to", "http://a:1", "--listen", '127.0.0.1:1"\nx = "'),
        ("--to", "http://a:1", "--workers", "0"),
        ("--file", "BAD"),
    ],
)
def test_what_can_not_be_served_is_said(
    run: Run, settings: list[Any], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """Status 2, nothing is started."""
    (tmp_path / "FILE").write_text("")
    (tmp_path / "BAD").write_text("routes: [{id: a, service_id: nobody}]")
    places = {name: str(tmp_path / name) for name in ("FILE", "BAD")}
    assert run("proxy", *(places.get(one, one) for one in arguments)).exit_code == 2
    assert settings == []


def test_every_option_that_is_wrong_is_named(run: Run, settings: list[Any]) -> None:
    """As it was typed, not as the file that would have been written."""
    result = run("proxy", "--to", "ftp://a:1", "--to", "http://[::1", "--listen", "nope")
    assert result.exit_code == 2
    [line] = result.stderr.splitlines()
    assert '--to ftp://a:1: must begin with http:// or https://, not "ftp://a:1"; ' in line
    assert "--to http://[::1: " in line
    assert "; --listen nope: must be host:port" in line
    assert "routes.yaml" not in line
    assert settings == []


def test_workers_are_bounded_as_in_the_settings(run: Run, settings: list[Any]) -> None:
    """What the help says holds."""
    assert proxy.MAX_WORKERS == MAX_WORKERS
    assert run("proxy", "--to", "http://a:1", "--workers", str(MAX_WORKERS)).exit_code == 0
    assert f"1<=x<={MAX_WORKERS}" in run("proxy", "--help").stdout


def test_the_environment_of_another_gateway_does_not_matter(
    run: Run, settings: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its database and its workers are its own."""
    monkeypatch.setenv("FENGLING_DATABASE__URL", "postgresql://canary@db/x")
    monkeypatch.setenv("FENGLING_WORKERS", "7")
    assert run("proxy", "--to", "http://a:1").exit_code == 0
    assert (settings[0].database.url, settings[0].workers) == (None, 1)


class _Upstream(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        text = json.dumps({"path": self.path}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args: Any) -> None:
        """Tests need no access log."""


def test_a_request_goes_through(tmp_path: Path) -> None:
    """A real process: it forwards, and stops on INT without leaving its directory."""
    upstream = HTTPServer(("127.0.0.1", 0), _Upstream)
    thread = threading.Thread(target=upstream.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "fengling_gateway.cli.main", "proxy"]
    command += ["--listen", f"127.0.0.1:{port}", "--to", f"http://127.0.0.1:{upstream.server_port}"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    try:

        def answer() -> Any:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/a?b=c", timeout=2) as response:
                return json.load(response)

        assert wait_until(answer, timeout=30) == {"path": "/a?b=c"}
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        upstream.shutdown()
        upstream.server_close()
        thread.join()
    assert b"Ctrl-C stops it" in errors
    assert b"Traceback" not in errors
    assert list(tmp_path.iterdir()) == []
