"""Which gateway and which database a command talks to.

An option wins over the environment, the environment over a context, a context
over the default. A context is a section of ``~/.config/fengling/contexts.toml``::

    current = "staging"
    [contexts.staging]
    management = "http://10.0.0.5:8001"
    console = "http://10.0.0.5:8002"
    token_file = "~/.config/fengling/staging.token"
    database = "postgresql://ops@10.0.0.9/gateway"
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import click

from fengling_gateway.cli.api import ConsoleApi, ManagementApi
from fengling_gateway.cli.errors import CommandError, note
from fengling_gateway.cli.options import collect

DEFAULT_MANAGEMENT: Final = "http://127.0.0.1:8001"
MANAGEMENT_HELP: Final = (
    "The management API of a gateway; else FENGLING_MANAGEMENT, the context, or "
    f"{DEFAULT_MANAGEMENT}."
)
DEFAULT_CONSOLE: Final = "http://127.0.0.1:8002"
CONSOLE_HELP: Final = f"The console; else FENGLING_CONSOLE, the context, or {DEFAULT_CONSOLE}."
DATABASE_HELP: Final = "The database with the configuration; else FENGLING_DATABASE or the context."
CONTEXT_KEYS: Final = ("management", "console", "database", "token", "token_file")

_SECRET_IN_CONTEXTS: Final = re.compile(
    rb"(?P<token>\btoken\s*=)|(?P<password>://[^/\s@]*:[^\s]*@|password\s*=)"
)

F = TypeVar("F", bound=Callable[..., Any])


def contexts_file(environ: Mapping[str, str]) -> Path:
    base = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME", "~")) / ".config")
    return Path(base).expanduser() / "fengling" / "contexts.toml"


def context_option(command: F) -> F:
    return click.option(
        "--context",
        envvar="FENGLING_CONTEXT",
        help="A context of ~/.config/fengling/contexts.toml; else FENGLING_CONTEXT, or the current "
        "one.",
    )(command)


def token_file_option(command: F) -> F:
    """Add where the token of an API is."""
    return click.option(
        "--token-file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="A file with the token; else FENGLING_TOKEN, FENGLING_TOKEN_FILE or the context.",
    )(command)


def management_options(command: F) -> F:
    """Add what names a management API; the command gets ``api``."""
    options = (
        click.option("--management", metavar="URL", help=MANAGEMENT_HELP),
        token_file_option,
        context_option,
    )
    return collect(command, options, "api", _management_api)


class NamedConsole(NamedTuple):
    """A console: where it is said to be (None: nobody says so), and how to ask it."""

    url: str | None
    api: ConsoleApi


def console_options(command: F) -> F:
    """Add what names a console; the command gets it as ``console``."""
    options = (
        click.option("--console", metavar="URL", help=CONSOLE_HELP),
        token_file_option,
        context_option,
    )
    return collect(command, options, "console", _console)


class Watched(NamedTuple):
    """Return a console and a gateway, of which a command asks one."""

    console: Callable[[], NamedConsole]
    management: Callable[[], ManagementApi]


def watched_options(command: F) -> F:
    """Add what names a console, and a gateway; the command gets both as ``watched``."""
    options = (
        click.option("--console", metavar="URL", help=CONSOLE_HELP),
        click.option("--management", metavar="URL", help=MANAGEMENT_HELP),
        token_file_option,
        context_option,
    )
    return collect(command, options, "watched", _watched)


def database_option(command: F) -> F:
    """Add what names a database; the command gets its DSN as ``dsn``."""
    options = (
        click.option("--database", metavar="URL", help=DATABASE_HELP),
        context_option,
    )
    return collect(command, options, "dsn", _dsn)


def writable_database(database: str | None, context: str | None) -> str | None:
    """
    Return the DSN that an operator has named; None if none.

    Not that of a gateway's settings, which has no right to write.
    """
    if database or os.environ.get("FENGLING_DATABASE"):
        return database or os.environ["FENGLING_DATABASE"]
    return read_context(context, os.environ).get("database")


def named_database(database: str | None, context: str | None) -> str:
    """
    Return the DSN that is named in any way, as for `database_option`.

    Raises:
        CommandError: none is.
    """
    return _dsn(database, context)


def optional_database_option(command: F) -> F:
    """Like `database_option`, for a command that may do without: see `dsn_unless`."""
    return click.option("--database", metavar="URL", help=DATABASE_HELP)(context_option(command))


def dsn_unless(files: Sequence[str], database: str | None, context: str | None) -> str | None:
    """
    Return the DSN that is named in any way; None where there are files to look at instead.

    Raises:
        UsageError: files and a database are both named on the command line.
    """
    if not files:
        return _dsn(database, context)
    if database is not None:
        raise click.UsageError("name either FILES or --database URL")
    return None


def _management_api(
    management: str | None, token_file: Path | None, context: str | None
) -> ManagementApi:
    chosen = read_context(context, os.environ)
    url = management or os.environ.get("FENGLING_MANAGEMENT") or chosen.get("management")
    return management_api(url or DEFAULT_MANAGEMENT, token_file, chosen)


def management_api(url: str, token_file: Path | None, context: Mapping[str, str]) -> ManagementApi:
    """Return how a gateway is asked, with the token that is named in any way."""
    return ManagementApi(url, lambda: _token(token_file, context))


def _console(console: str | None, token_file: Path | None, context: str | None) -> NamedConsole:
    chosen = read_context(context, os.environ)
    url = console or console_named(chosen)
    return NamedConsole(url, console_api(url or DEFAULT_CONSOLE, token_file, chosen))


def _watched(
    console: str | None, management: str | None, token_file: Path | None, context: str | None
) -> Watched:
    return Watched(
        lambda: _console(console, token_file, context),
        lambda: _management_api(management, token_file, context),
    )


def console_named(context: Mapping[str, str]) -> str | None:
    """Return the URL of the console that the environment names, or else a context."""
    return os.environ.get("FENGLING_CONSOLE") or context.get("console")


def console_api(url: str, token_file: Path | None, context: Mapping[str, str]) -> ConsoleApi:
    """Return how a console is asked, with the token that is named in any way."""
    return ConsoleApi(url, lambda: _token(token_file, context))


def _token(option: Path | None, context: Mapping[str, str]) -> str:
    if option is not None:
        return _read_token(option)
    if token := os.environ.get("FENGLING_TOKEN"):
        return token
    if path := os.environ.get("FENGLING_TOKEN_FILE"):
        return _read_token(Path(path))
    if path := context.get("token_file"):
        return _read_token(Path(path))
    if token := context.get("token"):
        return token
    raise CommandError(
        "no token: set FENGLING_TOKEN or --token-file; `fenglingctl token create` makes one"
    )


def _read_token(path: Path) -> str:
    try:
        return path.expanduser().read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise CommandError(f"the token file {path}: {reason}") from error


def database_named(environ: Mapping[str, str]) -> str | None:
    """
    Return the DSN that the environment names; that of a gateway's settings, which may read, last.

    Raises:
        CommandError: the file that FENGLING_DATABASE__URL_FILE names can't be read.
    """
    named = environ.get("FENGLING_DATABASE") or environ.get("FENGLING_DATABASE__URL")
    if not named and (path := environ.get("FENGLING_DATABASE__URL_FILE")):
        return _read_dsn(Path(path))
    return named or None


def _read_dsn(path: Path) -> str | None:
    try:
        return path.read_text().strip() or None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise CommandError(f"FENGLING_DATABASE__URL_FILE, {path}: {reason}") from error


def _dsn(database: str | None, context: str | None) -> str:
    named = (
        database or database_named(os.environ) or read_context(context, os.environ).get("database")
    )
    if named:
        return named
    if os.environ.get("PGDATABASE") or os.environ.get("PGSERVICE"):
        return ""  # libpq knows where, as psql does
    raise CommandError("no database: use --database URL, or set FENGLING_DATABASE")


def read_context(name: str | None, environ: Mapping[str, str]) -> dict[str, str]:
    """
    Return the values of a context: the named one, else the current one, else none.

    Raises:
        CommandError: there is no such context, or the file is not as it should be.
    """
    path = contexts_file(environ)
    document = read_contexts(path)
    chosen = name or document.get("current")
    if chosen is None:
        return {}
    values = document.get("contexts", {}).get(chosen)
    if not isinstance(values, dict):
        known = ", ".join(document.get("contexts", {})) or "none"
        raise CommandError(f'there is no context "{chosen}" in {path}; known: {known}')
    if values.keys() - set(CONTEXT_KEYS):
        expected = ", ".join(CONTEXT_KEYS)
        raise CommandError(f'context "{chosen}" in {path} may have {expected}, each a text')
    return values


def read_contexts(path: Path) -> dict[str, Any]:
    """
    Return the file of contexts; empty where there is none.

    Raises:
        CommandError: it can't be read, or has another shape.
    """
    try:
        content = path.read_bytes()
        exposed = path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error
    if exposed and (secret := _SECRET_IN_CONTEXTS.search(content)):
        what = "a token" if secret.lastgroup == "token" else "a password"
        note(f"fenglingctl: {path} holds {what} and is open to others: chmod 600 {path}")
    try:
        document = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{path}: {error}") from error
    _check_contexts(path, document)
    return document


def _check_contexts(path: Path, document: dict[str, Any]) -> None:
    """Refuse another shape than the one above; what a section may have is for who uses it."""
    contexts = document.get("contexts", {})
    if not isinstance(contexts, dict):
        raise CommandError(f"{path}: contexts must be sections like [contexts.staging]")
    for name, values in contexts.items():
        if not isinstance(values, dict):
            raise CommandError(f"{path}: context {name} must be a section: [contexts.{name}]")
        for key, value in values.items():
            if not isinstance(value, str):
                raise CommandError(f"{path}: {key} of context {name} must be a text")
    if not isinstance(document.get("current", ""), str):
        raise CommandError(f"{path}: current must be the name of a context")
