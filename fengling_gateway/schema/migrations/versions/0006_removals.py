"""Confirming that many routes go which a Kubernetes cluster has no more."""

from __future__ import annotations

from alembic import context

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    context.config.attributes["run_sql"](f"{revision}/removals.sql")
