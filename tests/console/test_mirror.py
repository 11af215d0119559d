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
from fengling_gateway.model.delta import Position
from fengling_gateway.model.entity import Key

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


class TrialTests(SynchronousTestCase):
    def setUp(self) -> None:
        source: Any = object()
        self.mirror = Restless(
            clock=Clock(),
            make_source=lambda hint: source,
            settings=ReloadSettings(poll_interval=5, compare_interval=60),
            rng=random.Random(0),
            networks=UpstreamNetworks(),
        )

    def test_what_changes_meanwhile_is_tried_out_over_again(self) -> None:
        """As often as it takes."""
        self.mirror.until = 7
        trial = self.successResultOf(Deferred.fromCoroutine(self.mirror.try_out(ROWS)))
        self.assertEqual(list(trial.bodies), list(ROWS))

    def test_what_never_rests_is_given_up(self) -> None:
        """Somebody waits, and a large change takes longer than instances to fall ill."""
        self.failureResultOf(Deferred.fromCoroutine(self.mirror.try_out(ROWS)), UnsteadyError)
        self.assertLess(self.mirror.looks, TRIAL_SECONDS + 5)
