"""Judging what a Kubernetes cluster has no more where nobody can commit in between."""

from __future__ import annotations

from alembic import context

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    context.config.attributes["run_sql"](f"{revision}/losses.sql")
