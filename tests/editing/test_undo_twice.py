"""`fengling.undo` and a plan of the same come to the same."""

from __future__ import annotations

from typing import Any

import pytest

from fengling_gateway.editing.planning import WRITABLE_KINDS
from fengling_gateway.editing.rollback import make_rollback
from fengling_gateway.editing.rows import read_rows
from fengling_gateway.editing.transaction import Signature, write
from tests.schema.session import Session

DIGEST = "ab" * 32

SETUP = f"""
BEGIN;
INSERT INTO fengling.service (id) VALUES ('a'), ('b');
INSERT INTO fengling.tenant (id) VALUES ('t');
INSERT INTO fengling.instance (id, service_id, address)
    VALUES ('i', 'a', 'http://h:1'), ('j', 'a', 'http://h:2');
INSERT INTO fengling.instance_health VALUES ('i', 'healthy');
INSERT INTO fengling.route (id, path, service_id, policies, valid_to) VALUES
    ('r', '/r', 'a', '{{"timeouts": {{"idle": "5s"}}, "x-n": 1.0}}', '2030-01-01T00:00:00.000001Z'),
    ('q', '/q', 'b', '{{}}', 'infinity');
INSERT INTO fengling.client (id) VALUES ('c');
INSERT INTO fengling.api_key (id, client_id, digest) VALUES ('k', 'c', '{DIGEST}');
INSERT INTO fengling.secret (id, value) VALUES ('s', 'env:ONE');
INSERT INTO fengling.setting VALUES ('hold', '{{"max_removed_share": 1}}');
COMMIT;
"""

CHANGES = {
    "fields": "UPDATE fengling.route SET priority = 7, labels = '{\"a\": 1}', managed_by = 'x'"
    " WHERE id = 'r'",
    "times": "UPDATE fengling.service SET idle_timeout = '1 day', connect_timeout = '00:00:00.5';"
    "UPDATE fengling.route SET valid_to = valid_to - interval '1 microsecond' WHERE id = 'r'",
    "back to a day": "UPDATE fengling.service SET first_byte_timeout = '24 hours'",
    "forms": 'UPDATE fengling.route SET policies = \'{"timeouts": {"idle": 5}, "x-n": 1}\''
    " WHERE id = 'r'",
    "targets": 'UPDATE fengling.route SET service_id = NULL, split = \'{"a": 1, "b": 2}\'',
    "creation": "INSERT INTO fengling.service (id) VALUES ('z');"
    "INSERT INTO fengling.route (id, service_id) VALUES ('z', 'z')",
    "deletion": "DELETE FROM fengling.route; DELETE FROM fengling.instance;"
    "DELETE FROM fengling.service; DELETE FROM fengling.tenant",
    "swap": "UPDATE fengling.instance SET address = 'http://h:3' WHERE id = 'i';"
    "UPDATE fengling.instance SET address = 'http://h:1' WHERE id = 'j';"
    "UPDATE fengling.instance SET address = 'http://h:2' WHERE id = 'i'",
    "handed on": "DELETE FROM fengling.instance WHERE id = 'i';"
    "UPDATE fengling.instance SET address = 'http://h:1', service_id = 'a' WHERE id = 'j'",
    "setting": "UPDATE fengling.setting SET value = '{}'",
    "disabled": "UPDATE fengling.api_key SET enabled = false, name = 'x'",
    "deleted key": "DELETE FROM fengling.api_key; UPDATE fengling.client SET enabled = false",
    "deleted client": "DELETE FROM fengling.api_key; DELETE FROM fengling.client",
    "sooner": "UPDATE fengling.api_key SET expires_at = '2030-01-01T00:00:00Z'",
    "other digest": f"UPDATE fengling.api_key SET digest = '{'0' * 64}', name = 'x'",
    "new key": f"INSERT INTO fengling.api_key (id, client_id, digest) VALUES ('l', 'c', '{DIGEST}')",
    "name of a secret": "UPDATE fengling.secret SET name = 'x'",
    "new secret": "INSERT INTO fengling.secret (id, value) VALUES ('u', 'env:TWO')",
    "health": "UPDATE fengling.instance_health SET health = 'unhealthy';"
    "UPDATE fengling.instance SET weight = 5 WHERE id = 'i'",
}


@pytest.mark.parametrize("change", CHANGES)
def test_undo_is_the_same_in_sql_and_as_a_plan(
    session: Session, connection: Any, change: str
) -> None:
    """To the byte, and so is what of it is put into the log."""
    session.run(SETUP, "BEGIN", CHANGES[change], "COMMIT")
    with connection.cursor() as cursor:
        cursor.execute("SELECT fengling.undo(2)")
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        by_sql = everything(connection)
    connection.rollback()
    planned, plan = make_rollback(connection, of=[2])
    if planned.changes:
        committed = write(connection, planned.changes, Signature(), plan.refers_to)
        assert (committed.revision, planned.what) == (3, "undo of revision 2")
    assert everything(connection) == by_sql


def everything(connection: Any) -> Any:
    """Return all rows, without what tells how often and when they were written, and the log."""
    rows = read_rows(connection, (*WRITABLE_KINDS, "instance_health"))
    plain = {
        str(key): repr({name: one for name, one in row.items() if name not in _TOLD_APART})
        for key, row in rows.items()
    }
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT entity, entity_id, action FROM fengling.revision_change WHERE revision = 3"
            " ORDER BY entity, entity_id"
        )
        return plain, cursor.fetchall()


_TOLD_APART = {"version", "updated_at", "since"}
