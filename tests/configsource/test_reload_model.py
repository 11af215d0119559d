"""Whatever a source does, and whenever it answers, the loop comes to serve what it says."""

from __future__ import annotations

import random
from typing import Any
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from fengling_gateway.configsource.reading import Held, Reading, Row, SourceError, SourceState
from fengling_gateway.configsource.reload import ReloadLoop, ReloadSettings
from fengling_gateway.model.delta import Delta, Position
from fengling_gateway.model.effective import EffectiveConfig
from fengling_gateway.model.entity import Key
from fengling_gateway.model.hold import HOLD

Rows = dict[str, dict[str, Any]]


def a_route(number: int, body: int) -> dict[str, Any]:
    """Return a row; every fifth body is a path that nobody can mean."""
    path = "nonsense" if body % 5 == 4 else f"/r{number}"
    return {"id": f"r{number}", "path": path, "respond": {"status": 200 + body}}


class Database:
    """Answers as PostgreSQL would, but only when the test says."""

    def __init__(self) -> None:
        self.state = SourceState()
        self.epoch = 0
        self.revisions: list[Rows] = [{}]
        self.waiting: list[tuple[Deferred[Any], Any]] = []

    @property
    def head(self) -> Position:
        return self.at(len(self.revisions) - 1)

    def at(self, revision: int) -> Position:
        return Position(f"e{self.epoch}", revision, f"e{self.epoch}-{revision}")

    def commit(self, number: int, body: int | None) -> None:
        rows = dict(self.revisions[-1])
        if body is None:
            rows.pop(f"r{number}", None)
        else:
            rows[f"r{number}"] = a_route(number, body)
        self.revisions.append(rows)

    def be_replaced(self) -> None:
        """By one with the same rows and no past."""
        self.epoch += 1
        self.revisions = [{}, self.revisions[-1]]

    def change_unseen(self, number: int, body: int) -> None:
        """With the triggers off."""
        self.revisions[-1] = {**self.revisions[-1], f"r{number}": a_route(number, body)}

    def start(self) -> None: ...

    def stop(self) -> Any: ...

    def confirm(self, revision: int, author: str) -> Any: ...

    def read(self, after: Position | None) -> Deferred[Reading]:
        return self._ask(lambda: self._changes(after))

    def read_all(self) -> Deferred[Reading]:
        return self._ask(lambda: self._changes(None))

    def history(self, keys: list[Key], up_to: int) -> Deferred[Any]:
        return self._ask(lambda: {key: self._versions(key, up_to) for key in keys})

    def _ask(self, answer: Any) -> Deferred[Any]:
        waiting: Deferred[Any] = Deferred()
        self.waiting.append((waiting, answer))
        return waiting

    def _changes(self, after: Position | None) -> Reading:
        known = after is not None and after == self.at(after.revision)
        if after is None or not known or after.revision >= len(self.revisions):
            rows = [Row(Key("route", name), row) for name, row in self.revisions[-1].items()]
            rows.append(Row(HOLD, {"value": {"max_removed_share": 1}}))
            return Reading(self.head, None, rows, [], None, len(rows))
        before, now = self.revisions[after.revision], self.revisions[-1]
        rows = [
            Row(Key("route", name), now.get(name))
            for name in sorted(before.keys() | now.keys())
            if before.get(name) != now.get(name)
        ]
        return Reading(self.head, after, rows, [], None, len(rows))

    def _versions(self, key: Key, up_to: int) -> list[dict[str, Any]]:
        return [rows[key.id] for rows in self.revisions[up_to::-1] if key.id in rows]

    def answer(self, error: Exception | None) -> None:
        """Answer the question that waits, if there is one."""
        waiting = [one for one in self.waiting if not one[0].called]
        self.waiting = []
        for deferred, answer in waiting:
            if error is None:
                deferred.callback(answer())
            else:
                deferred.errback(error)


class Serving:
    """Follows the deltas as a worker does."""

    def __init__(self) -> None:
        self.position: Position | None = None
        self.content_hash = 0
        self.wrong: list[Any] = []

    def restored(self, loop: ReloadLoop) -> None:
        self.position, self.content_hash = loop.position, loop.config.content_hash

    def delta_read(self, delta: Delta, reading: Reading, result: Any) -> None:
        if (delta.before, delta.hash_before) != (self.position, self.content_hash):
            self.wrong.append(delta)
        self.position, self.content_hash = delta.after, delta.hash_after

    def look_succeeded(self) -> None: ...

    def look_failed(self, error: BaseException) -> None:
        if not isinstance(error, (SourceError, TimeoutError)):
            self.wrong.append(error)

    def held(self, held: Held | None) -> None: ...


happenings = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.integers(0, 4), st.one_of(st.none(), st.integers(0, 9))),
        st.tuples(st.just("unseen"), st.integers(0, 4), st.integers(0, 3)),
        st.tuples(st.sampled_from(["answer", "fail", "look", "replace", "restore"])),
        st.tuples(st.just("pass"), st.floats(0.01, 700.0)),
    ),
    max_size=40,
)


class ReloadModelTests(TestCase):
    """`ReloadLoop`"""

    def begin(self) -> None:
        self.clock, self.database = Clock(), Database()
        for number in range(5):
            self.database.commit(number, 0)
        self.start_anew()

    def start_anew(self) -> None:
        """Start a loop that knows nothing."""
        self.serving = Serving()
        self.loop = ReloadLoop(
            clock=self.clock,
            source=self.database,
            user=self.serving,
            settings=ReloadSettings(),
            rng=random.Random(1),
        )
        self.loop.start()

    def happen(self, what: str, *arguments: Any) -> None:
        if what == "commit":
            self.database.commit(*arguments)
        elif what == "unseen":
            self.database.change_unseen(*arguments)
        elif what == "replace":
            self.database.be_replaced()
        elif what == "answer":
            self.database.answer(None)
        elif what == "fail":
            self.database.answer(SourceError("away"))
        elif what == "look":
            self.loop.look("test")
        elif what == "pass":
            self.clock.advance(*arguments)
        else:
            self.restore()
        self.clock.advance(0)

    def restore(self) -> None:
        """Load what an earlier process wrote at an earlier revision."""
        former = EffectiveConfig()
        rows = [(Key("route", name), row) for name, row in self.database.revisions[1].items()]
        stage = former.stage(rows, full=True)
        while stage.step():
            pass
        if not stage.wanted:
            stage.commit()
            if self.loop.restore(self.database.at(1), dict(former.bodies)):
                self.serving.restored(self.loop)

    def settle(self) -> None:
        """Let the source answer until there is nothing left to ask, a compare included."""
        for _ in range(3):
            self.clock.advance(700.0)
            for _ in range(20):
                self.database.answer(None)
                self.clock.pump([0.0] * 20)

    @given(happenings)
    def test_it_serves_what_a_cold_start_would(self, script: list[Any]) -> None:
        """One look at a time, every delta from where the last one led."""
        self.begin()
        for step in script:
            self.happen(*step)
            waiting = [one for one in self.database.waiting if not one[0].called]
            self.assertLessEqual(len(waiting), 1)
        self.database.commit(0, 0)
        self.database.commit(1, 1)
        self.settle()
        self.database.change_unseen(2, 3)
        self.settle()
        served = self.loop.config
        self.assertEqual(self.serving.wrong, [])
        self.assertEqual(self.loop.position, self.database.head)
        self.assertEqual(
            (self.serving.position, self.serving.content_hash),
            (self.database.head, served.content_hash),
        )
        self.loop.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.start_anew()
        self.settle()
        self.assertEqual(served.bodies, self.loop.config.bodies)
        self.assertEqual(served.rejected, self.loop.config.rejected)
        self.loop.stop()
