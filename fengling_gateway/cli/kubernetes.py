"""``fenglingctl kubernetes``: services of a cluster, and deciding of them, over a console."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from fengling_gateway.cli.api import ConsoleApi
from fengling_gateway.cli.discovered import (
    approval,
    asks,
    came,
    is_changed,
    name,
    outcome,
    problems,
    ready,
    result_of,
)
from fengling_gateway.cli.errors import answer_no, note
from fengling_gateway.cli.followed import print_status, removal_of
from fengling_gateway.cli.output import output_option, print_facts, print_table, print_value
from fengling_gateway.cli.target import NamedConsole, console_options
from fengling_gateway.doctor.kubernetes import kubernetes as findings
from fengling_gateway.kubernetes.removal import GONE, UNKNOWN, WAITING
from fengling_gateway.observability.plain import plain

WAIT: Final = "10s"
"""For what comes of a decision: whoever watches hears of it within a second or two."""

_ROOT: Final = "kubernetes"
_SERVICES: Final = f"{_ROOT}/services"
_STATES: Final = ("pending", "approved", "rejected", "gone", "problems", "changed")

F = TypeVar("F", bound=Callable[..., Any])

_services_argument = click.argument("services", metavar="NAMESPACE/NAME…", nargs=-1, required=True)
_comment_option = click.option("-m", "--comment", default="", help="Why; shown with it.")
_wait_option = click.option(
    "--wait/--no-wait", default=True, help=f"Until something has come of it, {WAIT} at most."
)


@click.group("kubernetes", short_help="Services of a cluster: list them, and decide of them.")
def kubernetes_command() -> None:
    """
    Services of a Kubernetes cluster that ask to be routed to.

    Which do is said by a label in the cluster; that they are is decided here, by who may change
    the configuration.
    """


@kubernetes_command.command("status")
@console_options
@output_option
def status_command(console: NamedConsole, output: str) -> None:
    """Show which console watches the cluster, and how that goes. Exit status 1 if something is wrong."""
    told = console.api.get(_ROOT)
    if output != "table":
        print_value(told, output)
    elif not told["enabled"]:
        click.echo("no console watches a cluster: see [kubernetes] of a console's settings")
    else:
        print_status(told, _STATES)
    if any(one.state == "wrong" for one in findings(told)):
        answer_no()


@kubernetes_command.command("list", short_help="List services, and what has been decided.")
@click.option("--state", type=click.Choice(_STATES), default=None, help="Only these.")
@click.option("--namespace", default="", help="Only of this namespace.")
@click.option("-q", "--query", default="", help="Only with these words in namespace or name.")
@console_options
@output_option
def list_command(
    state: str | None, namespace: str, query: str, console: NamedConsole, output: str
) -> None:
    """List the services that ask to be routed to, and what has been decided."""
    sought = {"state": state or "", "namespace": namespace, "q": query}
    found = list(
        console.api.all(_SERVICES, **{name: value for name, value in sought.items() if value})
    )
    if output != "table":
        print_value(found, output)
        return
    print_table(
        ("SERVICE", "STATE", "BY", "SINCE", "READY", "WHAT"),
        [
            (
                name(one),
                "gone" if one["gone_at"] else one["state"],
                one["decided_by"],
                one["decided_at"] or one["seen_at"],
                ready(one),
                outcome(one),
            )
            for one in found
        ],
        empty="no service asks to be routed to",
    )


@kubernetes_command.command("show")
@click.argument("service", metavar="NAMESPACE/NAME")
@console_options
@output_option
def show_command(service: str, console: NamedConsole, output: str) -> None:
    """Show one service: what would come of it, and what has."""
    row = console.api.get(_path(service))
    if output != "table":
        print_value(row, output)
        return
    offer, result = row["offer"] or {}, result_of(row) or {}
    print_facts(
        [
            ("service", name(row)),
            ("state", row["state"]),
            ("decided by", row["decided_by"]),
            ("decided at", row["decided_at"]),
            ("comment", row["comment"]),
            ("asked for", row["asked"]),
            ("there since", row["seen_at"]),
            ("gone since", row["gone_at"]),
            ("ports", offer.get("ports")),
            ("annotations", offer.get("annotations")),
            ("approved were", row["approved"] if is_changed(row) else None),
            ("instances", offer.get("instances")),
            ("would be", offer.get("route")),
            ("on", offer.get("service")),
            ("came of it", result.get("state")),
            ("revision", result.get("revision")),
            ("routes", result.get("route_ids")),
        ]
    )
    for problem in problems(row):
        click.echo(f"  ! {plain(problem)}")


@kubernetes_command.command("approve", short_help="Have services routed to.")
@_services_argument
@click.option("--host", "hosts", multiple=True, help="Of its route, in place of the cluster's.")
@click.option("--any-host", is_flag=True, help="Its route is for any, whatever the cluster says.")
@click.option("--path", default=None, help="Of its route, in place of the cluster's.")
@click.option("--tenant", default=None, help="Whose route it is, in place of the cluster's.")
@click.option("--no-tenant", is_flag=True, help="It is nobody's, whatever the cluster says.")
@click.option(
    "--as-offered",
    is_flag=True,
    help="Hosts, path and tenant that were given before don't count any more.",
)
@_comment_option
@_wait_option
@console_options
def approve_command(  # noqa: PLR0913 - one option each
    *,
    services: tuple[str, ...],
    hosts: tuple[str, ...],
    any_host: bool,
    path: str | None,
    tenant: str | None,
    no_tenant: bool,
    as_offered: bool,
    comment: str,
    wait: bool,
    console: NamedConsole,
) -> None:
    """
    Have services routed to; again, to have them tried again, or what they ask for by now approved.

    Hosts, path and tenant that were given at an approval before stay, as far as no others are
    given. Exit status 1 if one of them can't be, or nobody has tried within the time.
    """
    if (hosts and any_host) or (tenant is not None and no_tenant):
        raise click.UsageError("--any-host goes without --host, and --no-tenant without --tenant")
    given: dict[str, Any] = {
        **({"hosts": list(hosts)} if hosts or any_host else {}),
        **({"path": path} if path is not None else {}),
        **({"tenant_id": tenant} if tenant is not None or no_tenant else {}),
    }

    def shown(path: str) -> dict[str, Any]:
        row = console.api.get(path)
        wanted = approval(row, given, as_offered=as_offered)
        note(plain(asks(row, given, wanted)))
        return wanted

    _decide(console.api, services, "approve", shown, comment, wait)


@kubernetes_command.command("reject", short_help="Have services not routed to.")
@_services_argument
@_comment_option
@_wait_option
@console_options
def reject_command(
    services: tuple[str, ...], comment: str, wait: bool, console: NamedConsole
) -> None:
    """Have services not routed to, and not wait for a decision any more."""
    _decide(console.api, services, "reject", lambda _: {}, comment, wait)


@kubernetes_command.command("forget", short_help="Take decisions back.")
@_services_argument
@console_options
def forget_command(services: tuple[str, ...], console: NamedConsole) -> None:
    """Take decisions back: what is there waits for another one, of what is gone nothing is left."""
    for path, service in [(_path(one), one) for one in services]:
        row = console.api.send("DELETE", path)
        click.echo(f"{service} is forgotten" if row is None else f"{service} waits for a decision")


@kubernetes_command.command("confirm", short_help="Let routes go that the cluster lacks.")
@click.argument("removal", metavar="ID")
@console_options
def confirm_command(removal: str, console: NamedConsole) -> None:
    """
    Let routes go that are no longer in the cluster, although they are many.

    They are kept until then. `fenglingctl kubernetes status` names them and the ID. Exit status 1
    if they are not gone within the time.
    """
    query = {"wait": "result", "timeout": WAIT}
    told = console.api.post(f"{_ROOT}/confirm", {"removal": removal}, query=query).document
    state = told["confirmed"]["state"]
    click.echo(f"{removal} is confirmed, {_BECAME[state]}")
    left = removal_of(told)
    if left is not None and left["id"] != removal:
        click.echo(f"{left['routes']} other routes wait to be confirmed as {left['id']}")
    if state != GONE:
        answer_no()


_BECAME: Final = {
    GONE: "and its routes are gone",
    WAITING: "and its routes are still there: `fenglingctl kubernetes status` says who watches",
    UNKNOWN: "but something else waits by now, or another console watches, which asks anew",
}


def _decide(
    api: ConsoleApi,
    services: tuple[str, ...],
    word: str,
    wanted: Callable[[str], dict[str, Any]],
    comment: str,
    wait: bool,
) -> None:
    """
    Decide of all, and say what came of each; status 1 if it is not as decided.

    Args:
        wanted: returns what is asked for, by where a service is.
    """
    query = {"wait": "result", "timeout": WAIT} if wait else {}
    is_so = True
    for path, service in [(_path(one), one) for one in services]:
        body = {**wanted(path), **({"comment": comment} if comment else {})}
        row = api.post(f"{path}/{word}", body, query=query).document
        said, is_done = came(row) if wait else ("", True)
        click.echo(plain(f"{service} is {row['state']}{said}"))
        is_so = is_so and is_done
    if not is_so:
        answer_no()


def _path(service: str) -> str:
    """
    Return where a service is.

    Raises:
        UsageError: it is not named like one.
    """
    namespace, _, name = service.partition("/")
    if not namespace or not name or "/" in name:
        raise click.UsageError(f"{service} is not like NAMESPACE/NAME")
    return f"{_SERVICES}/{namespace}/{name}"
