"""The side of the reactor, with a candidate that says what a test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from twisted.internet.task import Clock

from fengling_gateway.election.candidate import CandidateEvents
from fengling_gateway.election.election import Election
from fengling_gateway.election.seat import Beat, Connection, Holder
from tests.support.wait import wait_until


class Term(NamedTuple):
    number: int


class TestSeat:
    """A seat without a table, which keeps what it is to say."""

    __test__ = False
    name = "test"

    def __init__(self) -> None:
        self.logged: list[Any] = []

    def try_lock(self, connection: Connection) -> bool:
        raise NotImplementedError

    def holder(self, connection: Connection) -> Holder:
        raise NotImplementedError

    def take_over(self, connection: Connection, name: str) -> Term:
        raise NotImplementedError

    def beat(self, connection: Connection, term: int) -> Beat:
        raise NotImplementedError

    def log_elected(self, term: int) -> None:
        self.logged.append(("elected", term))

    def log_lost(self, *, was_elected: bool, reason: str) -> None:
        self.logged.append(("lost", was_elected, reason))


class User:
    """What an election tells."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def elected(self, term: Term) -> None:
        self.told.append(("elected", term.number))

    def beaten(self, term: int, note: int) -> None:
        self.told.append(("beaten", term, note))

    def term_lost(self, reason: str) -> None:
        self.told.append(("lost", reason))


class Script:
    """A candidate whose thread ends at once; what it would tell, a test does."""

    def __init__(self, events: CandidateEvents[Term]) -> None:
        self.events = events
        self.aborted = 0

    def run(self) -> None: ...

    def stop(self) -> None: ...

    def abort(self) -> None:
        self.aborted += 1

    def abort_overdue(self) -> None: ...


class Reactor(Clock):
    def callFromThread(self, function: Callable[..., object], *arguments: object) -> None:
        function(*arguments)


class ElectionTests:
    """The side of the reactor."""

    @pytest.fixture(autouse=True)
    def _election(self) -> Iterator[None]:
        self.clock, self.user = Reactor(), User()
        self.scripts: list[Script] = []
        self.seat = TestSeat()
        self.election = Election(
            reactor=self.clock,
            seat=self.seat,
            stand=self.stand,
            user=self.user,
            monotonic=self.clock.seconds,
        )
        self.election.start()
        [self.script] = self.scripts
        self.events = self.script.events
        self.clock.advance(100.0)
        yield
        wait_until(lambda: self.election.stop().called)

    def stand(self, events: CandidateEvents[Term]) -> Script:
        self.scripts.append(Script(events))
        return self.scripts[-1]

    def test_term_holds_as_long_as_nobody_else_can_have_the_lock(self) -> None:
        """Counted from when the server was asked, not from when it answered."""
        self.events.elected(Term(4), Beat(1, 7), 99.5)
        assert self.election.term == 4
        self.clock.advance(1.0)
        self.events.beaten(4, Beat(1, 8), 100.75)
        self.clock.pump([0.25] * 10)
        assert self.election.term == 4
        self.clock.advance(0.25)
        assert self.election.term is None
        assert self.script.aborted == 1
        assert self.user.told == [
            *(("elected", 4), ("beaten", 4, 7), ("beaten", 4, 8)),
            ("lost", "no heartbeat for 3 s"),
        ]
        self.events.beaten(4, Beat(1, 8), self.clock.seconds())
        assert self.election.term is None, "what the thread still believes is over"

    def test_election_that_is_told_too_late_is_none(self) -> None:
        """This process was stopped between the answer and now."""
        self.events.elected(Term(4), Beat(1, 7), 96.0)
        assert (self.election.term, self.user.told, self.script.aborted) == (None, [], 1)

    def test_reason_is_kept_for_status(self) -> None:
        """Until it can stand again; nobody is told of a loss without a term."""
        self.events.lost("connection refused")
        self.events.lost("connection refused")
        assert self.election.problem == "connection refused"
        assert self.seat.logged == [("lost", False, "connection refused")], "and told once"
        self.events.waiting(Holder(3, "b", 1.0, 0.1))
        assert self.election.problem is None
        assert self.user.told == []

    def test_resigning_ends_the_term_at_once(self) -> None:
        """And the thread begins anew."""
        self.events.elected(Term(4), Beat(1, 7), 100.0)
        self.election.resign("term 4 is over")
        assert self.election.term is None
        assert self.user.told[-1] == ("lost", "term 4 is over")
        assert self.script.aborted == 1
