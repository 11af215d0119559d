"""Who is told of which exchanges."""

from __future__ import annotations

from typing import Any

import pytest

from fengling_gateway.dataplane.recipients import ALL, NEVER, Recipients
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.records.ended import Ended


class State:
    tell_ended: Any = None
    tells_slower_than = NEVER


def ended(seconds: float, error: ForwardError | None = None, status: int = 200) -> Ended:
    values: dict[str, Any] = dict.fromkeys(Ended._fields)
    return Ended(**{**values, "seconds": seconds, "error": error, "status": status})


def tell(state: State, one: Ended) -> None:
    """As an exchange does."""
    if state.tell_ended is not None and (
        one.error is not None or one.status >= 500 or one.seconds >= state.tells_slower_than
    ):
        state.tell_ended(one)


FAST, SLOW, FAILED = ended(0.0), ended(2.0), ended(0.1, ForwardError.CONNECT_FAILED)
BROKEN = ended(0.1, status=500)


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ([ALL], [[FAST, SLOW, FAILED, BROKEN]]),
        ([NEVER], [[FAILED, BROKEN]]),
        ([1.0], [[SLOW, FAILED, BROKEN]]),
        ([ALL, 1.0], [[FAST, SLOW, FAILED, BROKEN], [SLOW, FAILED, BROKEN]]),
        ([NEVER, 1.0], [[FAILED, BROKEN], [SLOW, FAILED, BROKEN]]),
    ],
)
def test_each_is_told_what_it_wants(wanted: list[float], told: list[list[Ended]]) -> None:
    """And an exchange that nobody wants is not even put together."""
    state: Any = State()
    recipients = Recipients(state)
    heard: list[list[Ended]] = [[] for _ in wanted]
    for number, slower_than in enumerate(wanted):
        recipients.add(heard[number].append, slower_than=slower_than)
    assert state.tells_slower_than == min(wanted)
    for one in (FAST, SLOW, FAILED, BROKEN):
        tell(state, one)
    assert heard == told


def test_whoever_leaves_is_told_no_more() -> None:
    """Also in the middle of being told, and twice."""
    state: Any = State()
    recipients = Recipients(state)
    heard: list[Ended] = []

    def once(one: Ended) -> None:
        heard.append(one)
        recipients.remove(once)

    others: list[Ended] = []
    recipients.add(once, slower_than=ALL)
    recipients.add(others.append, slower_than=NEVER)
    for one in (FAST, FAILED):
        tell(state, one)
    recipients.remove(once)
    assert (heard, others) == ([FAST], [FAILED])
    recipients.remove(others.append)
    assert (state.tell_ended, state.tells_slower_than) == (None, NEVER)
