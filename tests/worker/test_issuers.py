"""What a worker makes of issuers, and when it asks for their keys."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.auth.issuer import Issuer
from fengling_gateway.auth.secrets import SecretResolver
from fengling_gateway.routing.snapshot import Snapshot
from fengling_gateway.worker.issuers import UNANSWERED_SECONDS, Issuers
from tests.auth.test_issuer_store import PUBLISHED, body, secret, shared
from tests.support.forge import ISSUER

KEYS = {"source": PUBLISHED.source, "document": PUBLISHED.document}


def said(*, fetching: bool = False, again_in: float = 0.0, **more: Any) -> dict[str, Any]:
    """What the supervisor says of one issuer."""
    return {"is_fetching": fetching, "again_in": again_in, **more}


class IssuersTests(SynchronousTestCase):
    """`Issuers`"""

    def setUp(self) -> None:
        self.clock = Clock()
        self.offered: list[dict[str, Issuer]] = []
        self.asked: list[str] = []
        self.issuers = Issuers(
            clock=self.clock,
            resolver=SecretResolver((), read_file=self.read_file, environment={}),
            offer=self.offered.append,
            ask=self.asked.append,
        )

    def read_file(self, path: str) -> bytes:
        raise FileNotFoundError(2, "No such file or directory")

    def apply(self, *bodies: bytes) -> None:
        named = dict(zip(("acme", "other"), bodies, strict=False))
        snapshot = Snapshot.empty()._replace(
            bodies={"issuer": named, "secret": secret("file:/missing")}
        )
        self.issuers.apply(cast("Snapshot", snapshot))

    def test_data_plane_is_told_of_changes_only(self) -> None:
        """A snapshot that changes no issuer, and keys that are as before, change nothing."""
        self.apply(body())
        self.assertTrue(self.issuers.key_sets_arrived({"acme": said(**KEYS)}))
        self.assertEqual([len(one[ISSUER].keys) for one in self.offered], [0, 1])
        self.apply(body())
        self.assertFalse(self.issuers.key_sets_arrived({"acme": said(**KEYS)}))
        self.assertFalse(self.issuers.key_sets_arrived({"acme": said(again_in=9.0)}))
        self.assertEqual(len(self.offered), 2)

    def test_issuer_without_published_keys_is_asked_for_nothing(self) -> None:
        """Its keys are all there are."""
        self.apply(shared())
        self.assertFalse(self.issuers.want("acme"))
        self.assertFalse(self.issuers.want("nobody"))
        self.assertEqual(self.asked, [])

    def test_who_wants_a_key_waits_for_the_fetch_under_way(self) -> None:
        """And nobody asks for another."""
        self.apply(body())
        self.issuers.key_sets_arrived({"acme": said(fetching=True)})
        self.clock.advance(1000)
        self.assertTrue(self.issuers.want("acme"))
        self.assertEqual(self.asked, [])

    def test_end_of_a_fetch_is_told_though_it_changed_nothing(self) -> None:
        """Who waits has waited long enough; after that nobody does until it may help again."""
        self.apply(body())
        self.issuers.key_sets_arrived({"acme": said(fetching=True, again_in=30.0)})
        before = len(self.offered)
        self.issuers.key_sets_arrived({"acme": said(again_in=29.0)})
        self.assertEqual(len(self.offered), before + 1)
        self.assertFalse(self.issuers.want("acme"))
        self.clock.advance(29.0)
        self.assertTrue(self.issuers.want("acme"))
        self.assertEqual(self.asked, ["acme"])

    def test_thousand_unknown_keys_ask_once(self) -> None:
        """Refused, they make nobody wait."""
        self.apply(body())
        self.issuers.key_sets_arrived({"acme": said()})
        self.assertTrue(all(self.issuers.want("acme") for _ in range(1000)))
        self.issuers.key_sets_arrived({"acme": said(again_in=20.0)})
        self.assertFalse(any(self.issuers.want("acme") for _ in range(1000)))
        self.assertEqual(self.asked, ["acme"])

    def test_question_without_an_answer_is_forgotten(self) -> None:
        """The supervisor may be gone: then waiting helps nobody for long."""
        self.apply(body())
        self.issuers.key_sets_arrived({"acme": said()})
        self.issuers.want("acme")
        self.clock.advance(UNANSWERED_SECONDS)
        self.assertFalse(self.issuers.want("acme"))
        self.assertEqual(self.asked, ["acme"])

    def test_issuer_that_publishes_no_more_has_no_keys(self) -> None:
        self.apply(body())
        self.issuers.key_sets_arrived({"acme": said(**KEYS)})
        self.issuers.key_sets_arrived({"acme": None})
        self.assertEqual(len(self.offered[-1][ISSUER].keys), 0)
        self.assertFalse(self.issuers.want("acme"))

    def test_failure_is_told_once_and_so_is_its_end(self) -> None:
        """That keys are not there yet is the supervisor's to tell."""
        with capturedLogs() as events:
            self.apply(body())
            self.apply(shared())
            self.apply(shared(), body("other", issuer="https://other.example"))
            self.apply(body())
        ids = [one["log_id"] for one in events if "log_id" in one]
        self.assertEqual(ids, ["issuer.failed", "issuer.recovered"])

    def test_what_failed_is_named_with_its_kind(self) -> None:
        self.apply(body())
        self.assertEqual(list(self.issuers.failed()), ["issuer acme"])
