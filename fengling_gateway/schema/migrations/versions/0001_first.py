"""Tables, the log of changes, and the triggers that write it."""

from __future__ import annotations

from alembic import context

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_sql = context.config.attributes["run_sql"]
    for name in (
        "refusals",
        "tables",
        "log",
        "recording",
        "commit",
        "functions",
        "pruning",
        "undo",
        "views",
    ):
        run_sql(f"{revision}/{name}.sql")
