"""``fenglingctl validate``: what would be rejected, in files or in the database."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from fengling_gateway.cli.errors import answer_no
from fengling_gateway.cli.files import read_files
from fengling_gateway.cli.output import output_option, print_table, print_value
from fengling_gateway.cli.target import optional_database_option
from fengling_gateway.model.delta import Change, Delta, Position
from fengling_gateway.model.effective import EffectiveConfig, Rejection, hash_of
from fengling_gateway.model.entity import Key
from fengling_gateway.routing.linter import Finding, lint
from fengling_gateway.routing.snapshot import CompileContext, Snapshot


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of a configuration: what counts, what is rejected, what is odd about it."""

    bodies: dict[Key, bytes]
    rejected: dict[Key, Rejection]
    findings: list[Finding]


def judge(
    rows: Mapping[Key, dict[str, Any]],
    history: Any = lambda keys: {},  # noqa: ARG005
) -> Judged:
    """Judge a whole configuration as a gateway would; ``history`` looks up older versions."""
    config = EffectiveConfig()
    stage = config.stage(list(rows.items()), full=True)
    while True:
        while stage.step():
            pass
        if not stage.wanted:
            break
        stage.supply(history(stage.wanted))
    stage.commit()
    return Judged(config.bodies, config.rejected, list(_lint(config.bodies)))


def _lint(bodies: dict[Key, bytes]) -> Iterable[Finding]:
    delta = Delta(
        before=None,
        after=Position("validate", 1, ""),
        hash_before=0,
        hash_after=hash_of(bodies),
        changes=tuple(Change(key, body) for key, body in bodies.items()),
    )
    snapshot = Snapshot.empty().apply(delta, CompileContext(random.Random(0)))
    return lint(snapshot.routes)


@click.command("validate", short_help="List what is wrong with a configuration.")
@click.argument("files", nargs=-1)
@optional_database_option
@output_option
def validate_command(files: tuple[str, ...], dsn: str | None, output: str) -> None:
    """
    List what is wrong with the configuration in FILES (- is stdin), or in the database.

    Needs no gateway, and for files no database. Exit status 1 if anything is rejected;
    remarks, such as a route that can never be chosen, do not count.
    """
    if bool(files) == (dsn is not None):
        raise click.UsageError("name either FILES or --database URL")
    places: dict[Key, str] = {}
    if dsn is not None:
        judged = _judge_database(dsn)
    else:
        rows, places = read_files(files)
        judged = judge(rows)
    report(judged, places, output)
    if judged.rejected:
        answer_no()


def _judge_database(dsn: str) -> Judged:
    from fengling_gateway.cli import database

    with database.connected(dsn) as connection:
        rows = database.read_rows(connection)
        return judge(rows, lambda keys: database.read_history(connection, keys))


def report(judged: Judged, places: Mapping[Key, str], output: str) -> None:
    """Print what was found."""
    if output != "table":
        print_value(_plain(judged, places), output)
        return
    rows = [
        ("rejected", places.get(key), str(problem.path), problem.message)
        for key, rejection in sorted(judged.rejected.items())
        for problem in rejection.problems
    ]
    rows += [
        ("remark", places.get(Key("route", one.route)), f"route {one.route}", one.message)
        for one in judged.findings
    ]
    if rows:
        print_table(("", "WHERE", "WHAT", "WHY"), rows, empty="")
    count = len(judged.bodies)
    click.echo(f"{count} valid, {len(judged.rejected)} rejected, {len(judged.findings)} remarks")


def _plain(judged: Judged, places: Mapping[Key, str]) -> dict[str, Any]:
    return {
        "valid": len(judged.bodies),
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
        "remarks": [one._asdict() for one in judged.findings],
    }
