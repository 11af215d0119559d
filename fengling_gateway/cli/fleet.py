"""``fenglingctl drain``, ``restart`` and ``switch``: asking gateways for something, over a console."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import click

from fengling_gateway.cli.api import RefusedError
from fengling_gateway.cli.errors import CommandError, note
from fengling_gateway.cli.output import print_table
from fengling_gateway.cli.target import NamedConsole, console_options
from fengling_gateway.model.times import moment

_WAIT_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.1
_NOT_FOUND: Final = 404
_NAMED: Final = 10
"""Gateways that are named where there is none of the name that is asked for."""


@click.command("drain", short_help="Have a gateway say that it is not ready, or is again.")
@click.argument("node")
@click.option("--off", is_flag=True, help="Have it take requests again.")
@console_options
def drain_command(node: str, off: bool, console: NamedConsole) -> None:
    """
    Have a gateway say that it is not ready, so that balancers in front of it send it nothing new.

    It serves whoever still comes, and does not end.
    """
    _ask(console, node, "drain", {"on": not off})
    _wait_until(console, node, lambda state: bool(state.get("draining")) is not off)
    click.echo(f"{node} is ready again" if off else f"{node} drains")


@click.command("restart", short_help="Have a gateway replace its workers.")
@click.argument("node")
@console_options
def restart_command(node: str, console: NamedConsole) -> None:
    """Have a gateway replace its workers, one after the other; no request fails."""
    _ask(console, node, "restart", {})
    click.echo(f"{node} replaces its workers; `fenglingctl top` shows how far it is")


@click.command("switch", short_help="Switch a route or an instance off at once, or on again.")
@click.argument("what", metavar="off|on|list", type=click.Choice(["off", "on", "list"]))
@click.argument("subject", metavar="[route/ID|instance/ID]", required=False)
@click.option("-m", "--comment", default="", help="Why; shown with it.")
@console_options
def switch_command(what: str, subject: str | None, comment: str, console: NamedConsole) -> None:
    """
    Switch a route or an instance off on all gateways at once, or on again; or list what is off.

    It stands beside the configuration and works while the database is away. It is for minutes:
    what is to stay off gets `enabled = false`, or the state `maintenance`.
    """
    if what == "list":
        if subject is not None:
            raise click.UsageError("list takes nothing more")
        _list_switches(console)
        return
    kind, _, entity_id = (subject or "").partition("/")
    if kind not in ("route", "instance") or not entity_id:
        raise click.UsageError(f"say what to switch {what}, like route/orders or instance/orders-1")
    method = "PUT" if what == "off" else "DELETE"
    console.api.send(method, f"switches/{kind}/{entity_id}", comment=comment)
    click.echo(f"{subject} is switched {what}")
    if what == "off" and not _is_there(console, kind, entity_id):
        note(f"there is no {kind} {entity_id} now: if there ever is one it is off (`switch list`)")


def _list_switches(console: NamedConsole) -> None:
    rows = (
        (f"{one['kind']}/{one['id']}", moment(one["at"]), one["by"], one["comment"])
        for one in sorted(console.api.get("switches")["items"], key=lambda one: one["at"])
    )
    print_table(("OFF", "SINCE", "BY", "WHY"), rows, empty="nothing is switched off")


def _is_there(console: NamedConsole, kind: str, entity_id: str) -> bool:
    """Whether an entity is configured, as far as that can be known: the database may be away."""
    try:
        console.api.get(f"{kind}s/{entity_id}")
    except RefusedError as error:
        return error.status != _NOT_FOUND
    except CommandError:
        return True
    return True


def _ask(console: NamedConsole, node: str, what: str, body: dict[str, Any]) -> None:
    """
    Ask a node for something.

    Raises:
        CommandError: also if no gateway has that name, with those that there are.
    """
    try:
        console.api.post(f"fleet/{node}/{what}", body)
    except RefusedError as error:
        if error.status != _NOT_FOUND:
            raise
        names = [str(one["node"]) for one in console.api.get("fleet")["nodes"] if one.get("live")]
        known = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
        raise CommandError(
            f"no gateway called {node} is there; there is {known or 'none'}"
        ) from error


def _wait_until(
    console: NamedConsole, node: str, reached: Callable[[Mapping[str, Any]], bool]
) -> None:
    """
    Wait until a node tells that it has done as asked.

    Raises:
        CommandError: it does not within some seconds.
    """
    until = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < until:
        nodes = console.api.get("fleet")["nodes"]
        if any(reached(one) for one in nodes if one["node"] == node):
            return
        time.sleep(_LOOK_SECONDS)  # noqa: TID251 - a command has nothing else to do
    raise CommandError(f"{node} has been asked, and has not done it within {_WAIT_SECONDS:g} s")
