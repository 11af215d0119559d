"""``fenglingctl token``: tokens for gateways and consoles, made from their keys, and revoked."""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from fengling_gateway.auth.compact import TokenError
from fengling_gateway.auth.keys import WeakKeyError
from fengling_gateway.auth.operators import ROLES
from fengling_gateway.auth.tokens import TokenRing, unverified_claims
from fengling_gateway.cli.errors import CommandError, answer_no, note
from fengling_gateway.cli.options import collect
from fengling_gateway.cli.output import output_option, print_facts, print_value
from fengling_gateway.cli.person import user_name_or_number
from fengling_gateway.cli.registry import list_command, register, revoke_command
from fengling_gateway.cli.settings_file import read_settings, settings_option
from fengling_gateway.cli.target import context_option, writable_database
from fengling_gateway.model.management_tokens import READ, SCOPES
from fengling_gateway.model.times import moment

_LIFETIME: Final = re.compile(r"(\d{1,6})([smhdw])")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class _KeySource(NamedTuple):
    """Where the keys are; with neither, in the environment."""

    config: Path | None
    key_file: Path | None


def _key_options(command: Callable[..., Any]) -> Any:
    options = (
        settings_option("The gateway's settings file, which has or names the keys."),
        click.option(
            "--key-file",
            type=click.Path(path_type=Path, dir_okay=False, exists=True),
            help="A file with the keys (id:secret). Without either option they come from the "
            "environment, as a gateway's do (FENGLING_MANAGEMENT__TOKEN_KEYS or …_FILE).",
        ),
    )
    return collect(command, options, "source", _KeySource)


class _Terms(NamedTuple):
    """What a token is to allow, as it is asked for."""

    role: str | None
    scopes: tuple[str, ...]
    tenants: tuple[str, ...]
    subject: str | None
    name: str
    lifetime: str


def _terms_options(command: Callable[..., Any]) -> Any:
    options = (
        click.option(
            "--role",
            type=click.Choice(list(ROLES)),
            help="What it allows: to look, to write as well (at a gateway: to reload and confirm), "
            "or everything.",
        ),
        click.option(
            "--scope",
            "scopes",
            type=click.Choice(list(SCOPES)),
            multiple=True,
            help=f"The same as scopes; may be repeated. Without either it is {READ}.",
        ),
        click.option(
            "--tenant",
            "tenants",
            metavar="ID",
            multiple=True,
            help="Limit it to what is of a tenant; may be repeated.",
        ),
        click.option("--subject", help="Whose it is; by default the user that runs this."),
        click.option("--name", default="", help="What people call it."),
        click.option(
            "--for", "lifetime", default="30d", show_default=True, help="How long it is valid."
        ),
    )
    return collect(command, options, "terms", _Terms)


@click.group("token", short_help="Make, list, revoke and look at tokens.")
def token_command() -> None:
    """Make, list, revoke and look at tokens for gateways and consoles."""


@token_command.command()
@_key_options
@_terms_options
@click.option(
    "--database",
    metavar="URL",
    help="Where to register it, to be listed and revoked; else FENGLING_DATABASE or the context.",
)
@context_option
@click.option("--unregistered", is_flag=True, help="Register it nowhere.")
def create(
    source: _KeySource,
    terms: _Terms,
    database: str | None,
    context: str | None,
    unregistered: bool,
) -> None:
    """
    Print a new token, signed by the first key.

    It is registered in the database, if one is named in any way, before it is printed. One that is
    not registered is as good, but is in no list.
    """
    now = time.time()
    token_id = secrets.token_hex(8)
    seconds = lifetime_seconds(terms.lifetime)
    scopes = (ROLES[terms.role],) if terms.role else terms.scopes or (READ,)
    if terms.role and terms.scopes:
        raise click.UsageError("name either --role or --scope")
    subject = terms.subject or user_name_or_number()
    try:
        token = _ring(source).issue(
            subject=subject,
            scopes=scopes,
            now=now,
            lifetime_seconds=seconds,
            token_id=token_id,
            name=terms.name,
            tenants=terms.tenants or None,
        )
    except ValueError as error:
        raise CommandError(str(error)) from error
    dsn = None if unregistered else writable_database(database, context)
    if dsn is not None:
        fields = {
            "name": terms.name,
            "subject": subject,
            "scopes": sorted(scopes),
            "tenants": sorted(set(terms.tenants)) or None,
            "created_by": user_name_or_number()[:200],
            "expires_at": float(int(now + seconds)),
        }
        register(dsn, token_id, fields)
    click.echo(token)
    if dsn is None:
        note(
            f"token {token_id} is registered nowhere: no list will have it, and its id, which "
            "`fenglingctl token inspect` tells, is needed to revoke it"
        )
    elif sys.stderr.isatty():
        note(f"token {token_id} allows {', '.join(scopes)} until {moment(now + seconds)}")


def lifetime_seconds(lifetime: str) -> float:
    """Return the seconds of ``30d``, ``12h`` or ``15m``."""
    match = _LIFETIME.fullmatch(lifetime)
    if match is None:
        raise click.BadParameter("is written like 30d, 12h or 15m", param_hint="--for")
    return int(match[1]) * _UNITS[match[2]]


token_command.add_command(list_command)
token_command.add_command(revoke_command)


@token_command.command()
@click.argument("token")
@_key_options
@output_option
def inspect(token: str, source: _KeySource, output: str) -> None:
    """
    Show what TOKEN claims (- reads it from stdin).

    With the keys at hand it is verified, too: exit status 1 if it is not valid.
    """
    text = sys.stdin.read().strip() if token == "-" else token  # noqa: S105
    try:
        claims = unverified_claims(text)
    except TokenError as error:
        raise CommandError("this is not a token of a management API") from error
    verdict = _verdict(text, source)
    shown = {**claims["claims"], "key": claims["header"].get("kid"), "valid": verdict}
    if output != "table":
        print_value(shown, output)
    else:
        times = {name: moment(shown[name]) for name in ("iat", "exp") if _is_time(shown.get(name))}
        print_facts({**shown, **times}.items())
    if verdict not in {"yes", "not checked: no keys given"}:
        answer_no()


def _is_time(value: Any) -> bool:
    return type(value) is int and 0 <= value < 253402300800


def _verdict(token: str, source: _KeySource) -> str:
    if source == (None, None):
        return "not checked: no keys given"
    try:
        _ring(source).verify(token, now=time.time())
    except TokenError as error:
        return error.code.replace("_", " ")
    return "yes"


def _ring(source: _KeySource) -> TokenRing:
    try:
        return TokenRing(read_keys(*source))
    except WeakKeyError as error:
        raise CommandError(str(error)) from error


def read_keys(config: Path | None, key_file: Path | None) -> list[str]:
    """
    Return the keys of a settings file, a file of their own, or the environment.

    Raises:
        CommandError: there are none.
    """
    if config is not None:
        return read_settings(config).management.token_keys
    if key_file is None:
        if listed := os.environ.get("FENGLING_MANAGEMENT__TOKEN_KEYS"):
            return _split(listed)
        named = os.environ.get("FENGLING_MANAGEMENT__TOKEN_KEYS_FILE")
        if named is None:
            raise CommandError("no keys: use --config, --key-file, or the gateway's environment")
        key_file = Path(named)
    try:
        return _split(key_file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise CommandError(f"the key file {key_file}: {reason}") from error


def _split(text: str) -> list[str]:
    """Return keys that are separated as in a gateway's settings: commas, line breaks, or JSON."""
    if text.lstrip().startswith("["):
        try:
            keys = json.loads(text)
        except ValueError:
            raise CommandError("the keys are not a JSON list") from None
        return [str(key) for key in keys]
    return [part.strip() for part in text.replace("\n", ",").split(",") if part.strip()]
