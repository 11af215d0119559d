"""Names for gateways and databases."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.stub_gateway import StubGateway


def contexts(tmp_path: Path) -> Path:
    return tmp_path / ".config" / "fengling" / "contexts.toml"


def test_a_context_is_used(
    run: Run, gateway: StubGateway, tmp_path: Path, monkeypatch: Any
) -> None:
    """The first one becomes the current one; another is named by option or environment."""
    monkeypatch.delenv("FENGLING_MANAGEMENT")
    gateway.answers["GET", "status"] = (200, {})
    run("context", "set", "here", "--management", gateway.url)
    run("context", "set", "there", "--management", "http://127.0.0.1:1")
    assert run("status").exit_code == 0
    assert run("status", "--context", "there").exit_code == 2
    monkeypatch.setenv("FENGLING_CONTEXT", "there")
    assert run("status").exit_code == 2
    assert run("status", "--management", gateway.url).exit_code == 0
    assert stat.S_IMODE(contexts(tmp_path).stat().st_mode) == 0o600


def test_a_file_that_was_left_open_to_others_is_not_written_to(run: Run, tmp_path: Path) -> None:
    """As by a command that was killed."""
    left = contexts(tmp_path).with_suffix(".new")
    left.parent.mkdir(parents=True)
    left.touch(0o644)
    assert run("context", "set", "here", "--database", "postgresql://a:b@db/x").exit_code == 0
    assert stat.S_IMODE(contexts(tmp_path).stat().st_mode) == 0o600


def test_contexts_are_listed_without_passwords(run: Run) -> None:
    """The current one is marked."""
    run("context", "set", "a", "--database", "postgresql://ops:canary@db/gateway")
    run("context", "set", "b", "--management", "http://b:8001")
    run("context", "use", "b")
    result = run("context", "list")
    assert "canary" not in result.stdout
    assert "ops@db" in result.stdout
    assert any(
        line.startswith("*") and "http://b:8001" in line for line in result.stdout.split("\n")
    )


def test_a_context_is_changed_and_removed(run: Run) -> None:
    """What is not given stays."""
    run("context", "set", 'odd "name"', "--management", "http://b:8001")
    run("context", "set", 'odd "name"', "--database", "postgresql://db/x")
    assert "http://b:8001" in run("context", "list").stdout
    assert run("context", "remove", 'odd "name"').exit_code == 0
    assert run("context", "list").stdout == "no contexts\n"
    assert run("context", "remove", "x").exit_code == 2
    assert run("context", "use", "x").exit_code == 2


def test_a_token_in_an_open_file_is_pointed_out(run: Run, tmp_path: Path) -> None:
    """It works all the same."""
    path = contexts(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text('current = "a"\n[contexts.a]\ntoken = "canary"\n')
    path.chmod(0o644)
    result = run("context", "list")
    assert "chmod 600" in result.stderr
    assert "canary" not in result.output


def test_a_password_in_an_open_file_is_pointed_out(run: Run, tmp_path: Path) -> None:
    """Not a URL without one, which psql's own file may complete."""
    for database, said in (
        ("postgresql://ops:pa%2Fss@db/x", True),
        ("postgresql://ops@db/x", False),
    ):
        run("context", "set", "here", "--database", database)
        contexts(tmp_path).chmod(0o644)
        assert ("holds a password" in run("context", "list").stderr) is said


def test_a_broken_file_is_one_line(run: Run, tmp_path: Path) -> None:
    """No TOML, an unknown key, an unknown context."""
    path = contexts(tmp_path)
    path.parent.mkdir(parents=True)
    for text, words in (
        ("[", "contexts.toml"),
        ('current = "a"\n[contexts.a]\nurl = "x"\n', "may have"),
        ('current = "b"\n', 'no context "b"'),
    ):
        path.write_text(text)
        result = run("status")
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1), text
        assert words in result.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("contexts = 3", "contexts must be sections like [contexts.staging]"),
        ('[contexts]\na = "x"', "context a must be a section: [contexts.a]"),
        ("[contexts.a]\ndatabase = 3", "database of context a must be a text"),
        ("[contexts.a.b]", "b of context a must be a text"),
        ("current = 3", "current must be the name of a context"),
        ("a = " + "[" * 5000, "contexts.toml"),
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        ("status",),
        ("export",),
        ("context", "list"),
        ("context", "use", "a"),
        ("context", "set", "a", "--management", "http://b:8001"),
        ("context", "remove", "a"),
    ],
)
def test_a_file_of_another_shape_is_one_line(
    run: Run, tmp_path: Path, text: str, words: str, command: tuple[str, ...]
) -> None:
    """Whoever reads it, and nothing is written over it."""
    path = contexts(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    result = run(*command)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert words in result.stderr
    assert path.read_text() == text


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_a_database_may_be_named_in_a_file(
    run: Run, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    """As settings may be; and one that can't be read is named."""
    path = tmp_path / "database-url"
    path.write_text(f"{dsn}\n")
    monkeypatch.delenv("FENGLING_DATABASE")
    monkeypatch.setenv("FENGLING_DATABASE__URL_FILE", str(path))
    assert run("db", "status").exit_code == 0
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    result = run("db", "status")
    assert result.exit_code == 2
    assert f"FENGLING_DATABASE__URL_FILE, {path}: " in result.stderr
