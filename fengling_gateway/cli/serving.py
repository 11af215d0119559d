"""``fenglingctl get``, ``status``, ``reload``, ``confirm`` and ``explain``: a running gateway."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import click

from fengling_gateway.cli import views
from fengling_gateway.cli.api import TIMEOUT_SECONDS, ManagementApi
from fengling_gateway.cli.errors import CommandError, answer_no, note
from fengling_gateway.cli.options import collect
from fengling_gateway.cli.output import output_option, print_value
from fengling_gateway.cli.target import management_options

LISTS: Final = (
    *("routes", "services", "instances", "tenants", "certificates", "secrets", "settings"),
    *("issuers", "clients", "api_keys", "tokens"),
    *("workers", "rejected", "audit"),
)
_DURATION: Final = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)(ms|s)?")


@click.command("get", short_help="List what a gateway serves now.")
@click.argument("what", metavar="WHAT", type=click.Choice(LISTS))
@click.argument("entity_id", metavar="[ID]", required=False)
@management_options
@output_option
def get_command(api: ManagementApi, what: str, entity_id: str | None, output: str) -> None:
    """
    List what a gateway serves now, its workers, what it rejects, or who did what; or show one entity.

    WHAT is routes, services, instances, tenants, certificates, secrets, settings, issuers, clients,
    api_keys or tokens, each of which may be followed by an ID; or workers, rejected or audit.
    """
    if entity_id is not None and what in ("workers", "rejected", "audit"):
        raise click.UsageError(f"of {what} there is only the list")
    if what == "workers":
        _workers(api, output)
        return
    if entity_id is None:
        items = list(api.all(what))
        if output == "table":
            views.print_entities(what, items)
        else:
            print_value(items, output)
        return
    entity = api.get(f"{what}/{entity_id}")
    if output == "table":
        views.print_entity(entity)
    else:
        print_value(entity, output)


def _workers(api: ManagementApi, output: str) -> None:
    fleet = api.get("workers")
    if output == "table":
        views.print_workers(fleet["workers"])
    else:
        print_value(fleet, output)
    if not fleet.get("complete", True):
        note(f"only the workers of this node: {fleet.get('reason', 'Redis does not answer')}")


@click.command("status", short_help="Show how a gateway is.")
@management_options
@output_option
def status_command(api: ManagementApi, output: str) -> None:
    """Show a gateway's state: what it serves, what is rejected or held, and its workers."""
    status = api.get("status")
    if output == "table":
        views.print_status(status)
    else:
        print_value(status, output)


@click.command("reload", short_help="Make a gateway look at its configuration.")
@click.option(
    "--wait",
    type=click.Choice(["none", "node", "all"]),
    default="node",
    show_default=True,
    help="Until it is served: by nobody, by this gateway's workers, by every worker of the cluster.",
)
@click.option("--timeout", default="10s", show_default=True, help="How long to wait (10s, 500ms).")
@click.option("-m", "--comment", help="Goes into the gateway's log.")
@management_options
@output_option
def reload_command(
    api: ManagementApi, wait: str, timeout: str, comment: str | None, output: str
) -> None:
    """Make a gateway look at its configuration now. Exit status 1 if workers stay behind."""
    match = _DURATION.fullmatch(timeout)
    if match is None:
        raise click.BadParameter("is written like 10s or 500ms", param_hint="--timeout")
    seconds = float(match[1]) * (0.001 if match[2] == "ms" else 1)
    answer = api.post(
        "reload",
        {} if comment is None else {"comment": comment},
        accept=frozenset((504,)),
        timeout=TIMEOUT_SECONDS + seconds,
        query={"wait": wait, "timeout": timeout},
    )
    if output == "table":
        click.echo(views.reload_line(answer.document))
    else:
        print_value(answer.document, output)
    if pinned := answer.document.get("pinned"):
        note(f"pinned, and not waited for: {', '.join(pinned)}")
    if answer.document.get("complete") is False:
        note(answer.document.get("reason", "only this node is known"))
    if answer.status == 504:
        answer_no()


@click.command("confirm", short_help="Serve a revision that is held.")
@click.argument("revision", type=click.IntRange(min=0))
@management_options
@output_option
def confirm_command(api: ManagementApi, revision: int, output: str) -> None:
    """Serve REVISION, which is held because it removes too many routes."""
    answer = api.post("confirm", {"revision": revision}).document
    if output != "table":
        print_value(answer, output)
    else:
        click.echo(views.confirmation_line(answer))


def _details(listener: str | None, peer: str | None, route: str | None) -> dict[str, str]:
    given = {"listener": listener, "peer": peer, "route": route}
    return {name: value for name, value in given.items() if value}


def _details_options(command: Callable[..., Any]) -> Any:
    options = (
        click.option("--listener", help="The listener's name."),
        click.option("--peer", metavar="IP", help="The client's address."),
        click.option("--route", metavar="ID", help="Say why this route does not take the request."),
    )
    return collect(command, options, "details", _details)


@click.command("explain", short_help="Show which route a request takes, and why.")
@click.argument("url")
@click.option("-X", "--method", default="GET", show_default=True)
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'")
@_details_options
@management_options
@output_option
def explain_command(
    api: ManagementApi,
    url: str,
    method: str,
    headers: tuple[str, ...],
    details: dict[str, str],
    output: str,
) -> None:
    """
    Show which route a request to URL would take, and why no other.

    URL is as a client writes it, or only a path. Listed are the routes with its host and path;
    for any other ask with --route. Exit status 1 if there is no route, or not the one asked for.
    """
    request = _request(url, method, headers)
    answer = api.post("explain", request | details).document
    if output == "table":
        views.print_explanation(answer)
    else:
        print_value(answer, output)
    if answer.get("route") is None or answer["route"] != details.get("route", answer["route"]):
        answer_no()


def _request(url: str, method: str, headers: tuple[str, ...]) -> dict[str, Any]:
    try:
        parts = urlsplit(url if "://" in url or url.startswith("/") else f"http://{url}")
    except ValueError as error:
        raise CommandError(f"{url} is no URL: {error}") from error
    request: dict[str, Any] = {
        "method": method.upper(),
        "host": parts.netloc.rpartition("@")[2],
        "path": parts.path or "/",
        "query": parts.query,
        "headers": {},
    }
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon:
            raise click.BadParameter(f"{header!r} is not 'Name: value'", param_hint="-H")
        if name.strip().lower() == "host":
            request["host"] = value.strip()
        request["headers"][name.strip().lower()] = value.strip()
    return request
