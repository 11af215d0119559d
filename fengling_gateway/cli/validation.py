"""``fenglingctl validate``: what would be rejected, in files or in the database."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from fengling_gateway.cli.errors import answer_no, note
from fengling_gateway.cli.files import read_files
from fengling_gateway.cli.output import output_option, print_table, print_value
from fengling_gateway.cli.settings_file import read_settings, settings_option
from fengling_gateway.cli.target import dsn_unless, optional_database_option
from fengling_gateway.editing.credentials import find_expired
from fengling_gateway.editing.judging import Judged, judge
from fengling_gateway.editing.oddities import find_oddities
from fengling_gateway.editing.refusals import Warned, find_refused, subject
from fengling_gateway.model.entity import Key
from fengling_gateway.routing.auth_linter import public_routes

_NAMED: Final = 10
"""Public routes that a line names: where nobody is asked who they are, all of them are."""


@click.command("validate", short_help="List what is wrong with a configuration.")
@click.argument("files", nargs=-1)
@optional_database_option
@settings_option(
    "The settings file of a gateway that is to serve it: whose [upstream] allow counts."
)
@click.option("--strict", is_flag=True, help="Exit status 1 also if there are only warnings.")
@output_option
def validate_command(
    files: tuple[str, ...],
    database: str | None,
    context: str | None,
    config: Path | None,
    strict: bool,
    output: str,
) -> None:
    """
    List what is wrong with the configuration in FILES (- is stdin), or in the database.

    Needs no gateway, and for files no database. Of a database it judges what a gateway would serve
    that starts now: while a revision is held, what was before it. Exit status 1 if anything is rejected. Warnings
    are about routes that can never be chosen, that only their ids tell apart or that nobody can
    ask, about instances whose address gateways do not connect to, and about API keys that have
    expired. Routes that anybody may ask are named: they are public.
    """
    dsn = dsn_unless(files, database, context)
    places: dict[Key, str] = {}
    if dsn is not None:
        from fengling_gateway.cli.cold_start import judge_database  # with psycopg2

        judged = judge_database(dsn)
    else:
        rows, places = read_files(files)
        judged = judge(_with_values(rows))
    networks = None if config is None else read_settings(config).data_plane().upstream_networks()
    warnings: list[Warned] = [
        *find_oddities(judged.bodies),
        *find_refused(judged.bodies, networks),
        *find_expired(judged.bodies, time.time()),
    ]
    report(judged, warnings, places, output)
    if judged.rejected or (strict and warnings):
        answer_no()


def _with_values(rows: Mapping[Key, dict[str, Any]]) -> dict[Key, dict[str, Any]]:
    """Judge a secret without a value as if it had one: that is how an export has what is encrypted."""
    left_out = [key for key, row in rows.items() if key.kind == "secret" and "value" not in row]
    if left_out:
        note(
            f"{len(left_out)} secrets have no value here ({left_out[0].id}…): apply keeps the ones "
            "in the database, a gateway that reads this file rejects them"
        )
    return {**rows, **{key: {**rows[key], "value": "env:SECRET"} for key in left_out}}


def report(
    judged: Judged, warnings: Sequence[Warned], places: Mapping[Key, str], output: str
) -> None:
    """Print what was found."""
    if output != "table":
        print_value(_plain(judged, warnings, places), output)
        return
    rows = [
        ("rejected", places.get(key), str(problem.path), problem.message)
        for key, rejection in sorted(judged.rejected.items())
        for problem in rejection.problems
    ]
    rows += [
        ("warning", places.get(subject(one)), str(subject(one)), one.message) for one in warnings
    ]
    if rows and places:
        print_table(("", "WHERE", "WHAT", "WHY"), rows, empty="")
    elif rows:
        print_table(("", "WHAT", "WHY"), [(kind, *rest) for kind, _, *rest in rows], empty="")
    counts = f"{len(judged.bodies)} valid, {len(judged.rejected)} rejected"
    if public := public_routes(judged.bodies, lambda _: True):
        click.echo(public_line(public))
    click.echo(f"{counts}, {len(warnings)} warning{'' if len(warnings) == 1 else 's'}")
    if judged.held is not None:
        confirm = f"fenglingctl confirm {judged.held.revision}"
        note(f"{judged.held.describe()}; it is not judged until it is served ({confirm})")


def public_line(routes: Sequence[str]) -> str:
    """Name the first routes that anybody may ask."""
    more = len(routes) - _NAMED
    return f"public, for anybody to ask: {', '.join(routes[:_NAMED])}" + (
        f" and {more} more" if more > 0 else ""
    )


def _plain(judged: Judged, warnings: Sequence[Warned], places: Mapping[Key, str]) -> dict[str, Any]:
    return {
        "valid": len(judged.bodies),
        "held": judged.held and judged.held.describe(),
        "rejected": [
            {
                "kind": key.kind,
                "id": key.id,
                "where": places.get(key),
                "serving": rejection.serving,
                "problems": [
                    {"path": one.path, "code": one.code, "message": one.message}
                    for one in rejection.problems
                ],
            }
            for key, rejection in sorted(judged.rejected.items())
        ],
        "public": public_routes(judged.bodies, lambda _: True),
        "warnings": [{**one._asdict(), "where": places.get(subject(one))} for one in warnings],
    }
