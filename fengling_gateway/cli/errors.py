"""How a command fails: one line that says what to do."""

from __future__ import annotations

from typing import IO, Any, Final

import click

from fengling_gateway.observability.plain import plain

EXIT_NO: Final = 1
"""The answer is no: differences, rejections, workers that are behind."""

EXIT_FAILED: Final = 2
"""It could not be done, or was asked for wrongly."""


class CommandError(click.ClickException):
    """Ends a command with status 2 and one line on stderr."""

    exit_code = EXIT_FAILED

    def show(self, file: IO[Any] | None = None) -> None:
        line = plain(" ".join(self.format_message().split()))
        click.echo(f"fenglingctl: {line}", file=file, err=file is None)


def answer_no() -> None:
    """End the running command with status 1; what there is to say has been said."""
    click.get_current_context().exit(EXIT_NO)


def note(line: str) -> None:
    """Say something beside the result."""
    click.echo("\n".join(map(plain, line.split("\n"))), err=True)
