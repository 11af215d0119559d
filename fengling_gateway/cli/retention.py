"""``fenglingctl db retention``: for how long the log of changes is kept."""

from __future__ import annotations

from typing import Final

import click

from fengling_gateway.cli import database
from fengling_gateway.cli.errors import CommandError
from fengling_gateway.cli.output import output_option, print_facts, print_value
from fengling_gateway.cli.target import database_option
from fengling_gateway.editing.retention import RetentionError, read_retention, set_retention
from fengling_gateway.model.times import moment

_FOR_GOOD: Final = "forever"


@click.command("retention", short_help="Show, or say, for how long the log is kept.")
@click.option("--keep", metavar="TIME", help='Like "90 days", 12h, or forever.')
@click.option("--keep-health", metavar="TIME", help="The same for what is said of health.")
@database_option
@output_option
def retention(keep: str | None, keep_health: str | None, dsn: str, output: str) -> None:
    """
    Show for how long the log of changes is kept, or say it.

    What is older goes within the next twelve hours, but for the version of each entity that is
    current then. At least 7 days are kept, of health an hour.
    """
    given = {"keep": keep, "keep_health": keep_health}
    times = {name: None if it == _FOR_GOOD else it for name, it in given.items() if it is not None}
    with database.connected(dsn) as connection:
        try:
            found = set_retention(connection, **times) if times else read_retention(connection)
        except RetentionError as error:
            raise CommandError(str(error)) from error
    if output != "table":
        print_value(found.document(), output)
        return
    shortened = found.shortened_at
    print_facts(
        (
            ("kept for", found.keep or _FOR_GOOD),
            ("health for", found.keep_health or "as long"),
            ("known from", f"revision {found.known_from}"),
            ("shortened", None if shortened is None else moment(shortened)),
        )
    )
