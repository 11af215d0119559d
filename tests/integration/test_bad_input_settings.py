"""A bad settings file: every problem at once on stderr, exit status 2, and nothing left behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fengling_gateway.embedded.ports import free_port
from tests.integration.gateway import SYNC_KEY, TOKEN_KEY, GatewayProcess
from tests.integration.world import lines_with, wait_for_line

PROGRAMS = {
    "fengling-gateway": [sys.executable, "-m", "fengling_gateway.tap.gateway"],
    "twistd": [
        str(Path(sys.executable).with_name("twistd")),
        "--pidfile=",
        "-n",
        "fengling-gateway",
    ],
}

BAD = """
nodee = "n1"
workers = 0
source = "etcd"
[database]
url = "mysql://root:hunter1@db/x"
poll_interval = "soon"
[redis]
url = "http://:hunter2@redis"
[sync]
keys = ["id:hunter3"]
[[listeners]]
name = "http"
address = "nowhere"
[[listeners]]
name = "http"
address = "0.0.0.0:99999"
[management]
token_keys = ["change-me"]
[limits]
max_head_bytes = -1
[colour]
blue = true
[log]
format = "xml"
"""

PROBLEMS = [
    "nodee: is not a known setting",
    "workers: must be",
    "source: must be",
    "database.url: must begin with postgresql://",
    "database.poll_interval: must be a duration",
    "redis.url: must begin with redis://",
    "sync.keys: ",
    "listeners[0].address: must be host:port",
    "listeners[1].address: must be host:port",
    "listeners[1].name: is that of listeners[0]",
    "management.token_keys: ",
    "limits.max_head_bytes: must be at least 1024",
    "colour: is not a known setting",
    "log.format: must be",
]


def run(
    program: str, directory: Path, settings: str | None, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Start a gateway that must give up, with these settings and environment."""
    arguments = []
    if settings is not None:
        (directory / "gateway.toml").write_text(settings)
        arguments = ["--config", "gateway.toml"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FENGLING_")}
    return subprocess.run(
        [*PROGRAMS[program], *arguments],
        cwd=directory,
        env={**clean, "PYTHONPATH": os.getcwd(), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


class SettingsTests:
    """What the settings say can't be."""

    def test_every_problem_is_listed(self, program: str, tmp_path: Path) -> None:
        """One line each, no secret in any, no traceback, no file."""
        ran = run(program, tmp_path, BAD)
        assert ran.returncode == 2
        lines = ran.stderr.splitlines()
        for problem in PROBLEMS:
            assert [line for line in lines if line.startswith(f"fengling-gateway: {problem}")], (
                problem,
                ran.stderr,
            )
        assert len(lines) == len(PROBLEMS)
        assert "hunter" not in ran.stderr + ran.stdout
        assert "Traceback" not in ran.stderr + ran.stdout
        assert sorted(path.name for path in tmp_path.iterdir()) == ["gateway.toml"]

    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ("workers = \n", "gateway.toml: can't be read: Invalid value (at line 1, column 11)"),
            ("workers = 1\nworkers = 2\n", "gateway.toml: can't be read: Cannot overwrite a value"),
        ],
    )
    def test_file_that_is_not_toml_is_one_problem(
        self, tmp_path: Path, settings: str, expected: str
    ) -> None:
        """With its line; what it might have said is not said to be missing."""
        ran = run("fengling-gateway", tmp_path, settings)
        assert ran.returncode == 2
        [line] = ran.stderr.splitlines()
        assert line.startswith(f"fengling-gateway: {expected}")

    def test_environment_is_named_where_it_is_at_fault(self, tmp_path: Path) -> None:
        """A variable is no line of the file."""
        ran = run(
            "fengling-gateway",
            tmp_path,
            "",
            FENGLING_WORKERS="many",
            FENGLING_DATABASE__URL_FILE="/nowhere",
            FENGLING_DATABASE__POOL="3",
            FENGLING_WORKRES="2",
            FENGLING_MANAGEMENT__TOKEN_KEYS=TOKEN_KEY,
        )
        assert ran.returncode == 2
        for name in ("FENGLING_WORKERS", "FENGLING_DATABASE__URL_FILE", "FENGLING_DATABASE__POOL"):
            assert name in ran.stderr
        assert (
            "FENGLING_WORKRES: is not a known setting; the nearest one is FENGLING_WORKERS"
            in ran.stderr
        )

    def test_nothing_set_says_what_is_needed(self, program: str, tmp_path: Path) -> None:
        """Without any settings: the two that have no default."""
        ran = run(program, tmp_path, None)
        assert ran.returncode == 2
        assert [line.split()[1] for line in ran.stderr.splitlines()] == [
            "database.url:",
            "management.token_keys:",
        ]


class StartTests:
    """Good settings that can't be had here and now."""

    @pytest.fixture
    def settings(self, tmp_path: Path) -> str:
        return f"""
node = "n1"
workers = 1
runtime_dir = "{tmp_path}/run"
state_dir = "{tmp_path}/state"
[database]
url = "postgresql://nobody@127.0.0.1:{free_port()}/none"
[sync]
keys = ["{SYNC_KEY}"]
[management]
address = "127.0.0.1:{free_port()}"
token_keys = ["{TOKEN_KEY}"]
[[listeners]]
name = "http"
"""

    def test_taken_port_is_one_line(self, program: str, tmp_path: Path, settings: str) -> None:
        """With the listener's name and address; exit status 2."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            ran = run(program, tmp_path, f'{settings}address = "127.0.0.1:{port}"\n')
        assert ran.returncode == 2
        # (twistd has taken stderr over by then: the line is in its log.)
        said = f"fengling-gateway: listener http (127.0.0.1:{port}): Address already in use"
        assert said in ran.stdout + ran.stderr
        assert "Traceback" not in ran.stdout + ran.stderr
        # Nothing has begun that could be drained; the log has the reason, too.
        assert "the gateway can't start: listener http" in ran.stdout
        assert "draining" not in ran.stdout

    def test_runtime_directory_that_cannot_be_made_is_one_line(
        self, tmp_path: Path, settings: str
    ) -> None:
        """Said with what to do."""
        (tmp_path / "run").write_text("a file\n")
        ran = run("fengling-gateway", tmp_path, f'{settings}address = "127.0.0.1:{free_port()}"\n')
        assert ran.returncode == 2
        [line] = ran.stderr.splitlines()
        assert f"runtime_dir {tmp_path}/run/n1: " in line

    def test_long_runtime_directory_still_hands_over(self, tmp_path: Path) -> None:
        """A path that no socket's address has room for: workers are found all the same."""
        (tmp_path / "routes.yaml").write_text("routes: [{id: a, respond: {status: 204}}]\n")
        directory = tmp_path / ("a" * 60) / ("b" * 60)
        settings = {"file": {"path": str(tmp_path / "routes.yaml")}}
        gateway = GatewayProcess(directory=directory, source="file", settings=settings)
        gateway.start()
        try:
            gateway.wait_ready()
            gateway.kill()
            gateway.start()
            wait_for_line(gateway, "adopted the sockets of 2 workers")
            gateway.wait_ready()
            assert gateway.get("/")[0] == 204
            assert not lines_with(gateway, "no handoff socket")
        finally:
            gateway.stop()
