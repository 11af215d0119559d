"""What the database knows of management tokens: ``fenglingctl token list`` and ``revoke``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from typing import Any

import click

from fengling_gateway.auth.compact import TokenError
from fengling_gateway.auth.operators import ALLOWS, ROLES
from fengling_gateway.auth.tokens import unverified_claims
from fengling_gateway.cli import database
from fengling_gateway.cli.configuration import signature_options
from fengling_gateway.cli.errors import CommandError, answer_no, note
from fengling_gateway.cli.output import output_option, print_table, print_value
from fengling_gateway.cli.rewriting import Rows, rewrite, say
from fengling_gateway.cli.target import database_option
from fengling_gateway.editing import transaction
from fengling_gateway.editing.changes import Planned
from fengling_gateway.editing.rows import read_rows, snapshot
from fengling_gateway.model.entity import Key
from fengling_gateway.model.names import is_slug
from fengling_gateway.model.times import moment
from fengling_gateway.model.validation import Accepted, validate

KIND = "management_token"


def register(dsn: str, token_id: str, fields: Mapping[str, Any]) -> None:
    """
    Write down that a token is made.

    Raises:
        CommandError: it is not; then nobody should get the token.
    """
    made = Planned(Key(KIND, token_id), "create", (), {"id": token_id, **fields})
    committed, _ = rewrite(dsn, KIND, lambda _: [made], transaction.Signature())
    if committed.held:
        note(f"fenglingctl: {committed.held}")


@click.command("list", short_help="List the tokens that are registered.")
@database_option
@output_option
def list_command(dsn: str, output: str) -> None:
    """
    List the tokens that the database knows.

    What a gateway knows of them, also from a file, is shown by `fenglingctl get tokens`.
    """
    with database.connected(dsn) as connection, snapshot(connection):
        rows = read_rows(connection, (KIND,))
    tokens = [_body(key, row) for key, row in sorted(rows.items())]
    if output != "table":
        print_value(tokens, output)
        return
    now = time.time()
    print_table(
        ("ID", "NAME", "SUBJECT", "ROLE", "TENANTS", "EXPIRES", "STATE"),
        [
            (
                one["id"],
                one["name"],
                one["subject"],
                role(one["scopes"]),
                one["tenants"] or "all",
                None if one["expires_at"] is None else moment(one["expires_at"]),
                state(one, now),
            )
            for one in tokens
        ],
        empty="no tokens are registered",
    )


def _body(key: Key, row: dict[str, Any]) -> dict[str, Any]:
    verdict = validate(key, row)
    if not isinstance(verdict, Accepted):
        raise CommandError(f"{key}: {verdict.problems[0]}")
    return {**json.loads(verdict.body), "created_at": row.get("created_at")}


def role(scopes: list[str] | None) -> str | None:
    """Return the most that scopes amount to, by its name."""
    if scopes is None:
        return None
    allowed = frozenset[str]().union(*(ALLOWS[one] for one in scopes))
    return next(name for name, scope in reversed(ROLES.items()) if scope in allowed)


def state(token: Mapping[str, Any], now: float) -> str:
    """Say whether a token is good, as far as what is kept of it tells."""
    if token["revoked_at"] is not None:
        return f"revoked {moment(token['revoked_at'])}"
    ends = token["expires_at"]
    return "expired" if ends is not None and ends <= now else "valid"


@click.command("revoke", short_help="Have a token refused from now on.")
@click.argument("token", metavar="ID")
@database_option
@signature_options
def revoke_command(token: str, dsn: str, signature: transaction.Signature) -> None:
    """
    Have every gateway refuse a token from now on. It can't be taken back.

    ID is the token's, as `list` and the audit trail have it; - reads the token itself from stdin.
    It need not be registered. A gateway without a database finds it in its file:
    management_tokens: {ID: {revoked_at: 2026-11-22T08:00:00Z}}.
    """
    token_id, ends = _named(sys.stdin.read().strip() if token == "-" else token)  # noqa: S105
    now = time.time()
    key = Key(KIND, token_id)

    def plan(rows: Rows) -> list[Planned]:
        row = rows.get(key)
        if row is None:
            facts = {"revoked_at": now, "expires_at": ends}
            return [Planned(key, "create", (), {"id": token_id, **facts})]
        if row["revoked_at"] is not None:
            return []
        return [Planned(key, "update", (), {"revoked_at": now}, row["version"])]

    committed, count = rewrite(dsn, KIND, plan, signature)
    if not count:
        note(f"token {token_id} has been revoked before")
        answer_no()
    say((committed, count), f"token {token_id} is revoked")


def _named(text: str) -> tuple[str, float | None]:
    """Return the id of a token, and when it ends if that is known, from either."""
    try:
        claims = unverified_claims(text)["claims"]
    except TokenError:
        if is_slug(text):
            return text, None
        raise click.BadParameter("is no id, and no token", param_hint="ID") from None
    ends = claims.get("exp")
    if not is_slug(claims.get("jti")):
        raise click.BadParameter("is a token without an id", param_hint="ID")
    return claims["jti"], float(ends) if type(ends) is int and 0 <= ends < 2**33 else None
