"""Keys of all issuers: who is told of them, and what is kept."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.model.delta import Change, Delta, Everything, Position
from fengling_gateway.model.effective import EffectiveConfig
from fengling_gateway.model.entity import Key
from fengling_gateway.supervisor.key_fetch import Fetched, FetchError
from fengling_gateway.supervisor.key_sets import MAX_FETCHES, SAVE_SECONDS, KeySets
from fengling_gateway.supervisor.published_keys import WANTED_SECONDS, Kept
from tests.auth.test_issuer_store import URL, body, shared
from tests.support.forge import ISSUER, rsa_jwk, rsa_key

KEYS = {"keys": [rsa_jwk()]}
OTHERS = {"keys": [rsa_jwk(rsa_key(number=1))]}
SOURCE = f"jwks {URL}"


class Disk:
    """Notes what is saved."""

    failures = 0

    def __init__(self) -> None:
        self.kept: Mapping[tuple[str, str], Kept] = {}
        self.saved: list[Mapping[tuple[str, str], Kept]] = []

    def load(self) -> Mapping[tuple[str, str], Kept]:
        return self.kept

    def save(self, sets: Mapping[tuple[str, str], Kept]) -> None:
        self.saved.append(sets)

    def stop(self) -> Deferred[None]:
        return succeed(None)


class KeySetsTests(SynchronousTestCase):
    """`KeySets`"""

    def setUp(self) -> None:
        self.clock = Clock()
        self.disk = Disk()
        self.told: list[dict[str, Any]] = []
        self.fetches: dict[str, Deferred[Fetched]] = {}
        self.begin()

    def begin(self) -> None:
        self.sets = KeySets(
            clock=self.clock,
            wall=lambda: 1000.0 + self.clock.seconds(),
            rng=random.Random(1),
            fetch=self.fetch,
            file=self.disk,
            tell=self.told.append,
        )
        self.sets.start()

    def tearDown(self) -> None:
        self.successResultOf(self.sets.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def fetch(self, issuer: Mapping[str, Any]) -> Deferred[Fetched]:
        name = issuer["id"]
        self.fetches[name] = Deferred(lambda one: one.errback(FetchError("deadline", "cancelled")))
        return self.fetches[name]

    def apply(self, *bodies: bytes) -> None:
        """Serve these issuers, by the names a, b, …"""
        config = EffectiveConfig()
        config.restore({Key("issuer", "abcdefghijklm"[n]): one for n, one in enumerate(bodies)})
        self.sets.apply(config)

    def answer(self, name: str, document: dict[str, Any] = KEYS, **refused: str) -> None:
        self.fetches.pop(name).callback(Fetched(document, refused))

    def test_workers_are_told_when_it_begins_and_when_it_has_ended(self) -> None:
        """With the keys when they are others."""
        self.apply(body("a"))
        values = {"is_fetching": False, "again_in": 0.0}
        self.assertEqual(
            self.told,
            [
                {"a": {**values, "source": SOURCE, "document": None}},
                {"a": {**values, "is_fetching": True}},
            ],
        )
        self.answer("a")
        self.assertEqual(self.told[2:], [{"a": {**values, "source": SOURCE, "document": KEYS}}])
        self.clock.advance(600)
        self.answer("a")
        self.assertEqual(self.told[3:], [{"a": {**values, "is_fetching": True}}, {"a": values}])

    def test_who_wants_a_key_is_told_whether_waiting_helps(self) -> None:
        """And for how long asking again would not."""
        self.apply(body("a"))
        self.answer("a")
        first = self.sets.wanted("a")
        self.assertEqual(first, {"a": {"is_fetching": True, "again_in": WANTED_SECONDS}})
        self.answer("a")
        self.clock.advance(10)
        second = self.sets.wanted("a")
        self.assertEqual(second, {"a": {"is_fetching": False, "again_in": WANTED_SECONDS - 10}})
        self.assertEqual(self.sets.wanted("nobody"), {"nobody": None})
        self.assertEqual(self.fetches, {})

    def test_new_worker_is_told_everything(self) -> None:
        self.apply(body("a"), body("b", issuer="https://b.example"))
        self.answer("a")
        values = self.sets.values()
        self.assertEqual(list(values), ["a", "b"])
        assert values["a"]
        assert values["b"]
        self.assertEqual((values["a"]["document"], values["b"]["document"]), (KEYS, None))
        self.assertEqual((values["a"]["is_fetching"], values["b"]["is_fetching"]), (False, True))

    def test_issuer_that_is_gone_is_fetched_for_no_more(self) -> None:
        """Or not enabled, or with keys from elsewhere; workers forget what they had."""
        for other in ((), (body("a", enabled=False),), (body("a", keys=KEYS, jwks_url=None),)):
            self.apply(body("a"))
            self.apply(*other)
            self.assertEqual(self.told[-1], {"a": None})
            self.assertEqual(self.sets.values(), {})
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_issuer_at_another_address_begins_anew(self) -> None:
        """What another address has published counts for nothing."""
        self.apply(body("a"))
        self.answer("a")
        self.apply(body("a", jwks_url=URL + "2"))
        values = self.sets.values()["a"]
        assert values is not None
        self.assertEqual((values["source"], values["document"]), (SOURCE + "2", None))
        self.assertEqual(len(self.sets.issuers()[ISSUER].keys), 0)
        self.answer("a", OTHERS)
        self.assertEqual(len(self.sets.issuers()[ISSUER].keys), 1)

    def test_other_changes_of_an_issuer_leave_its_keys(self) -> None:
        """They are not even fetched."""
        self.apply(body("a"))
        self.answer("a")
        before = len(self.told)
        self.apply(body("a", required_claims=["sub"], refresh="60s"))
        self.assertEqual((self.fetches, self.told[before:]), ({}, []))

    def test_few_are_asked_at_a_time(self) -> None:
        """However many there are."""
        self.apply(
            *(
                body("abcdefghijklm"[n], issuer=f"https://{n}.example")
                for n in range(MAX_FETCHES + 3)
            )
        )
        self.assertEqual(len(self.fetches), MAX_FETCHES)
        self.answer("a")
        self.assertEqual(len(self.fetches), MAX_FETCHES)

    def test_only_deltas_with_issuers_are_looked_at(self) -> None:
        """Whatever else changes costs nothing here."""
        config = EffectiveConfig()
        config.restore({Key("issuer", "a"): body("a")})
        here, there = Position("e", 1, "t"), Position("e", 2, "u")
        route = Change(Key("route", "r"), b"{}")
        self.sets.delta_read(Delta(here, there, 0, 0, (route,)), config)
        self.assertEqual(self.sets.values(), {})
        issuer = Change(Key("issuer", "a"), body("a"))
        self.sets.delta_read(Delta(here, there, 0, 0, (route, issuer)), config)
        self.assertEqual(list(self.sets.values()), ["a"])
        config.restore({})
        self.sets.delta_read(Delta(None, there, 0, 0, Everything({})), config)
        self.assertEqual(self.sets.values(), {})

    def test_keys_are_kept_for_a_start_without_the_issuer(self) -> None:
        """By issuer and place, whatever has become of the others."""
        self.apply(body("a"), body("b", issuer="https://b.example"))
        self.answer("a")
        self.assertEqual(self.disk.saved, [{("a", SOURCE): Kept(KEYS, 1000.0)}])
        self.sets.stop()
        self.disk.kept = self.disk.saved[0]
        self.begin()
        self.apply(body("a"))
        values = self.sets.values()["a"]
        assert values is not None
        self.assertEqual(values["document"], KEYS)
        self.assertEqual(len(self.sets.issuers()[ISSUER].keys), 1)
        self.sets.stop()
        self.begin()
        self.apply(body("a", jwks_url=URL + "2"))
        values = self.sets.values()["a"]
        assert values is not None
        self.assertIsNone(values["document"])

    def test_file_is_written_when_keys_change_and_else_now_and_then(self) -> None:
        """It says when they were seen last, to the hour."""
        self.apply(body("a"))
        self.answer("a")
        self.clock.advance(600)
        self.answer("a")
        self.assertEqual(len(self.disk.saved), 1)
        self.clock.advance(SAVE_SECONDS)
        self.answer("a")
        self.assertEqual(self.disk.saved[1]["a", SOURCE].fetched_at, 1000.0 + 600 + SAVE_SECONDS)
        self.clock.advance(600)
        self.answer("a", OTHERS)
        self.assertEqual(self.disk.saved[2]["a", SOURCE].document, OTHERS)

    def test_status_says_how_it_stands(self) -> None:
        """Of all that are enabled."""
        b, c = "https://b.example", "https://c.example"
        self.apply(body("a"), body("b", issuer=b, keys=KEYS, jwks_url=None), shared("c", issuer=c))
        self.answer("a", KEYS, k9="is weak")
        self.clock.advance(600)
        self.fetches.pop("a").errback(FetchError("status", "it answers 500"))
        self.assertEqual(
            self.sets.status(),
            {
                "a": {
                    "issuer": ISSUER,
                    "keys_from": "jwks_url",
                    "keys": 1,
                    "url": URL,
                    "fetching": False,
                    "fetched_at": 1000.0,
                    "failing_since": 1600.0,
                    "reason": "status",
                    "why": "it answers 500",
                    "fetches": 2,
                    "failures": {"status": 1},
                    "refused": {"k9": "is weak"},
                    "refused_total": 1,
                },
                "b": {"issuer": b, "keys_from": "keys", "keys": 1},
                "c": {"issuer": c, "keys_from": "key_secret", "keys": None},
            },
        )
        (warning,) = self.sets.warnings()
        self.assertEqual((warning["kind"], warning["id"]), ("issuer", "a"))
        self.assertEqual(
            warning["message"],
            "issuer a: its keys can't be fetched since 1970-01-01 00:26:40Z: it answers 500; "
            "those of 1970-01-01 00:16:40Z go on",
        )

    def test_issuer_without_any_keys_is_warned_of(self) -> None:
        """Since its tokens are refused; and one that another has taken the tokens of."""
        self.apply(body("a"), body("b"))
        self.assertEqual([one["id"] for one in self.sets.warnings()], ["b"])
        self.fetches.pop("a").errback(FetchError("status", "it answers 500"))
        first, second = (one["message"] for one in self.sets.warnings())
        self.assertIn("its tokens are refused", first)
        self.assertIn("those of issuer a, whose id comes first", second)
