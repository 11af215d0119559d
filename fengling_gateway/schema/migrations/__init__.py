"""Run by alembic; nothing to import."""
