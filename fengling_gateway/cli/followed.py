"""How following a cluster goes, as ``fenglingctl kubernetes status`` prints it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from fengling_gateway.cli.output import print_facts, print_table
from fengling_gateway.cli.suggested import asked_of
from fengling_gateway.doctor.kubernetes import kubernetes as findings
from fengling_gateway.observability.plain import plain

_RESOURCE: Final = ("resource", "namespace", "state", "objects", "problem")


def print_status(told: Mapping[str, Any], counted: Sequence[str]) -> None:
    """
    Print who watches, what is followed, and what is wrong with its cure.

    Args:
        told: what a console's API answers to ``GET /kubernetes``.
        counted: the counts of services, in this order.
    """
    print_facts(_facts(told, counted))
    print_table(
        [name.upper() for name in _RESOURCE],
        [[one.get(name) for name in _RESOURCE] for one in _status(told).get("resources") or ()],
        empty="nothing is followed",
    )
    removal = removal_of(told)
    if removal is not None:
        click.echo(f"  ! {plain(_kept(removal))}")
    for one in findings(told):
        if one.state == "wrong" and one.about != "kubernetes.removal":
            click.echo(f"  ! {plain(one.said)}\n    → {plain(one.cure)}")


def removal_of(told: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what waits for a confirmation; None if nothing does."""
    found: Mapping[str, Any] | None = (_status(told).get("writing") or {}).get("removal")
    return found


def _facts(told: Mapping[str, Any], counted: Sequence[str]) -> list[tuple[str, Any]]:
    leader, counts, status = told["leader"], told["counts"], _status(told)
    server = status.get("api_server") or {}
    return [
        ("watched by", leader["holder"]),
        ("term", leader["term"]),
        ("since", leader["since"]),
        ("heartbeat", _seconds(leader["heartbeat_age_s"])),
        ("problem", leader["problem"]),
        ("API server", server.get("url")),
        ("its problem", server.get("problem")),
        ("selector", server.get("selector")),
        ("Gateway API", _gateway_api(status.get("gateway_api"))),
        ("writing", _writing(status.get("writing"))),
        ("telling", status.get("telling")),
        *((name, counts.get(name)) for name in counted),
    ]


def _gateway_api(side: Mapping[str, Any] | None) -> str | None:
    if side is None:
        return None
    routes = f"{side.get('routes', 0)} routes, {side.get('statuses_waiting', 0)} statuses waiting"
    return _with_problem(routes, side)


def _writing(writing: Mapping[str, Any] | None) -> str | None:
    if writing is None:
        return None
    words = ("waiting", "refused", "withheld", "revisions")
    return _with_problem(", ".join(f"{writing.get(one, 0)} {one}" for one in words), writing)


def _with_problem(said: str, part: Mapping[str, Any]) -> str:
    return f"{said}; {part['problem']}" if part.get("problem") else said


def _status(told: Mapping[str, Any]) -> Mapping[str, Any]:
    return told["status"] or {}


def _kept(removal: Mapping[str, Any]) -> str:
    names = list(removal["names"])
    more = removal["routes"] - len(names)
    asked = asked_of()
    gone = asked.of_console("fenglingctl kubernetes list --state gone")
    named = ", ".join(names) + (f" and {more} more (Services: {gone})" if more > 0 else "")
    lately = removal.get("lately")
    after = f" ({lately} have gone within a minute before)" if lately else ""
    confirm = asked.of_console(f"fenglingctl kubernetes confirm {removal['id']}")
    return (
        f"{removal['routes']} of {removal['of']} routes are no longer in the cluster, and are"
        f" kept{after}: {named}; if they are to go: {confirm}"
    )


def _seconds(age: float | None) -> str | None:
    return None if age is None else f"{age:g} s ago"
