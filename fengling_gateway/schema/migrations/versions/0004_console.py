"""What a console keeps: who probes, which sessions have ended, how history is read."""

from __future__ import annotations

from alembic import context

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run_sql = context.config.attributes["run_sql"]
    for name in ("health", "signin", "history", "ejection"):
        run_sql(f"{revision}/{name}.sql")
