"""The console's API does what its document says, whatever it is sent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fengling_gateway.console.entity_api import KINDS
from fengling_gateway.console.openapi import Operation
from fengling_gateway.console.operations import OPERATIONS
from fengling_gateway.console.query_parameters import CHANGE_PARAMETERS, PARAMETERS
from fengling_gateway.embedded.valkey import ValkeyServer
from tests.conformance.managed import ENTITIES
from tests.console.test_entities import MINIMAL
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


def run_schemathesis(console: ConsoleProcess, directory: Path, *options: str) -> None:
    """Run it with all checks; what it has found wrong is the failure."""
    ended = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("schemathesis")), "--no-color"),
            *("--config-file", str(HERE / "schemathesis_console.toml")),
            *("run", f"{console.address}/api/console/openapi.json"),
            *("--checks", "all", *options),
            # (A stream has no end.)
            *("--exclude-path", "/api/console/events"),
            *("--header", f"Authorization: Bearer {console.token}"),
        ],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=3000,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    # (Without the document, which it has read, and the stream.)
    assert f"Tested: {len(OPERATIONS) - 2}\n" in ended.stdout


@pytest.mark.timeout(300)
def test_document_is_true(console: ConsoleProcess, tmp_path: Path) -> None:
    """schemathesis: statuses, types, schemas, methods, credentials; right and wrong input."""
    run_schemathesis(console, tmp_path, "--phases", "examples,fuzzing", "--max-examples", "1")


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_document_is_true_of_much_more(console: ConsoleProcess, tmp_path: Path) -> None:
    """The same, with each part of each body wrong in every way: 25,000 requests."""
    run_schemathesis(console, tmp_path, "--max-examples", "5")


BODIES: dict[str, Any] = {
    "apply": {},
    "rollback": {"to": 1},
    "set_retention": {"keep": "1 year"},
    "begin_session": {"link": "x"},
}


def requests(console: ConsoleProcess) -> Iterator[tuple[Operation, str, Any]]:
    """Yield every operation with credentials, with a path and a body that are right."""
    for one in OPERATIONS:
        if one.scope is None or one.id == "listen":
            continue
        section = one.path.split("/")[3]
        if "{id}" in one.path and section in KINDS:
            items = console.get(section)["items"]
            entity_id = items[0].get("id") or items[0]["key"]
            path = one.path.replace("{id}", entity_id)
            body = console.get(f"{section}/{entity_id}") if one.method == "PUT" else {}
        else:
            path = one.path.format(
                revision=1,
                node="n1",
                switched="route",
                id="orders",
                namespace="shop",
                name="orders",
            )
            body = BODIES.get(one.id, {})
        if one.id.startswith("create_"):
            kind = one.id.removeprefix("create_")
            new = (
                {"key": "hold", "value": {}}
                if kind == "setting"
                else {"id": "new", **MINIMAL[kind]}
            )
            body = new
        yield one, path, body


def test_parameters_are_those_that_are_known(console: ConsoleProcess) -> None:
    """Each operation says so itself, to who sends another one."""
    for one, path, body in requests(console):
        sent = None if one.body is None else body
        asked = console.ask(
            one.method,
            f"{path.removeprefix('/api/console/')}?other=1",
            sent,
            if_match="*" if one.conditional else None,
        )
        named = {PARAMETERS[name]["name"] for name in (*one.parameters, *_of_changes(one))}
        known = ", ".join(sorted(named)) or "none"
        assert asked.status == 422, (one.id, asked)
        assert asked.json["detail"] == f"unknown query parameter; known: {known}", one.id


def _of_changes(one: Operation) -> tuple[str, ...]:
    return CHANGE_PARAMETERS if one.changes else ()
