"""
The keys that issuers publish, fetched once for all workers of this host.

Workers get them over their control channels and never fetch; a token that names
a key that is unknown makes a worker ask.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime

from fengling_gateway.auth.issuer import Issuer
from fengling_gateway.auth.issuer_store import IssuerStore, Published, key_source
from fengling_gateway.model.delta import Delta
from fengling_gateway.model.effective import EffectiveConfig
from fengling_gateway.model.names import IDENTITY_HEADERS
from fengling_gateway.supervisor.issuer_status import issuer_status, issuer_warnings
from fengling_gateway.supervisor.key_fetch import Fetched
from fengling_gateway.supervisor.published_keys import Kept, PublishedKeys

MAX_FETCHES: Final = 8
"""At a time; others wait in line, which is as long as there are issuers."""

SAVE_SECONDS: Final = 3600.0
"""How long the file may be behind with when keys were seen last."""

SHOWN: Final = 100
"""Issuers in status and metrics, at most."""

Values = dict[str, dict[str, Any] | None]
"""What `Message.KEY_SETS` says."""


class KeyFile(Protocol):
    """`fengling_gateway.supervisor.key_set_file` has the real one."""

    failures: int

    def load(self) -> Mapping[tuple[str, str], Kept]: ...

    def save(self, sets: Mapping[tuple[str, str], Kept]) -> None: ...

    def stop(self) -> Deferred[None]: ...


class KeySets:
    """
    Those of all issuers that are enabled.

    Args:
        wall: the time in seconds since the epoch.
        fetch: see `KeyFetch.fetch`.
        tell: says something to all workers.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        wall: Callable[[], float],
        rng: random.Random,
        fetch: Callable[[Mapping[str, Any]], Deferred[Fetched]],
        file: KeyFile,
        tell: Callable[[Values], None],
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._rng = rng
        self._fetch = fetch
        self._file = file
        self._tell = tell
        self._line = DeferredSemaphore(MAX_FETCHES)
        self._store = IssuerStore(None)
        self._kept: Mapping[tuple[str, str], Kept] = {}
        self._saved_at: float | None = None
        self._bodies: dict[str, dict[str, Any]] = {}
        self._published: dict[str, PublishedKeys] = {}
        self._is_stopped = False

    def __repr__(self) -> str:
        return f"<KeySets of {len(self._published)} issuers>"

    # Life

    def start(self) -> None:
        """Read what is kept."""
        self._kept = self._file.load()

    def stop(self) -> Deferred[None]:
        """Break off what is under way; fires when nothing is being written any more."""
        self._is_stopped = True
        for one in self._published.values():
            one.stop()
        return self._file.stop()

    def delta_read(self, delta: Delta, config: EffectiveConfig) -> None:
        """Take the issuers of a configuration that is about to be published."""
        if delta.is_full or any(change.key.kind == "issuer" for change in delta.changes):
            self.apply(config)

    def apply(self, config: EffectiveConfig) -> None:
        """Take the issuers of a configuration; all of it is looked through."""
        if self._is_stopped or not (self._bodies or config.count("issuer")):
            return
        bodies = {key.id: body for key, body in config.bodies.items() if key.kind == "issuer"}
        self._store.apply(bodies, {}, IDENTITY_HEADERS)
        found = {name: json.loads(body) for name, body in sorted(bodies.items())}
        self._bodies = {name: body for name, body in found.items() if body["enabled"]}
        self._drop_what_has_changed()
        for name, body in self._bodies.items():
            if name in self._published:
                self._published[name].body = body
            elif key_source(body) is not None:
                self._add(body)

    def renew(self) -> None:
        """Fetch all of them now."""
        for one in self._published.values():
            one.fetch_now()

    def _drop_what_has_changed(self) -> None:
        gone: Values = {}
        for name, one in list(self._published.items()):
            body = self._bodies.get(name)
            now = None if body is None else (key_source(body), body["algorithms"])
            if now == (one.source, one.body["algorithms"]):
                continue
            one.stop()
            del self._published[name]
            gone[name] = None
        if gone:
            self._publish(dict.fromkeys(gone))
            self._tell(gone)

    def _add(self, body: dict[str, Any]) -> None:
        source = str(key_source(body))
        one = self._published[body["id"]] = PublishedKeys(
            body,
            self._kept.get((body["id"], source)),
            clock=self._clock,
            wall=self._wall,
            rng=self._rng,
            fetch=self._fetch_in_line,
            changed=self._changed,
        )
        self._publish({one.id: _published(one)})
        self._tell({one.id: _values(one)})
        one.start()

    def _fetch_in_line(self, body: Mapping[str, Any]) -> Deferred[Fetched]:
        return self._line.run(self._fetch, body)

    def _changed(self, one: PublishedKeys, is_other: bool) -> None:
        if is_other:
            self._publish({one.id: _published(one)})
        if not one.is_fetching and one.failing_since is None:
            self._save(at_once=is_other)
        self._tell({one.id: _values(one, with_document=is_other)})

    def _publish(self, published: Mapping[str, Published | None]) -> None:
        self._store.publish(published)

    def _save(self, *, at_once: bool) -> None:
        now = self._clock.seconds()
        if not at_once and self._saved_at is not None and now - self._saved_at < SAVE_SECONDS:
            return
        self._saved_at = now
        self._kept = {
            (one.id, str(one.source)): Kept(one.document, one.fetched_at)
            for one in self._published.values()
            if one.document is not None and one.fetched_at is not None
        }
        self._file.save(self._kept)

    # What workers are told, and ask

    def values(self) -> Values:
        """Return all that a new worker has to know."""
        return {name: _values(one) for name, one in self._published.items()}

    def wanted(self, issuer_id: str) -> Values:
        """A worker wants a key of this issuer's that is not among these; what to answer it."""
        one = self._published.get(issuer_id)
        if one is None:
            return {issuer_id: None}
        one.want()
        return {issuer_id: _values(one, with_document=False)}

    # What others see

    def issuers(self) -> Mapping[str, Issuer]:
        """
        Return the issuers whose tokens can be verified here, by what those say in ``iss``.

        Those that share a secret are not among them: secrets are opened in
        workers only.
        """
        return self._store.issuers

    def status(self) -> dict[str, dict[str, Any]]:
        """Return what there is to say of the first of the issuers, by id."""
        issuers = self._store.issuers
        return {
            name: issuer_status(body, issuers.get(body["issuer"]), self._published.get(name))
            for name, body in islice(self._bodies.items(), SHOWN)
        }

    @property
    def file_failures(self) -> int:
        return self._file.failures

    def warnings(self) -> list[dict[str, str]]:
        """Return what somebody should see to, of the first of the issuers."""
        return [
            {"kind": "issuer", "id": name, "message": f"issuer {name}: {why}"}
            for name in islice(self._bodies, SHOWN)
            for why in issuer_warnings(self._store.failed.get(name), self._published.get(name))
        ]


def _published(one: PublishedKeys) -> Published | None:
    return None if one.document is None else Published(str(one.source), one.document)


def _values(one: PublishedKeys, *, with_document: bool = True) -> dict[str, Any]:
    values: dict[str, Any] = {
        "is_fetching": one.is_fetching,
        "again_in": round(one.again_in, 3),
    }
    if with_document:
        values |= {"source": one.source, "document": one.document}
    return values
