"""Issuers of tokens, clients and their API keys, tokens for the management API."""

from __future__ import annotations

from alembic import context

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run_sql = context.config.attributes["run_sql"]
    for name in ("refusals", "tables", "recording", "commit", "undo"):
        run_sql(f"{revision}/{name}.sql")
