"""``fenglingctl events``: what is changed, as it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, Literal

import click
from rich.text import Text

from fengling_gateway.cli.api import ConsoleApi
from fengling_gateway.cli.errors import note
from fengling_gateway.cli.following import Follower, Following, Happened
from fengling_gateway.cli.following_console import ConsoleFollower
from fengling_gateway.cli.history_words import who
from fengling_gateway.cli.output import console
from fengling_gateway.cli.place import Place, place_options
from fengling_gateway.cli.plans import STYLES, value
from fengling_gateway.editing.changes import SIGNS
from fengling_gateway.editing.history import EntityChange
from fengling_gateway.editing.images import parts
from fengling_gateway.model.times import moment
from fengling_gateway.observability.plain import plain, plain_json

_NAMED: Final = 3
"""Changes of a revision that its line names, and fields of a change."""


@click.command("events", short_help="Follow what is changed, as it is.")
@click.option(
    "-n", "--number", type=click.IntRange(0, 1000), default=0, help="Begin with the last so many."
)
@click.option(
    "--kind",
    type=click.Choice(["config", "health", "all"]),
    default="all",
    show_default=True,
    help="Of the configuration, or what is said of instances' health.",
)
@click.option("--count", type=click.IntRange(min=1), help="End after so many.")
@place_options
@click.option(
    "-o",
    "--output",
    type=click.Choice(["lines", "json"]),
    default="lines",
    show_default=True,
    help="For people, or a JSON object in each line.",
)
def events_command(
    number: int,
    kind: Literal["config", "health", "all"],
    count: int | None,
    place: Place,
    output: str,
) -> None:
    """
    Follow what is changed: who changes what, and why, a line for each revision.

    Also told: that a revision which was held is confirmed, and, by a database but no console, that
    somebody asks gateways to look. If the connection breaks it is made again, and nothing is missed.
    Ctrl-C ends it.
    """
    follower = _follower(place)
    newest = follower.begin(number)
    note(f"following from revision {newest} on")
    told = 0
    try:
        for one in follower.follow():
            if one.what == "revision" and kind not in ("all", one.revision and one.revision.kind):
                continue
            _print(one, output)
            told += 1
            if told == count:
                return
    except KeyboardInterrupt:
        return


def _follower(place: Place) -> Following:
    def lost(why: str) -> None:
        note(f"{why}; trying again")

    if isinstance(place, ConsoleApi):
        return ConsoleFollower(place, lost=lost)
    return Follower(place, lost=lost)


def _print(one: Happened, output: str) -> None:
    if output == "json":
        click.echo(plain_json(json.dumps(one.document(), ensure_ascii=False)))
    else:
        console().print(line(one), soft_wrap=True)


def line(one: Happened) -> Text:
    """Return what has happened as a line."""
    revision = one.revision
    if one.what == "reload":
        said = [f"gateways are asked to look by {plain(one.by or 'somebody')}", one.comment]
    elif revision is None or one.what == "reset":
        at = "" if revision is None else f": it is at revision {revision.id}"
        said = [f"the database is another one, or has been set back{at}"]
    elif one.what == "confirmed":
        said = [f"revision {revision.id} is confirmed by {plain(revision.confirmed_by or '')}"]
    else:
        return _revision(one)
    return Text(" · ".join(plain(part) for part in said if part), style="cyan")


def _revision(one: Happened) -> Text:
    revision = one.revision
    assert revision is not None
    held = revision.state in ("held", "waiting")
    said = [
        Text(moment(revision.committed_at), style="dim"),
        Text(f"revision {revision.id}{f' {revision.state}' if held else ''}", "bold red" * held),
        Text(plain(who(revision))),
    ]
    if revision.changes:
        said.append(_changes(one.changes, revision.changes))
    if revision.comment:
        said.append(Text(plain(revision.comment), style="italic"))
    return Text(" · ").join(said)


def _changes(changes: Sequence[EntityChange], count: int) -> Text:
    named = changes[:_NAMED] if count <= _NAMED else changes[: _NAMED - 1]
    said = [_change(one, in_full=count == 1) for one in named]
    more = count - len(named)
    if more > 0:
        said.append(Text(f"and {more} more" if named else f"{more} changes"))
    return Text(", ").join(said)


def _change(change: EntityChange, *, in_full: bool) -> Text:
    text = Text(f"{SIGNS[change.action]} {plain(str(change.key))}", STYLES[change.action])
    if change.key.kind == "instance_health":
        return Text.assemble(text, _health(change))
    if change.action != "update":
        return text
    fields = [part for field in change.fields for part in parts(field)]
    if in_full and len(fields) <= _NAMED:
        each = (
            Text.assemble(f"{plain(one.name)} ", value(one.before), " → ", value(one.after))
            for one in fields
        )
        return Text.assemble(text, ": ", Text(", ").join(each))
    return Text.assemble(text, f" ({', '.join(plain(one.name) for one in fields)})")


def _health(change: EntityChange) -> str:
    before, after = (
        None if image is None else image.get("health") for image in (change.before, change.after)
    )
    reason = (change.after or {}).get("reason")
    return plain(f": {before or '–'} → {after or '–'}" + (f" ({reason})" if reason else ""))
