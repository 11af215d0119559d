"""Exchanges that failed or were slow, for people: a summary, lines, and the story of one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click
from rich.cells import cell_len
from rich.text import Text

from fengling_gateway.cli.next_steps import next_steps
from fengling_gateway.cli.output import ago, cell, console, print_facts, print_table
from fengling_gateway.cli.suggested import asked_of
from fengling_gateway.observability.plain import plain
from fengling_gateway.records.notable import ANSWERED, FAILED, SLOW

FAULTS: Final = {
    "client": "the client's",
    "instance": "the instance's",
    "operator": "the operator's",
    "gateway": "the gateway's",
}
_STYLES: Final = {"client": "cyan", "instance": "red", "operator": "yellow", "gateway": "magenta"}
_WIDTH_OF_TARGET: Final = 60
_SAME_DAY_SECONDS: Final = 12 * 3600.0
_LONG_MS: Final = 1000.0

Rows = Sequence[Mapping[str, Any]]


def print_summary(groups: Rows) -> None:
    """Print what failed how often, and whose fault it was."""
    print_table(
        ("COUNT", "ERROR", "FAULT", "SERVICE", "INSTANCE", "FIRST", "LAST", "WHAT IT MEANS"),
        [
            (
                one["count"],
                what(one),
                Text(one["fault"], style=_STYLES.get(one["fault"], "")),
                one["service"],
                one["instance"],
                _short_time(one["first_at"]),
                _short_time(one["last_at"]),
                one["means"],
            )
            for one in groups
        ],
        empty="nothing of that is kept",
    )


def print_lines(exchanges: Rows, *, gateways: bool) -> None:
    """
    Print a line for each exchange; where there are several gateways, with whose it is.

    However narrow a terminal is, nothing is folded: an id is to be copied.
    """
    columns = ["TIME", "STATUS", "ERROR", "REQUEST", "ROUTE", "INSTANCE", "CLIENT", "TOOK"]
    columns += ["GATEWAY", "REQUEST ID"] if gateways else ["REQUEST ID"]
    rows = [[cell(it) for it in _line(one, gateways=gateways)] for one in exchanges]
    lines = [[Text(name, style="bold") for name in columns], *rows]
    widths = [max(cell_len(it.plain) for it in column) for column in zip(*lines, strict=True)]
    out = console()
    for line in lines:
        for it, width in zip(line[:-1], widths, strict=False):
            it.pad_right(width - cell_len(it.plain))
        out.print(Text("  ").join(line), soft_wrap=True)


def _line(one: Mapping[str, Any], *, gateways: bool) -> list[Any]:
    last = one["attempts"][-1] if one["attempts"] else {}
    whose = [one["gateway"]] if gateways else []
    return [
        _short_time(one["at"]),
        one["status"] or None,
        Text(what(one), style=_STYLES.get(one["fault"], "")),
        _request(one),
        one["route"],
        last.get("instance"),
        one["client"],
        duration(one["waited_ms"] if one["kind"] == SLOW else one["duration_ms"]),
        *whose,
        one["request_id"],
    ]


def what(one: Mapping[str, Any]) -> str:
    """Return what has happened, in a word."""
    if one["kind"] == ANSWERED:
        return f"answered {one['status']}"
    return str(one["error"] or one["kind"])


def _request(one: Mapping[str, Any]) -> str | None:
    if one["method"] is None:
        return None
    target = one["target"]
    cut = target if len(target) <= _WIDTH_OF_TARGET else target[: _WIDTH_OF_TARGET - 1] + "…"
    return f"{one['method']} {cut}"


# The story of one


def print_story(one: Mapping[str, Any], now: float) -> None:
    """Print what was asked, what became of it, whose fault that was, and what to do next."""
    out = console()
    out.print(Text(plain(_headline(one)), style="bold"), soft_wrap=True)
    out.print(Text(plain(_verdict(one))), soft_wrap=True)
    click.echo()
    print_facts((name, value) for name, value in _facts(one, now) if value is not None)
    if one["attempts"]:
        click.echo()
        _print_attempts(one)
    click.echo()
    for line in _advice(one):
        out.print(line, soft_wrap=True)


def _headline(one: Mapping[str, Any]) -> str:
    if one["method"] is None:
        sender = one["client"] or "somebody"
        return f"What {sender} sent was no request: {one['error']} ({one['status']})"
    asked = f"{one['method']} {one['target']} of {one['host'] or '(no host)'}"
    if one["kind"] == SLOW:
        return f"{asked} was slow: {duration(one['waited_ms'])} until its answer began"
    if one["kind"] == ANSWERED:
        return f"{asked} was answered {one['status']} by the instance"
    return f"{asked} failed: {one['error']} ({one['status'] or 'no answer'})"


def _verdict(one: Mapping[str, Any]) -> str:
    return f"{one['means']} Most likely {FAULTS.get(one['fault'], one['fault'])} fault."


def _facts(one: Mapping[str, Any], now: float) -> Iterator[tuple[str, Any]]:
    yield "ended", f"{clock_time(one['at'])} ({ago(one['at'], now)})"
    yield "took", _phases(one)
    who = [one["client"]] if one["client"] else []
    if one["peer"] and one["peer"] != one["client"]:
        who.append(f"by {one['peer']}")
    who += [f"as {one['subject']}"] if one["subject"] else []
    who += [f"of tenant {one['tenant']}"] if one["tenant"] else []
    yield "client", ", ".join(who) or None
    yield "agent", one["user_agent"]
    place = [f"listener {one['listener']}"] if one["listener"] else []
    place += [f"worker {one['worker']}"] if one["worker"] else []
    place += [f"revision {one['revision']}"] if one["revision"] is not None else []
    yield "served by", ", ".join(place) or None
    if one["route"]:
        yield (
            "route",
            f"{one['route']} → service {one['service']}" if one["service"] else one["route"],
        )
    else:
        yield "route", "none" if one["method"] else None
    yield "sent", f"{one['sent']} bytes of the answer, after {one['received']} of the request"
    yield "trace", one["trace_id"]
    yield "request", one["request_id"]


def _phases(one: Mapping[str, Any]) -> str:
    """Say where the time went: before an instance was asked, until it answered, and after."""
    total = one["duration_ms"]
    if not one["attempts"]:
        return duration(total)
    last = one["attempts"][-1]
    parts = [(last["began_ms"], "before the last attempt")]
    if last["connect_ms"] is not None:
        parts.append((last["connect_ms"], "until it was connected"))
    if last["ms"] is not None:
        whole = last["ms"] - (last["connect_ms"] or 0.0)
        how = "until it failed" if last["error"] else "until it answered"
        parts.append((whole, how))
        parts.append((total - last["began_ms"] - last["ms"], "for the rest"))
    said = [f"{duration(max(0.0, ms))} {how}" for ms, how in parts if ms >= 0.05]
    return f"{duration(total)}: {', '.join(said)}" if said else duration(total)


def _print_attempts(one: Mapping[str, Any]) -> None:
    attempts = one["attempts"]
    first = one["asked"] - len(attempts)
    print_table(
        ("ATTEMPT", "INSTANCE", "ADDRESS", "BEGAN AFTER", "CONNECTED IN", "OUTCOME"),
        [
            (
                number,
                it["instance"],
                it["address"],
                duration(it["began_ms"]),
                None if it["connect_ms"] is None else duration(it["connect_ms"]),
                _outcome(it, one, is_last=number == one["asked"]),
            )
            for number, it in enumerate(attempts, first + 1)
        ],
        empty="",
    )


def _outcome(attempt: Mapping[str, Any], one: Mapping[str, Any], *, is_last: bool) -> str:
    after = "" if attempt["ms"] is None else f" after {duration(attempt['ms'])}"
    if attempt["error"]:
        return f"{attempt['error']}{after}"
    if attempt["ms"] is None:
        return "no answer had begun"
    if is_last and one["kind"] != FAILED:
        return f"answered {one['status']}{after}"
    return f"began to answer{after}"


def _advice(one: Mapping[str, Any]) -> Iterator[Text]:
    steps = list(next_steps(one, asked_of(one.get("gateway"))))
    if steps:
        yield Text("What to do next", style="bold")
    commands = [f"fenglingctl {step.command}" if step.command else "" for step in steps]
    width = max((len(command) for command in commands if len(command) < 60), default=0)
    for step, command in zip(steps, commands, strict=True):
        if command:
            yield Text(plain(f"  {command:<{width}}  # {step.purpose}"))
        else:
            yield Text(plain(f"  {step.purpose}"))
    if one["error"]:
        yield Text(plain(f"  docs/errors.md#{one['error']} has all there is to say of this error"))


# Words


def _short_time(at: float) -> str:
    """Return a time, with its day where that may be another one."""
    is_old = time.time() - at > _SAME_DAY_SECONDS
    return datetime.fromtimestamp(at, UTC).strftime("%m-%d %H:%M:%SZ" if is_old else "%H:%M:%SZ")


def clock_time(at: float) -> str:
    """Return a time in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(at, UTC).replace(tzinfo=None)
    return f"{moment.isoformat(sep=' ', timespec='milliseconds')}Z"


def duration(ms: float) -> str:
    if ms >= _LONG_MS:
        return f"{ms / 1000:.2f} s"
    return f"{ms:.1f} ms" if ms < 100 else f"{ms:.0f} ms"
