"""When the keys of an issuer are fetched, and what becomes of those that can't be."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.supervisor.key_fetch import Fetched, FetchError
from fengling_gateway.supervisor.published_keys import (
    LONGEST_RETRY_SECONDS,
    SPREAD_SECONDS,
    WANTED_SECONDS,
    Kept,
    PublishedKeys,
)
from tests.auth.test_issuer_store import URL, body
from tests.support.forge import rsa_jwk, rsa_key

KEYS = {"keys": [rsa_jwk()]}
OTHERS = {"keys": [rsa_jwk(rsa_key(number=1))]}
DOWN = FetchError("connect", "it is down")


class PublishedKeysTests(SynchronousTestCase):
    """`PublishedKeys`"""

    def setUp(self) -> None:
        self.clock = Clock()
        self.fetches: list[Deferred[Fetched]] = []
        self.changes: list[tuple[bool, bool]] = []
        self.publish()

    def tearDown(self) -> None:
        self.keys.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def publish(self, kept: Kept | None = None) -> None:
        self.keys = PublishedKeys(
            json.loads(body()),
            kept,
            clock=self.clock,
            wall=lambda: 1000.0 + self.clock.seconds(),
            rng=random.Random(1),
            fetch=self.fetch,
            changed=lambda one, is_other: self.changes.append((one.is_fetching, is_other)),
        )

    def fetch(self, issuer: Mapping[str, Any]) -> Deferred[Fetched]:
        assert issuer["jwks_url"] == URL
        self.fetches.append(Deferred(lambda one: one.errback(FetchError("deadline", "cancelled"))))
        return self.fetches[-1]

    def answer(self, document: dict[str, Any] = KEYS) -> None:
        self.fetches[-1].callback(Fetched(document))

    def fail_next(self, within: float) -> None:
        """Fail the fetch that is under way; check that there is another one so soon."""
        before = len(self.fetches)
        self.fetches[-1].errback(DOWN)
        self.assertEqual(len(self.fetches), before)
        self.clock.advance(within)
        self.assertEqual(len(self.fetches), before + 1)

    def test_first_keys_are_fetched_at_once(self) -> None:
        """Everybody who has a token waits for them."""
        self.keys.start()
        self.assertEqual(len(self.fetches), 1)
        self.assertEqual(self.changes, [(True, False)])
        self.clock.advance(5)
        self.answer()
        self.assertEqual(self.changes[1:], [(False, True)])
        self.assertEqual((self.keys.document, self.keys.fetched_at), (KEYS, 1005.0))

    def test_keys_are_told_when_they_are_others(self) -> None:
        """How many, and what is wrong with those that can't be used."""
        with capturedLogs() as events:
            self.keys.start()
            self.answer()
            self.keys.fetch_now()
            self.answer()
            self.keys.fetch_now()
            self.fetches[-1].callback(Fetched(OTHERS, {"k9": "is weak", "k8": "is weaker"}))
        self.assertEqual(
            [formatEvent(one) for one in events],
            [
                "issuer acme publishes 1 key",
                "issuer acme publishes 1 key, and 2 that can't be used: k9 is weak",
            ],
        )

    def test_query_of_an_address_is_not_shown(self) -> None:
        """Somebody may have put into it what only the issuer should see."""
        self.keys.body = json.loads(body(jwks_url=f"{URL}?key=canary"))
        self.assertEqual(self.keys.where, f"{URL}?…")

    def test_kept_keys_are_looked_at_again_soon(self) -> None:
        """Not by all hosts of a cluster at the same moment."""
        self.publish(Kept(KEYS, 7.0))
        self.keys.start()
        self.assertEqual((self.keys.document, self.keys.fetched_at), (KEYS, 7.0))
        self.assertEqual(self.fetches, [])
        self.clock.advance(SPREAD_SECONDS)
        self.answer()
        self.assertEqual(self.changes, [(True, False), (False, False)])

    def test_they_are_refreshed_before_they_are_old(self) -> None:
        """In the background; what is as before changes nothing."""
        self.keys.start()
        self.answer()
        self.clock.advance(600.0 * 0.79)
        self.assertEqual(len(self.fetches), 1)
        self.clock.advance(600.0 * 0.21)
        self.answer()
        self.assertEqual(self.changes[2:], [(True, False), (False, False)])
        self.clock.advance(600.0)
        self.answer(OTHERS)
        self.assertEqual(self.changes[-1], (False, True))
        self.assertEqual(self.keys.document, OTHERS)

    def test_failed_fetch_keeps_what_there_was(self) -> None:
        """And is tried again, ever less often, until it succeeds."""
        self.keys.start()
        self.answer()
        self.clock.advance(600.0)
        with capturedLogs() as events:
            for seconds in (1, 2, 4, 8, 16, 32, 60, 60):
                self.fail_next(within=1.25 * seconds)
                self.assertEqual(self.keys.document, KEYS)
                self.assertEqual(self.keys.failing_since, 1600.0)
            self.assertEqual((self.keys.reason, self.keys.why), ("connect", "it is down"))
            self.assertEqual(self.keys.failures, {"connect": 8})
            self.answer()
        told = [one["log_id"] for one in events]
        self.assertEqual(told, ["issuer.keys_failed", "issuer.keys_recovered"])
        self.assertIsNone(self.keys.failing_since)
        self.clock.advance(479)
        self.assertEqual(len(self.fetches), 10)

    def test_waits_between_failures_are_not_the_same_everywhere(self) -> None:
        """Nor ever long."""
        self.keys.start()
        for _ in range(20):
            self.fail_next(within=1.25 * LONGEST_RETRY_SECONDS)

    def test_unknown_key_leads_to_one_fetch_in_half_a_minute(self) -> None:
        """However many tokens name one."""
        self.keys.start()
        self.answer()
        for _ in range(1000):
            self.keys.want()
        self.answer()
        for _ in range(1000):
            self.keys.want()
            self.clock.advance((WANTED_SECONDS - 1) / 1000)
        self.assertEqual(len(self.fetches), 2)
        self.assertAlmostEqual(self.keys.again_in, 1.0)
        self.clock.advance(1.001)
        self.keys.want()
        self.assertEqual(len(self.fetches), 3)

    def test_unknown_key_does_not_hurry_what_fails(self) -> None:
        """An issuer that is down is asked no more often than it would be."""
        self.keys.start()
        for _ in range(7):
            self.fail_next(within=1.25 * LONGEST_RETRY_SECONDS)
        before = len(self.fetches)
        self.fetches[-1].errback(DOWN)
        for _ in range(100):
            self.keys.want()
            if self.keys.is_fetching:
                self.fetches[-1].errback(DOWN)
        self.assertEqual(len(self.fetches), before + 1)

    def test_fetch_under_way_is_the_only_one(self) -> None:
        """Whoever else wants one."""
        self.keys.start()
        self.keys.fetch_now()
        self.keys.want()
        self.assertEqual(len(self.fetches), 1)

    def test_stop_breaks_off(self) -> None:
        """And tells nobody; nothing is left to happen."""
        self.keys.start()
        self.keys.stop()
        self.assertEqual(self.changes, [(True, False)])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.keys.fetch_now()
        self.assertEqual(len(self.fetches), 1)

    def test_fault_of_ours_is_survived_and_named(self) -> None:
        """With its traceback in the log."""
        self.keys.start()
        self.fetches[0].errback(ZeroDivisionError())
        self.assertEqual(self.keys.reason, "internal")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.clock.advance(1.25)
        self.assertEqual(len(self.fetches), 2)
