"""A real Prometheus, where there is one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from fengling_gateway.embedded.guarded import shared_guard
from fengling_gateway.embedded.ports import free_port

_GRACE_SECONDS = 10.0
"""Of one whose tests were killed."""


def program(name: str) -> str:
    """
    Return where a program of Prometheus is, or skip the test that asks.

    It is looked for in the directory that the environment names in PROMETHEUS_DIR, else on PATH.
    """
    found = shutil.which(name, path=os.environ.get("PROMETHEUS_DIR"))
    if found is None:
        pytest.skip(f"no {name} on PATH or in PROMETHEUS_DIR (Debian: apt install prometheus)")
    return found


class Prometheus:
    """
    A Prometheus on a free port, with a directory of its own.

    Its output goes to ``prometheus.log`` there. It ends when the tests are killed.

    Args:
        config: what it is to do; files that it names are looked for in the directory.
    """

    def __init__(self, directory: Path, config: str) -> None:
        self._port = free_port()
        self._log = directory / "prometheus.log"
        path = directory / "prometheus.yml"
        path.write_text(config)
        with self._log.open("ab") as out:
            self._process = shared_guard().start(
                [
                    program("prometheus"),
                    f"--config.file={path}",
                    f"--storage.tsdb.path={directory / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                    "--log.level=warn",
                ],
                signal.SIGTERM,
                _GRACE_SECONDS,
                stdout=out,
                stderr=out,
            )

    def __repr__(self) -> str:
        return f"<Prometheus on {self._port}>"

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def is_ready(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"Prometheus has ended:\n{self.log}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/-/ready", timeout=10):
                return True
        except urllib.error.HTTPError:
            return False

    def series(self, expr: str) -> list[dict[str, Any]]:
        """Return the labels and values (NaN included) that an expression has now."""
        found: list[dict[str, Any]] = self.ask("query", query=expr)["result"]
        return found

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data that the HTTP API answers with; an AssertionError says what it refuses."""
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                document = json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path} {parameters}: {error.read().decode()}") from None
        assert document["status"] == "success", document
        assert not document.get("warnings"), document
        return document["data"]

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shared_guard().forget(self._process)
