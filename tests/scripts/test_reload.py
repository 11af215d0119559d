"""The reloads for operators' scripts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from fengling_gateway.embedded.postgres import PostgresServer

SCRIPTS = Path(__file__).parent.parent.parent / "scripts"


class ReloadPsqlTests:
    """With nothing but psql."""

    @pytest.mark.parametrize("options", [[], ["--notify"]])
    def test_gateways_are_told_with_the_comment(
        self, postgres: PostgresServer, migrated_database: str, options: list[str]
    ) -> None:
        """By the function, and by a bare notification; quotes are no danger."""
        listener = psycopg2.connect(migrated_database)
        listener.autocommit = True
        cursor = listener.cursor()
        cursor.execute("LISTEN gateway_config_changed")
        path = f"{postgres.program('psql').parent}:{os.environ['PATH']}"
        subprocess.run(
            [SCRIPTS / "reload-psql", "-m", 'it\'s "odd"; --', *options, migrated_database],
            env={**os.environ, "PATH": path},
            check=True,
        )
        cursor.execute("SELECT 1")
        listener.poll()
        [notification] = listener.notifies
        payload = json.loads(notification.payload)
        listener.close()
        assert payload["eventType"] == "gateway"
        assert payload["action"] == "reload"
        assert payload["details"]["comment"] == 'it\'s "odd"; --'
        assert payload["timestamp"].endswith("Z")


@pytest.fixture
def management() -> Iterator[HTTPServer]:
    """Return a stand-in for the management API; `server.seen` is the last request."""

    class Reloads(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            granted = self.headers["Authorization"] == "Bearer good"
            self.server.seen = (self.path, json.loads(body))  # type: ignore[attr-defined]
            answer = b'{"complete": true}' if granted else b'{"code": "unauthorized"}'
            self.send_response(200 if granted else 401)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Keep the test's output clean."""

    server = HTTPServer(("127.0.0.1", 0), Reloads)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(params=["curl", "python3"])
def programs(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a PATH with one of the two programs that can speak HTTP."""
    for name in (request.param, "sh", "cat", "tr", "sed", "printf"):
        found = sys.executable if name == "python3" else shutil.which(name)
        if found is None:
            pytest.skip(f"no {name} here")
        (tmp_path / name).symlink_to(found)
    return str(tmp_path)


def reload_api(server: HTTPServer, path: str, *options: str, token: str = "good") -> Any:
    url = f"http://127.0.0.1:{server.server_address[1]}"
    return subprocess.run(
        [shutil.which("sh") or "/bin/sh", SCRIPTS / "reload-api", *options, url],
        env={"PATH": path, "FENGLING_TOKEN": token},
        capture_output=True,
        text=True,
        check=False,
    )


class ReloadApiTests:
    """Through the management API."""

    def test_reload_is_asked_for_and_its_answer_printed(
        self, management: HTTPServer, programs: str
    ) -> None:
        """With what to wait for, and the comment as JSON."""
        ran = reload_api(management, programs, "--wait", "all", "-m", 'it\'s "odd" \\ ')
        assert (ran.returncode, json.loads(ran.stdout)) == (0, {"complete": True})
        path, body = management.seen  # type: ignore[attr-defined]
        assert path == "/api/gateway/reload?wait=all&timeout=10"
        assert body == {"comment": 'it\'s "odd" \\ '}

    def test_refused_token_exits_1_with_the_reason(
        self, management: HTTPServer, programs: str
    ) -> None:
        """What the API said is shown."""
        ran = reload_api(management, programs, token="bad")
        assert ran.returncode == 1
        assert "unauthorized" in ran.stdout + ran.stderr

    @pytest.mark.parametrize("options", [["--wait", "some"], ["--timeout", "soon"], ["--what"]])
    def test_wrong_options_exit_2(self, management: HTTPServer, options: list[str]) -> None:
        """Before anything is sent."""
        ran = reload_api(management, os.environ["PATH"], *options)
        assert ran.returncode == 2
        assert ran.stderr
