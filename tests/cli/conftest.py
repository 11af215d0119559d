"""Running ``fenglingctl`` in this process, away from the developer's own settings."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from click.testing import CliRunner, Result

from fengling_gateway.cli.main import cli
from tests.cli.stub_gateway import StubGateway, stub_gateway

Run = Callable[..., Result]
Sql = Callable[..., list[tuple[Any, ...]]]
"""Runs a statement with its arguments, and returns its rows."""


@pytest.fixture(autouse=True)
def _own_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith(("FENGLING_", "PG")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


@pytest.fixture
def run() -> Run:
    """Return a function that runs a command line and returns click's result."""

    def run_it(*arguments: str, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(cli, list(arguments), input=stdin, prog_name="fenglingctl")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run_it


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubGateway]:
    """Return a stub that the environment names, with a token."""
    with stub_gateway() as stub:
        monkeypatch.setenv("FENGLING_MANAGEMENT", stub.url)
        monkeypatch.setenv("FENGLING_TOKEN", "abc")
        yield stub


@pytest.fixture
def dsn(migrated_database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the DSN of an empty database with the schema, which the environment names."""
    monkeypatch.setenv("FENGLING_DATABASE", migrated_database)
    return migrated_database


@pytest.fixture
def sql(dsn: str) -> Iterator[Sql]:
    """Return a function that runs SQL in that database."""
    connection, execute = executor_of(dsn, autocommit=True)
    yield execute
    connection.close()


def executor_of(dsn: str, *, autocommit: bool) -> tuple[Any, Sql]:
    """Return a connection, and what runs SQL in it."""
    connection = psycopg2.connect(dsn)
    connection.autocommit = autocommit

    def execute(statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(statement, arguments or None)
            return cursor.fetchall() if cursor.description else []

    return connection, execute


def document(result: Result) -> Any:
    """Return what a command printed with ``-o json``."""
    return json.loads(result.stdout)
