"""Revisions, followed from their commit to the last worker."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.configsource.reading import Reading, RevisionInfo
from fengling_gateway.model.delta import Change, Delta, Position
from fengling_gateway.model.entity import Key
from fengling_gateway.supervisor.change_traces import LAST_SECONDS, MAX_OPEN, ChangeTraces
from fengling_gateway.tracing.spans import INTERNAL, Span

NOW = 5000.0
"""The wall clock when the other one begins."""


def at(revision: int) -> Position:
    return Position("e", revision, f"t{revision}")


def info(revision: int) -> RevisionInfo:
    return RevisionInfo(
        *(revision, f"t{revision}", "config", NOW, "ops", False, "u", "psql", None, None),
        *(False, False, 1),
    )


class ChangeTracesTests(SynchronousTestCase):
    """`ChangeTraces`"""

    def setUp(self) -> None:
        self.clock = Clock()
        self.told: list[tuple[str, Span]] = []
        self.traces = self.make()

    def make(self, node: str = "n1") -> ChangeTraces:
        return ChangeTraces(
            clock=self.clock, wall=lambda: NOW + self.clock.seconds(), node=node, spans=self
        )

    def add(self, rows: list[Span], size: int, *, worker: str = "") -> None:
        self.assertGreater(size, 100 * len(rows))
        self.told += [(worker, one) for one in rows]

    def publish(
        self, revision: int = 7, committed_at: float | None = NOW + 0.25, **changes: Any
    ) -> None:
        """Publish a revision: committed at 0.25, looked for at 0.5, read at 1.0, out at 1.25."""
        self.clock.advance(changes.pop("after", 1.25))
        delta = Delta(
            before=changes.pop("before", at(revision - 1)),
            after=at(revision),
            hash_before=1,
            hash_after=2,
            changes=[Change(Key("route", "r1"), b"{}")],
            committed_at=committed_at,
        )
        reading = Reading(at(revision), at(revision - 1), [], [info(revision)], None, 3)
        traces = changes.pop("traces", self.traces)
        traces.published(delta, reading, rejected=0, looked_at=0.5, read_at=1.0)

    def named(self, name: str) -> Span:
        (found,) = [one for _, one in self.told if one.name == name]
        return found

    def test_revision_is_a_trace(self) -> None:
        """Its commit, load, publication, and when each worker had applied it."""
        self.publish()
        self.traces.applied("w1", at(7), NOW + 1.5)
        self.assertEqual(self.told, [])
        self.traces.applied("w2", at(7), NOW + 2.0)
        self.traces.converged()
        times = {
            f"{one.name} {worker}".strip(): (one.start - NOW, one.end - NOW)
            for worker, one in self.told
        }
        self.assertEqual(
            times,
            {
                "config revision": (0.25, 2.0),
                "config load": (0.5, 1.0),
                "config publish": (1.0, 1.25),
                "config apply w1": (1.25, 1.5),
                "config apply w2": (1.25, 2.0),
            },
        )
        root = self.named("config revision")
        self.assertEqual(
            root.attributes,
            {
                "fengling.revision": 7,
                "fengling.epoch": "e",
                "fengling.changes": 1,
                "fengling.author": "ops",
                "fengling.kind": "config",
                "fengling.workers": 2,
            },
        )
        spans = [one for _, one in self.told]
        self.assertEqual({one.trace_id for one in spans}, {root.trace_id})
        self.assertEqual({one.parent_id for one in spans if one is not root}, {root.span_id})
        self.assertEqual(root.parent_id, "")
        self.assertEqual(len({one.span_id for one in spans}), 5)
        self.assertEqual({one.kind for one in spans}, {INTERNAL})
        self.assertTrue(all(int(one.span_id, 16) and len(one.span_id) == 16 for one in spans))
        self.assertEqual(len(root.trace_id), 32)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nodes_tell_of_the_same_trace(self) -> None:
        """Each with spans of its own."""
        other = self.make("n2")
        self.publish()
        self.publish(traces=other)
        self.traces.converged()
        other.converged()
        roots = [one for _, one in self.told if one.name == "config revision"]
        self.assertEqual(len({one.trace_id for one in roots}), 1)
        self.assertEqual(len({one.span_id for one in roots}), 2)

    def test_worker_that_skips_a_revision_has_applied_it_too(self) -> None:
        """With the later one."""
        self.publish(7)
        self.publish(8)
        self.traces.applied("w1", at(8), NOW + 3)
        self.traces.applied("w2", Position("other", 9, "t"), NOW + 4)
        self.traces.converged()
        ends = [one.end - NOW for _, one in self.told if one.name == "config apply"]
        self.assertEqual(ends, [3.0, 3.0])

    def test_old_commit_does_not_begin_the_trace(self) -> None:
        """It was held, or this is a start; nor does one of a clock that is ahead, or none."""
        for committed_at in (NOW - 100, NOW + 1, None):
            self.told.clear()
            self.clock = Clock()
            self.traces = self.make()
            self.publish(committed_at=committed_at)
            self.traces.converged()
            self.assertEqual(self.named("config revision").start, NOW + 0.5)

    def test_worker_that_is_stuck_is_not_waited_for(self) -> None:
        """What is known is told after a while, and at the end."""
        self.publish()
        self.traces.applied("w1", at(7), NOW + 1.5)
        self.clock.advance(LAST_SECONDS)
        self.assertEqual(self.named("config revision").attributes["fengling.workers"], 1)
        self.publish(8)
        self.traces.stop()
        self.assertEqual(self.told[-1][1].name, "config publish")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_few_are_followed_at_a_time(self) -> None:
        """The oldest makes room."""
        for revision in range(1, MAX_OPEN + 3):
            self.publish(revision, after=0)
        told = [one.attributes.get("fengling.revision") for _, one in self.told]
        self.assertEqual([one for one in told if one], [1, 2])
        self.traces.stop()

    def test_change_without_a_revision_is_another_trace(self) -> None:
        """It was found after the one that has the number."""
        self.publish(7)
        self.traces.converged()
        self.publish(7, before=at(7))
        self.traces.converged()
        roots = [one for _, one in self.told if one.name == "config revision"]
        self.assertEqual(len({one.trace_id for one in roots}), 2)

    def test_nobody_is_told_where_nothing_is_traced(self) -> None:
        """And nothing is kept."""
        self.traces = ChangeTraces(clock=self.clock, wall=lambda: NOW, node="n", spans=None)
        self.publish()
        self.traces.applied("w1", at(7), NOW)
        self.traces.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
