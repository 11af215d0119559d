"""The issuers of a worker: whose tokens it believes, and by which keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from fengling_gateway.auth.issuer import Issuer
from fengling_gateway.auth.issuer_store import NO_KEYS_YET, IssuerStore, Published
from fengling_gateway.auth.secrets import SecretResolver
from fengling_gateway.routing.snapshot import Snapshot
from fengling_gateway.worker.applier import MAX_FAILED_NAMED

_log = Logger(namespace="fengling.issuers")

UNANSWERED_SECONDS: Final = 5.0
"""For so long an issuer that was asked for counts as being fetched; the answer takes a moment."""


@dataclass(slots=True)
class _Fetching:
    """
    What is known of the fetching of one issuer's keys.

    Attributes:
        until: a fetch is believed to be under way until then; infinite once it
            was said to be.
        not_before: asking leads to nothing before that.
    """

    until: float = 0.0
    not_before: float = 0.0


class Issuers:
    """
    Keeps the data plane up to date with whose tokens can be verified.

    Args:
        offer: takes the issuers, by what their tokens say in ``iss``, whenever
            one has changed, and when a fetch has ended: who waits for a key has
            waited long enough.
        ask: tells the supervisor that a key of an issuer is wanted.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        resolver: SecretResolver,
        offer: Callable[[dict[str, Issuer]], None],
        ask: Callable[[str], None],
    ) -> None:
        self._clock = clock
        self._store = IssuerStore(resolver)
        self._offer = offer
        self._ask = ask
        self._fetching: dict[str, _Fetching] = {}
        self._offered = self._store.issuers
        self._failed = self._store.failed

    def __repr__(self) -> str:
        return f"<Issuers {self._store!r}>"

    def apply(self, snapshot: Snapshot) -> None:
        """Take the issuers and secrets of a snapshot that is about to be served."""
        bodies = snapshot.bodies
        self._store.apply(bodies["issuer"], bodies["secret"], snapshot.identity_headers)
        self._tell()

    def renew(self, resolver: SecretResolver) -> None:
        """Read all secrets again."""
        self._store.renew(resolver)
        self._tell()

    def key_sets_arrived(self, values: Mapping[str, Mapping[str, Any] | None]) -> bool:
        """
        Take what the supervisor says in `Message.KEY_SETS`.

        Returns:
            whether `failed` is another now.
        """
        published: dict[str, Published | None] = {}
        has_ended = False
        for name, one in values.items():
            if one is None:
                published[name] = None
                has_ended |= self._fetching.pop(name, None) is not None
                continue
            if "document" in one:
                document = one["document"]
                published[name] = document and Published(one["source"], document)
            fetching = self._fetching.setdefault(name, _Fetching())
            now = self._clock.seconds()
            has_ended |= now < fetching.until and not one["is_fetching"]
            fetching.until = float("inf") if one["is_fetching"] else 0.0
            fetching.not_before = now + one["again_in"]
        if published:
            self._store.publish(published)
        return self._tell(at_all_events=has_ended)

    def want(self, issuer_id: str) -> bool:
        """
        A token names a key that this issuer is not known to have: ask for it.

        Returns:
            whether waiting for the next offer may help: a fetch is under way, or
            was just asked for. It ends within seconds.
        """
        fetching = self._fetching.get(issuer_id)
        if fetching is None:
            return False  # nothing is published
        now = self._clock.seconds()
        if now < fetching.until:
            return True
        if now < fetching.not_before:
            return False
        fetching.until = now + UNANSWERED_SECONDS
        # In case of no answer at all, which only a supervisor that is gone gives.
        fetching.not_before = now + 6 * UNANSWERED_SECONDS
        self._ask(issuer_id)
        return True

    def failed(self) -> dict[str, str]:
        """Return what can't be used as it is configured, and why; the first of them."""
        failed = islice(self._store.failed.items(), MAX_FAILED_NAMED)
        return {f"issuer {name}": why for name, why in failed}

    def _tell(self, *, at_all_events: bool = False) -> bool:
        store = self._store
        before, self._failed = self._failed, store.failed
        if before is not store.failed:
            _log_changes(_own(before), _own(store.failed))
        if at_all_events or store.issuers is not self._offered:
            self._offered = store.issuers
            self._offer(store.issuers)
        return before != store.failed


def _own(failed: Mapping[str, str]) -> dict[str, str]:
    """Return what is this worker's to tell; that keys can't be fetched is the supervisor's."""
    return {name: why for name, why in failed.items() if why != NO_KEYS_YET}


def _log_changes(before: Mapping[str, str], after: Mapping[str, str]) -> None:
    for name, why in after.items():
        if before.get(name) != why:
            _log.error(
                "issuer {issuer} can't be used as it is configured: {why}",
                issuer=name,
                why=why,
                log_id="issuer.failed",
            )
    for name in before.keys() - after.keys():
        _log.info(
            "issuer {issuer} is used as it is configured, or gone",
            issuer=name,
            log_id="issuer.recovered",
        )
