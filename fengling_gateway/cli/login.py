"""``fenglingctl login-link``: a link that opens the console signed in, once."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import click

from fengling_gateway.auth.compact import TokenError
from fengling_gateway.auth.keys import WeakKeyError
from fengling_gateway.auth.operators import ROLES, Operator
from fengling_gateway.auth.tokens import TokenRing
from fengling_gateway.cli.errors import CommandError, note
from fengling_gateway.cli.options import collect
from fengling_gateway.cli.person import user_name_or_number
from fengling_gateway.cli.settings_file import read_console_settings, settings_option
from fengling_gateway.cli.target import DEFAULT_CONSOLE, NamedConsole, console_options
from fengling_gateway.cli.tokens import lifetime_seconds, read_keys
from fengling_gateway.signin.links import MAX_SECONDS, link_url, make_link

_KEY_VARIABLES = ("FENGLING_MANAGEMENT__TOKEN_KEYS", "FENGLING_MANAGEMENT__TOKEN_KEYS_FILE")
_TOKEN_VARIABLES = ("FENGLING_TOKEN", "FENGLING_TOKEN_FILE")


class _Wish(NamedTuple):
    """What a link is to allow, as it is asked for."""

    role: str | None
    subject: str | None
    name: str | None
    tenants: tuple[str, ...]
    lifetime: str

    @property
    def seconds(self) -> float:
        seconds = lifetime_seconds(self.lifetime)
        if not 1 <= seconds <= MAX_SECONDS:
            raise click.BadParameter("is at most 10m", param_hint="--for")
        return seconds


def _wish_options(command: Callable[..., Any]) -> Any:
    options = (
        click.option(
            "--role",
            type=click.Choice(list(ROLES)),
            help="What it allows: to look, to write as well, or everything. By default all that "
            "you may yourself.",
        ),
        click.option(
            "--subject", help="Whom it signs in; by default you. For others: admins only."
        ),
        click.option("--name", help="What people call whom it signs in."),
        click.option(
            "--tenant",
            "tenants",
            metavar="ID",
            multiple=True,
            help="Limit it to what is of a tenant; may be repeated.",
        ),
        click.option(
            "--for",
            "lifetime",
            default="5m",
            show_default=True,
            help="How long it may be opened; ten minutes at most.",
        ),
    )
    return collect(command, options, "wish", _Wish)


@click.command("login-link", short_help="Print a link that opens the console signed in, once.")
@_wish_options
@console_options
@settings_option(
    "The console's settings file: the link is signed here, by the keys it has or names."
)
@click.option(
    "--key-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The same with a file of the keys (id:secret) that consoles and gateways share.",
)
def login_link_command(
    wish: _Wish, console: NamedConsole, config: Path | None, key_file: Path | None
) -> None:
    """
    Print a link that opens the console signed in, once.

    The console makes it, for whoever has a token; or this very host, with the keys at hand. Then no
    console is asked, and it may be for anybody.
    """
    if config is not None and key_file is not None:
        raise click.UsageError("name either --config or --key-file")
    if config is None and key_file is None and not _has_keys_alone():
        url = _asked(wish, console)
    else:
        url = _signed(wish, console, config, key_file)
    click.echo(url)
    if sys.stderr.isatty():
        note(f"it is good once, for {wish.lifetime}")


def _has_keys_alone() -> bool:
    """Whether the environment has keys, as a console's has, and no token."""
    return any(map(os.environ.get, _KEY_VARIABLES)) and not any(
        map(os.environ.get, _TOKEN_VARIABLES)
    )


def _asked(wish: _Wish, console: NamedConsole) -> str:
    """Have the console make a link."""
    body = {
        "role": wish.role,
        "subject": wish.subject,
        "name": wish.name,
        "tenants": sorted(set(wish.tenants)) or None,
        "seconds": int(wish.seconds),
    }
    given = {name: value for name, value in body.items() if value is not None}
    url = console.api.post("login-links", given).document.get("url")
    if not isinstance(url, str):
        raise CommandError(f"{console.api.url} answers, but not as a console does")
    return url if urlsplit(url).scheme else console.api.url + url


def _signed(wish: _Wish, console: NamedConsole, config: Path | None, key_file: Path | None) -> str:
    """Make a link here."""
    address, keys = _of_settings(config) if config else (None, read_keys(None, key_file))
    person = Operator(
        subject=wish.subject or user_name_or_number()[:100],
        scopes=frozenset((ROLES[wish.role or "admin"],)),
        source="keys",
        token_id="",
        expires_at=math.inf,
        name=wish.name or "",
        tenants=frozenset(wish.tenants) or None,
    )
    try:
        token = make_link(TokenRing(keys), person, now=time.time(), seconds=wish.seconds)
    except (ValueError, TokenError, WeakKeyError) as error:
        why = (
            str(error) if isinstance(error, ValueError) else "the subject, name or a tenant is none"
        )
        raise CommandError(why) from error
    return link_url(console.url or address or DEFAULT_CONSOLE, token)


def _of_settings(config: Path) -> tuple[str, list[str]]:
    """Return where browsers reach a console, and its keys."""
    settings = read_console_settings(config)
    urls = settings.signin.external_urls
    return urls[0] if urls else f"http://{settings.http.address}", settings.management.token_keys
