"""
The database schema: its migrations, and the check that code and schema fit.

The SQL is under ``migrations/sql``. Code of version N (`WANTED`) runs on
schema N and N + 1, so that gateways can be replaced one by one after the
database has been upgraded.
"""

from __future__ import annotations

from fengling_gateway.schema.version import (
    WANTED,
    SchemaError,
    SchemaStatus,
    Upgraded,
    check,
    status,
)

__all__ = ["WANTED", "SchemaError", "SchemaStatus", "Upgraded", "check", "status", "upgrade"]


def upgrade(dsn: str, *, lock_timeout_seconds: float = 10.0) -> Upgraded:
    """
    Bring a database to schema `WANTED`; blocks. See `fengling_gateway.schema.migrate.upgrade`.

    Imports alembic and SQLAlchemy only now: a gateway never needs them.
    """
    from fengling_gateway.schema import migrate

    return migrate.upgrade(dsn, lock_timeout_seconds=lock_timeout_seconds)
