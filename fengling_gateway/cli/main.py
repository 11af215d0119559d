"""``fenglingctl``: the commands, and what they have in common."""

from __future__ import annotations

import importlib
import sys
import traceback
from typing import Any, Final

import click

from fengling_gateway import __version__
from fengling_gateway.cli.errors import EXIT_FAILED

_COMMANDS: Final = {
    "apply": "configuration",
    "confirm": "serving",
    "context": "contexts",
    "db": "db",
    "diff": "configuration",
    "doctor": "doctor",
    "drain": "fleet",
    "errors": "failures",
    "events": "events",
    "explain": "serving",
    "export": "configuration",
    "freeze": "pins",
    "get": "serving",
    "history": "history",
    "key": "keys",
    "kubernetes": "kubernetes",
    "login-link": "login",
    "pin": "pins",
    "proxy": "proxy",
    "reload": "serving",
    "restart": "fleet",
    "rollback": "rollback",
    "secret": "secrets",
    "status": "serving",
    "support-bundle": "support",
    "switch": "fleet",
    "tap": "tap",
    "token": "tokens",
    "top": "top",
    "unpin": "pins",
    "validate": "validation",
    "why": "failures",
}
"""Where each command is. Loaded when it is used: `--help` and scripts wait for no database driver."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"fengling_gateway.cli.{_COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        return command


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="fenglingctl")
def cli() -> None:
    """
    Look after a Fengling Gateway: its configuration in the database, and what it serves.

    Exit status: 0 done, 1 it is not so (differences, rejections, workers that are behind),
    2 it could not be done.
    """


def main(arguments: list[str] | None = None) -> Any:
    """Run ``fenglingctl`` (the console script)."""
    try:
        return cli.main(args=arguments, prog_name="fenglingctl")
    except BrokenPipeError:
        # `fenglingctl get routes | head`: the reader has seen enough.
        sys.stderr.close()
        sys.exit(EXIT_FAILED)
    except Exception as error:
        # Python's own status for it is 1, which says that something is not so.
        click.echo(f"fenglingctl: {_unexpected(error)}", err=True)
        sys.exit(EXIT_FAILED)


def _unexpected(error: Exception) -> str:
    """Say in one line what happened, and where; what others may have put in the error stays out."""
    if isinstance(error, OSError):
        reason = error.strerror or type(error).__name__
        return reason if error.filename is None else f"{error.filename}: {reason}"
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"a defect of fenglingctl: {type(error).__name__} in {place.filename}:{place.lineno}"


if __name__ == "__main__":
    main()
