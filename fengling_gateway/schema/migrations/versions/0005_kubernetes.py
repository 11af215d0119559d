"""What is known of a Kubernetes cluster, and what has been decided of its services."""

from __future__ import annotations

from alembic import context

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run_sql = context.config.attributes["run_sql"]
    run_sql(f"{revision}/kubernetes.sql")
