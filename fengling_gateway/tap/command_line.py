"""What the command line says, for the programs themselves and for twistd."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any, ClassVar, Final, NoReturn

from twisted.python.usage import Options as UsageOptions

from fengling_gateway import __version__
from fengling_gateway.tap.programs import CONSOLE, GATEWAY, Program

EXIT_BAD_SETTINGS: Final = 2


_CONFIG_HELP: Final = (
    "The settings file (TOML). Every key can also come from the environment: "
    "[database] url is FENGLING_DATABASE__URL."
)


class Options(UsageOptions):
    """What ``fengling-gateway`` takes."""

    program: ClassVar[Program] = GATEWAY
    longdesc = GATEWAY.description
    optParameters: ClassVar = [["config", "c", None, _CONFIG_HELP]]

    def opt_version(self) -> NoReturn:
        """Print the version and exit."""
        sys.stdout.write(f"{self.program.name} {__version__}\n")
        sys.exit(0)


class ConsoleOptions(Options):
    """What ``fengling-console`` takes."""

    program = CONSOLE
    longdesc = CONSOLE.description


def load_or_exit(program: Program, path: str | None) -> Any:
    """Return the settings, or exit with 2 and a line for every problem with them."""
    from fengling_gateway.settings import SettingsError

    try:
        settings = program.load(path, os.environ)
    except SettingsError as error:
        _exit(program, map(str, error.problems))
    problems = program.problems(settings)
    if problems:
        _exit(program, problems)
    return settings


def _exit(program: Program, problems: Iterable[str]) -> NoReturn:
    for problem in problems:
        complain(problem, program)
    sys.exit(EXIT_BAD_SETTINGS)


def complain(problem: str, program: Program = GATEWAY) -> None:
    sys.stderr.write(line_of(problem, program))


def line_of(problem: str, program: Program = GATEWAY) -> str:
    return f"{program.name}: {problem}\n"
