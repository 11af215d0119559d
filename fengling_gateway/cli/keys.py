"""``fenglingctl key``: API keys, shown once to whoever makes them and kept as digests."""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import click

from fengling_gateway.cli import database
from fengling_gateway.cli.configuration import signature_options
from fengling_gateway.cli.errors import CommandError, answer_no, note
from fengling_gateway.cli.options import collect
from fengling_gateway.cli.output import output_option, print_table, print_value
from fengling_gateway.cli.rewriting import Rows, rewrite
from fengling_gateway.cli.target import context_option, database_option, named_database
from fengling_gateway.editing import transaction
from fengling_gateway.editing.changes import Planned
from fengling_gateway.editing.documents import write_document
from fengling_gateway.editing.rows import read_rows, snapshot
from fengling_gateway.model.clients import fingerprint, make_key
from fengling_gateway.model.entity import Key
from fengling_gateway.model.names import is_slug
from fengling_gateway.model.times import moment, parse_duration
from fengling_gateway.model.validation import Accepted, Rejected, validate

NEVER: Final = "never"
_LONGEST_SECONDS: Final = 100 * 366 * 86400.0


class _NewClient(NamedTuple):
    """The client to make along with its first key."""

    wanted: bool
    tenant: str | None
    roles: tuple[str, ...]
    scopes: tuple[str, ...]

    def fields(self) -> dict[str, Any]:
        roles, scopes = sorted(set(self.roles)), sorted(set(self.scopes))
        return {"tenant_id": self.tenant, "roles": roles, "scopes": scopes}


class _Wish(NamedTuple):
    """The key that is asked for."""

    id: str
    client: str
    name: str
    expires_at: float | None


def _new_client(
    new_client: bool, tenant: str | None, roles: tuple[str, ...], scopes: tuple[str, ...]
) -> _NewClient:
    if not new_client and (tenant or roles or scopes):
        raise click.UsageError(
            "--tenant, --role and --scope are of a client that is made: they need --new-client"
        )
    return _NewClient(new_client, tenant, roles, scopes)


def _client_options(command: Callable[..., Any]) -> Any:
    options = (
        click.option("--new-client", is_flag=True, help="Make the client, too."),
        click.option("--tenant", metavar="ID", help="Whose the new client is."),
        click.option(
            "--role", "roles", metavar="ROLE", multiple=True, help="What it is; may be repeated."
        ),
        click.option(
            "--scope", "scopes", metavar="SCOPE", multiple=True, help="What it may do; the same."
        ),
    )
    return collect(command, options, "new_client", _new_client)


def _wish(key_id: str | None, client: str, name: str, lifetime: str) -> _Wish:
    if not is_slug(client):
        raise click.BadParameter(_SLUG, param_hint="--client")
    chosen = key_id or f"{client[:90]}-{secrets.token_hex(3)}"
    if not is_slug(chosen):
        raise click.BadParameter(_SLUG, param_hint="ID")
    return _Wish(chosen, client, name, _end(lifetime))


_SLUG: Final = "has 1 to 100 letters, digits, dots, underscores and dashes"


def _end(lifetime: str) -> float | None:
    if lifetime == NEVER:
        return None
    seconds = parse_duration(lifetime)
    if seconds is None or not 0 < seconds <= _LONGEST_SECONDS:
        raise click.BadParameter("is written like 90d or 12h, or never", param_hint="--for")
    return float(int(time.time() + seconds))


def _wish_options(command: Callable[..., Any]) -> Any:
    options = (
        click.argument("key_id", metavar="[ID]", required=False),
        click.option("--client", metavar="ID", required=True, help="Whose key it is."),
        click.option("--name", default="", help="What people call it."),
        click.option(
            *("--for", "lifetime"),
            default="365d",
            show_default=True,
            help="How long it lets in (90d, 12h, never).",
        ),
    )
    return collect(command, options, "wish", _wish)


def _optional_dsn(yaml: bool, database: str | None, context: str | None) -> str | None:
    if yaml and database is not None:
        raise click.UsageError("use either --yaml or --database")
    return None if yaml else named_database(database, context)


def _place_options(command: Callable[..., Any]) -> Any:
    options = (
        click.option(
            "--yaml", is_flag=True, help="Write nothing; print what to paste into a file instead."
        ),
        click.option(
            "--database",
            metavar="URL",
            help="Where to keep it; else FENGLING_DATABASE or the context.",
        ),
        context_option,
    )
    return collect(command, options, "dsn", _optional_dsn)


@click.group("key", short_help="Make, list and revoke the API keys of programs.")
def key_command() -> None:
    """
    Make, list and revoke API keys: what programs show who they are by.

    A key is fgk_<ID>_<43 characters>, 256 random bits. Its SHA-256 is kept, and nothing else.
    """


@key_command.command(short_help="Make a key and print it, this once.")
@_wish_options
@_client_options
@_place_options
@signature_options
def create(
    wish: _Wish, new_client: _NewClient, dsn: str | None, signature: transaction.Signature
) -> None:
    """
    Make a key and print it: on standard output, alone, and never again.

    It is printed once it is written to the database. With --yaml nothing is written: what a
    gateway's file has to hold goes to standard error. Without ID it is named after its client.
    """
    key, digest = make_key(wish.id, secrets.token_bytes)
    rows = _rows(wish, new_client, digest)
    if dsn is None:
        click.echo(key)
        note(f"# For the configuration file:\n{write_document(rows, full=False)}".rstrip())
        return
    committed, _ = rewrite(
        dsn, "api_key", lambda found: _plan(wish, new_client, rows, found), signature, ("client",)
    )
    click.echo(key)
    until = "for good" if wish.expires_at is None else f"until {moment(wish.expires_at)}"
    note(
        f"revision {committed.revision}: key {wish.id} lets {wish.client} in {until}; "
        "it is not shown again"
    )
    _say_held(dsn, "the key lets nobody in before")


def _rows(wish: _Wish, new_client: _NewClient, digest: str) -> Rows:
    """
    Return the entities to make.

    Raises:
        CommandError: what is asked for is wrong.
    """
    key = {"client_id": wish.client, "digest": digest, "expires_at": wish.expires_at}
    rows: Rows = {Key("api_key", wish.id): {"id": wish.id, "name": wish.name, **key}}
    if new_client.wanted:
        rows[Key("client", wish.client)] = {"id": wish.client, **new_client.fields()}
    for one, row in rows.items():
        verdict = validate(one, row)
        if isinstance(verdict, Rejected):
            raise CommandError("; ".join(str(problem) for problem in verdict.problems))
    return rows


def _plan(
    wish: _Wish, new_client: _NewClient, rows: Mapping[Key, dict[str, Any]], found: Rows
) -> list[Planned]:
    if Key("api_key", wish.id) in found:
        raise CommandError(f"there is a key {wish.id} already; its id can't be used again")
    client = found.get(Key("client", wish.client))
    if client is None and not new_client.wanted:
        raise CommandError(f"there is no client {wish.client}; --new-client makes it")
    if client is not None and new_client.wanted:
        raise CommandError(f"there is a client {wish.client} already: leave out --new-client")
    if client is not None and client.get("enabled") is not True:
        note(f"client {wish.client} is disabled: none of its keys lets in")
    return [Planned(key, "create", (), row) for key, row in sorted(rows.items(), reverse=True)]


def _say_held(dsn: str, what: str) -> None:
    """Say that a revision has to wait; it ends the command with status 1."""
    with database.connected(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT held FROM fengling.status")
        [(held,)] = cursor.fetchall()
    if held:
        note(f"fenglingctl: held: {held}; {what}")
        answer_no()


@key_command.command("list", short_help="List the keys that there are.")
@click.option("--client", metavar="ID", help="Only those of one client.")
@database_option
@output_option
def list_command(client: str | None, dsn: str, output: str) -> None:
    """
    List the keys in the database: whose they are, and whether they let in.

    The fingerprint is the beginning of a key's SHA-256: printf %s "$KEY" | sha256sum
    """
    with database.connected(dsn) as connection, snapshot(connection):
        rows = read_rows(connection, ("client", "api_key"))
    now = time.time()
    keys = [
        _shown(key, row, rows, now)
        for key, row in sorted(rows.items())
        if key.kind == "api_key" and client in (None, row.get("client_id"))
    ]
    if output != "table":
        print_value(keys, output)
        return
    print_table(
        ("ID", "NAME", "CLIENT", "FINGERPRINT", "EXPIRES", "STATE"),
        [
            (
                *(one[name] for name in ("id", "name", "client_id", "fingerprint")),
                None if one["expires_at"] is None else moment(one["expires_at"]),
                one["state"],
            )
            for one in keys
        ],
        empty="no keys",
    )


def _shown(key: Key, row: Mapping[str, Any], rows: Rows, now: float) -> dict[str, Any]:
    """Return a key as anybody may see it."""
    verdict = validate(key, dict(row))
    if not isinstance(verdict, Accepted):
        names = ("name", "client_id", "expires_at", "fingerprint")
        return {"id": key.id, **dict.fromkeys(names), "state": "rejected"}
    body: dict[str, Any] = json.loads(verdict.body)
    body["fingerprint"] = fingerprint(body.pop("digest"))
    return body | {"state": _state(body, rows.get(Key("client", body["client_id"]), {}), now)}


def _state(key: Mapping[str, Any], client: Mapping[str, Any], now: float) -> str:
    if not key["enabled"]:
        return "revoked"
    if key["expires_at"] is not None and key["expires_at"] <= now:
        return "expired"
    return "lets in" if client.get("enabled") is True else "client disabled"


@key_command.command(short_help="Have a key refused from now on.")
@click.argument("key_ids", metavar="ID...", nargs=-1, required=True)
@database_option
@signature_options
def revoke(key_ids: tuple[str, ...], dsn: str, signature: transaction.Signature) -> None:
    """
    Have every gateway refuse keys from now on: all of them, or none if one is not there.

    ID is that of a key; - reads keys or ids from standard input. In a gateway's file it is
    enabled: false, or the entity goes.
    """
    wanted = dict.fromkeys(_named(" ".join(key_ids if key_ids != ("-",) else (sys.stdin.read(),))))

    def plan(rows: Rows) -> list[Planned]:
        if unknown := [name for name in wanted if Key("api_key", name) not in rows]:
            raise CommandError(f"nothing is revoked: there is no key {', '.join(unknown)}")
        found = {name: rows[Key("api_key", name)] for name in wanted}
        return [
            Planned(Key("api_key", name), "update", (), {"enabled": False}, row["version"])
            for name, row in found.items()
            if row.get("enabled") is not False
        ]

    committed, count = rewrite(dsn, "api_key", plan, signature)
    if committed.revision is None:
        click.echo("nothing to change: revoked before")
    else:
        kept = f", {len(wanted) - count} had been before" if count < len(wanted) else ""
        click.echo(f"revision {committed.revision}: {count} revoked{kept}")
    _say_held(dsn, "what is revoked still lets in until then")


def _named(text: str) -> list[str]:
    """Return the ids that a text names; whoever has found a key need not take it apart."""
    return [
        word[4:-44] if word.startswith("fgk_") and len(word) > 48 else word for word in text.split()
    ]
