"""What all commands have in common."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import click
import pytest

from fengling_gateway.cli import contexts, main
from tests.cli.conftest import Run


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (AttributeError("canary"), "a defect of fenglingctl: AttributeError in "),
        (RecursionError("canary"), "a defect of fenglingctl: RecursionError in "),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
    ],
)
def test_what_nobody_expects_is_one_line_and_status_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    words: str,
) -> None:
    """Status 1 is an answer, and a traceback none; what the error holds may be a secret."""

    def fail(_: Any) -> Any:
        raise error

    monkeypatch.setattr(contexts, "read_contexts", fail)
    with pytest.raises(SystemExit) as ended:
        main.main(["context", "list"])
    shown = capsys.readouterr().err
    assert (ended.value.code, shown.count("\n")) == (2, 1)
    assert shown.startswith(f"fenglingctl: {words}")
    assert "canary" not in shown
    if not isinstance(error, OSError):
        assert Path(__file__).name in shown


def test_what_was_asked_for_wrongly_is_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    """As click says it."""
    with pytest.raises(SystemExit) as ended:
        main.main(["no-such-command"])
    assert ended.value.code == click.UsageError.exit_code == 2
    assert "no-such-command" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [(), *((name,) for name, one in main.cli.commands.items() if isinstance(one, click.Group))],
    ids=" ".join,
)
def test_no_line_about_a_command_is_cut(run: Run, words: tuple[str, ...]) -> None:
    """What is too long for a line ends in dots; those of the usage aside."""
    _, *lines = run(*words, "--help").stdout.splitlines()
    assert not [line for line in lines if line.endswith("...")]
