"""Options for commands that a command suggests: these ask whom it has asked."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import NamedTuple

import click
from click.core import ParameterSource


class Asked(NamedTuple):
    """
    How the running command was told on its command line whom to ask.

    Attributes:
        management: the URL of a gateway's management API; None where the environment, a context or
            the default names it, as they do for the next command.
        console: of a console, likewise.
        more: other options and their values: a context, a file with the token.
    """

    management: str | None = None
    console: str | None = None
    more: tuple[str, ...] = ()

    def of_gateway(self, command: str) -> str:
        """Return a command that asks a gateway as it has to be typed."""
        return _with(command, *_option("--management", self.management), *self.more)

    def of_console(self, command: str) -> str:
        """Return one that asks a console."""
        return _with(command, *_option("--console", self.console), *self.more)


def asked_of(gateway: str | None = None) -> Asked:
    """
    Return how the running command was told whom to ask.

    Args:
        gateway: which of several, as host:port; None: the first.
    """
    context = click.get_current_context(silent=True)
    if context is None:
        return Asked()
    more = [
        word
        for name, option in (("token_file", "--token-file"), ("context", "--context"))
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        for word in _option(option, context.params.get(name))
    ]
    urls = context.params.get("management") or ()
    return Asked(
        _named((urls,) if isinstance(urls, str) else urls, gateway),
        context.params.get("console"),
        tuple(more),
    )


def _named(urls: Iterable[str], gateway: str | None) -> str | None:
    found = [url.rstrip("/") for url in urls]
    of_it = [url for url in found if url.partition("://")[2] == gateway]
    return next(iter(of_it or found), None)


def _option(name: str, value: object) -> tuple[str, ...]:
    return (name, str(value)) if value else ()


def _with(command: str, *words: str) -> str:
    return f"{command} {shlex.join(words)}" if words else command
