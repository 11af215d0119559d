"""What a stage has found out so far, kept apart from the config until it is committed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from fengling_gateway.model.delta import Change
from fengling_gateway.model.entity import KINDS, Key
from fengling_gateway.model.hold import (
    HOLD,
    Tally,
    is_enabled,
    is_enabled_body,
    max_removed_share,
)
from fengling_gateway.model.problems import Problem
from fengling_gateway.model.validation import Rejected, Verdict

PREVIOUS_VERSION: Final = "previous version"
NOTHING: Final = "nothing"
CLOSED_VERSION: Final = "credentials required everywhere"
"""What is served of defaults that were to keep somebody out and never were right."""

NO_KEYS: Final[frozenset[Key]] = frozenset()


@dataclass(frozen=True, slots=True)
class Rejection:
    """
    Why an entity's row does not count, and what is served in its place.

    ``serving`` is `PREVIOUS_VERSION`, `NOTHING` or `CLOSED_VERSION`.
    """

    problems: tuple[Problem, ...]
    serving: str


@dataclass(frozen=True, slots=True)
class StagedResult:
    """
    What a committed stage has changed.

    ``newly_rejected`` has entities that were not rejected before, or for other
    reasons, or served something else; ``recovered`` those that no longer are.
    """

    changes: tuple[Change, ...]
    hash_before: int
    hash_after: int
    newly_rejected: tuple[Key, ...]
    recovered: tuple[Key, ...]


class Holdings:
    """
    Everything known of a set of entities.

    ``interests`` is what an entity's place depends on: the references of the
    version that is served and of all newer ones, which would be preferred.
    ``dependents`` is the reverse. ``verdicts`` has what became of the row
    itself, of rejected entities only. ``tally`` is of the rows, too.
    """

    __slots__ = ("bodies", "dependents", "interests", "rejected", "tally", "verdicts")

    def __init__(self) -> None:
        self.bodies: dict[Key, bytes] = {}
        self.rejected: dict[Key, Rejection] = {}
        self.verdicts: dict[Key, Verdict] = {}
        self.interests: dict[Key, frozenset[Key]] = {}
        self.dependents: dict[Key, set[Key]] = {}
        self.tally = Tally()

    def is_enabled(self, key: Key) -> bool:
        """Whether there is a row that is enabled, be it rejected."""
        verdict = self.verdicts.get(key)
        if isinstance(verdict, Rejected):
            return verdict.enabled
        body = self.bodies.get(key) if verdict is None else verdict.body
        return body is not None and is_enabled_body(body)

    def put(
        self,
        key: Key,
        body: bytes | None,
        interests: frozenset[Key],
        rejection: tuple[Rejection, Verdict] | None,
    ) -> None:
        """Replace all that is known of one entity."""
        if body is None:
            self.bodies.pop(key, None)
        else:
            self.bodies[key] = body
        if rejection is None:
            self.rejected.pop(key, None)
            self.verdicts.pop(key, None)
        else:
            self.rejected[key], self.verdicts[key] = rejection
        self._depend(key, interests)

    def _depend(self, key: Key, interests: frozenset[Key]) -> None:
        before = self.interests.get(key, NO_KEYS)
        if before == interests:
            return
        for other in before - interests:
            dependents = self.dependents[other]
            dependents.discard(key)
            if not dependents:
                del self.dependents[other]
        for other in interests - before:
            self.dependents.setdefault(other, set()).add(key)
        if interests:
            self.interests[key] = interests
        else:
            del self.interests[key]


class Draft:
    """
    The next state of some holdings.

    A full draft is built beside the old holdings and replaces them; any other
    lies over them, so that it costs what it changes. Either way `install` is
    one short step.
    """

    def __init__(self, base: Holdings, *, full: bool) -> None:
        self._base = base
        self._full = Holdings() if full else None
        self.tally = Tally() if full else replace(base.tally)
        # Of an incremental draft: each touched entity with the arguments of `Holdings.put`.
        self._touched: dict[
            Key, tuple[bytes | None, frozenset[Key], tuple[Rejection, Verdict] | None]
        ] = {}

    def note_row(self, key: Key, values: object) -> None:
        """Count a row as it is, whatever becomes of it; once each."""
        if key.kind == "route":
            was_enabled = self._full is None and self._base.is_enabled(key)
            self.tally.enabled_routes += is_enabled(values) - was_enabled
        elif key == HOLD:
            self.tally.max_removed_share = max_removed_share(values)

    def present(self, key: Key) -> bool:
        """Whether an entity is in effect, as far as is known by now."""
        if self._full is not None:
            return key in self._full.bodies
        touched = self._touched.get(key)
        return touched[0] is not None if touched is not None else key in self._base.bodies

    def rejection(self, key: Key) -> Rejection | None:
        """Why an entity is rejected, as far as is known by now."""
        if self._full is not None:
            return self._full.rejected.get(key)
        touched = self._touched.get(key)
        if touched is None:
            return self._base.rejected.get(key)
        return None if touched[2] is None else touched[2][0]

    def put(
        self,
        key: Key,
        body: bytes | None,
        interests: frozenset[Key],
        rejection: tuple[Rejection, Verdict] | None,
    ) -> None:
        if self._full is not None:
            self._full.put(key, body, interests, rejection)
        else:
            self._touched[key] = (body, interests, rejection)

    def install(self) -> Holdings:
        """Return the new holdings; an incremental draft changes the old ones for it."""
        holdings = self._base if self._full is None else self._full
        for key, put in self._touched.items():
            holdings.put(key, *put)
        holdings.tally = self.tally
        return holdings


def count_kinds(bodies: dict[Key, bytes]) -> dict[str, int]:
    counts = dict.fromkeys(KINDS, 0)
    for key in bodies:
        counts[key.kind] += 1
    return counts
