"""Changes that are tried out over what is served."""

from __future__ import annotations

import random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.balancing.upstream_networks import UpstreamNetworks
from fengling_gateway.configsource.reload import ReloadSettings
from fengling_gateway.console.mirror import TRIAL_SECONDS, Mirror, UnsteadyError
from fengling_gateway.model.delta import Change, Delta, Position
from fengling_gateway.model.effective import hash_of
from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Accepted, validate
from fengling_gateway.routing.snapshot import CompileContext, Snapshot

MANY = 300
ROWS = {Key("service", "s"): {"id": "s"}}


class Restless(Mirror):
    """One in which something is new each time that somebody looks, for a while."""

    looks = 0
    until = 10**9

    @property
    def position(self) -> Position | None:
        self.looks += 1
        self._clock.advance(1)  # type: ignore[attr-defined]  # a test's
        return Position("e", min(self.looks, self.until), "")


class Creeping(Clock):
    """One on which ten milliseconds pass with each look."""

    turns = 0

    def callLater(self, delay: float, *args: Any, **kwargs: Any) -> Any:
        self.turns += 1
        return super().callLater(delay, *args, **kwargs)

    def seconds(self) -> float:
        self.rightNow += 0.01
        return self.rightNow


def a_route(name: str, path: str) -> dict[str, Any]:
    return {"id": name, "path": path, "respond": {"status": 200}}


def many_routes() -> Snapshot:
    bodies = {}
    for number in range(MANY):
        key = Key("route", f"r{number}")
        verdict = validate(key, a_route(key.id, f"/a/{number}"))
        assert isinstance(verdict, Accepted)
        bodies[key] = verdict.body
    changes = tuple(Change(*one) for one in bodies.items())
    delta = Delta(None, Position("e", 1, ""), 0, hash_of(bodies), changes)
    return Snapshot.empty().apply(delta, CompileContext(random.Random(0)))


def a_mirror(made: type[Mirror], clock: Clock) -> Any:
    source: Any = object()
    return made(
        clock=clock,
        make_source=lambda hint: source,
        settings=ReloadSettings(poll_interval=5, compare_interval=60),
        rng=random.Random(0),
        networks=UpstreamNetworks(),
    )


class TrialTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.mirror = a_mirror(Restless, Clock())

    def test_what_changes_meanwhile_is_tried_out_over_again(self) -> None:
        """As often as it takes."""
        self.mirror.until = 7
        trial = self.successResultOf(Deferred.fromCoroutine(self.mirror.try_out(ROWS)))
        self.assertEqual(list(trial.bodies), list(ROWS))

    def test_what_never_rests_is_given_up(self) -> None:
        """Somebody waits, and a large change takes longer than instances to fall ill."""
        self.failureResultOf(Deferred.fromCoroutine(self.mirror.try_out(ROWS)), UnsteadyError)
        self.assertLess(self.mirror.looks, TRIAL_SECONDS + 5)

    def test_others_are_served_while_routes_are_compared(self) -> None:
        """And it is not gone on with for ever: somebody waits for the answer."""
        clock = Creeping()
        mirror = a_mirror(Mirror, clock)
        mirror.snapshot = many_routes()
        rows = {Key("route", "all"): a_route("all", "/{**rest}")}
        trial = Deferred.fromCoroutine(mirror.try_out(rows))
        while not trial.called:
            clock.advance(0)
        self.assertEqual(self.successResultOf(trial).rejected, {})
        self.assertGreater(clock.turns, 10)
        self.assertLess(clock.turns, MANY)
