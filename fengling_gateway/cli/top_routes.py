"""``fenglingctl top --routes``: what the routes of a gateway have served of late."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import click
from rich.console import Group
from rich.text import Text

from fengling_gateway.cli.api import ManagementApi
from fengling_gateway.cli.options import collect
from fengling_gateway.cli.output import cell, lay_out
from fengling_gateway.observability.plain import plain

SORTS: Final = ("rate", "errors", "latency")

_COLUMNS: Final = (
    *("ROUTE", "SERVICE", "REQ/S\n10 S", "REQ/S\n60 S", "ERR %\n10 S", "ERR %\n60 S"),
    *("4XX", "5XX", "P50\nMS", "P95\nMS", "P99\nMS"),
)
_NUMBERS_FROM: Final = 2
_SAID: Final = {
    "rate": "by requests a second",
    "errors": "by errors a second",
    "latency": "by the 95th percentile",
}

_MANY_ERRORS: Final = 0.05
"""Of all requests: then somebody should look."""


class RoutesWanted(NamedTuple):
    """Which routes are to be shown."""

    sort: str
    number: int


def routes_options(command: Callable[..., Any]) -> Any:
    """Add what asks for routes; the command gets it as ``routes``, None where nobody does."""
    options = (
        click.option(
            "--routes",
            "shows_routes",
            is_flag=True,
            help="The routes of the gateway that --management names.",
        ),
        click.option(
            "--sort",
            type=click.Choice(SORTS),
            help="Which of them come first: by requests or errors a second, or by latency.  "
            "[default: rate]",
        ),
        click.option(
            *("-n", "--number"),
            type=click.IntRange(1, 1000),
            help="So many of them.  [default: 20]",
        ),
    )
    return collect(command, options, "routes", _wanted)


def _wanted(shows_routes: bool, sort: str | None, number: int | None) -> RoutesWanted | None:
    if shows_routes:
        return RoutesWanted(sort or "rate", number or 20)
    if sort or number:
        raise click.UsageError("--sort and --number are for --routes")
    return None


def seen_routes(api: ManagementApi, wanted: RoutesWanted) -> Any:
    return api.get("traffic/routes", sort=wanted.sort, limit=wanted.number)


def screen_of_routes(
    seen: Mapping[str, Any], sort: str, width: int, lost: str | None = None
) -> Group:
    """Return what is shown of `seen_routes`."""
    items, number = seen["items"], seen["routes"]
    what = f"{number:,} row{'' if number == 1 else 's'} with requests in the last minute"
    first = Text(f"{plain(str(seen['node']))}: {what}", style="bold")
    head = first if lost is None else Text(plain(lost), style="bold red")
    if not items:
        return Group(head)
    most = f"the first {len(items)}, " if len(items) < number else ""
    seconds = seen["windows"]["last_10s"]
    said = f"{most}{_SAID[sort]}; 4xx, 5xx, and the latency of the service, in the last {seconds:.0f} s"
    rows = [list(_row(one)) for one in items]
    table = lay_out(_COLUMNS, rows, width, right=_NUMBERS_FROM)
    return Group(head, Text(said, style="dim"), Text(), table)


def _row(one: Mapping[str, Any]) -> Iterator[Text]:
    recent, longer = one["last_10s"], one["last_60s"]
    for name in ("route", "service"):
        yield cell(None if one[name] is None else Text(plain(one[name])))
    for window in (recent, longer):
        yield _number(window["requests_per_s"])
    for window in (recent, longer):
        yield _percent(window["error_ratio"])
    for name in ("4xx", "5xx"):
        yield _number(recent["by_class"][name])
    for share in (50, 95, 99):
        yield _number(recent[f"p{share}_ms"])


def _number(value: float | None) -> Text:
    if value is None:
        return cell(None)
    if value == int(value) or value >= 100:
        return Text(f"{value:,.0f}")
    return Text(f"{value:,.1f}" if value >= 1 else f"{value:.2g}")


def _percent(ratio: float | None) -> Text:
    if ratio is None:
        return cell(None)
    style = "bold red" if ratio >= _MANY_ERRORS else "yellow" if ratio else ""
    return Text(f"{ratio * 100:.1f}" if 0 < ratio < 1 else f"{ratio * 100:.0f}", style=style)
