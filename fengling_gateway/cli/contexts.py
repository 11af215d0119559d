"""``fenglingctl context``: names for gateways, consoles and databases that one works with often."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from fengling_gateway.cli.errors import CommandError
from fengling_gateway.cli.output import print_table
from fengling_gateway.cli.target import CONTEXT_KEYS, contexts_file, read_contexts


@click.group("context", short_help="Name gateways, consoles and databases.")
def context_command() -> None:
    """Name gateways, consoles and databases, instead of giving URLs each time."""


@context_command.command("list")
def list_contexts() -> None:
    """List the contexts; * marks the current one. Passwords and tokens are not shown."""
    document = read_contexts(contexts_file(os.environ))
    rows = [
        (
            "*" if name == document.get("current") else " ",
            name,
            values.get("management"),
            values.get("console"),
            _without_password(values.get("database")),
        )
        for name, values in document.get("contexts", {}).items()
    ]
    print_table(("", "NAME", "MANAGEMENT", "CONSOLE", "DATABASE"), rows, empty="no contexts")


@context_command.command("use")
@click.argument("name")
def use_context(name: str) -> None:
    """Make NAME the current context."""
    path = contexts_file(os.environ)
    document = read_contexts(path)
    if name not in document.get("contexts", {}):
        raise CommandError(f'there is no context "{name}"; `fenglingctl context set` makes one')
    _write(path, {**document, "current": name})


@context_command.command("set", short_help="Make or change context NAME.")
@click.argument("name")
@click.option("--management", metavar="URL")
@click.option("--console", metavar="URL")
@click.option("--database", metavar="URL")
@click.option("--token-file", type=click.Path(dir_okay=False))
def set_context(name: str, **values: str | None) -> None:
    """Make or change context NAME; the first one becomes the current one."""
    path = contexts_file(os.environ)
    document = read_contexts(path)
    contexts = document.setdefault("contexts", {})
    given = {key: value for key, value in values.items() if value is not None}
    contexts[name] = {**contexts.get(name, {}), **given}
    document.setdefault("current", name)
    _write(path, document)


@context_command.command("remove")
@click.argument("name")
def remove_context(name: str) -> None:
    """Forget context NAME."""
    path = contexts_file(os.environ)
    document = read_contexts(path)
    if document.get("contexts", {}).pop(name, None) is None:
        raise CommandError(f'there is no context "{name}"')
    if document.get("current") == name:
        del document["current"]
    _write(path, document)


def _write(path: Path, document: dict[str, Any]) -> None:
    lines = [f"current = {json.dumps(document['current'])}"] if "current" in document else []
    for name, values in document.get("contexts", {}).items():
        lines += ["", f"[contexts.{json.dumps(name)}]"]
        lines += [f"{key} = {json.dumps(values[key])}" for key in CONTEXT_KEYS if key in values]
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)  # it may be open to others
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write("\n".join(lines) + "\n")
        fresh.replace(path)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error


def _without_password(url: str | None) -> str | None:
    from fengling_gateway.schema.dsn import without_secrets

    return None if url is None else without_secrets(url)
