"""What a worker tells those who look on."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.control.frames import MAX_TAPPED, Message
from fengling_gateway.dataplane.recipients import NEVER, Recipients
from fengling_gateway.records.ended import Ended
from fengling_gateway.records.redaction import redaction_of
from fengling_gateway.records.tap_filter import TapFilter
from fengling_gateway.worker.taps import (
    MAX_BACKLOG,
    MAX_PER_SECOND,
    WAIT_SECONDS,
    WorkerTaps,
)
from tests.records.test_lines import Head, ended


class State:
    """Of a data plane, what recipients are kept in."""

    tell_ended: Any = None
    tells_slower_than = NEVER


class Scene:
    """A worker's taps, and what the supervisor is told."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.state: Any = State()
        self.told: list[dict[str, Any]] = []
        self.backlog = 0
        self.taps = WorkerTaps(
            clock=self.clock,
            recipients=Recipients(self.state),
            send=self.send,
            backlog=lambda: self.backlog,
            redaction=redaction_of(None, None),
        )

    def send(self, message: Message, values: dict[str, Any]) -> None:
        assert message is Message.TAPPED
        self.told.append(json.loads(json.dumps(values)))

    def tap(self, number: int, seconds: float = 60.0, **said: Any) -> None:
        values = {"id": number, "seconds": seconds, "filter": TapFilter(**said).to_json()}
        self.taps.tap(json.loads(json.dumps(values)))

    def end(self, one: Ended, times: int = 1) -> None:
        """Have an exchange end, as often."""
        for _ in range(times):
            if self.state.tell_ended is not None:
                self.state.tell_ended(one)

    def counts(self, number: int) -> tuple[int, int]:
        """Requests that were told, and that were left out."""
        mine = [one for one in self.told if one["id"] == number]
        return sum(len(one["requests"]) for one in mine), sum(one["left_out"] for one in mine)


class WorkerTapsTests(SynchronousTestCase):
    """`WorkerTaps`"""

    def setUp(self) -> None:
        self.scene = Scene()

    def tearDown(self) -> None:
        self.scene.taps.stop()
        assert self.scene.clock.getDelayedCalls() == []
        assert self.scene.state.tell_ended is None

    def test_requests_are_told_a_little_later(self) -> None:
        """Together, to those who want them, and redacted."""
        scene = self.scene
        scene.tap(1)
        scene.tap(2, statuses=[(500, 599)])
        scene.end(ended(head=Head(b"/a?token=secret&b=1")))
        scene.clock.advance(WAIT_SECONDS / 2)
        scene.end(ended(status=503))
        assert scene.told == []
        scene.clock.advance(WAIT_SECONDS)
        first, second = sorted(scene.told, key=lambda one: one["id"])
        assert [one["target"] for one in first["requests"]] == [
            "/a?token=REDACTED&b=1",
            "/orders?id=7",
        ]
        assert [one["status"] for one in second["requests"]] == [503]

    def test_many_are_told_at_once(self) -> None:
        """In messages of a bounded size."""
        self.scene.tap(1)
        self.scene.end(ended(), MAX_TAPPED + 1)
        assert [len(one["requests"]) for one in self.scene.told] == [MAX_TAPPED]

    def test_more_than_anybody_reads_is_counted_only(self) -> None:
        """Each second anew; what is left out is told even if nothing else is."""
        scene = self.scene
        scene.tap(1)
        for second in (1, 2):
            scene.end(ended(), MAX_PER_SECOND + 7)
            scene.clock.advance(WAIT_SECONDS)
            scene.end(ended())
            scene.clock.advance(WAIT_SECONDS)
            assert scene.counts(1) == (second * MAX_PER_SECOND, second * 8)
            scene.clock.advance(1.0)

    def test_supervisor_that_takes_nothing_is_not_told(self) -> None:
        """It is, of how many there were, as soon as it takes something."""
        scene = self.scene
        scene.tap(1)
        scene.backlog = MAX_BACKLOG + 1
        scene.end(ended(), 3)
        scene.clock.advance(WAIT_SECONDS)
        assert scene.told == []
        scene.backlog = 0
        scene.clock.advance(WAIT_SECONDS)
        assert scene.counts(1) == (0, 3)

    def test_taps_end(self) -> None:
        """When nobody looks on, or after their time; then a request pays nothing again."""
        scene = self.scene
        scene.tap(1, seconds=10)
        scene.tap(2, seconds=20)
        scene.end(ended())
        scene.taps.untap({"id": 2})
        scene.taps.untap({"id": 2})
        scene.clock.advance(9.9)
        assert scene.state.tell_ended is not None
        scene.clock.advance(0.1)
        assert scene.state.tell_ended is None
        assert (scene.counts(1), scene.counts(2)) == ((1, 0), (0, 0))

    def test_one_that_is_said_again_begins_anew(self) -> None:
        """With what is said now."""
        scene = self.scene
        scene.tap(1, seconds=10)
        scene.tap(1, seconds=10, routes=["others"])
        scene.end(ended())
        scene.clock.advance(WAIT_SECONDS)
        assert (scene.told, len(scene.taps)) == ([], 1)

    def test_worker_that_drains_tells_the_last(self) -> None:
        """Without waiting."""
        self.scene.tap(1)
        self.scene.end(ended())
        self.scene.taps.flush()
        assert self.scene.counts(1) == (1, 0)


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("end"), st.integers(1, 2 * MAX_PER_SECOND)),
        st.tuples(st.just("pass"), st.sampled_from([0.05, 0.1, 0.5, 1.0])),
        st.tuples(st.just("backlog"), st.sampled_from([0, MAX_BACKLOG, MAX_BACKLOG + 1])),
    ),
    max_size=30,
)


@given(_steps)
def test_nothing_gets_lost_uncounted(steps: list[tuple[str, Any]]) -> None:
    """Whatever happens: what is told and what is left out is what there was, and no more is told."""
    scene = Scene()
    scene.tap(1, seconds=10_000.0)
    there_were, seconds = 0, 0.0
    for what, value in steps:
        if what == "end":
            scene.end(ended(), value)
            there_were += value
        elif what == "pass":
            scene.clock.advance(value)
            seconds += value
        else:
            scene.backlog = value
    scene.backlog = 0
    scene.clock.advance(WAIT_SECONDS)
    told, left_out = scene.counts(1)
    assert told + left_out == there_were
    assert told <= MAX_PER_SECOND * (1 + int(seconds + WAIT_SECONDS))
    assert all(len(one["requests"]) <= MAX_TAPPED for one in scene.told)
    scene.taps.stop()
    assert scene.clock.getDelayedCalls() == []
    assert scene.state.tell_ended is None
