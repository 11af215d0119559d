"""``twistd fengling-gateway``: in the foreground and as a daemon."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fengling_gateway.embedded import guard
from fengling_gateway.embedded.ports import free_port
from tests.integration.gateway import GatewayProcess
from tests.integration.world import lines_with, wait_for_line
from tests.support.wait import wait_until

TWISTD = str(Path(sys.executable).with_name("twistd"))
LINE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]{12}Z (DEBUG|INFO |WARN |ERROR) (gateway|w\d) +\S")


class Twisted(GatewayProcess):
    """A gateway that twistd runs; without its Redis, which its workers tell the log."""

    def __init__(
        self, directory: Path, *options: str, log: dict[str, str] | None = None, port: int = 0
    ) -> None:
        super().__init__(
            port=port or free_port(),
            directory=directory,
            source="file",
            redis=f"redis://127.0.0.1:{free_port()}",
            settings={"file": {"path": str(directory / "routes.yaml")}, "log": log or {}},
            program=(
                *(TWISTD, f"--pidfile={directory}/pid", f"--rundir={directory}"),
                *(options or (f"--logfile={directory}/daemon.log",)),
                "fengling-gateway",
            ),
        )
        self.is_daemon = not options
        directory.mkdir()
        self.route("a", 204)

    def route(self, name: str, status: int) -> None:
        """Serve one route."""
        text = f"routes: [{{id: {name}, respond: {{status: {status}}}}}]\n"
        (self.directory / "routes.yaml").write_text(text)

    @property
    def log(self) -> str:
        name = "daemon.log" if self.is_daemon else "gateway.log"
        return (self.directory / name).read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The supervisor's, from its pid file."""
        return int((self.directory / "pid").read_text())

    def wait_ready(self, timeout: float = 30.0) -> None:
        if not self.is_daemon:
            super().wait_ready(timeout)
            return
        assert self.process is not None
        assert self.process.wait(timeout) == 0, (self.directory / "gateway.log").read_text()
        wait_until(lambda: self.get("/readyz", port=self.management_port)[0] == 200)

    def end(self, number: int = signal.SIGTERM) -> None:
        """Signal the supervisor; wait until it, its workers and its pid file are gone."""
        processes = guard.tree(self.pid)
        os.kill(self.pid, number)
        wait_until(lambda: not any(is_running(one.pid) for one in processes))
        wait_until(lambda: not (self.directory / "pid").exists())

    def kill_supervisor(self) -> None:
        """Kill it with -9; its pid file goes, too, for who reaps a daemon may take his time."""
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not is_running(pid))
        (self.directory / "pid").unlink()


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def twisted(tmp_path: Path) -> Iterator[Callable[..., Twisted]]:
    """Return a function that starts a gateway under twistd; none is left after the test."""
    started: list[Twisted] = []

    def start(*options: str, **others: Any) -> Twisted:
        gateway = Twisted(tmp_path / f"n{len(started)}", *options, **others)
        started.append(gateway)
        gateway.start()
        return gateway

    yield start
    for one in started:
        if (one.directory / "pid").exists() and is_running(one.pid):
            one.end()
        assert one.process is not None
        one.process.wait(30)


class ForegroundTests:
    """``twistd -n fengling-gateway``"""

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_signal_drains_it_and_its_status_is_good(
        self, twisted: Callable[..., Twisted], number: int
    ) -> None:
        """As that of ``fengling-gateway``; no process and no pid file is left."""
        gateway = twisted("-n")
        gateway.wait_ready()
        gateway.end(number)
        assert gateway.process is not None
        assert gateway.process.wait(15) == 0
        assert lines_with(gateway, "draining: ")
        assert gateway.log.splitlines()[-1].endswith("stopped")

    def test_every_line_has_one_form_and_the_level_that_is_set(
        self, twisted: Callable[..., Twisted]
    ) -> None:
        """Supervisor and workers alike; what twistd says of itself is not there."""
        gateway = twisted("-n", log={"format": "json", "level": "warn"})
        gateway.wait_ready()

        def lines() -> list[dict[str, str]]:
            return [json.loads(line) for line in gateway.log.splitlines()]

        wait_until(lambda: {one["process"] for one in lines()} == {"gateway", "w0", "w1"})
        gateway.end()
        assert {one["level"] for one in lines()} <= {"warn", "error"}

    def test_help_names_its_options(self) -> None:
        """And the signals it answers."""
        ran = subprocess.run(
            [TWISTD, "fengling-gateway", "--help"], capture_output=True, text=True, check=True
        )
        assert "--config=" in ran.stdout
        assert "TERM drains" in " ".join(ran.stdout.split())

    def test_taken_port_leaves_no_pid_file(self, twisted: Callable[..., Twisted]) -> None:
        """The next start must not take it for that of a running gateway."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            gateway = twisted("-n", port=taken.getsockname()[1])
            assert gateway.process is not None
            assert gateway.process.wait(30) == 2
        assert lines_with(gateway, "fengling-gateway: listener http", "Address already in use")
        assert not (gateway.directory / "pid").exists()


class DaemonTests:
    """``twistd --logfile=… fengling-gateway``"""

    @pytest.fixture
    def daemon(self, twisted: Callable[..., Twisted]) -> Twisted:
        """Return a daemon that serves."""
        daemon = twisted()
        daemon.wait_ready()
        return daemon

    def test_workers_log_to_the_same_file_in_the_same_form(self, daemon: Twisted) -> None:
        """Line by line; what Python itself has to say comes in lines of ours."""
        for name in ("w0", "w1"):
            wait_for_line(daemon, f" {name} ", "Redis at redis://")
        daemon.end()
        assert daemon.log.splitlines()[-1].endswith("stopped")
        odd = [line for line in daemon.log.splitlines() if not LINE.match(line)]
        assert odd == []

    def test_usr1_rotates_the_file(self, daemon: Twisted) -> None:
        """As with twistd; workers, too, write to the new one."""
        os.kill(daemon.pid, signal.SIGUSR1)
        wait_for_line(daemon, "the log goes on in", "daemon.log")
        assert "serving with 2 workers" in (daemon.directory / "daemon.log.1").read_text()
        os.kill(daemon.pid, signal.SIGUSR2)
        wait_for_line(daemon, "rolling restart is complete")
        for name in ("w0", "w1"):
            wait_for_line(daemon, f" {name} ", "Redis at redis://")

    def test_usr1_makes_a_file_anew_that_logrotate_has_moved(self, daemon: Twisted) -> None:
        """Nothing more is written to the old one."""
        moved = (daemon.directory / "daemon.log").rename(daemon.directory / "yesterday.log")
        os.kill(daemon.pid, signal.SIGUSR1)
        wait_until((daemon.directory / "daemon.log").exists)
        wait_for_line(daemon, "the log goes on in")
        size = moved.stat().st_size
        daemon.route("b", 205)
        wait_for_line(daemon, "route b")
        assert moved.stat().st_size == size
        assert not (daemon.directory / "daemon.log.1").exists()

    def test_workers_outlive_their_supervisor_and_hand_over(self, daemon: Twisted) -> None:
        """Nobody reads what they log then; that neither ends nor blocks them."""
        daemon.kill_supervisor()
        for _ in range(10):
            assert daemon.get("/")[0] == 204
        daemon.start()
        daemon.wait_ready()
        wait_for_line(daemon, "adopted the sockets of 2 workers")
        assert daemon.get("/")[0] == 204

    def test_second_one_is_refused_and_the_first_goes_on(self, daemon: Twisted) -> None:
        """By twistd, for its pid file."""
        daemon.start()
        assert daemon.process is not None
        assert daemon.process.wait(30) == 1
        assert "Another twistd server is running" in (daemon.directory / "gateway.log").read_text()
        assert daemon.get("/")[0] == 204

    def test_taken_port_is_told_to_who_starts_it(self, twisted: Callable[..., Twisted]) -> None:
        """Before the daemon is gone; no pid file is left."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            daemon = twisted(port=taken.getsockname()[1])
            assert daemon.process is not None
            assert daemon.process.wait(30) == 1
        told, *_ = (daemon.directory / "gateway.log").read_text().splitlines()
        assert told.startswith("fengling-gateway: listener http")
        assert told.endswith("Address already in use")
        wait_until(lambda: not (daemon.directory / "pid").exists())
        [line] = lines_with(daemon, " ERROR ")
        assert f"the gateway can't start: {told.removeprefix('fengling-gateway: ')}" in line
        assert not lines_with(daemon, "draining")
        assert "Traceback" not in daemon.log

    def test_second_one_is_told_in_a_whole_line(self, twisted: Callable[..., Twisted]) -> None:
        """However long it is: twistd itself passes on the first 98 bytes."""
        daemon = twisted()
        daemon.wait_ready()
        here = daemon.directory
        ran = subprocess.run(
            [
                *(TWISTD, f"--pidfile={here}/pid2", f"--logfile={here}/second.log"),
                *("fengling-gateway", "--config", f"{here}/gateway.toml"),
            ],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        why = (
            f"a gateway already runs with runtime_dir {here}/run/n1; "
            "two gateways on one machine need different names (node)"
        )
        assert ran.returncode == 1
        assert ran.stderr.splitlines()[0] == f"fengling-gateway: {why}"
        wait_until(lambda: not (here / "pid2").exists())
        [line] = (here / "second.log").read_text().splitlines()
        assert " ERROR " in line
        assert line.endswith(f"the gateway can't start: {why}")
