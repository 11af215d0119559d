"""A gateway follows a database in which many write at once."""

from __future__ import annotations

import random
import threading
from functools import partial
from typing import Any

import pytest

from fengling_gateway.cli.cold_start import judge_database
from fengling_gateway.configsource.reading import Held, Reading, SourceError
from fengling_gateway.configsource.reload import ReloadLoop, ReloadSettings
from fengling_gateway.model.delta import Delta, Position
from fengling_gateway.model.effective import StagedResult, hash_of
from fengling_gateway.model.entity import Key
from tests.configsource import soak
from tests.configsource.postgres_source import SourceInTest
from tests.schema.session import Session

FEW = pytest.param(4, 4, 10, id="few")
MANY = pytest.param(20, 10, 40, id="many", marks=pytest.mark.slow)


class Worker:
    """Applies what the loop hands out, as workers do."""

    def __init__(self) -> None:
        self.position: Position | None = None
        self.bodies: dict[Key, bytes] = {}
        self.errors: list[BaseException] = []

    def delta_read(self, delta: Delta, reading: Reading, result: StagedResult) -> None:
        if not delta.is_full:
            assert (delta.before, delta.hash_before) == (self.position, hash_of(self.bodies))
        for key, body in delta.changes:
            if body is None:
                del self.bodies[key]
            else:
                self.bodies[key] = body
        assert delta.hash_after == hash_of(self.bodies)
        self.position = delta.after

    def held(self, held: Held | None) -> None: ...

    def look_succeeded(self) -> None: ...

    def look_failed(self, error: BaseException) -> None:
        if not isinstance(error, SourceError | TimeoutError):  # its connection was broken
            self.errors.append(error)


class Following:
    """A source and its loop."""

    def __init__(self, source: SourceInTest, seed: str) -> None:
        self.worker = Worker()
        self.reactor = source.loop
        self.loop = ReloadLoop(
            clock=source.loop,
            source=source.source,
            user=self.worker,
            settings=ReloadSettings(),
            rng=random.Random(seed),
        )
        source.on_hint = lambda reason, _: self.loop.look(reason)
        self.loop.start()

    def until_served(self, session: Session) -> None:
        """Follow until the revision to serve is served, and look once more."""
        head = "SELECT fengling.epoch(), baseline_revision, baseline_token::text FROM fengling.head"
        self.reactor.until(lambda: self.loop.position == Position(*session.rows(head)[0]))
        self.reactor.result(self.loop.look("quiet"))


@pytest.mark.parametrize(("rounds", "writers", "transactions"), [FEW, MANY])
def test_whatever_is_written_is_served(
    source: SourceInTest, session: Session, rounds: int, writers: int, transactions: int
) -> None:
    """Whenever nobody writes: what a gateway serves that starts now, and what the tables hold."""
    seed = str(random.randrange(10**9))
    print("seed", seed)
    following = Following(source, seed)
    for number in range(rounds):
        threads = write_at_once(
            session.dsn, [f"{seed}-{number}-{one}" for one in range(writers)], transactions
        )
        if number % 2:
            threads[0].join()  # while it does something else, so that it has much to catch up with
        following.reactor.until(partial(all_ended, threads), timeout=300.0)
        following.until_served(session)
        cold, loop = judge_database(session.dsn), following.loop
        assert (loop.config.bodies, loop.config.rejected, loop.held) == (
            cold.bodies,
            cold.rejected,
            cold.held,
        )
        assert following.worker.bodies == loop.config.bodies
        assert counted(session, loop) == (True, True, 0, 0)
        assert following.worker.errors == []
    following.loop.stop()


def write_at_once(dsn: str, seeds: list[str], transactions: int) -> list[threading.Thread]:
    threads = [
        threading.Thread(target=soak.write, args=(dsn, seed, transactions)) for seed in seeds
    ]
    for thread in threads:
        thread.start()
    return threads


def all_ended(threads: list[threading.Thread]) -> bool:
    return not any(thread.is_alive() for thread in threads)


def counted(session: Session, loop: ReloadLoop) -> tuple[Any, ...]:
    """Return whether routes are counted right, in the tables and as served, and what was left."""
    [(routes, enabled, served, *left)] = session.rows(
        "SELECT routes, (SELECT count(*) FROM fengling.route WHERE enabled), baseline_routes,"
        " (SELECT count(*) FROM fengling.txn), (SELECT count(*) FROM fengling.pending_change)"
        " FROM fengling.head"
    )
    return routes == enabled, served == loop.config.tally.enabled_routes, *left
