"""How long changes take, as they are counted."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from fengling_gateway.configsource.reading import Reading, RevisionInfo
from fengling_gateway.model.delta import Delta, Position
from fengling_gateway.supervisor.config_times import MAX_COMMITS, ConfigTimes
from fengling_gateway.supervisor.link import WorkerLink


def at(revision: int, epoch: str = "e") -> Position:
    return Position(epoch, revision, f"t{revision}")


def info(revision: int, committed_at: float) -> RevisionInfo:
    return RevisionInfo(
        *(revision, f"t{revision}", "config", committed_at, "ops", False, "u", "psql", None, None),
        *(False, False, 1),
    )


def link() -> WorkerLink:
    user: Any = None
    return WorkerLink(clock=Clock(), name="w0", slot=0, user=user)


def serve(times: ConfigTimes, worker: WorkerLink, position: Position, when: float) -> None:
    worker.served.position, worker.served.applied_at = position, when
    times.applied(worker)


def publish(
    times: ConfigTimes,
    before: Position | None,
    after: Position,
    commits: dict[int, float],
    *,
    follows: bool = True,
    seconds: float = 0.02,
) -> None:
    revisions = [info(revision, when) for revision, when in commits.items()]
    reading = Reading(after, before if follows else None, (), revisions, None, 1)
    times.published(Delta(before, after, 0, 0, ()), reading, seconds=seconds)


def values(times: ConfigTimes, what: str = "propagation") -> tuple[int, float]:
    """Return how many there are, and their sum."""
    *buckets, total = times.to_json()[what]["values"]
    return sum(buckets), round(total, 6)


class ConfigTimesTests:
    def setup_method(self) -> None:
        self.times = ConfigTimes()
        self.workers = [link(), link()]
        publish(self.times, None, at(1), {1: 5.0}, follows=False)
        for worker in self.workers:
            serve(self.times, worker, at(1), 100.0)

    def test_revision_counts_once_for_each_worker(self) -> None:
        """Also where a worker says the same twice; what they begin with is no change."""
        assert values(self.times) == (0, 0)
        publish(self.times, at(1), at(2), {2: 200.0})
        for worker in (*self.workers, *self.workers):
            serve(self.times, worker, at(2), 200.3)
        assert values(self.times) == (2, 0.6)

    def test_revisions_that_come_together_count_each(self) -> None:
        """From its own commit; what was known before is not among them."""
        publish(self.times, at(1), at(4), {1: 5.0, 2: 200.0, 3: 201.0, 4: 202.0, 5: 202.5})
        serve(self.times, self.workers[0], at(4), 203.0)
        assert values(self.times) == (3, 6.0)

    def test_revisions_that_come_one_by_one_count_once(self) -> None:
        """Each when it is served."""
        publish(self.times, at(1), at(2), {2: 200.0})
        publish(self.times, at(2), at(3), {3: 201.0})
        serve(self.times, self.workers[0], at(2), 201.5)
        serve(self.times, self.workers[0], at(3), 202.0)
        assert values(self.times) == (2, 2.5)

    def test_worker_that_has_just_begun_counts_nothing(self) -> None:
        """It serves at once what the others had to wait for; its next one counts."""
        publish(self.times, at(1), at(2), {2: 200.0})
        self.times.gone(self.workers[0])
        serve(self.times, self.workers[0], at(2), 900.0)
        assert values(self.times) == (0, 0)
        publish(self.times, at(2), at(3), {3: 1000.0})
        serve(self.times, self.workers[0], at(3), 1000.5)
        assert values(self.times) == (1, 0.5)

    def test_what_was_held_counts_for_nothing(self) -> None:
        """It waited for somebody; the next one did not."""
        self.times.held("revision 2")
        self.times.held(None)
        publish(self.times, at(1), at(2), {2: 1.0})
        serve(self.times, self.workers[0], at(2), 200.0)
        publish(self.times, at(2), at(3), {3: 300.0})
        serve(self.times, self.workers[0], at(3), 300.5)
        assert values(self.times) == (1, 0.5)

    def test_another_past_counts_for_nothing(self) -> None:
        """A database that was replaced, or set back: its numbers say nothing of ours."""
        publish(self.times, at(1), at(2), {2: 200.0})
        publish(self.times, at(2), at(9, "f"), {9: 1.0}, follows=False)
        serve(self.times, self.workers[0], at(9, "f"), 300.0)
        serve(self.times, self.workers[0], at(1), 301.0)
        serve(self.times, self.workers[0], at(2), 302.0)
        assert values(self.times) == (0, 0)

    def test_clock_that_is_behind_makes_no_negative_time(self) -> None:
        """A histogram's sum never falls."""
        publish(self.times, at(1), at(2), {2: 200.0})
        serve(self.times, self.workers[0], at(2), 199.0)
        assert values(self.times) == (1, 0.0)

    def test_commits_are_bounded(self) -> None:
        """A worker that hangs must not make us remember everything."""
        last = MAX_COMMITS + 100
        publish(self.times, at(1), at(last), dict.fromkeys(range(2, last + 1), 200.0))
        serve(self.times, self.workers[0], at(last), 200.0)
        assert values(self.times)[0] == MAX_COMMITS

    def test_each_look_that_finds_something_counts(self) -> None:
        """The first one, too."""
        publish(self.times, at(1), at(2), {2: 200.0}, seconds=0.5)
        assert values(self.times, "reload") == (2, 0.52)
