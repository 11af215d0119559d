"""
Where commands about the log of changes look: in the database itself, or over a console.

What is named on the command line wins, then a database, then a console: of the environment, and then
of the context. A database tells all that there is, so whoever may ask both is told by it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from fengling_gateway.cli.api import ConsoleApi
from fengling_gateway.cli.errors import CommandError
from fengling_gateway.cli.options import collect
from fengling_gateway.cli.target import (
    DATABASE_HELP,
    console_api,
    console_named,
    context_option,
    database_named,
    read_context,
)

Place = str | ConsoleApi
"""The DSN of a database, or a console."""

_CONSOLE_HELP: Final = (
    "Ask this console instead of the database; else FENGLING_CONSOLE or the context."
)


def place_options(command: Callable[..., Any]) -> Any:
    """Add what names a database or a console; the command gets it as ``place``."""
    options = (
        click.option("--database", metavar="URL", help=DATABASE_HELP),
        click.option("--console", metavar="URL", help=_CONSOLE_HELP),
        click.option(
            "--token-file",
            type=click.Path(path_type=Path, dir_okay=False),
            help="A file with the token for the console; else FENGLING_TOKEN, FENGLING_TOKEN_FILE "
            "or the context.",
        ),
        context_option,
    )
    return collect(command, options, "place", _place)


def _place(
    database: str | None, console: str | None, token_file: Path | None, context: str | None
) -> Place:
    if database is not None and console is not None:
        raise click.UsageError("name either --database URL or --console URL")
    chosen = read_context(context, os.environ)
    if console is None:
        dsn = database or database_named(os.environ) or chosen.get("database")
        if dsn is None and not console_named(chosen):
            dsn = "" if os.environ.get("PGDATABASE") or os.environ.get("PGSERVICE") else None
        if dsn is not None:
            if token_file is not None:
                raise click.UsageError("--token-file is for --console URL; a database is named")
            return dsn
    url = console or console_named(chosen)
    if url is None:
        raise CommandError(
            "no database and no console: use --database URL or --console URL, or set "
            "FENGLING_DATABASE or FENGLING_CONSOLE"
        )
    return console_api(url, token_file, chosen)
