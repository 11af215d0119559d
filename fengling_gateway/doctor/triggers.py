"""The triggers by which every change of configuration is recorded: all there, and enabled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from fengling_gateway.doctor.finding import Finding, ok, wrong
from fengling_gateway.model.entity import KINDS

_OF_EACH: Final = (
    *("stamp", "same_id", "record_insert", "record_update", "record_delete"),
    *("record_truncate", "record_truncated"),
)
_OTHERS: Final = (
    ("txn", "make_revision"),
    ("revision", "refuse_held_secret"),
    ("retention", "end_round"),
    ("instance_health", "right_term"),
    ("issuer", "refuse_same_iss"),
    ("management_token", "stay_revoked"),
    ("management_token", "stay_revoked_all"),
)
EXPECTED: Final = frozenset({(kind, name) for kind in KINDS for name in _OF_EACH} | {*_OTHERS})
"""(table, trigger) of the schema that this version wants. More than these may be there."""

_FOUND: Final = """
SELECT c.relname, t.tgname, t.tgenabled::text
FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
WHERE c.relnamespace = 'fengling'::regnamespace AND NOT t.tgisinternal
"""
_FIRES: Final = ("O", "A")
_NAMED: Final = 3

Ask = Callable[..., list[tuple[Any, ...]]]


def triggers(ask: Ask, connection: Any) -> Iterator[Finding]:
    """Yield whether changes are recorded, in a database whose schema fits."""
    found = {(table, name): enabled for table, name, enabled in ask(connection, _FOUND)}
    yield judge(found)
    [[role]] = ask(connection, "SELECT current_setting('session_replication_role')")
    if role == "replica":
        yield wrong(
            "database.recording",
            "session_replication_role is replica here: what such sessions write is not recorded",
            "ALTER DATABASE or ALTER ROLE … RESET session_replication_role",
        )


def judge(found: dict[tuple[str, str], str]) -> Finding:
    """
    Return what is to say of the triggers that there are.

    Args:
        found: by table and name, when they fire, as ``pg_trigger.tgenabled`` has it.
    """
    missing = sorted(EXPECTED - found.keys())
    if missing:
        return wrong(
            "database.triggers",
            f"missing: {_named(missing)}; such changes are seen only by the slow comparison, or never",
            "write the configuration into a new database: `fenglingctl export`, `db upgrade`, `apply`",
        )
    off = sorted(one for one in EXPECTED if found[one] not in _FIRES)
    if off:
        table, name = off[0]
        return wrong(
            "database.triggers",
            f"switched off: {_named(off)}; such changes are seen only by the slow comparison, or never",
            f"ALTER TABLE fengling.{table} ENABLE TRIGGER {name}"
            + ("; and so for the others" if len(off) > 1 else ""),
        )
    return ok("database.triggers", f"all {len(EXPECTED)} triggers are there and enabled")


def _named(some: list[tuple[str, str]]) -> str:
    shown = ", ".join(f"{name} on {table}" for table, name in some[:_NAMED])
    return shown if len(some) <= _NAMED else f"{shown} and {len(some) - _NAMED} more"
