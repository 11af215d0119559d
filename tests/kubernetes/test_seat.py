"""Who watches a cluster, by a real PostgreSQL."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.logger import capturedLogs

from fengling_gateway.election.candidate import Candidate, CandidateEvents
from fengling_gateway.health.seat import SEAT as PROBER
from fengling_gateway.kubernetes.discovered import overview
from fengling_gateway.kubernetes.seat import DiscoverySeat
from tests.schema.session import Session

Told = queue.SimpleQueue[tuple[str, Any]]


@pytest.fixture
def stand(migrated_database: str) -> Iterator[Callable[..., Told]]:
    """Return a function that makes somebody stand for a seat, and returns what is told of it."""
    made: list[tuple[Candidate[Any], threading.Thread]] = []

    def one(seat: Any, name: str) -> Told:
        told: Told = queue.SimpleQueue()
        candidate = Candidate(
            migrated_database,
            seat=seat,
            name=name,
            connect_timeout=5.0,
            events=CandidateEvents(
                waiting=lambda holder: told.put(("waiting", holder)),
                elected=lambda term, beat, _: told.put(("elected", (term, beat))),
                beaten=lambda _, beat, __: told.put(("beaten", beat)),
                lost=lambda reason: told.put(("lost", reason)),
            ),
            jitter=lambda: 1.0,
        )
        thread = threading.Thread(target=candidate.run, daemon=True)
        thread.start()
        made.append((candidate, thread))
        return told

    yield one
    for candidate, thread in made:
        candidate.stop()
        thread.join(10)


def wait_for(told: Told, what: str) -> Any:
    while True:
        word, value = told.get(timeout=15)
        if word == what:
            return value


class DiscoverySeatTests:
    def test_one_watches_and_the_others_know_who(
        self, stand: Callable[..., Told], connection: Any
    ) -> None:
        """And see how it gets on, as it says itself."""
        first = stand(DiscoverySeat(lambda: json.dumps({"objects": 3})), "a")
        term, beat = wait_for(first, "elected")
        assert (term.number, term.decisions, term.said, beat.note) == (1, (), {}, 0)
        holder = wait_for(stand(DiscoverySeat(), "b"), "waiting")
        assert (holder.term, holder.name) == (1, "a")
        wait_for(first, "beaten")
        assert overview(connection).status == {"objects": 3}

    def test_decision_comes_with_the_next_heartbeat(
        self, stand: Callable[..., Told], session: Session
    ) -> None:
        """Whoever has made it, and however."""
        told = stand(DiscoverySeat(), "a")
        wait_for(told, "elected")
        session.run("INSERT INTO fengling.discovered_service VALUES ('shop', 'orders', 'approved')")
        number = session.value("SELECT decision FROM fengling.discovered_service")
        assert number > 0
        while wait_for(told, "beaten").note != number:
            pass

    def test_one_console_may_probe_while_another_watches(self, stand: Callable[..., Told]) -> None:
        """They are seats of their own; so may one do both."""
        for seat in (DiscoverySeat(), PROBER):
            term, _ = wait_for(stand(seat, "a"), "elected")
            assert term.number == 1

    def test_words_of_the_log_are_its_own(self) -> None:
        """Alerts go by their ids."""
        with capturedLogs() as captured:
            DiscoverySeat().log_elected(4)
            DiscoverySeat().log_lost(was_elected=True, reason="the database is away")
        assert [one["log_id"] for one in captured] == ["kubernetes.elected", "kubernetes.lost"]
