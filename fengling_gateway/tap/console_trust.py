"""Issuers whose tokens are good at the console: made as gateways make them, if any is named."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, succeed

from fengling_gateway.access.verifiers import IssuerTokens, Kept
from fengling_gateway.console.mirror import Applied, Mirror
from fengling_gateway.settings import ConsoleSettings
from fengling_gateway.supervisor import published_keys
from fengling_gateway.supervisor.key_fetch import KeyFetch
from fengling_gateway.supervisor.key_sets import KeySets


class NoFile:
    """A console keeps nothing: after a restart the keys are fetched again."""

    failures = 0

    def load(self) -> Mapping[tuple[str, str], published_keys.Kept]:
        return {}

    def save(self, sets: Mapping[tuple[str, str], published_keys.Kept]) -> None:
        pass

    def stop(self) -> Deferred[None]:
        return succeed(None)


class TrustedIssuers:
    """
    Keeps the keys of issuers, as the configuration has them.

    Args:
        get: asks a web server.
    """

    def __init__(
        self, *, reactor: Any, mirror: Mirror, get: Callable[[str], Deferred[bytes]]
    ) -> None:
        self._mirror = mirror
        self._keys = KeySets(
            clock=reactor,
            wall=time.time,
            rng=random.Random(),
            fetch=KeyFetch(clock=reactor, get=get).fetch,
            file=NoFile(),
            tell=lambda _: None,
        )
        mirror.on_change(self._changed)

    def verifier(self, settings: ConsoleSettings, kept: Kept) -> IssuerTokens:
        """Return what judges tokens of the issuers that the settings name."""
        return IssuerTokens(
            self._keys.issuers,
            names=settings.management.issuers,
            audience=settings.management.audience,
            kept=kept,
            want=self._keys.wanted,
        )

    def start(self) -> None:
        self._keys.start()

    def stop(self) -> Deferred[None]:
        return self._keys.stop()

    def _changed(self, applied: Applied) -> None:
        if applied.is_first or any(change.key.kind == "issuer" for change in applied.changes):
            self._keys.apply(self._mirror.config)
