"""Requests to a running quickstart."""

from __future__ import annotations

import json
import os
import queue
from pathlib import Path
from typing import Any

import pytest

from fengling_gateway.quickstart.control import (
    ControlReader,
    Request,
    parse_request,
    print_pid,
    send_request,
)


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "control")
    return tmp_path / "control"


class RequestTests:
    """What is asked for."""

    @pytest.mark.parametrize("line", ["", "stop", "stop gateway", "kill postgres", "stop redis x"])
    def test_anything_else_is_no_request(self, line: str) -> None:
        """Only known servers are started and stopped."""
        assert parse_request(line) is None

    def test_requests_arrive_from_several_writers(self, pipe: Path) -> None:
        """Each writer opens and closes the pipe; a line of nonsense is skipped."""
        seen: queue.Queue[Any] = queue.Queue()
        ControlReader(pipe, seen).start()
        with pipe.open("w") as writer:
            writer.write("nonsense\n")
        requests = [Request("stop", "postgres"), Request("start", "redis")]
        for request in requests:
            send_request(pipe, request)
        assert [seen.get(timeout=5) for _ in requests] == requests

    def test_nobody_there_is_said(self, pipe: Path) -> None:
        """Neither a missing pipe nor one without a reader blocks the caller."""
        for path in (pipe, pipe.with_name("none")):
            with pytest.raises(SystemExit, match="no quickstart"):
                send_request(path, Request("stop", "postgres"))


class PidTests:
    """Naming a process."""

    def test_pids_are_printed_by_name(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The first worker, or a program."""
        state = tmp_path / "state.json"
        state.write_text(json.dumps({"pids": {"gateway": 5, "workers": [7, 8]}}))
        print_pid(state, "worker")
        print_pid(state, "gateway")
        assert capsys.readouterr().out == "7\n5\n"
        with pytest.raises(SystemExit, match="no console"):
            print_pid(state, "console")

    def test_without_state_nobody_is_running(self, tmp_path: Path) -> None:
        """One clear line."""
        with pytest.raises(SystemExit, match="no quickstart"):
            print_pid(tmp_path / "state.json", "worker")
