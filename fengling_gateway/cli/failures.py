"""``fenglingctl errors`` and ``why``: who failed, and whose fault it was."""

from __future__ import annotations

import re
import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import click

from fengling_gateway.cli.api import ManagementApi, RefusedError
from fengling_gateway.cli.errors import answer_no, note
from fengling_gateway.cli.failure_views import clock_time, print_lines, print_story, print_summary
from fengling_gateway.cli.gateways import Told, ask_each, gateways_options
from fengling_gateway.cli.history import read_time
from fengling_gateway.cli.options import collect
from fengling_gateway.cli.output import output_option, print_value
from fengling_gateway.cli.suggested import asked_of
from fengling_gateway.model.times import parse_duration
from fengling_gateway.observability.plain import plain
from fengling_gateway.records.blame import Fault
from fengling_gateway.records.notable import SLOW

MAX_LINES: Final = 1000
_IN_PATH: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+=-]{0,127}")
_REQUEST_ID: Final = re.compile(r"[!-~]{1,128}")


def _span(since: str, until: str | None) -> dict[str, str]:
    given = {"since": _when(since, "--since"), "until": _when(until, "--until")}
    return {name: value for name, value in given.items() if value is not None}


def _filters(
    route: str | None,
    service: str | None,
    instance: str | None,
    error: str | None,
    status: str | None,
    fault: str | None,
    slow: bool,
) -> dict[str, str]:
    given = {
        "route": route,
        "service": service,
        "instance": instance,
        "error": error,
        "status": status,
        "fault": fault,
        "kind": SLOW if slow else None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _when(text: str | None, option: str) -> str | None:
    """Return a time as the management API reads it: how long ago is by the gateway's clock."""
    ago = None if text is None else parse_duration(text)
    if ago is not None:
        return f"{ago:.3f}s"
    at = read_time(text, option, time.time())
    return None if at is None else f"{max(0.0, at):.3f}"


def _span_options(command: Callable[..., Any]) -> Any:
    options = (
        click.option(
            "--since",
            default="10m",
            show_default=True,
            metavar="TIME",
            help="10m (ago), 2026-11-22, or 2026-11-22T10:00Z.",
        ),
        click.option("--until", metavar="TIME", help="The same."),
    )
    return collect(command, options, "span", _span)


def _filter_options(command: Callable[..., Any]) -> Any:
    options = (
        click.option("--route", metavar="ID", help="Only of this route."),
        click.option("--service", metavar="ID", help="Only of this service."),
        click.option("--instance", metavar="ID", help="Only where this instance was asked."),
        click.option("--error", metavar="CODE", help="Only with this error (docs/errors.md)."),
        click.option("--status", metavar="STATUS", help="Only with this status: 502, or 5xx."),
        click.option(
            "--fault",
            type=click.Choice([one.value for one in Fault]),
            help="Only what most likely was this one's fault.",
        ),
        click.option("--slow", is_flag=True, help="Only what was slow."),
    )
    return collect(command, options, "filters", _filters)


@click.command(
    "errors", short_help="Show which requests failed or were slow, and whose fault it was."
)
@_span_options
@_filter_options
@click.option(
    "-n",
    "--number",
    type=click.IntRange(0, MAX_LINES),
    default=20,
    show_default=True,
    help="How many of the newest to show, beneath the summary.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as -o json.")
@gateways_options
@output_option
def errors_command(
    span: dict[str, str],
    filters: dict[str, str],
    number: int,
    as_json: bool,
    gateways: list[ManagementApi],
    output: str,
) -> None:
    """
    Show which requests failed or were slow: by error, service and instance, whose fault that most
    likely was, and the newest of them.

    A failure is what the gateway has a name for, or an instance's answer of 500 or more. Each
    gateway keeps the newest of its own (settings: [failures]): name several by --management.
    `fenglingctl why ID` tells the story of one.
    """
    query = {**span, **filters, "limit": max(1, number)}
    told = list(ask_each(gateways, lambda api: api.get("errors", **query)))
    groups = _together(told)
    items = _newest(told, number)
    if as_json or output != "table":
        answers = [{"gateway": one.name, **_without_items(one.answer)} for one in told]
        document = {"summary": groups, "items": items, "gateways": answers}
        print_value(document, "json" if as_json else output)
        return
    print_summary(groups)
    if items:
        click.echo()
        print_lines(items, gateways=len(gateways) > 1)
        click.echo()
        command = f"fenglingctl why {shlex.quote(items[0]['request_id'])}"
        asked = asked_of(items[0]["gateway"])
        click.echo(f"{plain(asked.of_gateway(command))}  # tells the story of one")
    for line in _remarks(told, len(items)):
        note(line)


def _together(told: Sequence[Told]) -> list[dict[str, Any]]:
    """Sum up what several gateways have summed up; most frequent first."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for one in told:
        for group in one.answer["summary"]:
            key = tuple(
                group.get(name) for name in ("kind", "error", "status", "service", "instance")
            )
            mine = found.setdefault(key, {**group, "count": 0})
            mine["count"] += group["count"]
            mine["first_at"] = min(mine["first_at"], group["first_at"])
            if group["last_at"] >= mine["last_at"]:
                mine |= {"last_at": group["last_at"], "newest": group["newest"]}
            mine["routes"] = list(dict.fromkeys((*mine["routes"], *group["routes"])))
    return sorted(found.values(), key=lambda one: (-one["count"], -one["last_at"]))


def _newest(told: Sequence[Told], number: int) -> list[dict[str, Any]]:
    items = [{**item, "gateway": one.name} for one in told for item in one.answer["items"]]
    return sorted(items, key=lambda one: -one["at"])[:number]


def _without_items(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {name: it for name, it in answer.items() if name not in ("items", "summary", "next")}


def _remarks(told: Sequence[Told], shown: int) -> Iterator[str]:
    """Say what is not shown, as far as anybody knows."""
    count = sum(one.answer["count"] for one in told)
    if count > shown:
        yield f"shown are {shown} of {count}; -n shows more"
    left_out: Counter[str] = Counter()
    for one in told:
        left_out.update(one.answer["left_out"] or {})
        ring = one.answer["ring"]
        if ring is not None and ring["pushed_out"]:
            yield f"{one.name} keeps what is newer than {clock_time(ring['oldest_at'])}"
    if left_out:
        yield f"of floods, only counted (not by these filters): {_counted(left_out)}"


def _counted(counts: Mapping[str, int]) -> str:
    most = sorted(counts.items(), key=lambda one: -one[1])
    return ", ".join(f"{number} {name}" for name, number in most)


@click.command("why", short_help="Tell why a request failed or was slow.")
@click.argument("request_id", metavar="REQUEST_ID")
@click.option("--json", "as_json", is_flag=True, help="The same as -o json.")
@gateways_options
@output_option
def why_command(request_id: str, as_json: bool, gateways: list[ManagementApi], output: str) -> None:
    """
    Tell why a request failed or was slow: what was asked, who was tried, whose fault it most likely
    was, and what to do next.

    REQUEST_ID is what the answer of a failure names (X-Request-Id, and request_id in its body), what
    instances are sent, and what is in the access log. Exit status 1 if nothing is known of it.
    """
    if _REQUEST_ID.fullmatch(request_id) is None:
        raise click.BadParameter("is no request id", param_hint="REQUEST_ID")
    answers = list(ask_each(gateways, lambda api: _ask_for(api, request_id)))
    found = [
        {**item, "gateway": one.name} for one in answers for item in one.answer.get("items", ())
    ]
    found.sort(key=lambda one: -one["at"])
    if not found:
        _say_why_not(request_id, answers)
        answer_no()
        return
    if as_json or output != "table":
        print_value(found, "json" if as_json else output)
        return
    for number, one in enumerate(found):
        if number:
            click.echo()
        print_story(one, time.time())
    if len(found) > 1:
        note(f"{len(found)} requests had this id")


def _ask_for(api: ManagementApi, request_id: str) -> Any:
    """Return the exchanges with an id, or why there may be none."""
    if _IN_PATH.fullmatch(request_id) is None:
        return api.get("errors", request_id=request_id)
    try:
        return api.get(f"exchanges/{request_id}")
    except RefusedError as error:
        if error.document.get("code") != "not_kept":
            raise
        return error.document


def _say_why_not(request_id: str, answers: Sequence[Told]) -> None:
    where = " or ".join(one.name for one in answers)
    note(f"nothing is known of request {request_id} at {where}. Perhaps:")
    note("- it went well: what failed, or was slow, is kept (settings: failures.slower_than)")
    for one in answers:
        ring = one.answer.get("ring")
        if ring is not None and ring["oldest_at"] is not None and ring["pushed_out"]:
            at = clock_time(ring["oldest_at"])
            note(f"- it is too old: {one.name} keeps what is newer than {at}")
    left_out: Counter[str] = Counter()
    for one in answers:
        left_out.update(one.answer.get("left_out") or {})
    if left_out:
        note(
            f"- it was one of a flood, which is only counted: {_counted(left_out)} in the last hour"
        )
    note("- it was another gateway's: ask each by --management URL")
    note("- the gateway was started anew since, or the request has not ended, or only just")
    note("The access log, if there is one, has a line of it whatever became of it.")
