"""Passwords of URLs stay out of what commands print."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from tests.cli.conftest import Run
from tests.support.secrets import CANARY, dsns, leaked

COMMANDS = (("export",), ("db", "status"), ("db", "upgrade"), ("validate",))


@pytest.mark.parametrize("command", COMMANDS, ids="-".join)
@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(dsn=dsns)
def test_bad_urls_are_not_repeated(command: tuple[str, ...], dsn: str, run: Run) -> None:
    """By no command that talks to a database."""
    if "\0" not in dsn:
        result = run(*command, f"--database={dsn}")
        assert result.exit_code == 2
        assert not leaked(result.output)


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        (f"postgresql://ops:x:{CANARY}@db/gateway", "postgresql://ops@db/gateway"),
        (f"postgresql://db/gateway?password={CANARY}", "postgresql://db/gateway"),
        (f"host=db dbname=gateway password={CANARY}", "postgresql://db/gateway"),
        (f"postgresql://ops:%{CANARY}@db/gateway", "(is malformed"),
    ],
)
def test_contexts_show_no_password_however_it_is_written(run: Run, dsn: str, shown: str) -> None:
    """In each form that libpq reads."""
    run("context", "set", "a", "--database", dsn)
    output = run("context", "list").output
    assert shown in output
    assert not leaked(output)
