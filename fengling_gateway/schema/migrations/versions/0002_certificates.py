"""Certificates and secrets, and the TLS of services."""

from __future__ import annotations

from alembic import context

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run_sql = context.config.attributes["run_sql"]
    for name in ("refusals", "tables", "recording", "commit", "undo"):
        run_sql(f"{revision}/{name}.sql")
