"""``fenglingctl top``: all gateways and their workers, over a console, or the routes of one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fengling_gateway.cli.api import AwayError, ManagementApi, RefusedError
from fengling_gateway.cli.errors import CommandError, answer_no
from fengling_gateway.cli.output import cell, console, lay_out, output_option, print_value
from fengling_gateway.cli.target import NamedConsole, Watched, watched_options
from fengling_gateway.cli.top_routes import (
    RoutesWanted,
    routes_options,
    screen_of_routes,
    seen_routes,
)
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


@click.command("top", short_help="Watch all gateways, or the routes of one.")
@routes_options
@watched_options
@click.option("--once", is_flag=True, help="Print it once, and end.")
@click.option(
    "--every",
    "seconds",
    type=click.FloatRange(0.2, 60.0),
    default=1.0,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as -o json.")
@output_option
def top_command(
    watched: Watched,
    routes: RoutesWanted | None,
    once: bool,
    seconds: float,
    as_json: bool,
    output: str,
) -> None:
    """
    Watch all gateways: what each worker serves, how much it does, and what is wrong.

    With --routes, which routes of one gateway are busy, fail or are slow. Their latency is that of
    their service: routes have none of their own. Of a route that is split there is a row for each
    service.

    Ctrl-C ends it. Exit status with --once: 1 if something is wrong with the gateways.
    """
    shown = _All(watched.console()) if routes is None else _Routes(watched.management(), routes)
    if as_json or output != "table":
        print_value(shown.look(), "json" if as_json else output)
        return
    out = _out()
    if once or not out.is_terminal:
        seen = shown.look()
        out.print(shown.screen(seen, out.width))
        if shown.is_wrong(seen):
            answer_no()
        return
    try:
        _watch(shown, out, seconds)
    except KeyboardInterrupt:
        return


def _out() -> Console:
    return console()


class _All:
    """All gateways, over a console."""

    whose = "console"

    def __init__(self, named: NamedConsole) -> None:
        self._api = named.api

    def look(self) -> dict[str, Any]:
        return {"summary": self._api.get("summary"), "fleet": self._api.get("fleet")}

    def screen(self, seen: Mapping[str, Any], width: int, lost: str | None = None) -> Group:
        return _screen(seen, width, lost)

    def is_wrong(self, seen: Mapping[str, Any]) -> bool:
        return seen["summary"]["sentences"][0]["mood"] in _WRONG


class _Routes:
    """The routes of a gateway."""

    whose = "gateway"

    def __init__(self, api: ManagementApi, wanted: RoutesWanted) -> None:
        self._api = api
        self._wanted = wanted

    def look(self) -> Any:
        return seen_routes(self._api, self._wanted)

    def screen(self, seen: Mapping[str, Any], width: int, lost: str | None = None) -> Group:
        return screen_of_routes(seen, self._wanted.sort, width, lost)

    def is_wrong(self, seen: Mapping[str, Any]) -> bool:
        return False


def _watch(shown: _All | _Routes, out: Console, seconds: float) -> None:
    """
    Show all anew again and again; while whoever is asked is away, what was last seen.

    Raises:
        CommandError: it was never there, or takes the token no more.
    """
    seen = shown.look()
    seen_at = time.monotonic()
    with Live(shown.screen(seen, out.width), console=out, screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(seconds)  # noqa: TID251 - a command has nothing else to do
            lost = None
            try:
                seen, seen_at = shown.look(), time.monotonic()
            except (AwayError, RefusedError) as error:
                lost = _lost(error, time.monotonic() - seen_at, shown.whose)
            live.update(shown.screen(seen, out.width, lost), refresh=True)


def _lost(error: CommandError, seconds: float, whose: str = "console") -> str:
    """Say what keeps us from seeing more; what will not pass is raised."""
    if isinstance(error, RefusedError) and error.status < 500:
        raise error
    why = error.reason if isinstance(error, AwayError) else error.message
    return f"the {whose} does not answer ({why}); this was {_span(seconds)} ago"


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
        if node.get("live") and node.get("pinned"):
            state = "pinned"
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
