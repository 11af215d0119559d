"""``fenglingctl top``, ``drain``, ``restart`` and ``switch``: all gateways, over a console."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import click
from rich import box
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fengling_gateway.cli.errors import CommandError, answer_no
from fengling_gateway.cli.output import cell, console, output_option, print_value
from fengling_gateway.cli.target import NamedConsole, console_options
from fengling_gateway.observability.plain import plain

_MOODS: Final = {"good": "green", "warn": "yellow", "bad": "red"}
_COLUMNS: Final = (
    *("NODE", "STATE", "REVISION", "LAG MS", "REQ/S", "ERR/S", "P50 MS", "P99 MS"),
    *("CONNS", "IN FLIGHT", "UP"),
)
_WAIT_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.1


@click.command("top", short_help="Watch all gateways.")
@console_options
@click.option("--once", is_flag=True, help="Print it once, and end.")
@click.option(
    "--every",
    "seconds",
    type=click.FloatRange(0.2, 60.0),
    default=1.0,
    show_default=True,
    help="Seconds between two looks.",
)
@output_option
def top_command(console: NamedConsole, once: bool, seconds: float, output: str) -> None:
    """
    Watch all gateways: what each worker serves, how much it does, and what is wrong.

    Ctrl-C ends it. Exit status with --once: 1 if something is wrong.
    """
    if output != "table":
        print_value(_seen(console), output)
        return
    out = _out()
    if once or not out.is_terminal:
        seen = _seen(console)
        out.print(_screen(seen))
        if seen["summary"]["sentence"]["mood"] == "bad":
            answer_no()
        return
    with Live(_screen(_seen(console)), console=out, screen=True, auto_refresh=False) as live:
        try:
            while True:
                time.sleep(seconds)  # noqa: TID251 - a command has nothing else to do
                live.update(_screen(_seen(console)), refresh=True)
        except KeyboardInterrupt:
            return


def _out() -> Any:
    return console()


def _seen(named: NamedConsole) -> dict[str, Any]:
    return {"summary": named.api.get("summary"), "fleet": named.api.get("fleet")}


def _screen(seen: Mapping[str, Any]) -> Group:
    sentence = seen["summary"]["sentence"]
    head = Text(plain(sentence["text"]), style=f"bold {_MOODS.get(sentence['mood'], '')}")
    return Group(head, Text(_totals(seen["summary"]), style="dim"), Text(), _table(seen["fleet"]))


def _totals(summary: Mapping[str, Any]) -> str:
    traffic, counts = summary["traffic"], summary["counts"]
    parts = [
        f"{traffic['requests_per_s']:,.0f} requests/s",
        f"{traffic['errors_per_s']:,.1f} errors/s",
        f"{traffic['connections']:,.0f} connections",
        f"{counts['route']:,} routes",
        f"{counts['service']:,} services",
        f"{counts['instance']:,} instances",
    ]
    return " · ".join(parts)


def _table(fleet: Mapping[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for number, name in enumerate(_COLUMNS):
        table.add_column(name, justify="left" if number < 2 else "right")
    newest = (fleet["position"] or {}).get("revision")
    for row in _rows(fleet["nodes"], newest):
        table.add_row(*row)
    return table


def _rows(nodes: list[Mapping[str, Any]], newest: int | None) -> Iterator[list[Text]]:
    for node in nodes:
        state = node.get("state") if node.get("live") else "gone"
        if node.get("draining"):
            state = "draining"
        position = node.get("position") or {}
        first = Text(plain(str(node["node"])), style="bold")
        started = node.get("started_at")
        up = None if started is None else time.time() - started
        yield [first, cell(state), *_figures(node, position.get("revision"), newest, None, up)]
        for worker in node.get("workers", ()):
            name = Text(f"  {plain(str(worker['worker']))}")
            figures = _figures(
                worker, worker.get("revision"), newest, worker.get("lag_ms"), worker.get("uptime_s")
            )
            yield [name, cell(worker.get("state")), *figures]


def _figures(
    one: Mapping[str, Any],
    revision: int | None,
    newest: int | None,
    lag: float | None,
    up: float | None,
) -> list[Text]:
    traffic = one.get("traffic") or {}
    is_behind = revision is not None and newest is not None and revision < newest
    numbers = [
        traffic.get(name)
        for name in (
            *("requests_per_s", "errors_per_s", "p50_ms", "p99_ms"),
            *("connections", "in_flight"),
        )
    ]
    return [
        Text(str(revision), style="yellow" if is_behind else "")
        if revision is not None
        else cell(None),
        _number(lag),
        *map(_number, numbers),
        cell(None if up is None else _span(up)),
    ]


def _number(value: float | None) -> Text:
    if value is None:
        return cell(None)
    return Text(f"{value:,.0f}" if value == int(value) or value >= 100 else f"{value:,.1f}")


def _span(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


@click.command("drain", short_help="Have a gateway say that it is not ready.")
@click.argument("node")
@click.option("--off", is_flag=True, help="Have it take requests again.")
@console_options
def drain_command(node: str, off: bool, console: NamedConsole) -> None:
    """
    Have a gateway say that it is not ready, so that balancers in front of it send it nothing new.

    It serves whoever still comes, and does not end.
    """
    console.api.post(f"fleet/{node}/drain", {"on": not off})
    _wait_until(console, node, lambda state: bool(state.get("draining")) is not off)
    click.echo(f"{node} is ready again" if off else f"{node} drains")


@click.command("restart", short_help="Have a gateway replace its workers.")
@click.argument("node")
@console_options
def restart_command(node: str, console: NamedConsole) -> None:
    """Have a gateway replace its workers, one after the other; no request fails."""
    console.api.post(f"fleet/{node}/restart", {})
    click.echo(f"{node} replaces its workers; `fenglingctl top` shows how far it is")


@click.command("switch", short_help="Switch a route or an instance off at once, or on again.")
@click.argument("what", metavar="off|on", type=click.Choice(["off", "on"]))
@click.argument("subject", metavar="route/ID|instance/ID")
@click.option("-m", "--comment", default="", help="Why; shown with it.")
@console_options
def switch_command(what: str, subject: str, comment: str, console: NamedConsole) -> None:
    """
    Switch a route or an instance off on all gateways at once, or on again.

    It stands beside the configuration and works while the database is away. It is for minutes:
    what is to stay off gets `enabled = false`, or the state `maintenance`.
    """
    kind, _, entity_id = subject.partition("/")
    if kind not in ("route", "instance") or not entity_id:
        raise click.BadParameter("must be like route/orders or instance/orders-1")
    method = "PUT" if what == "off" else "DELETE"
    console.api.send(method, f"switches/{kind}/{entity_id}", comment=comment)
    click.echo(f"{subject} is switched {what}")


def _wait_until(console: NamedConsole, node: str, reached: Any) -> None:
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
