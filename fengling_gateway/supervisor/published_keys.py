"""
The keys that one issuer publishes: kept, and fetched again before anybody asks.

While they can't be fetched, those that were go on, for as long as it takes.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from fengling_gateway.auth.issuer_store import key_source
from fengling_gateway.supervisor.key_fetch import Fetched, FetchError

_log = Logger(namespace="fengling.issuers")

FIRST_RETRY_SECONDS: Final = 1.0
LONGEST_RETRY_SECONDS: Final = 60.0

WANTED_SECONDS: Final = 30.0
"""For so long after tokens have named a key that is unknown, others that do lead to no fetch."""

SPREAD_SECONDS: Final = 2.0
"""Hosts that start together, with keys from before, ask within so long, not all at once."""


class Kept(NamedTuple):
    """What was fetched once, and when, in seconds since the epoch."""

    document: dict[str, Any]
    fetched_at: float


class PublishedKeys:
    """
    Those of one issuer.

    Args:
        body: the issuer's canonical body, which says where it publishes them.
        kept: what was fetched from there before.
        fetch: see `KeyFetch.fetch`; may wait in line before it begins.
        changed: told after a fetch has begun or ended, with this and whether the
            keys are others now.

    Attributes:
        fetched_at: when these keys were seen last, in seconds since the epoch.
        failing_since: when the first of the fetches began to fail that have
            failed since one succeeded; None while they succeed.
        reason, why: the last one did: a `FetchError`'s reason, and its words.
    """

    def __init__(
        self,
        body: Mapping[str, Any],
        kept: Kept | None,
        *,
        clock: IReactorTime,
        wall: Callable[[], float],
        rng: random.Random,
        fetch: Callable[[Mapping[str, Any]], Deferred[Fetched]],
        changed: Callable[[PublishedKeys, bool], None],
    ) -> None:
        self.body = body
        self.source = key_source(body)
        self.document = None if kept is None else kept.document
        self.refused: Mapping[str, str] = {}
        self.fetched_at = None if kept is None else kept.fetched_at
        self.failing_since: float | None = None
        self.reason = self.why = ""
        self.fetches = 0
        self.failures: Counter[str] = Counter()
        self._clock = clock
        self._wall = wall
        self._rng = rng
        self._fetch = fetch
        self._changed = changed
        self._failed_in_a_row = 0
        self._wanted_at: float | None = None
        self._fetching: Deferred[Any] | None = None
        self.is_fetching = False
        self._timer: Any = None
        self._is_stopped = False

    def __repr__(self) -> str:
        state = "fetching" if self.is_fetching else "failing" if self.failing_since else "idle"
        return f"<PublishedKeys {self.id} {state}>"

    @property
    def id(self) -> str:
        return str(self.body["id"])

    @property
    def where(self) -> str:
        """Where they are, for people, without the query of an address: it may hold anything."""
        url, query, _ = str(self.body["jwks_url"] or self.body["issuer"]).partition("?")
        return f"{url}?…" if query else url

    @property
    def again_in(self) -> float:
        """Seconds for which `want` will not begin another fetch."""
        if self._wanted_at is None:
            return 0.0
        return max(0.0, self._wanted_at + WANTED_SECONDS - self._clock.seconds())

    def start(self) -> None:
        """Begin to fetch: at once if there are no keys."""
        if self.document is None:
            self.fetch_now()
        else:
            self._fetch_in(self._rng.uniform(0.0, SPREAD_SECONDS))

    def stop(self) -> None:
        """Fetch no more, and break off what is under way."""
        self._is_stopped = True
        self._cancel_timer()
        if self._fetching is not None:
            self._fetching.cancel()

    def want(self) -> None:
        """Somebody has a token with a key that is not among these; fetch, if it is time."""
        if not self.is_fetching and self.again_in == 0.0:
            self._wanted_at = self._clock.seconds()
            self.fetch_now()

    def fetch_now(self) -> None:
        """Fetch, unless that is under way."""
        self._cancel_timer()
        if self.is_fetching or self._is_stopped:
            return
        self.fetches += 1
        self.is_fetching = True
        self._changed(self, False)
        self._fetching = self._fetch(self.body)
        self._fetching.addCallbacks(self._fetched, self._failed).addBoth(self._ended)

    def _cancel_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _fetch_in(self, seconds: float) -> None:
        if not self._is_stopped:
            self._timer = self._clock.callLater(seconds, self.fetch_now)

    def _fetched(self, fetched: Fetched) -> bool:
        self._fetch_in(self.body["refresh"] * self._rng.uniform(0.8, 1.0))
        is_other = fetched.document != self.document
        self.document, self.refused = fetched.document, fetched.refused
        self.fetched_at = self._wall()
        self._failed_in_a_row = 0
        if self.failing_since is not None:
            self.failing_since, self.reason, self.why = None, "", ""
            _log.info(
                "issuer {issuer}: its keys are fetched again from {where}",
                issuer=self.id,
                where=self.where,
                log_id="issuer.keys_recovered",
            )
        if is_other:
            self._tell_keys()
        return is_other

    def _failed(self, failure: Failure) -> bool:
        if self._is_stopped:
            return False
        delay = min(
            LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** min(self._failed_in_a_row, 16)
        )
        self._failed_in_a_row += 1
        self._fetch_in(delay * self._rng.uniform(0.75, 1.25))
        error = failure.value
        if isinstance(error, FetchError):
            reason, why = error.reason, str(error)
        else:
            reason, why = "internal", "a fault of the gateway's; see its log"
            _log.failure(
                "issuer {issuer}: fetching failed",
                issuer=self.id,
                failure=failure,
                log_id="issuer.fetch_failed",
            )
        self.failures[reason] += 1
        if self.failing_since is None:
            self.failing_since = self._wall()
        if why != self.why:
            _log.warn(
                "issuer {issuer}: its keys can't be fetched from {where}: {why}; {now}",
                issuer=self.id,
                where=self.where,
                why=why,
                now="those from before go on"
                if self.document
                else "there are none: its tokens are refused",
                log_id="issuer.keys_failed",
            )
        self.reason, self.why = reason, why
        return False

    def _ended(self, is_other: Any) -> None:
        self._fetching, self.is_fetching = None, False
        if isinstance(is_other, Failure):
            _log.failure(
                "issuer {issuer}: what was fetched",
                issuer=self.id,
                failure=is_other,
                log_id="issuer.not_taken",
            )
            is_other = False
        if not self._is_stopped:
            self._changed(self, bool(is_other))

    def _tell_keys(self) -> None:
        assert self.document is not None, "just fetched"
        count, first = len(self.document["keys"]), next(iter(self.refused.items()), None)
        _log.info(
            "issuer {issuer} publishes {keys}{refused}",
            issuer=self.id,
            keys=f"{count} key{'' if count == 1 else 's'}",
            refused=""
            if first is None
            else f", and {len(self.refused)} that can't be used: {first[0]} {first[1]}",
            log_id="issuer.keys",
        )
