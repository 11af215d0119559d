"""``fenglingctl doctor``: what is wrong, and what to do about it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click
from rich.text import Text

from fengling_gateway.cli.api import AwayError, ConsoleApi, ManagementApi, RefusedError
from fengling_gateway.cli.errors import CommandError, answer_no
from fengling_gateway.cli.options import collect
from fengling_gateway.cli.output import console, output_option, print_value
from fengling_gateway.cli.settings_file import read_settings
from fengling_gateway.cli.target import (
    DATABASE_HELP,
    console_api,
    console_named,
    context_option,
    database_named,
    management_api,
    read_context,
)
from fengling_gateway.doctor.finding import Finding, ok, worst_of, wrong
from fengling_gateway.observability.plain import plain

if TYPE_CHECKING:
    from fengling_gateway.settings import GatewaySettings

_STYLES: Final = {"ok": "green", "note": "yellow", "wrong": "bold red"}


class Subjects(NamedTuple):
    """What to look at; None is what nobody names."""

    settings: GatewaySettings | None
    database: str | None
    redis: str | None
    cluster: str
    api: ManagementApi | None
    console: ConsoleApi | None


def subject_options(command: Callable[..., Any]) -> Any:
    """Add what names what there is to look at; the command gets it as ``subjects``."""
    options = (
        click.option(
            "--config",
            type=click.Path(path_type=Path, dir_okay=False, exists=True),
            help="The settings of the gateway of this host: its database, its Redis, its files.",
        ),
        click.option("--database", metavar="URL", help=f"Without --config. {DATABASE_HELP}"),
        click.option("--redis", metavar="URL", help="Without --config; else FENGLING_REDIS__URL."),
        click.option("--cluster", help="Whose keys in Redis, without --config; else default."),
        click.option(
            "--management",
            metavar="URL",
            help="The management API of a gateway; else FENGLING_MANAGEMENT or the context; "
            "without them no gateway is asked.",
        ),
        click.option(
            "--console",
            metavar="URL",
            help="A console; else FENGLING_CONSOLE or the context; without them none is asked.",
        ),
        click.option(
            "--token-file",
            type=click.Path(path_type=Path, dir_okay=False),
            help="A file with the token; else FENGLING_TOKEN, FENGLING_TOKEN_FILE or the context.",
        ),
        context_option,
    )
    return collect(command, options, "subjects", _subjects)


def _subjects(  # noqa: PLR0913 - one option each
    *,
    config: Path | None,
    database: str | None,
    redis: str | None,
    cluster: str | None,
    management: str | None,
    console: str | None,
    token_file: Path | None,
    context: str | None,
) -> Subjects:
    if config is not None and (database or redis or cluster):
        raise click.UsageError("--config names database, Redis and cluster")
    chosen = read_context(context, os.environ)
    url = management or os.environ.get("FENGLING_MANAGEMENT") or chosen.get("management")
    api = None if url is None else management_api(url, token_file, chosen)
    named = console or console_named(chosen)
    asked = None if named is None else console_api(named, token_file, chosen)
    if config is not None:
        settings = read_settings(config)
        of_database = settings.database.url if settings.source == "database" else None
        return Subjects(settings, of_database, settings.redis.url, settings.cluster, api, asked)
    found = Subjects(
        None,
        database or database_named(os.environ) or chosen.get("database"),
        redis or os.environ.get("FENGLING_REDIS__URL"),
        cluster or os.environ.get("FENGLING_CLUSTER") or "default",
        api,
        asked,
    )
    if not (found.database or found.redis or found.api or found.console):
        raise CommandError(
            "nothing to look at: use --config, --database, --redis, --management or --console"
        )
    return found


@click.command("doctor", short_help="Look for what is wrong, and say what to do about it.")
@subject_options
@output_option
def doctor_command(subjects: Subjects, output: str) -> None:
    """
    Look at the database, Redis, a gateway, a console and this host, as far as they are named, and say what is
    wrong and what to do about it.

    Nothing is changed. A notification and a message are sent, to see whether they arrive; gateways
    find nothing new by them. Exit status 1 if anything is wrong; notes don't count.
    """
    if output == "table":
        found = []
        for one in findings(subjects):
            _print(one)
            found.append(one)
        click.echo(_summary(found))
    else:
        found = list(findings(subjects))
        print_value(as_document(found), output)
    if worst_of(found) == "wrong":
        answer_no()


def findings(subjects: Subjects) -> Iterator[Finding]:
    """Yield all that there is to say, each as soon as it is known."""
    settings = subjects.settings
    if subjects.database is not None:
        from fengling_gateway.doctor.database import database  # brings the driver

        listen_url = None if settings is None else settings.database.listen_url
        yield from database(subjects.database, listen_url, of_gateway=settings is not None)
    if subjects.redis is not None:
        from fengling_gateway.doctor.redis import redis

        yield from redis(subjects.redis, subjects.cluster, _keyring(settings))
    if subjects.api is not None:
        yield from _gateway(subjects.api)
    if subjects.console is not None:
        yield from _console(subjects.console)
    from fengling_gateway.doctor.host import host

    yield from host(settings)


def as_document(found: list[Finding]) -> dict[str, Any]:
    """Return findings for programs."""
    return {"state": worst_of(found), "findings": [one.values() for one in found]}


def _keyring(settings: GatewaySettings | None) -> Any:
    if settings is None or not settings.sync.keys:
        return None
    from fengling_gateway.syncbus.signing import Keyring

    return Keyring(settings.sync.keys, cluster=settings.cluster)


def _gateway(api: ManagementApi) -> Iterator[Finding]:
    from fengling_gateway.doctor.gateway import gateway

    before = time.time()
    try:
        status = api.get("status")
        after = time.time()
        fleet = api.get("workers")
    except CommandError as error:
        yield _not_asked(error)
        return
    yield from gateway(status, fleet, before=before, after=after)


def _console(api: ConsoleApi) -> Iterator[Finding]:
    from fengling_gateway.doctor.kubernetes import kubernetes

    try:
        told = api.get("kubernetes")
        pending = list(api.all("kubernetes/services", state="pending"))
    except CommandError as error:
        yield _not_asked(error, option="--console")
        return
    yield ok("console.reach", f"a console answers at {api.url}")
    now = time.time()
    waiting = [(f"{one['namespace']}/{one['name']}", _age(one["seen_at"], now)) for one in pending]
    yield from kubernetes(told, waiting)


def _age(at: str | None, now: float) -> float:
    return 0.0 if at is None else now - datetime.fromisoformat(at).timestamp()


def _not_asked(error: CommandError, *, option: str = "--management") -> Finding:
    """Say why a gateway or a console could not be asked; what else there is to look at is looked at."""
    about = "console.reach" if option == "--console" else "gateway.reach"
    cure = f"see that it runs, and that {option} names it"
    if isinstance(error, RefusedError):
        cure = "see its log"
        if error.status < 500:
            cure = "`fenglingctl token create` makes a token for it"
    elif not isinstance(error, AwayError):
        said, _, rest = error.message.partition("; ")
        return wrong(about, said, rest or f"put {option} and --token-file right")
    return wrong(about, error.message, cure)


def _print(one: Finding) -> None:
    out = console()
    state = Text(f"{one.state:<6}", style=_STYLES[one.state])
    out.print(state + Text(f"{one.about:<24} ", style="bold") + Text(plain(one.said)))
    if one.cure:
        out.print(Text(f"{'':<31}→ {plain(one.cure)}", style="dim"))


def _summary(found: list[Finding]) -> str:
    counts = {state: sum(one.state == state for one in found) for state in ("wrong", "note")}
    if not counts["wrong"]:
        more = f", {counts['note']} to note" if counts["note"] else ""
        return f"\nnothing is wrong, of {len(found)} things looked at{more}"
    return f"\n{counts['wrong']} wrong, {counts['note']} to note, of {len(found)} things looked at"
