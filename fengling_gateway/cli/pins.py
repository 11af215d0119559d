"""``fenglingctl pin``, ``freeze`` and ``unpin``: serving a revision whatever is committed."""

from __future__ import annotations

from typing import Any

import click

from fengling_gateway.cli.api import ManagementApi
from fengling_gateway.cli.errors import answer_no, note
from fengling_gateway.cli.output import output_option, print_value
from fengling_gateway.cli.target import management_options

_all_option = click.option(
    "--all", "everywhere", is_flag=True, help="On every gateway of the cluster, over Redis."
)
_comment_option = click.option("-m", "--comment", default="", help="Why; shown with it.")


@click.command("pin", short_help="Serve a revision whatever is committed, until it is unpinned.")
@click.argument("revision", type=click.IntRange(min=0), required=False)
@click.option("--here", is_flag=True, help="What is served now, in place of a REVISION.")
@_all_option
@_comment_option
@management_options
@output_option
def pin_command(
    api: ManagementApi,
    revision: int | None,
    here: bool,
    everywhere: bool,
    comment: str,
    output: str,
) -> None:
    """
    Have a gateway serve REVISION, or what it serves now, whatever is committed.

    It holds until `fenglingctl unpin`, over restarts, and with the database down. What is newer is
    read all the same: `fenglingctl status` says how far behind it is. Keys that have been revoked
    since are good again while an older revision is served; tokens for the management API are not.
    Exit status 1 if --all was asked for and only this gateway is told.
    """
    if here == (revision is not None):
        raise click.UsageError("name a REVISION, or --here")
    _pin(api, revision, everywhere, comment, output)


@click.command("freeze", short_help="Go on serving what is served now; the same as pin --here.")
@_all_option
@_comment_option
@management_options
@output_option
def freeze_command(api: ManagementApi, everywhere: bool, comment: str, output: str) -> None:
    """Go on serving what is served now, whatever is committed; see `fenglingctl pin`."""
    _pin(api, None, everywhere, comment, output)


@click.command("unpin", short_help="Serve what is newest again.")
@_all_option
@management_options
@output_option
def unpin_command(api: ManagementApi, everywhere: bool, output: str) -> None:
    """Have a gateway that is pinned serve what is newest, at once."""
    _show(api.post("unpin", {"all": True} if everywhere else {}).document, output)


def _pin(
    api: ManagementApi, revision: int | None, everywhere: bool, comment: str, output: str
) -> None:
    body: dict[str, Any] = {"comment": comment}
    if revision is not None:
        body["revision"] = revision
    if everywhere:
        body["all"] = True
    _show(api.post("pin", body).document, output)


def _show(answer: dict[str, Any], output: str) -> None:
    if output != "table":
        print_value(answer, output)
    else:
        pinned, position = answer["pinned"], answer["position"] or {}
        said = pinned["message"] if pinned else f"not pinned: serves {position.get('revision')}"
        click.echo(said)
        if "told" in answer:
            others = answer["told"]
            click.echo(
                f"{others} other{'' if others == 1 else 's'} told; `fenglingctl top` shows it"
            )
    if answer.get("problem"):
        note(answer["problem"])
    if answer.get("complete") is False:
        note(answer["reason"])
        answer_no()  # it was asked of all
