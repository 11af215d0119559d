"""Asking several gateways the same: what one tells is only of itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click

from fengling_gateway.cli.api import ManagementApi
from fengling_gateway.cli.errors import CommandError, note
from fengling_gateway.cli.options import collect
from fengling_gateway.cli.target import (
    DEFAULT_MANAGEMENT,
    MANAGEMENT_HELP,
    context_option,
    management_api,
    read_context,
)


class Told(NamedTuple):
    """What a gateway has answered; ``name`` is the place of it, as host:port."""

    name: str
    answer: Any


def gateways_options(command: Callable[..., Any]) -> Any:
    """Add what names management APIs; the command gets them as ``gateways``."""
    options = (
        click.option(
            "--management",
            metavar="URL",
            multiple=True,
            help=f"{MANAGEMENT_HELP} Again for each further gateway.",
        ),
        click.option(
            "--token-file",
            type=click.Path(path_type=Path, dir_okay=False),
            help="A file with the token; else FENGLING_TOKEN, FENGLING_TOKEN_FILE or the context.",
        ),
        context_option,
    )
    return collect(command, options, "gateways", _gateways)


def _gateways(
    management: tuple[str, ...], token_file: Path | None, context: str | None
) -> list[ManagementApi]:
    chosen = read_context(context, os.environ)
    named = os.environ.get("FENGLING_MANAGEMENT") or chosen.get("management") or DEFAULT_MANAGEMENT
    urls = dict.fromkeys(url.rstrip("/") for url in management or (named,))
    return [management_api(url, token_file, chosen) for url in urls]


def ask_each(gateways: list[ManagementApi], ask: Callable[[ManagementApi], Any]) -> Iterator[Told]:
    """
    Yield what each gateway answers; of those that don't, say so if others do.

    Raises:
        CommandError: none answers.
    """
    failed: list[CommandError] = []
    for api in gateways:
        try:
            yield Told(api.url.partition("://")[2], ask(api))
        except CommandError as error:
            failed.append(error)
    if len(failed) == len(gateways):
        raise failed[0]
    for one in failed:
        note(f"fenglingctl: {one.message}; what follows is without it")
