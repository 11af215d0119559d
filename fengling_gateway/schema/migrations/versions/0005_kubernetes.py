"""What is known of a Kubernetes cluster, what has been decided of its services, and what its routes say."""

from __future__ import annotations

from alembic import context

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run_sql = context.config.attributes["run_sql"]
    for name in ("kubernetes", "routes"):
        run_sql(f"{revision}/{name}.sql")
