"""``fenglingctl tap``: the requests of a gateway, as they end."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

import click

from fengling_gateway.cli.api import AwayError, ManagementApi
from fengling_gateway.cli.errors import CommandError, answer_no, note
from fengling_gateway.cli.output import console
from fengling_gateway.cli.tap_lines import TapLines
from fengling_gateway.cli.target import management_options
from fengling_gateway.management.tap_request import PATH_PREFIX
from fengling_gateway.model.times import parse_duration
from fengling_gateway.observability.plain import plain_json
from fengling_gateway.records.tap_filter import network, statuses

MAX_SECONDS: Final = 600.0
"""That a gateway lets somebody look on."""

SAY_SECONDS: Final = 1.0
"""So often, at most, is said how much is left out."""

_ENDS: Final = {
    "stopped": "the gateway has stopped",
    "credential": "the token has expired, or is revoked",
    "failed": "the gateway has failed at it; its log says how",
}
"""Ends that nobody asked for."""


class _Checked(click.ParamType):  # type: ignore[type-arg] # (generic since click 8.2)
    """Text that a check takes; it stays as it is."""

    name = "text"

    def __init__(self, check: Callable[[str], Any], expected: str) -> None:
        self._check, self._expected = check, expected

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        try:
            is_good = self._check(value) is not None
        except ValueError:
            is_good = False
        if not is_good:
            self.fail(f"{value!r} is not {self._expected}")
        return str(value)


class _Duration(click.ParamType):  # type: ignore[type-arg]
    """Seconds, within bounds."""

    name = "duration"

    def __init__(self, low: float, high: float) -> None:
        self._low, self._high = low, high

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        seconds = value if isinstance(value, float) else parse_duration(value)
        if seconds is None or not self._low <= seconds <= self._high:
            low, high = f"{self._low:g}s", f"{self._high:g}s"
            self.fail(f"{value!r} is not a duration such as 200ms or 5s, from {low} to {high}")
        return seconds


@click.command("tap", short_help="Look on at the requests of a gateway, as they end.")
@click.option("--route", "routes", metavar="ID", multiple=True, help="Of this route.")
@click.option("--service", "services", metavar="ID", multiple=True, help="Of this service.")
@click.option(
    "--status",
    "statuses",
    metavar="STATUS",
    multiple=True,
    type=_Checked(statuses, "a status such as 404, 5xx or 400-499"),
    help="Answered with 404, 5xx or 400-499.",
)
@click.option(
    "--min-duration",
    "slower_than",
    type=_Duration(0, 86400),
    metavar="DURATION",
    help="That took as long, such as 200ms, or longer.",
)
@click.option(
    "--client",
    "clients",
    metavar="ADDRESS",
    multiple=True,
    type=_Checked(network, "an address, or a network such as 10.0.0.0/8"),
    help="From this address, or network such as 10.0.0.0/8.",
)
@click.option("--method", "methods", metavar="METHOD", multiple=True, help="Such as POST.")
@click.option(
    "--path-prefix",
    metavar="PATH",
    type=_Checked(re.compile(PATH_PREFIX).fullmatch, "a path such as /orders"),
    help="Whose target begins with this.",
)
@click.option("--limit", type=click.IntRange(1, 1_000_000), help="End after so many.")
@click.option(
    "--for",
    "seconds",
    type=_Duration(1, MAX_SECONDS),
    default=MAX_SECONDS,
    metavar="DURATION",
    help="End after so long; at most 10m, as without it.",
)
@click.option("--json", "as_json", is_flag=True, help="A JSON object in each line.")
@management_options
def tap_command(
    api: ManagementApi,
    path_prefix: str | None,
    limit: int | None,
    seconds: float,
    as_json: bool,
    **wanted: Any,
) -> None:
    """
    Look on at the requests of a gateway, as they end.

    A line for each: when it ended (UTC), status, method, target, route and the instance that was asked
    last (×2: two were asked), how long it took, and what it failed by. Of what is said several times,
    one has to fit; of all that is said, everything.

    Each worker tells 200 requests a second at most; how many are left out is said. Who is limited to
    tenants sees their requests only. It needs a token of an admin, and is on record. Ctrl-C ends it.
    """
    body: dict[str, Any] = {"seconds": seconds}
    body |= {name: list(one) for name, one in wanted.items() if isinstance(one, tuple) and one}
    if "methods" in body:
        body["methods"] = [one.upper() for one in body["methods"]]
    if wanted["slower_than"] is not None:
        body["slower_than"] = wanted["slower_than"]
    if path_prefix is not None:
        body["path_prefix"] = path_prefix
    if limit is not None:
        body["limit"] = limit
    shown = _Shown(_print_json if as_json else TapLines(console()).print)
    try:
        with closing(api.lines("tap", body)) as events:
            for event in events:
                shown.happened(event)
    except KeyboardInterrupt:
        pass
    except AwayError as error:
        if not shown.has_begun:
            raise
        shown.sum_up()
        raise CommandError(f"{api.url} says nothing more ({error.reason})") from error
    shown.sum_up()
    if shown.why in _ENDS:
        note(f"fenglingctl: {_ENDS[shown.why]}")
        answer_no()


def _print_json(request: dict[str, Any]) -> None:
    click.echo(plain_json(json.dumps(request, ensure_ascii=False)))


class _Shown:
    """
    What has been shown.

    Attributes:
        has_begun: whether the gateway has said so.
        why: it has ended; empty until it has.
    """

    def __init__(self, show: Callable[[dict[str, Any]], None]) -> None:
        self._show = show
        self._seen = 0
        self._left_out = 0
        self._unsaid = 0
        self._said_at = 0.0
        self.has_begun = False
        self.why = ""

    def happened(self, event: dict[str, Any]) -> None:
        what = event.get("event")
        if what == "request":
            self._seen += 1
            self._show(event["request"])
        elif what == "left_out":
            self._leave_out(event["count"])
        elif what == "ended":
            self.why = event["why"]
        elif what == "began":
            self.has_begun = True
            note(f"looking on for {event['seconds']:g} s at most; Ctrl-C ends it")

    def sum_up(self) -> None:
        if self.has_begun:
            note(f"{_requests(self._seen)}, {self._left_out} left out")

    def _leave_out(self, count: int) -> None:
        self._left_out += count
        self._unsaid += count
        if time.monotonic() - self._said_at >= SAY_SECONDS:
            note(f"({_requests(self._unsaid)} left out)")
            self._unsaid, self._said_at = 0, time.monotonic()


def _requests(count: int) -> str:
    return f"{count} request{'' if count == 1 else 's'}"
