"""``fenglingctl token``: tokens for the management API, made from its keys."""

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
from fengling_gateway.auth.tokens import TokenRing, unverified_claims
from fengling_gateway.cli.errors import CommandError, answer_no, note
from fengling_gateway.cli.options import collect
from fengling_gateway.cli.output import moment, output_option, print_facts, print_value
from fengling_gateway.cli.person import user_name_or_number
from fengling_gateway.cli.settings_file import read_settings, settings_option
from fengling_gateway.model.management_tokens import READ, SCOPES

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


@click.group("token")
def token_command() -> None:
    """
    Make and look at tokens for the management API.

    A token cannot be revoked one by one: give it a short life, or rotate the key.
    """


@token_command.command()
@_key_options
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(list(SCOPES)),
    multiple=True,
    default=(READ,),
    show_default=True,
    help="What it allows; may be repeated.",
)
@click.option("--subject", help="Whose it is; by default the user that runs this.")
@click.option("--for", "lifetime", default="30d", show_default=True, help="How long it is valid.")
def create(source: _KeySource, scopes: tuple[str, ...], subject: str | None, lifetime: str) -> None:
    """Print a new token, signed by the first key."""
    match = _LIFETIME.fullmatch(lifetime)
    if match is None:
        raise click.BadParameter("is written like 30d, 12h or 15m", param_hint="--for")
    now = time.time()
    seconds = int(match[1]) * _UNITS[match[2]]
    try:
        token = _ring(source).issue(
            subject=subject or user_name_or_number(),
            scopes=scopes,
            now=now,
            lifetime_seconds=seconds,
            token_id=secrets.token_hex(8),
        )
    except ValueError as error:
        raise CommandError(str(error)) from error
    click.echo(token)
    if sys.stderr.isatty():
        note(f"allows {', '.join(scopes)} until {moment(now + seconds)}")


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
        return TokenRing(_keys(*source))
    except WeakKeyError as error:
        raise CommandError(str(error)) from error


def _keys(config: Path | None, key_file: Path | None) -> list[str]:
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
