"""
The effective config: what is served of what is configured.

It is a function of the config source alone, whatever a host has seen before.
For each entity that exists, the first of its versions counts that

1. validates by itself, and
2. refers only to entities that are in the effective config;

looked for in the row as it is, then in its history from newest to oldest. (Of
clients and API keys in the row only, and of issuers one that tokens would take
for another whose id comes first does not count.) An
entity whose row is not what counts is *rejected*: it serves a previous version
or nothing; only defaults that were to keep somebody out, and never were right,
serve that everybody needs credentials. An entity that does not exist is out, whatever its history says.

References go from a kind to an earlier one of `KINDS` only, so one pass over
the kinds in that order decides everything.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from fengling_gateway.model.draft import (
    NOTHING,
    PREVIOUS_VERSION,
    Draft,
    Holdings,
    Rejection,
    StagedResult,
    count_kinds,
)
from fengling_gateway.model.entity import Key, add_hash, entity_hash
from fengling_gateway.model.hold import HOLD, Tally, is_enabled_body, max_removed_share
from fengling_gateway.model.staging import RawRow, Stage

__all__ = [
    "NOTHING",
    "PREVIOUS_VERSION",
    "EffectiveConfig",
    "Rejection",
    "Stage",
    "StagedResult",
    "hash_of",
]


class EffectiveConfig:
    """
    The canonical bodies that are served, and what is rejected.

    Changed only by committing a `Stage`. What its attributes return is to be
    read, and not kept across a commit.
    """

    def __init__(self) -> None:
        self._holdings = Holdings()
        self._is_complete = True
        self._commits = 0
        self.content_hash = 0
        self.counts = count_kinds({})

    def __repr__(self) -> str:
        return (
            f"<EffectiveConfig of {len(self.bodies)} entities, "
            f"{len(self.rejected)} rejected, hash {self.content_hash:032x}>"
        )

    def restore(self, bodies: dict[Key, bytes], content_hash: int | None = None) -> None:
        """
        Serve bodies that were effective once: those of a last-known-good file.

        They say nothing of what was rejected then, so the next stage has to be
        a full one. Without `content_hash` it is computed (2 µs each).
        """
        self._holdings = Holdings()
        self._holdings.bodies = bodies
        self._holdings.tally = _tally_of(bodies)
        self._is_complete = False
        self._commits += 1
        self.content_hash = hash_of(bodies) if content_hash is None else content_hash
        self.counts = count_kinds(bodies)

    def count(self, kind: str) -> int:
        """How many entities of a kind are in effect."""
        return self.counts[kind]

    @property
    def bodies(self) -> dict[Key, bytes]:
        """The canonical body of everything that is in effect."""
        return self._holdings.bodies

    @property
    def rejected(self) -> dict[Key, Rejection]:
        """The entities whose rows do not count."""
        return self._holdings.rejected

    @property
    def tally(self) -> Tally:
        """What the hold rule has to know of this state; for what was restored, of what it serves."""
        return self._holdings.tally

    @property
    def is_complete(self) -> bool:
        """Whether an incremental stage may follow; False for what was restored."""
        return self._is_complete

    def stage(self, rows: Iterable[RawRow], *, full: bool) -> Stage:
        """
        Begin to find out what `rows` change; see `Stage`.

        Args:
            rows: Keys with their rows, None for a deleted one. Read in slices.
            full: The rows are everything; what is not among them does not exist.

        Raises:
            ValueError: an incremental stage on a config that is not complete.
        """
        if not full and not self._is_complete:
            raise ValueError("a restored config needs a full stage first")
        based_on = self._commits

        def install(draft: Draft, result: StagedResult, counts: dict[str, int]) -> None:
            if self._commits != based_on:
                raise ValueError("another state has been committed since this stage began")
            self._holdings = draft.install()
            self._is_complete = True
            self._commits += 1
            self.content_hash = result.hash_after
            self.counts = counts

        return Stage(self._holdings, self.content_hash, self.counts, rows, install, full=full)


def _tally_of(bodies: dict[Key, bytes]) -> Tally:
    enabled = sum(key.kind == "route" and is_enabled_body(body) for key, body in bodies.items())
    hold = bodies.get(HOLD)
    return Tally(enabled, max_removed_share(None if hold is None else json.loads(hold)))


def hash_of(bodies: dict[Key, bytes]) -> int:
    """Return the content hash of whole bodies; O(all), for loading and for checking."""
    content_hash = 0
    for key, body in bodies.items():
        content_hash = add_hash(content_hash, entity_hash(key, body))
    return content_hash
