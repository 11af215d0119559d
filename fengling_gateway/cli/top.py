"""``fenglingctl top``: all gateways and their workers, over a console."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fengling_gateway.cli.api import AwayError, RefusedError
from fengling_gateway.cli.errors import CommandError, answer_no
from fengling_gateway.cli.output import cell, console, lay_out, output_option, print_value
from fengling_gateway.cli.target import NamedConsole, console_options
from fengling_gateway.observability.plain import plain

_MOODS: Final = {"good": "green", "wait": "", "warn": "yellow", "bad": "red"}
_WRONG: Final = ("warn", "bad")
_COLUMNS: Final = (
    *("NODE", "STATE", "REVISION", "LAG\nMS", "REQ/S", "ERR/S", "P50\nMS", "P99\nMS"),
    *("CONNS", "IN\nFLIGHT", "UP"),
)
_NUMBERS_FROM: Final = 2

SENTENCES: Final = 3
"""What is wrong, at most: the table is below it."""


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
        out.print(_screen(seen, out.width))
        if seen["summary"]["sentences"][0]["mood"] in _WRONG:
            answer_no()
        return
    try:
        _watch(console, out, seconds)
    except KeyboardInterrupt:
        return


def _out() -> Console:
    return console()


def _watch(named: NamedConsole, out: Console, seconds: float) -> None:
    """
    Show all anew again and again; while the console is away, what was last seen.

    Raises:
        CommandError: it was never there, or takes the token no more.
    """
    seen = _seen(named)
    seen_at = time.monotonic()
    with Live(_screen(seen, out.width), console=out, screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(seconds)  # noqa: TID251 - a command has nothing else to do
            lost = None
            try:
                seen, seen_at = _seen(named), time.monotonic()
            except (AwayError, RefusedError) as error:
                lost = _lost(error, time.monotonic() - seen_at)
            live.update(_screen(seen, out.width, lost), refresh=True)


def _lost(error: CommandError, seconds: float) -> str:
    """Say what keeps us from seeing more; what will not pass is raised."""
    if isinstance(error, RefusedError) and error.status < 500:
        raise error
    why = error.reason if isinstance(error, AwayError) else error.message
    return f"the console does not answer ({why}); this was {_span(seconds)} ago"


def _seen(named: NamedConsole) -> dict[str, Any]:
    return {"summary": named.api.get("summary"), "fleet": named.api.get("fleet")}


def _screen(seen: Mapping[str, Any], width: int, lost: str | None = None) -> Group:
    first, *others = map(_said, seen["summary"]["sentences"][:SENTENCES])
    first.stylize("bold")
    head = [first, *others] if lost is None else [Text(plain(lost), style="bold red")]
    is_known = bool(seen["fleet"]["nodes"])
    totals = Text(" · ".join(_totals(seen["summary"], is_known)), style="dim")
    nodes = _table(seen["fleet"], width) if is_known else Text("no gateway tells of itself")
    return Group(*head, totals, Text(), nodes)


def _said(sentence: Mapping[str, Any]) -> Text:
    return Text(plain(sentence["text"]), style=_MOODS.get(sentence["mood"], ""))


def _totals(summary: Mapping[str, Any], is_known: bool) -> Iterator[str]:
    """Yield how much there is; of traffic, if anybody tells."""
    traffic, counts = summary["traffic"], summary["counts"]
    if is_known:
        yield f"{traffic['requests_per_s']:,.0f} requests/s"
        yield f"{traffic['errors_per_s']:,.1f} errors/s"
        yield _counted(traffic["connections"], "connection")
    for kind in ("route", "service", "instance"):
        yield _counted(counts[kind], kind)


def _counted(number: float, noun: str) -> str:
    return f"{number:,.0f} {noun}{'' if number == 1 else 's'}"


def _table(fleet: Mapping[str, Any], width: int) -> Table:
    newest = (fleet["position"] or {}).get("revision")
    return lay_out(_COLUMNS, list(_rows(fleet["nodes"], newest)), width, right=_NUMBERS_FROM)


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
