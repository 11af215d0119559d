"""``fenglingctl db``: the schema of the database."""

from __future__ import annotations

from dataclasses import asdict

import click

from fengling_gateway.cli.errors import EXIT_FAILED, CommandError
from fengling_gateway.cli.output import output_option, print_value
from fengling_gateway.cli.target import database_option


class _Commands(click.Group):
    """Loads what needs a database driver when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), "retention"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "retention":
            from fengling_gateway.cli.retention import retention

            return retention
        return super().get_command(ctx, cmd_name)


@click.group(
    "db", cls=_Commands, short_help="Create or upgrade the tables; how long history is kept."
)
def db_command() -> None:
    """Create, upgrade and show the database's schema, and say for how long its log is kept."""


@db_command.command()
@database_option
@click.option(
    "--lock-timeout",
    type=click.FloatRange(0, 3600, min_open=True),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Give up instead of queueing behind somebody's long transaction.",
)
def upgrade(dsn: str, lock_timeout: float) -> None:
    """Bring the schema up to what this version needs. It may be run again at any time."""
    from fengling_gateway import schema

    try:
        click.echo(schema.upgrade(dsn, lock_timeout_seconds=lock_timeout).describe())
    except schema.SchemaError as error:
        raise CommandError(str(error)) from error


@db_command.command(short_help="Show the schema's version, and whether it fits.")
@database_option
@output_option
def status(dsn: str, output: str) -> None:
    """Show the schema's version, and whether this program works with it (else exit status 2)."""
    from fengling_gateway import schema

    try:
        found = schema.status(dsn)
    except schema.SchemaError as error:
        raise CommandError(str(error)) from error
    if output == "table":
        click.echo(found.describe())
    else:
        print_value({**asdict(found), "usable": found.usable}, output)
    if not found.usable:
        click.get_current_context().exit(EXIT_FAILED)
