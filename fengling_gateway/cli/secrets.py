"""``fenglingctl secret``: secrets of the configuration, encrypted on the way to the database."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from fengling_gateway.auth.sealing import Sealer, SealError, parse_sealing_keys, sealed_with
from fengling_gateway.cli.configuration import signature_options
from fengling_gateway.cli.errors import CommandError
from fengling_gateway.cli.options import collect
from fengling_gateway.cli.rewriting import Rows, rewrite, say
from fengling_gateway.cli.settings_file import read_settings, settings_option
from fengling_gateway.cli.target import database_option
from fengling_gateway.editing import transaction
from fengling_gateway.editing.changes import Planned
from fengling_gateway.model.entity import Key
from fengling_gateway.model.names import is_slug
from fengling_gateway.settings.key_file import KeyFileError, read_key_file

VARIABLE: Final = "FENGLING_SECRETS__KEY_FILE"


def _content(file: Path | None, stdin: bool) -> bytes:
    if (file is None) is not stdin:
        raise click.UsageError("use either --from-file or --stdin")
    try:
        content = sys.stdin.buffer.read() if file is None else file.read_bytes()
    except OSError as error:
        raise CommandError(f"{file or 'standard input'}: {error.strerror}") from error
    if content.count(b"\n") <= 1:
        content = content.removesuffix(b"\n").removesuffix(b"\r")
    if not content:
        raise CommandError("there is nothing to encrypt")
    return content


def _sealer(config: Path | None, key_file: Path | None) -> Sealer:
    keys = parse_sealing_keys(_keys(config, key_file))
    return Sealer(keys, random_bytes=os.urandom)


def _keys(config: Path | None, key_file: Path | None) -> tuple[str, ...]:
    if config is not None:
        keys = read_settings(config).secrets.keys
        if not keys:
            raise CommandError(f"{config} names no [secrets] key_file")
        return keys
    named = key_file or os.environ.get(VARIABLE)
    if not named:
        raise CommandError(f"no keys: use --key-file, --config or {VARIABLE}")
    try:
        return read_key_file(Path(named))
    except KeyFileError as error:
        raise CommandError(str(error)) from error


def _sealer_options(command: Callable[..., Any]) -> Any:
    options = (
        settings_option("A gateway's settings file, which names the keys ([secrets] key_file)."),
        click.option(
            "--key-file",
            type=click.Path(path_type=Path, dir_okay=False),
            help=f"The file with the keys. Without either option it is what {VARIABLE} names.",
        ),
    )
    return collect(command, options, "sealer", _sealer)


def _content_options(command: Callable[..., Any]) -> Any:
    options = (
        click.option(
            "--from-file",
            "file",
            type=click.Path(path_type=Path, dir_okay=False),
            help="The file with its content.",
        ),
        click.option("--stdin", is_flag=True, help="Read its content from standard input."),
    )
    return collect(command, options, "content", _content)


@click.group("secret")
def secret_command() -> None:
    """
    Write secrets, such as private keys, to the database. They are encrypted here.

    What a file or a variable of the gateways' hosts holds needs none of this: a secret may be a
    reference (value: file:/… or env:NAME), which apply writes.
    """


@secret_command.command("set", short_help="Encrypt a secret and write it.")
@click.argument("secret_id", metavar="ID")
@_content_options
@click.option("--name", help="What people call it.")
@_sealer_options
@database_option
@signature_options
def set_command(
    secret_id: str,
    content: bytes,
    name: str | None,
    sealer: Sealer,
    dsn: str,
    signature: transaction.Signature,
) -> None:
    """
    Encrypt the content of a file or of standard input with the first key, and write it as ID.

    The content is taken byte for byte, but a single line loses its line break.
    """
    if not is_slug(secret_id):
        raise click.BadParameter(
            "has 1 to 100 letters, digits, dots, underscores and dashes", param_hint="ID"
        )
    try:
        value = sealer.seal(secret_id, content)
    except SealError as error:
        raise CommandError(str(error)) from error
    key = Key("secret", secret_id)
    named = {} if name is None else {"name": name}

    def plan(rows: Rows) -> list[Planned]:
        row = rows.get(key)
        if row is None:
            return [Planned(key, "create", (), {"id": secret_id, "value": value, **named})]
        return [Planned(key, "update", (), {"value": value, **named}, row["version"])]

    say(
        rewrite(dsn, "secret", plan, signature),
        f"secret {secret_id} is encrypted with {sealed_with(value)}",
    )


@secret_command.command(short_help="Encrypt all secrets with the newest key.")
@_sealer_options
@database_option
@signature_options
def rotate(sealer: Sealer, dsn: str, signature: transaction.Signature) -> None:
    """
    Encrypt all secrets that are encrypted with another key with the first one, in one revision.

    Put the new key first in the key file of every host, have the gateways read it (HUP), and then
    run this. When it has been served everywhere, the old key can go.
    """
    kept = 0

    def plan(rows: Rows) -> list[Planned]:
        nonlocal kept
        old = {key: row for key, row in rows.items() if _is_old(row, sealer)}
        kept = len(rows) - len(old)
        return [
            Planned(key, "update", (), {"value": _again(sealer, key, row)}, row["version"])
            for key, row in sorted(old.items())
        ]

    committed, count = rewrite(dsn, "secret", plan, signature)
    say(
        (committed, count),
        f"{count} secrets are encrypted with {sealer.newest} now, {kept} as before",
    )


def _is_old(row: dict[str, Any], sealer: Sealer) -> bool:
    return sealed_with(str(row.get("value"))) not in (None, sealer.newest)


def _again(sealer: Sealer, key: Key, row: dict[str, Any]) -> str:
    try:
        return sealer.seal(key.id, sealer.open(key.id, row["value"]))
    except SealError as error:
        raise CommandError(f"nothing is changed: {key} {error}") from error
