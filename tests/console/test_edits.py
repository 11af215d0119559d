"""Edits that are written, and what is told of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
from psycopg2 import extensions
from twisted.internet.defer import fail

from fengling_gateway.balancing.upstream_networks import UpstreamNetworks
from fengling_gateway.configsource.reading import SourceError
from fengling_gateway.console.edits import (
    Edit,
    ExistsError,
    InvalidEditError,
    MissingError,
    NeededError,
    PlannedEdit,
    StaleError,
    write,
)
from fengling_gateway.console.mirror import Trial
from fengling_gateway.editing.changes import Ownership, TakenError, plan
from fengling_gateway.editing.transaction import Signature
from fengling_gateway.model.entity import Key
from tests.console.desk import Desk
from tests.schema.session import Session

KEY = Key("service", "orders")


class Overtaken(extensions.connection):
    """Something happens at once after its commit."""

    then: Callable[[], object] | None = None

    def commit(self) -> None:
        super().commit()
        if self.then is not None:
            self.then()


@pytest.fixture
def connection(migrated_database: str) -> Iterator[Any]:
    one = psycopg2.connect(migrated_database, connection_factory=Overtaken)
    yield one
    one.close()


def a_service(**fields: Any) -> PlannedEdit:
    changes = plan({KEY: {"id": KEY.id, "labels": {}, **fields}}, {}, Ownership())
    return PlannedEdit(tuple(changes), {}, Trial({}, {}, {}, ()), frozenset(), UpstreamNetworks())


def test_what_was_written_is_told_and_not_what_others_wrote_then(
    connection: Any, migrated_database: str
) -> None:
    """Or who sends its version along would overwrite what he has never seen."""
    other = Session(migrated_database)
    connection.then = lambda: other.run(
        "UPDATE fengling.service SET name = 'theirs' WHERE id = 'orders'"
    )
    committed, row = write(connection, a_service(name="mine"), Signature(), KEY)
    assert committed.revision is not None
    assert row is not None
    assert row["name"] == "mine"
    newer = other.value("SELECT version FROM fengling.service")
    assert row["version"] < newer
    other.close()


def test_what_is_committed_is_not_told_to_have_failed(connection: Any) -> None:
    """When the connection breaks right after that."""
    connection.then = connection.close
    committed, row = write(connection, a_service(name="mine"), Signature(), KEY)
    assert committed.revision is not None
    assert row is not None
    assert row["name"] == "mine"


@pytest.fixture
def desk(migrated_database: str) -> Iterator[Desk]:
    """A desk over orders, with an instance and two routes; its mirror knows nothing yet."""
    other = Session(migrated_database)
    other.run(
        """
        INSERT INTO fengling.service (id, managed_by) VALUES ('orders', NULL), ('spare', 'git');
        INSERT INTO fengling.instance (id, service_id, address)
            VALUES ('i1', 'orders', 'http://10.0.0.1');
        INSERT INTO fengling.route (id, path, service_id)
            VALUES ('all', '/**', 'orders'), ('one', '/one', 'orders');
        """
    )
    other.close()
    desk = Desk(migrated_database)
    yield desk
    desk.close()


SPARE = Key("service", "spare")


def a_route(name: str, **fields: Any) -> dict[Key, dict[str, Any]]:
    row = {"id": name, "path": f"/{name}", "service_id": "orders", **fields}
    return {Key("route", name): row}


def test_edit_is_planned_on_what_there_is(desk: Desk) -> None:
    """Also on what the mirror has not heard of; then it catches up, once."""
    assert [one.action for one in desk.plan(Edit(a_route("new"))).changes] == ["create"]
    desk.write(desk.plan(Edit({Key("service", "fresh"): {"id": "fresh"}})), Signature())
    planned = desk.plan(Edit(a_route("new", service_id="fresh")))
    assert [one.key.id for one in planned.changes] == ["new"]
    assert planned.refers_to.keys() == {Key("service", "fresh")}


def test_edit_on_what_nobody_knows_is_refused(desk: Desk, migrated_database: str) -> None:
    """Rather than taken for one that refers to nothing."""
    desk.mirror.stop()
    with pytest.raises(SourceError):
        desk.plan(Edit(a_route("new")))


def test_edit_is_not_judged_by_what_was_long_ago(desk: Desk) -> None:
    """
    Where the mirror can't read, it would say of what has just been made that there is none.

    As long as there is nothing that it has not read, edits go on.
    """
    desk.look()
    with pytest.MonkeyPatch.context() as patch:
        for question in ("read", "read_all"):
            patch.setattr(desk.source, question, lambda *_: fail(SourceError("it can't be read")))
        desk.look()
        desk.write(desk.plan(Edit({Key("service", "fresh"): {"id": "fresh"}})), Signature())
        with pytest.raises(SourceError, match="can't be read"):
            desk.plan(Edit(a_route("new", service_id="fresh")))
    planned = desk.plan(Edit(a_route("new", service_id="fresh")))
    assert [one.key.id for one in planned.changes] == ["new"]


def test_edit_that_does_not_fit_is_refused(desk: Desk) -> None:
    """With the names of what it does not fit."""
    new = a_route("one")
    [key] = new
    refused: list[tuple[Edit, type[Exception]]] = [
        (Edit(new, new=frozenset(new)), ExistsError),
        (Edit(a_route("two"), old=frozenset(a_route("two"))), MissingError),
        (Edit({}, deleted=frozenset([Key("route", "two")])), MissingError),
        (Edit(new, versions={key: 10**6}), StaleError),
        (Edit(a_route("two"), versions={Key("route", "two"): 1}), StaleError),
        (Edit({}, deleted=frozenset([SPARE])), TakenError),
        (Edit({SPARE: {"id": "spare", "name": "x"}}), TakenError),
        (Edit({}, deleted=frozenset([KEY])), NeededError),
        (Edit(a_route("two", service_id="none")), InvalidEditError),
    ]
    for edit, kind in refused:
        with pytest.raises(kind):
            desk.plan(edit)
    with pytest.raises(NeededError) as caught:
        desk.plan(Edit({}, deleted=frozenset([KEY])))
    assert [str(one) for one in caught.value.keys] == ["instance i1", "route all", "route one"]


def test_what_is_managed_goes_where_that_is_said(desk: Desk) -> None:
    """By whom, or that it does not matter; also where it is pruned at the same time, once."""
    gone = frozenset([SPARE])
    for ownership in (
        Ownership(take_over=True),
        Ownership(managed_by="git"),
        Ownership(managed_by="git", prune=True),
    ):
        planned = desk.plan(Edit({}, deleted=gone, ownership=ownership))
        assert [(one.action, one.key) for one in planned.changes] == [("delete", SPARE)]


def test_edit_has_its_warnings(migrated_database: str, desk: Desk) -> None:
    """Of routes that are shadowed or open, of addresses that are refused, of keys that are old."""
    key = {"id": "k", "client_id": "c", "digest": "0" * 64, "expires_at": 1.0}
    rows = {
        **a_route("two", path="/one"),
        Key("instance", "i2"): {"id": "i2", "service_id": "orders", "address": "http://127.0.0.1"},
        Key("client", "c"): {"id": "c"},
        Key("api_key", "k"): key,
    }
    planned = desk.plan(Edit(rows))
    said = repr(planned.warnings(1_700_000_000.0))
    for one in ("'shadowed', route='two'", "'address_refused'", "'expired', kind='api_key'"):
        assert one in said
    assert planned.public() == ["two"]


def test_what_is_as_it_is_wanted_is_no_change(desk: Desk) -> None:
    planned = desk.plan(Edit(a_route("one")))
    assert planned.changes == ()
    assert desk.write(planned, Signature()).revision is None


def test_edit_while_much_is_compiled_is_planned_all_the_same(
    desk: Desk, migrated_database: str
) -> None:
    """What it refers to may be known, and not compiled yet."""
    other = Session(migrated_database)
    other.run(
        "INSERT INTO fengling.route (id, path, service_id)"
        " SELECT 'r' || n, '/r/' || n, 'orders' FROM generate_series(1, 500) AS n"
    )
    other.close()
    desk.look()
    assert desk.mirror.snapshot.services.get("orders") is None
    planned = desk.plan(Edit(a_route("two", path="/one")))
    assert [one.key.id for one in planned.changes] == ["two"]
    assert planned.warnings(1_700_000_000.0) is not None
    gone = frozenset([Key("route", "r7")])
    assert [one.action for one in desk.plan(Edit({}, deleted=gone)).changes] == ["delete"]
    body = a_route("r7", path="/one")
    assert [one.action for one in desk.plan(Edit(body)).changes] == ["update"]
