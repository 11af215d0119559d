"""What alembic runs for every command: our own SQL around the migrations."""

from __future__ import annotations

from pathlib import Path

from alembic import context

SQL = Path(__file__).with_name("sql")


def run_sql(name: str) -> None:
    """Hand SQL over as it is: alembic's own way would take every ``:name`` for a parameter."""
    migration = context.get_context()
    sql = (SQL / name).read_text(encoding="utf-8")
    if migration.as_sql:
        migration.impl.static_output(sql)
        return
    assert migration.connection is not None  # only scripts have none
    cursor = migration.connection.connection.cursor()
    cursor.execute(sql)
    cursor.close()


def run() -> None:
    connection = context.config.attributes.get("connection")
    context.configure(
        connection=connection,
        dialect_name="postgresql",
        version_table="schema_version",
        version_table_schema="fengling",
    )
    context.config.attributes["run_sql"] = run_sql
    with context.begin_transaction():
        run_sql("prepare.sql")
        context.run_migrations()
        run_sql("grants.sql")


run()
