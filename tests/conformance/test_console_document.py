"""The console's API does what its document says, whatever it is sent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fengling_gateway.embedded.valkey import ValkeyServer
from tests.conformance.managed import ENTITIES
from tests.integration.console import ConsoleProcess

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture
def console(
    tmp_path: Path, migrated_database: str, valkey: ValkeyServer
) -> Iterator[ConsoleProcess]:
    """A console over something of every kind."""
    console = ConsoleProcess(tmp_path / "console", migrated_database, redis=valkey.url)
    console.start()
    try:
        console.wait_ready()
        made = console.ask("POST", "apply", json.dumps(ENTITIES), kind="application/yaml")
        assert made.status == 200, made
        yield console
    finally:
        console.stop()


def run_schemathesis(console: ConsoleProcess, directory: Path, examples: int) -> None:
    """Run it with all checks; what it has found wrong is the failure."""
    ended = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("schemathesis")), "--no-color"),
            *("--config-file", str(HERE / "schemathesis_console.toml")),
            *("run", f"{console.address}/api/console/openapi.json"),
            *("--checks", "all", "--max-examples", str(examples)),
            # (A stream has no end.)
            *("--exclude-path", "/api/console/events"),
            *("--header", f"Authorization: Bearer {console.token}"),
        ],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_document_is_true(console: ConsoleProcess, tmp_path: Path) -> None:
    """schemathesis: statuses, types, schemas, methods, credentials; right and wrong input."""
    run_schemathesis(console, tmp_path, int(os.environ.get("EX", "2")))
