"""A gateway's settings file, for commands that use keys it names."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fengling_gateway.cli.errors import CommandError

if TYPE_CHECKING:
    from fengling_gateway.settings import ConsoleSettings, GatewaySettings


def settings_option(help: str) -> Callable[[Any], Any]:  # noqa: A002 - as click calls it
    return click.option(
        "--config", type=click.Path(path_type=Path, dir_okay=False, exists=True), help=help
    )


def read_settings(path: Path) -> GatewaySettings:
    """
    Read it, and this environment over it, as a gateway does.

    Raises:
        CommandError: it is wrong.
    """
    from fengling_gateway.settings import SettingsError, load_settings  # slow to import

    try:
        return load_settings(path, os.environ)
    except SettingsError as error:
        raise CommandError(f"{path}: {error}") from error


def read_console_settings(path: Path) -> ConsoleSettings:
    """
    Read the settings file of a console, and this environment over it, as the console does.

    Raises:
        CommandError: it is wrong.
    """
    from fengling_gateway.settings import SettingsError, load_console_settings

    try:
        return load_console_settings(path, os.environ)
    except SettingsError as error:
        raise CommandError(f"{path}: {error}") from error
