"""The audit trail: changes and refusals are on record, and a flood does not wash them away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from fengling_gateway.access.audit import LINES_AT_ONCE, SAME_SECONDS, Asked, AuditTrail
from fengling_gateway.auth.operators import Operator
from fengling_gateway.model.management_tokens import WRITE

ADA = Operator("ada", frozenset((WRITE,)), "token k1", "t1", 2e9, tenants=frozenset(("acme",)))


def asked(what: str = "reload", address: str = "192.0.2.1", who: Operator | None = ADA) -> Asked:
    return Asked(what, address, "r-1", who)


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(1_700_000_000)
    return clock


@pytest.fixture
def trail(clock: Clock) -> AuditTrail:
    return AuditTrail(clock=clock.seconds, wall_clock=clock.seconds, kept=20)


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with capturedLogs() as events:
        yield events


def test_change_says_who_from_where_and_what(
    trail: AuditTrail, clock: Clock, logged: list[Any]
) -> None:
    """With what was before it and after it, on record and in one line of the log."""
    record = trail.began(asked(), {"revision": 6})
    assert trail.page(after=None, limit=9)[0][0]["outcome"] == "under way"
    clock.advance(2)
    trail.ended(record, "done", {"revision": 7})
    [[shown], following] = trail.page(after=None, limit=9)
    assert shown == {
        "number": 1,
        "at": 1_700_000_000.0,
        "event": "change",
        "what": "reload",
        "outcome": "done",
        "address": "192.0.2.1",
        "request_id": "r-1",
        "who": {
            "subject": "ada",
            "role": "editor",
            "source": "token k1",
            "token_id": "t1",
            "name": "",
            "tenants": ["acme"],
        },
        "before": {"revision": 6},
        "after": {"revision": 7},
        "count": 1,
        "last_at": 1_700_000_002.0,
    }
    assert following is None
    [event] = logged
    assert formatEvent(event) == ("management: reload by ada from 192.0.2.1: done (request r-1)")
    assert event["log_id"] == "audit.change"
    assert (event["before"], event["after"]) == ({"revision": 6}, {"revision": 7})


def test_same_refusal_is_counted(trail: AuditTrail, clock: Clock) -> None:
    """For a minute; then it is one of its own."""
    for _ in range(50):
        trail.refused(asked(who=None), "malformed")
        clock.advance(1)
    [shown] = trail.page(after=None, limit=9)[0]
    assert (shown["count"], shown["last_at"] - shown["at"]) == (50, 49.0)
    clock.advance(SAME_SECONDS)
    trail.refused(asked(who=None), "malformed")
    assert len(trail.page(after=None, limit=9)[0]) == 2


def test_refusals_that_differ_are_apart(trail: AuditTrail) -> None:
    """By address, reason and person, and for a known person by what it was."""
    trail.refused(asked("GET /a", who=None), "malformed")
    trail.refused(asked("GET /b", who=None), "malformed")
    trail.refused(asked("GET /b", who=None), "expired")
    trail.refused(asked("GET /b", "192.0.2.2", who=None), "expired")
    trail.refused(asked("GET /b"), "insufficient_scope")
    trail.refused(asked("GET /a"), "insufficient_scope")
    counts = [one["count"] for one in trail.page(after=None, limit=9)[0]]
    assert counts == [1, 1, 1, 1, 2]


def test_flood_of_refusals_leaves_changes(trail: AuditTrail) -> None:
    """And keeps to its bound."""
    trail.ended(trail.began(asked(), None), "done", None)
    for number in range(1000):
        trail.refused(asked(address=f"192.0.2.{number}", who=None), "malformed")
    items, _ = trail.page(after=None, limit=1000)
    assert len(items) == 21
    assert items[-1]["event"] == "change"


def test_flood_of_refusals_is_few_lines(trail: AuditTrail, clock: Clock, logged: list[Any]) -> None:
    """And the next line says how many there were."""
    for number in range(1000):
        trail.refused(asked(address=f"192.0.2.{number}", who=None), "malformed")
    assert len(logged) == LINES_AT_ONCE
    clock.advance(1)
    trail.refused(asked(who=None), "malformed")
    assert formatEvent(logged[-1]) == (
        "management: reload by somebody from 192.0.2.1 is refused: malformed (request r-1); "
        "990 more were refused since the last line"
    )
    assert logged[-1]["log_id"] == "audit.refused"


def test_pages_go_back_in_time(trail: AuditTrail) -> None:
    """The newest first, none twice, also while there are new ones."""
    for number in range(5):
        trail.ended(trail.began(asked(f"c{number}"), None), "done", None)
    first, following = trail.page(after=None, limit=2)
    trail.ended(trail.began(asked("new"), None), "done", None)
    second, last = trail.page(after=following, limit=3)
    assert [one["what"] for one in (*first, *second)] == ["c4", "c3", "c2", "c1", "c0"]
    assert last is None
