"""What the command line says, for ``fengling-gateway`` and for twistd."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Final, NoReturn

from twisted.python.usage import Options as UsageOptions

from fengling_gateway import __version__

if TYPE_CHECKING:
    from fengling_gateway.settings import GatewaySettings

EXIT_BAD_SETTINGS: Final = 2


_CONFIG_HELP: Final = (
    "The settings file (TOML). Every key can also come from the environment: "
    "[database] url is FENGLING_DATABASE__URL."
)


class Options(UsageOptions):
    """What ``fengling-gateway`` takes."""

    longdesc = (
        "An HTTP API gateway whose routes, services and instances live in PostgreSQL. "
        "Signals: TERM drains and stops; HUP reads settings and configuration again; "
        "USR1 reopens the log; USR2 replaces the workers one by one."
    )
    optParameters: ClassVar = [["config", "c", None, _CONFIG_HELP]]

    def opt_version(self) -> NoReturn:
        """Print the gateway's version and exit."""
        sys.stdout.write(f"fengling-gateway {__version__}\n")
        sys.exit(0)


def load_or_exit(path: str | None) -> GatewaySettings:
    """Return the settings, or exit with 2 and a line for every problem with them."""
    from fengling_gateway.settings import SettingsError, load_settings

    try:
        settings = load_settings(path, os.environ)
    except SettingsError as error:
        _exit(map(str, error.problems))
    problems = certificate_problems(settings)
    if problems:
        _exit(problems)
    return settings


def certificate_problems(settings: GatewaySettings) -> list[str]:
    """Return what is wrong with the certificates of listeners, a line for each."""
    if all(one.tls is None for one in settings.listeners):
        return []
    from fengling_gateway.dataplane.tls_contexts import TlsSettings, problems_with

    return [
        f"listeners[{index}].tls: {problem}"
        for index, one in enumerate(settings.listeners)
        if one.tls is not None
        for problem in problems_with(TlsSettings.from_json(one.tls.model_dump(mode="json")))
    ]


def _exit(problems: Iterable[str]) -> NoReturn:
    for problem in problems:
        complain(problem)
    sys.exit(EXIT_BAD_SETTINGS)


def complain(problem: str) -> None:
    sys.stderr.write(line_of(problem))


def line_of(problem: str) -> str:
    return f"fengling-gateway: {problem}\n"
