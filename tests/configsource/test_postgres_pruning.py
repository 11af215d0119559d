"""When a gateway shortens the log."""

from __future__ import annotations

import random
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from fengling_gateway.configsource.postgres_pruning import PAUSE_SECONDS, PERIOD_SECONDS, Pruning
from fengling_gateway.configsource.postgres_reader import Reader
from fengling_gateway.configsource.reading import SourceError
from tests.configsource.postgres_source import SourceInTest
from tests.schema.session import Session, add_service


class PruningTests:
    """`Pruning`"""

    def _start(self) -> None:
        self.clock = Clock()
        self.steps: list[Deferred[bool]] = []
        self.told: list[str | None] = []
        self.pruning = Pruning(
            clock=self.clock, step=self._step, told=self.told.append, rng=random.Random(1)
        )
        self.pruning.start()

    def _step(self) -> Deferred[bool]:
        self.steps.append(Deferred())
        return self.steps[-1]

    def test_begins_within_the_first_period(self) -> None:
        """Also on a host that is restarted every day."""
        self._start()
        assert self.steps == []
        self.clock.advance(PERIOD_SECONDS)
        assert len(self.steps) == 1
        self.clock.advance(PERIOD_SECONDS)
        assert len(self.steps) == 1, "one at a time"

    def test_goes_on_while_there_is_more_to_do(self) -> None:
        """With pauses, and then not for long."""
        self._start()
        self.clock.advance(PERIOD_SECONDS)
        self.steps[-1].callback(True)
        assert len(self.steps) == 1
        self.clock.advance(PAUSE_SECONDS)
        self.steps[-1].callback(False)
        self.clock.advance(PERIOD_SECONDS / 2 - 1)
        assert len(self.steps) == 2
        self.clock.advance(PERIOD_SECONDS / 2 + 1)
        assert len(self.steps) == 3

    def test_failure_is_told_and_tried_again_later(self) -> None:
        """Until it is not so any more."""
        self._start()
        self.clock.advance(PERIOD_SECONDS)
        self.steps[-1].errback(SourceError("permission denied"))
        assert self.told == ["permission denied"]
        self.clock.advance(PERIOD_SECONDS)
        self.steps[-1].callback(False)
        assert self.told == ["permission denied", None]

    def test_stopped_leaves_nothing_behind(self) -> None:
        """Whether it waits or takes a step."""
        self._start()
        self.pruning.stop()
        assert self.clock.getDelayedCalls() == []
        self._start()
        self.clock.advance(PERIOD_SECONDS)
        self.pruning.stop()
        self.steps[-1].errback(SourceError("the source is not running"))
        assert (self.clock.getDelayedCalls(), self.told) == ([], [])


class SourceTests:
    """On a database."""

    def test_source_shortens_the_log(self, source: SourceInTest, session: Session) -> None:
        """What nobody has asked for happens all the same."""
        add_service(session, "a")
        session.run(
            "UPDATE fengling.service SET name = 'x'", "UPDATE fengling.service SET name = ''"
        )
        session.run("UPDATE fengling.revision SET committed_at = '2020-01-01' WHERE id <= 2")
        source.loop.advance(PERIOD_SECONDS)
        source.loop.until(
            lambda: session.value("SELECT pruned_to = 2 FROM fengling.retention"),
        )
        assert session.rows("SELECT id FROM fengling.revision ORDER BY id") == [(2,), (3,)]

    def test_source_that_may_not_says_so(self, source: SourceInTest, session: Session) -> None:
        """In its status; the configuration it serves as ever."""
        session.run("DROP FUNCTION fengling.prune_step()")
        source.loop.advance(PERIOD_SECONDS)
        note = source.loop.until(lambda: source.state.notes.get("prune"))
        assert "prune_step() does not exist" in note
        assert source.state.last_error is None
        assert source.read().target.revision == 0

    def test_standby_has_nothing_to_do(
        self, sources: Callable[..., SourceInTest], session: Session
    ) -> None:
        """It cannot, and need not."""
        session.run(
            f'ALTER DATABASE "{session.dsn.rpartition("/")[2]}" SET default_transaction_read_only = on'
        )
        reader = Reader(session.dsn, connect_timeout=5, statement_timeout=20)
        assert reader.prune_step() is False
        reader.close()
