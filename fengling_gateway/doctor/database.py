"""The database: whether it can be reached, and is as a gateway needs it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import psycopg2
from psycopg2 import errors

from fengling_gateway.doctor.clocks import clock
from fengling_gateway.doctor.finding import Finding, note, ok, wrong
from fengling_gateway.doctor.listening import listening
from fengling_gateway.doctor.triggers import triggers
from fengling_gateway.model.entity import KINDS
from fengling_gateway.schema.dsn import without_secrets
from fengling_gateway.schema.timed import TimedConnection, connect_timed
from fengling_gateway.schema.version import MIN_SERVER, one_line, status_of

STEP_SECONDS: Final = 10.0
"""For each question. All are of the catalogue, or of a row."""

FULL_QUEUE: Final = 0.5
"""Of PostgreSQL's room for notifications (8 GB); when it is full, no COMMIT that notifies succeeds."""

PREPARED_SECONDS: Final = 60.0
"""Two-phase commits take less; one that nobody ends keeps its locks for ever."""

_APPLICATION: Final = "fenglingctl doctor"
_TABLES: Final = (*KINDS, "revision", "revision_change", "head", "retention", "prober")
_FUNCTIONS: Final = (
    *("epoch()", "confirm(bigint, text)", "prune_step()", "reload(text)", "fingerprint(text)"),
)

_RIGHTS: Final = """
SELECT 'SELECT on ' || t FROM unnest(%(tables)s::text[]) AS t
WHERE to_regclass('fengling.' || t) IS NOT NULL
  AND NOT has_table_privilege(to_regclass('fengling.' || t), 'SELECT')
UNION ALL
SELECT 'EXECUTE on ' || f FROM unnest(%(functions)s::text[]) AS f
WHERE to_regprocedure('fengling.' || f) IS NOT NULL
  AND NOT has_function_privilege(to_regprocedure('fengling.' || f), 'EXECUTE')
"""
_MORE: Final = """
SELECT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
       has_table_privilege('fengling.route', 'INSERT, UPDATE, DELETE')
"""
_PREPARED: Final = """
SELECT gid, extract(epoch FROM clock_timestamp() - prepared)::float8, owner
FROM pg_prepared_xacts
WHERE database = current_database() AND prepared < clock_timestamp() - %(age)s * interval '1 s'
ORDER BY prepared LIMIT 1
"""


def database(url: str, listen_url: str | None, *, of_gateway: bool) -> Iterator[Finding]:
    """
    Yield what there is to say of a database.

    Args:
        url: of the configuration.
        listen_url: where LISTEN goes elsewhere.
        of_gateway: whether they are those of a gateway's settings, whose role is to have few rights.
    """
    where = without_secrets(url)
    try:
        connection = connect_timed(url, _APPLICATION)
    except psycopg2.Error as error:
        yield wrong("database.reach", f"{where}: {one_line(error)}", _cure(error))
        return
    try:
        connection.step_seconds = STEP_SECONDS
        connection.autocommit = True
        _execute(connection, "SET search_path = pg_catalog, pg_temp")
        yield from _questions(connection, where, of_gateway)
    except psycopg2.Error as error:
        yield wrong(
            "database.reach",
            f"{where} answers, and then fails: {one_line(error)}",
            "see the database's own log at this time",
        )
        return
    finally:
        connection.close()
    yield from listening(listen_url or url, is_own=listen_url is not None)


def _questions(connection: TimedConnection, where: str, of_gateway: bool) -> Iterator[Finding]:
    version = connection.info.parameter_status("server_version")
    yield ok("database.reach", f"{where} answers (PostgreSQL {version})")
    if connection.server_version < MIN_SERVER:
        oldest = MIN_SERVER // 10_000
        yield wrong(
            "database.version",
            f"PostgreSQL {version} is older than {oldest}",
            f"upgrade it to PostgreSQL {oldest} or newer",
        )
    yield _clock(connection)
    yield _writable(connection)
    yield _queue(connection)
    yield _prepared(connection)
    schema = _schema(connection)
    yield schema
    if schema.state != "wrong":
        yield _rights(connection, of_gateway)
        yield from triggers(_execute, connection)


def _schema(connection: TimedConnection) -> Finding:
    try:
        found = status_of(connection)
    except errors.InsufficientPrivilege as error:
        return wrong(
            "database.schema",
            f"its version can't be read: {one_line(error)}",
            "GRANT fengling_gateway TO the role of the URL; `fenglingctl db upgrade` renews grants",
        )
    said = found.describe()
    if found.usable:
        return ok("database.schema", said)
    said, _, cure = said.partition("; ")
    return wrong("database.schema", said, cure)


def _rights(connection: TimedConnection, of_gateway: bool) -> Finding:
    [[user]] = _execute(connection, "SELECT current_user")
    missing = _execute(connection, _RIGHTS, tables=list(_TABLES), functions=list(_FUNCTIONS))
    if missing:
        named = ", ".join(one for (one,) in missing[:3]) + (", …" if len(missing) > 3 else "")
        return wrong(
            "database.rights",
            f"role {user} lacks {named}",
            f"GRANT fengling_gateway TO {user}; if it has that: `fenglingctl db upgrade` renews grants",
        )
    [[is_super, may_write]] = _execute(connection, _MORE)
    if of_gateway and (is_super or may_write):
        what = "is a superuser" if is_super else "may write configuration"
        return note(
            "database.rights",
            f"role {user} {what}: more than a gateway needs",
            "give the gateway a role of its own with nothing but fengling_gateway",
        )
    return ok("database.rights", f"role {user} may read what a gateway reads")


def _clock(connection: TimedConnection) -> Finding:
    before = time.time()
    [[theirs]] = _execute(connection, "SELECT extract(epoch FROM clock_timestamp())::float8")
    return clock("database", theirs, before=before, after=time.time())


def _writable(connection: TimedConnection) -> Finding:
    [[recovers, read_only]] = _execute(
        connection,
        "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')::bool",
    )
    if recovers:
        return wrong(
            "database.writable",
            "it is a standby, which takes no LISTEN and no confirmation, and is behind",
            "name the primary, or several hosts with target_session_attrs=read-write",
        )
    if read_only:
        return note(
            "database.writable",
            "transactions are read-only by default: nothing is confirmed or pruned by a gateway",
            "ALTER DATABASE or ALTER ROLE … RESET default_transaction_read_only, if that is not meant",
        )
    return ok("database.writable", "it is a primary, and takes writes")


def _queue(connection: TimedConnection) -> Finding:
    [[full]] = _execute(connection, "SELECT pg_notification_queue_usage()")
    if full >= FULL_QUEUE:
        return wrong(
            "database.queue",
            f"its queue of notifications is {full:.0%} full: some session listens and never ends "
            "its transaction",
            "its log names the process; end it with pg_terminate_backend",
        )
    return ok("database.queue", "its queue of notifications has room")


def _prepared(connection: TimedConnection) -> Finding:
    found = _execute(connection, _PREPARED, age=PREPARED_SECONDS)
    if not found:
        return ok("database.prepared", "no transaction stays prepared")
    [[gid, age, owner]] = found
    return wrong(
        "database.prepared",
        f"a transaction of {owner} is prepared since {age:.0f} s, and may keep every other writer "
        "waiting",
        f"COMMIT PREPARED or ROLLBACK PREPARED '{gid}', whichever its owner says",
    )


def _execute(connection: TimedConnection, sql: str, **arguments: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments or None)
        return [] if cursor.description is None else cursor.fetchall()


def _cure(error: psycopg2.Error) -> str:
    said = str(error)
    if "password" in said or "authentication" in said or "pg_hba" in said:
        return "put the URL's user and password right, or pg_hba.conf on the server"
    if "does not exist" in said:
        return "create it, or name another in the URL; then `fenglingctl db upgrade`"
    if "certificate" in said or "SSL" in said:
        return "see sslmode and sslrootcert in the URL (docs/database.md)"
    if "too many" in said or "remaining connection slots" in said:
        return "raise max_connections, or end who holds them (pg_stat_activity)"
    return "see that it runs, and that host and port in the URL are its own and let through"
