"""Any edit becomes what trying it out has said."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg2
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from fengling_gateway.console.edits import Edit, InvalidEditError, NeededError
from fengling_gateway.editing.changes import Ownership
from fengling_gateway.editing.transaction import Signature
from fengling_gateway.model.entity import Key
from tests.cli.configurations import Rows, configurations
from tests.console.desk import Desk

FORCED = Signature(force=True)
OURS = Ownership(take_over=True)


@pytest.fixture
def desk(migrated_database: str) -> Iterator[Desk]:
    desk = Desk(migrated_database)
    desk.look()
    yield desk
    desk.close()


def meanings(bodies: Mapping[Key, bytes]) -> dict[Key, Any]:
    """Return bodies without how their numbers are written: the database writes 1e16 out."""
    return {key: json.loads(body, parse_int=float) for key, body in bodies.items()}


def tried(desk: Desk, edit: Edit) -> bool:
    """Make an edit, unless it is refused; what then counts is what has been said."""
    before = dict(desk.mirror.config.bodies)
    try:
        planned = desk.plan(edit)
    except (InvalidEditError, NeededError) as error:
        event(type(error).__name__)
        assert dict(desk.mirror.config.bodies) == before
        return False
    said = meanings(planned.trial.bodies)
    try:
        desk.write(planned, FORCED)
    except psycopg2.errors.IntegrityError:  # as with an address that others have
        event("refused by the database")
        return False
    desk.look()
    assert desk.mirror.config.rejected == {}
    assert meanings(desk.mirror.config.bodies) == said
    event(f"{(len(planned.changes) > 0 and 'changes') or 'nothing'}")
    return True


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(wanted=st.lists(configurations(), min_size=1, max_size=2), seed=st.integers(0, 10**6))
def test_what_is_not_refused_is_served_as_it_was_tried_out(
    desk: Desk, wanted: list[Rows], seed: int
) -> None:
    """Of all kinds at once, whatever there was; nothing is rejected then, also of what was there."""
    rng = random.Random(seed)
    for rows in wanted:
        there = sorted(desk.mirror.config.bodies)
        part = dict(
            rng.sample(sorted(rows.items(), key=lambda one: one[0]), rng.randint(0, len(rows)))
        )
        gone = {*rng.sample(there, rng.randint(0, min(3, len(there))))} - part.keys()
        tried(desk, Edit(part, deleted=frozenset(gone), ownership=OURS))
        tried(desk, Edit(rows, ownership=OURS))
        others = frozenset(key for key in desk.mirror.config.bodies if key not in rows)
        tried(desk, Edit(rows, deleted=others, ownership=OURS))
