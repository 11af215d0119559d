"""Reactors whose clock nobody sets."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from twisted.internet.selectreactor import SelectReactor

from fengling_gateway.tap.reactors import keep_monotonic
from tests.tap.test_gateway import MAIN, TWISTD, run

TOLD_AT_THE_START = """
import os, time
os.environ["FENGLING_TRANSPORT__REACTOR"] = "stock"
from fengling_gateway.tap.service import GatewayService
GatewayService.startService = lambda self: os._exit(
    7 if self._reactor.seconds is time.monotonic else 8
)
"""


def test_calls_come_when_the_wall_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is to happen in a moment does."""
    reactor = SelectReactor()
    keep_monotonic(reactor)
    called: list[str] = []
    reactor.callLater(0.001, called.append, "then")
    monkeypatch.setattr(time, "time", lambda: 0.0)
    while not called:
        reactor.iterate(0.01)


def test_calls_of_others_keep_their_clock() -> None:
    """What was planned by the old clock would never come by the new one."""
    reactor = SelectReactor()
    called: list[str] = []
    reactor.callLater(0.001, called.append, "then")
    keep_monotonic(reactor)
    while not called:
        reactor.iterate(0.01)


@pytest.mark.parametrize("program", [MAIN, TWISTD])
def test_programs_go_by_it(tmp_path: Path, program: str) -> None:
    """In the foreground and within twistd, also with Twisted's own reactor."""
    assert run(TOLD_AT_THE_START + program, tmp_path / "gateway.toml").returncode == 7
