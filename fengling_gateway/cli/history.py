"""``fenglingctl history``: who changed what, when and why."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple

import click

from fengling_gateway.cli.errors import answer_no, note
from fengling_gateway.cli.history_views import (
    print_changes,
    print_entity_history,
    print_page,
    print_revision,
)
from fengling_gateway.cli.log import Log, reading
from fengling_gateway.cli.options import collect
from fengling_gateway.cli.output import output_option, print_facts, print_value
from fengling_gateway.cli.place import Place, place_options
from fengling_gateway.configsource.file_entities import SECTIONS
from fengling_gateway.editing.history import MAX_CHANGES, EntityChange, RevisionChanges
from fengling_gateway.editing.revisions import MAX_PAGE, Sought
from fengling_gateway.model.entity import KINDS, Key
from fengling_gateway.model.problems import Report, suggestion
from fengling_gateway.model.times import instant, parse_duration

_KINDS: Final = (*KINDS, *SECTIONS)


class Asked(NamedTuple):
    """What somebody wants to see: revisions, by their numbers, or an entity, by kind and id."""

    revisions: tuple[int, ...] = ()
    kind: str | None = None
    entity_id: str | None = None


class Span(NamedTuple):
    """Which part of a list."""

    number: int
    before: int | None


def read_asked(words: tuple[str, ...]) -> Asked:
    """
    Read what ``history`` is to show.

    Raises:
        UsageError: it is nothing that there is.
    """
    if words and all(word.isascii() and word.isdigit() and len(word) < 19 for word in words):
        if len(words) > 2:
            raise click.UsageError("name one revision, or two")
        return Asked(revisions=tuple(map(int, words)))
    kind, slash, entity_id = words[0].partition("/") if words else ("", "", "")
    rest = words[1:] if not slash else (entity_id, *words[1:])
    if not words:
        return Asked()
    if kind not in _KINDS or len(rest) > 1 or (slash and not entity_id):
        near = suggestion(kind, KINDS) if kind not in _KINDS else "route/orders, for one"
        raise click.UsageError(f"{' '.join(words)} is no revision and no entity; {near}")
    return Asked((), SECTIONS.get(kind, kind), rest[0] if rest else None)


def read_time(text: str | None, option: str, now: float) -> float | None:
    """
    Read a point in time: ``2026-11-22``, ``2026-11-22T10:00`` (UTC), or how long ago, ``3h``.

    Raises:
        BadParameter: it is none of that.
    """
    if text is None:
        return None
    ago = parse_duration(text)
    if ago is not None:
        return now - ago
    for form in (text, f"{text}Z", f"{text}T00:00Z"):
        report = Report()
        at: float | None = instant(form, report)
        if at is not None and not report.found:
            return at
    raise click.BadParameter(
        "is a time like 2026-11-22T10:00Z, or how long ago, like 3h", param_hint=option
    )


def _sought(
    *,
    author: str | None,
    without: str | None,
    db_user: str | None,
    text: str | None,
    since: str | None,
    until: str | None,
    kind: Literal["config", "health", "all"],
) -> Sought:
    now = time.time()
    return Sought(
        kind=None if kind == "all" else kind,
        author=author,
        without=without,
        db_user=db_user,
        text=text,
        since=read_time(since, "--since", now),
        until=read_time(until, "--until", now),
    )


def _filter_options(command: Callable[..., Any]) -> Any:
    options = (
        click.option("--author", help="Only what this author says to have done."),
        click.option(
            "--without",
            metavar="AUTHOR",
            help="Not what this author says to have done: kubernetes, for what people did.",
        ),
        click.option("--db-user", help="Only by who was logged in to the database as this user."),
        click.option("--grep", "text", metavar="TEXT", help="Only with this in the comment."),
        click.option("--since", metavar="TIME", help="2026-11-22, 2026-11-22T10:00Z, or 3h (ago)."),
        click.option("--until", metavar="TIME", help="The same."),
        click.option(
            "--kind",
            type=click.Choice(["config", "health", "all"]),
            default="config",
            show_default=True,
            help="Of the configuration, or what was said of instances' health.",
        ),
    )
    return collect(command, options, "sought", _sought)


def _page_options(command: Callable[..., Any]) -> Any:
    options = (
        click.option(
            "-n",
            "--number",
            type=click.IntRange(1, MAX_PAGE),
            default=20,
            show_default=True,
            help="How many at most.",
        ),
        click.option("--before", type=int, metavar="REVISION", help="Only older ones."),
    )
    return collect(command, options, "span", Span)


_HELP: Final = """
Show who changed what, when and why: what the log of changes tells, newest first.

\b
history                  the last revisions
history 412              one revision, with all that it changed, before and after
history 400 412          what lies between two, whichever is older
history route/orders     who changed this route, and how
history route/orders --at 400
                         what it was at revision 400
history routes           the revisions that changed routes

Whoever has written, by SQL, a console or this program, is there; the name in brackets is who
was logged in, where nobody vouches for the other. Of secrets and keys there are fingerprints.
To undo a revision, or to go back to one: `fenglingctl rollback`. A console (--console) tells the same
to whoever has a token for it.
"""


@click.command("history", help=_HELP, short_help="Show who changed what, when and why.")
@click.argument("what", nargs=-1, metavar="[REVISION [REVISION] | KIND[/ID]]")
@_filter_options
@_page_options
@click.option("--at", type=int, metavar="REVISION", help="What the entity was at a revision.")
@place_options
@output_option
def history_command(
    what: tuple[str, ...], sought: Sought, span: Span, at: int | None, place: Place, output: str
) -> None:
    """Show what the log tells; the help above has all forms."""
    asked = read_asked(what)
    if at is not None and asked.entity_id is None:
        raise click.UsageError("--at needs an entity, like route/orders")
    with reading(place) as log:
        if len(asked.revisions) == 2:
            _show_difference(log, *asked.revisions, output)
        elif asked.revisions:
            _show_revision(log, asked.revisions[0], output)
        elif asked.kind is not None and asked.entity_id is not None:
            key = Key(asked.kind, asked.entity_id)
            if at is None:
                _show_entity(log, key, span, output)
            else:
                _show_entity_at(log, key, at, output)
        else:
            _show_page(log, replace(sought, entity=asked.kind), span, output)


def _show_page(log: Log, sought: Sought, span: Span, output: str) -> None:
    page = log.list_revisions(sought, limit=span.number, before=span.before)
    if output == "table":
        print_page(page)
        return
    items = [one.document() for one in page.revisions]
    print_value({"items": items, "next": page.before, "is_shortened": page.is_shortened}, output)


def _show_revision(log: Log, number: int, output: str) -> None:
    found = log.read_revision(number)
    if output == "table":
        print_revision(found)
        return
    changes = list(_all_changes(log, found))
    revision = found.revision.document()
    document = {**revision, "changes": _documents(changes), "change_count": revision["changes"]}
    print_value(document, output)


def _all_changes(log: Log, found: RevisionChanges) -> Iterator[EntityChange]:
    yield from found.changes
    while found.after is not None:
        found = log.read_revision(found.revision.id, after=found.after)
        yield from found.changes


def _show_difference(log: Log, start: int, end: int, output: str) -> None:
    changes, count = log.difference(start, end)
    shown = changes[:MAX_CHANGES] if output == "table" else changes
    if output == "table":
        print_changes(shown, empty="nothing lies between them")
    else:
        print_value({"from": start, "to": end, "changes": _documents(shown)}, output)
    if more := count - len(shown):
        where = "-o json has" if len(changes) == count else "the database (--database) has"
        note(f"and {more} more ({where} them all)")


def _show_entity(log: Log, key: Key, span: Span, output: str) -> None:
    found = log.entity_history(key, limit=span.number, before=span.before)
    if output == "table":
        print_entity_history(found)
    else:
        items = [{**one.document(), "change": how.document()} for one, how in found.entries]
        next_ = {"next": found.before, "is_shortened": found.is_shortened}
        print_value({"items": items, **next_}, output)
    if not found.entries and span.before is None:
        answer_no()


def _show_entity_at(log: Log, key: Key, at: int, output: str) -> None:
    image = log.entity_at(key, at)
    if output != "table":
        print_value(image, output)
    elif image is not None:
        print_facts((name, it) for name, it in image.items() if it not in (None, "", [], {}))
    if image is None:
        note(f"at revision {at} there was no {key}")
        answer_no()


def _documents(changes: list[EntityChange]) -> list[dict[str, Any]]:
    return [one.document() for one in changes]
