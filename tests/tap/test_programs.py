"""What is wrong with settings, before anything starts."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

from fengling_gateway.tap.programs import access_log_problems


def problems(path: object) -> list[str]:
    return access_log_problems(SimpleNamespace(access_log=SimpleNamespace(path=str(path))))


def test_access_log_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    """Before there are requests to have lines of."""
    place = tmp_path / "there" / "access.log"
    assert problems(place) == [
        f"access_log.path: {place} can't be written: No such file or directory"
    ]
    assert problems("") == problems("stdout") == []


def test_trying_out_an_access_log_keeps_nothing_open(tmp_path: Path) -> None:
    """A file that is rotated away would take its room for as long as the gateway runs."""
    before = os.listdir("/proc/self/fd")
    assert problems(tmp_path / "access.log") == []
    assert os.listdir("/proc/self/fd") == before


def test_named_pipe_that_nobody_reads_yet_is_no_problem(tmp_path: Path) -> None:
    """Nor is it waited for."""
    os.mkfifo(tmp_path / "pipe")
    assert problems(tmp_path / "pipe") == []
