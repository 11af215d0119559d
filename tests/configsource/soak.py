"""Writers who do at random whatever SQL lets them, for tests of what gateways make of it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any, Final

import psycopg2

from tests.schema.session import Session

_IDS: Final = [f"e{number}" for number in range(8)]
_TEXTS: Final = ["", "风铃", "a'b", 'q"x', "a\\b", "\u2028", "é" * 30, "NULL", "{}"]
_TIMES: Final = ["now()", "'2026-01-01 00:00:00.123457+02'", "'infinity'", "'-infinity'", "NULL"]
_PATHS: Final = ["/{0}", "/{0}/{{id}}", "/{0}/**", "~^/a+$", "~("]  # the last one is rejected

_SESSION: Final = {
    "intervalstyle": ["postgres", "sql_standard", "iso_8601"],
    "timezone": ["UTC", "Asia/Shanghai", "America/St_Johns"],
    "datestyle": ["ISO, MDY", "German", "SQL, DMY"],
}
_LEVELS: Final = ["READ COMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]

_HELD: Final = """SELECT id FROM fengling.revision WHERE held AND NOT forced
    AND id > (SELECT baseline_revision FROM fengling.head)"""
_BREAK: Final = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'fengling-gateway' AND datname = current_database()"""


def write(dsn: str, seed: str, transactions: int) -> None:
    """Commit or fail, again and again; also confirm, notify, and break gateways' connections."""
    rng = random.Random(seed)
    session = Session(dsn)
    session.run("SET deadlock_timeout = '20 ms'", "SET lock_timeout = '3 s'")
    session.run(*(f"SET {name} = '{rng.choice(some)}'" for name, some in _SESSION.items()))
    for _ in range(transactions):
        try:
            _do_something(session, rng)
        except psycopg2.Error:
            session.run("ROLLBACK")
    session.close()


def _do_something(session: Session, rng: random.Random) -> None:
    dice = rng.random()
    if dice < 0.08:
        for (revision,) in session.rows(_HELD)[:1]:
            session.run(f"SELECT fengling.confirm({revision})")
    elif dice < 0.10:
        session.run(_BREAK)
    elif dice < 0.12:
        session.run("NOTIFY gateway_config_changed, 'x'")
    else:
        session.run(f"BEGIN ISOLATION LEVEL {rng.choice(_LEVELS)}")
        if rng.random() < 0.15:
            session.run("SET LOCAL fengling.force = on")
        for _ in range(rng.randrange(1, 7)):
            session.run(a_statement(rng))
        session.run(rng.choice(["COMMIT"] * 6 + ["ROLLBACK"]))


def a_statement(rng: random.Random) -> str:
    makers = [_service, _route, _route, _instance, _health, _setting, _split, _less, _less, _more]
    return rng.choice(makers)(rng)


def _upsert(table: str, key: str, columns: dict[str, str]) -> str:
    names = list(columns)
    changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in names if name != key)
    return (
        f"INSERT INTO fengling.{table} ({', '.join(names)}) VALUES ({', '.join(columns.values())})"
        f" ON CONFLICT ({key}) DO UPDATE SET {changes}"
    )


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _json(value: Any) -> str:
    return _text(json.dumps(value))


def _id(rng: random.Random) -> str:
    return _text(rng.choice(_IDS))


def _service(rng: random.Random) -> str:
    labels = {"n": rng.randrange(9), "d": {"x": [1, 1.0, None, "ü"]}}
    columns = {
        "id": _id(rng),
        "name": _text(rng.choice(_TEXTS)),
        "labels": _json(labels),
        "connect_timeout": f"'{rng.randrange(1, 9**6)} us'",
        "affinity": rng.choice(["NULL", "NULL", "NULL", "'{}'"]),  # of which {} is rejected
    }
    return _upsert("service", "id", columns)


def _route(rng: random.Random) -> str:
    columns = {
        "id": _id(rng),
        "path": _text(rng.choice(_PATHS).format(rng.randrange(9))),
        "service_id": _id(rng),
        "enabled": rng.choice(["true", "true", "false"]),
        "valid_from": rng.choice(_TIMES),
        "split": "NULL",
        "respond": "NULL",
    }
    return _upsert("route", "id", columns)


def _instance(rng: random.Random) -> str:
    scheme = rng.choice(["http", "http", "https"])  # of which the last is rejected
    address = _text(f"{scheme}://h{rng.randrange(20)}:80")
    return _upsert("instance", "id", {"id": _id(rng), "service_id": _id(rng), "address": address})


def _health(rng: random.Random) -> str:
    reason = _text(rng.choice(_TEXTS) * rng.choice([1, 1, 60]))  # of which the longest is rejected
    health = rng.choice(["'healthy'", "'unhealthy'"])
    columns = {"instance_id": _id(rng), "health": health, "reason": reason}
    return _upsert("instance_health", "instance_id", columns)


def _setting(rng: random.Random) -> str:
    defaults = rng.choice([{}, {"retry": {"bogus": 1}}, {"x-a": [1, 1.0, 1e300]}])
    key, value = rng.choice(
        [("hold", {"max_removed_share": rng.choice([0.1, 0.5, 1, "x"])}), ("defaults", defaults)]
    )
    return _upsert("setting", "key", {"key": _text(key), "value": _json(value)})


def _split(rng: random.Random) -> str:
    split = _json({rng.choice(_IDS): 1, rng.choice(_IDS): rng.randrange(9)})
    return (
        f"UPDATE fengling.route SET service_id = NULL, respond = NULL, split = {split}"
        f" WHERE id = {_id(rng)}"
    )


def _less(rng: random.Random) -> str:
    one = rng.choice(_IDS)
    service = (
        f"DELETE FROM fengling.route WHERE service_id = '{one}' OR split ? '{one}';"
        f" DELETE FROM fengling.instance WHERE service_id = '{one}';"
        f" DELETE FROM fengling.service WHERE id = '{one}'"
    )
    return rng.choice(
        [
            f"DELETE FROM fengling.route WHERE id = '{one}'",
            f"DELETE FROM fengling.instance WHERE id = '{one}'",
            service,
            "DELETE FROM fengling.route WHERE id > 'e2'",
            "UPDATE fengling.route SET enabled = false",
            "TRUNCATE fengling.route",
        ]
    )


def _more(rng: random.Random) -> str:
    one, other = _id(rng), _id(rng)
    some: list[Callable[[], str]] = [
        lambda: "SET CONSTRAINTS ALL IMMEDIATE",
        lambda: "SAVEPOINT s",
        lambda: "ROLLBACK TO s",
        lambda: f"SELECT fengling.undo(revision - {rng.randrange(4)}) FROM fengling.head",
        lambda: (
            f"WITH gone AS (DELETE FROM fengling.instance WHERE id IN ({one}, {other}) RETURNING *)"
            " INSERT INTO fengling.instance (id, service_id, address)"
            f" SELECT id, service_id, 'http://n{rng.randrange(9)}' FROM gone"
        ),
    ]
    return rng.choice(some)()
