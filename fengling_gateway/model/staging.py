"""A stage: the way of an effective config from one state to the next, in small steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, Final

from fengling_gateway.model.delta import Change
from fengling_gateway.model.draft import (
    CLOSED_VERSION,
    NO_KEYS,
    NOTHING,
    PREVIOUS_VERSION,
    Draft,
    Holdings,
    Rejection,
    StagedResult,
)
from fengling_gateway.model.entity import (
    KIND_INDEX,
    KINDS,
    KINDS_WITHOUT_PAST,
    Key,
    add_hash,
    entity_hash,
    subtract_hash,
)
from fengling_gateway.model.hold import Tally
from fengling_gateway.model.issuers import said_by_tokens
from fengling_gateway.model.problems import Problem, reference
from fengling_gateway.model.validation import Accepted, Rejected, Verdict, validate

STEP_WEIGHT: Final = 128
"""Entities of a usual size that one step judges: some 5 ms of work."""

_LARGE_BODY: Final = 2048

RawRow = tuple[Key, dict[str, Any] | None]


class Stage:
    """
    Finds out what rows change in the effective config, without changing it yet.

    Step until `step` is False. If `wanted` then names keys, `supply` their
    histories and step on; otherwise `commit`. To give up, drop it::

        while True:
            while stage.step():
                ...  # let the reactor turn
            if not stage.wanted:
                break
            stage.supply(await source.history(stage.wanted, target.revision))
        result = stage.commit()
    """

    def __init__(
        self,
        base: Holdings,
        content_hash: int,
        counts: dict[str, int],
        rows: Iterable[RawRow],
        install: Callable[[Draft, StagedResult, dict[str, int]], None],
        *,
        full: bool,
    ) -> None:
        self._base = base
        self._rows = iter(rows)
        self._install = install
        self._full = full
        self._draft = Draft(base, full=full)
        # What the rows themselves are worth; None for a deleted one.
        self._verdicts: dict[Key, Verdict | None] = {}
        # The keys among the rows, by kind, each as an ordered set.
        self._layers: list[dict[Key, None]] = [{} for _ in KINDS]
        # Who depends on what has appeared or vanished. Sets of the base, as they are:
        # copying one of 100,000 would take more than a step.
        self._roused: list[set[Key]] = []
        self._histories: dict[Key, list[dict[str, Any]]] = {}
        self._wanted: list[Key] = []
        self._changes: list[Change] = []
        self._newly_rejected: list[Key] = []
        self._recovered: list[Key] = []
        self._counts = dict(counts)
        self._hash_before = content_hash
        self._hash = content_hash
        # Equal sets of references are one object: 100,000 routes have few services.
        self._shared: dict[frozenset[Key], frozenset[Key]] = {}
        # Those that have been settled, by what their tokens say.
        self._issuers: dict[str, Key] = {}
        self._weight = 0
        self._work = self._run()
        self._finished = False

    def __repr__(self) -> str:
        state = "finished" if self._finished else f"{len(self._wanted)} histories wanted"
        return f"<Stage of {len(self._verdicts)} rows: {len(self._changes)} changes, {state}>"

    @property
    def wanted(self) -> list[Key]:
        """The keys whose histories are needed to go on."""
        return list(self._wanted)

    def count(self, kind: str) -> int:
        """How many entities of a kind are in effect after this, as far as is known by now."""
        return self._counts[kind]

    @property
    def tally(self) -> Tally:
        """What the hold rule has to know of the state after this, as far as is known by now."""
        return self._draft.tally

    def step(self) -> bool:
        """Do a slice of the work (≤ 10 ms); False when all is done or histories are wanted."""
        if not self._finished and not self._wanted:
            self._finished = next(self._work, None) is None
        return not self._finished and not self._wanted

    def supply(self, histories: dict[Key, list[dict[str, Any]]]) -> None:
        """Give the versions of the wanted entities, newest first; a key left out has none."""
        for key in self._wanted:
            self._histories[key] = histories.get(key, [])
        self._wanted = []

    def commit(self) -> StagedResult:
        """
        Make it so: from here on the config shows the new state, and all of it.

        Raises:
            ValueError: there is work left to do.
        """
        result = self.result()
        self._install(self._draft, result, self._counts)
        return result

    def result(self) -> StagedResult:
        """
        Return what a commit would change, for who only wants to know.

        Raises:
            ValueError: there is work left to do.
        """
        if not self._finished:
            raise ValueError(f"{self!r} can't be committed yet")
        return StagedResult(
            tuple(self._changes),
            self._hash_before,
            self._hash,
            tuple(self._newly_rejected),
            tuple(self._recovered),
        )

    def rejection(self, key: Key) -> Rejection | None:
        """Return why an entity would be rejected, as far as is known by now."""
        return self._draft.rejection(key)

    # The work: a generator that yields after each slice, and where it has to wait.

    def _run(self) -> Iterator[bool]:
        yield from self._judge_rows()
        for kind, layer in zip(KINDS, self._layers, strict=True):
            settle = self._settle_issuers if kind == "issuer" else self._settle_layer
            yield from settle(kind, layer)
        if self._full:
            yield from self._drop_the_vanished()

    def _spent(self, body: bytes | None = None) -> bool:
        """Count work done; whether it is enough for one step."""
        self._weight += 1 if body is None else 1 + len(body) // _LARGE_BODY
        if self._weight < STEP_WEIGHT:
            return False
        self._weight = 0
        return True

    def _judge_rows(self) -> Iterator[bool]:
        wanted: dict[Key, None] = {}
        last = len(KINDS) - 1
        for key, values in self._rows:
            verdict = None if values is None else validate(key, values)
            self._verdicts[key] = verdict
            self._draft.note_row(key, values)
            self._layers[KIND_INDEX.get(key.kind, last)][key] = None
            if isinstance(verdict, Rejected) and key.kind not in KINDS_WITHOUT_PAST:
                wanted[key] = None
            if self._spent(verdict.body if isinstance(verdict, Accepted) else None):
                yield True
        # All that is sure to be needed is asked for at once.
        self._wanted = [key for key in wanted if isinstance(self._verdicts[key], Rejected)]
        yield True

    def _settle_layer(self, kind: str, layer: dict[Key, None]) -> Iterator[bool]:
        pending: Iterable[Key] = chain(layer, self._roused_of(kind))
        while True:
            unsettled = []
            for key in pending:
                if not self._settle(key):
                    unsettled.append(key)
                if self._spent():
                    yield True
            if not unsettled:
                return
            self._wanted = pending = unsettled
            yield True

    def _settle_issuers(self, kind: str, layer: dict[Key, None]) -> Iterator[bool]:
        """
        Settle all issuers if anything of one changes: what one is decides over others.

        Tokens tell them apart by what they call their issuer. Of several that are called
        the same, the one whose id comes first is in effect, so they are settled in that order.
        """
        touched = {*layer, *self._roused_of(kind)}
        if not touched:
            return
        if not self._full:
            touched.update(key for key in self._base.bodies if key.kind == kind)
            touched.update(key for key in self._base.verdicts if key.kind == kind)
        for key in sorted(touched):
            while not self._settle(key):
                self._wanted = [key]
                yield True
            if self._spent():
                yield True

    def _roused_of(self, kind: str) -> Iterator[Key]:
        """Yield those to be judged again, each once, that are not among the rows anyway."""
        seen: set[Key] = set()
        for dependents in self._roused:
            for key in dependents:
                if key.kind == kind and key not in self._verdicts and key not in seen:
                    seen.add(key)
                    yield key

    def _drop_the_vanished(self) -> Iterator[bool]:
        for key in self._base.bodies:
            if key not in self._verdicts:
                self._note_change(key, self._base.bodies[key], None)
            if self._spent():
                yield True
        for key in self._base.rejected:
            if key not in self._verdicts:
                self._recovered.append(key)

    def _settle(self, key: Key) -> bool:
        """Decide what of an entity is in effect; False where that takes its history."""
        verdict = self._verdict_on(key)
        if verdict is None:
            self._put(key, None, frozenset(), None)
        elif isinstance(verdict, Accepted) and self._counts_now(key, verdict):
            self._put(key, verdict.body, verdict.refs, None)
        elif key in self._histories or key.kind in KINDS_WITHOUT_PAST:
            self._fall_back(key, verdict)
        else:
            return False
        return True

    def _verdict_on(self, key: Key) -> Verdict | None:
        """Return what the entity's row is worth, also where the row was not among these."""
        if key in self._verdicts:
            return self._verdicts[key]
        verdict = self._base.verdicts.get(key)
        if verdict is None and key in self._base.bodies:
            # Not rejected, so what is served is the row.
            verdict = Accepted(self._base.bodies[key], self._base.interests.get(key, NO_KEYS))
        return verdict

    def _counts_now(self, key: Key, version: Accepted) -> bool:
        """Whether a version can be in effect: all that it refers to is, and it is like no other."""
        return all(map(self._draft.present, version.refs)) and not self._namesake(key, version)

    def _namesake(self, key: Key, version: Accepted) -> Key | None:
        """Return the issuer that tokens would take for this one; it is settled, as its id is less."""
        return self._issuers.get(said_by_tokens(version.body)) if key.kind == "issuer" else None

    def _fall_back(self, key: Key, verdict: Verdict) -> None:
        """Serve the newest earlier version that can be served."""
        interests = set(verdict.refs)
        body = None
        for values in self._histories.get(key, ()):
            earlier = validate(key, values)
            if isinstance(earlier, Accepted):
                interests |= earlier.refs
                if self._counts_now(key, earlier):
                    body = earlier.body
                    break
        serving = NOTHING if body is None else PREVIOUS_VERSION
        if body is None and isinstance(verdict, Rejected) and verdict.stand_in is not None:
            body, serving = verdict.stand_in, CLOSED_VERSION
        problems = self._missing(key, verdict.refs) + self._mistaken(key, verdict)
        if isinstance(verdict, Rejected):
            problems = verdict.problems + problems
        rejection = Rejection(problems, serving)
        self._put(key, body, frozenset(interests), (rejection, verdict))

    def _missing(self, key: Key, refs: frozenset[Key]) -> tuple[Problem, ...]:
        return tuple(
            Problem(
                str(key), "missing_reference", f"refers to {reference(ref)}, which is not in effect"
            )
            for ref in sorted(refs)
            if not self._draft.present(ref)
        )

    def _mistaken(self, key: Key, verdict: Verdict) -> tuple[Problem, ...]:
        other = self._namesake(key, verdict) if isinstance(verdict, Accepted) else None
        if other is None:
            return ()
        message = f"must be another than that of {other}, whose id comes first"
        return (Problem(f"{key}: issuer", "duplicate", message),)

    def _put(
        self,
        key: Key,
        body: bytes | None,
        interests: frozenset[Key],
        rejection: tuple[Rejection, Verdict] | None,
    ) -> None:
        before = self._base.bodies.get(key)
        if body == before:
            body = before  # one object rather than two that are equal
        else:
            self._note_change(key, before, body)
        if body is not None and key.kind == "issuer":
            self._issuers[said_by_tokens(body)] = key
        self._draft.put(key, body, self._shared.setdefault(interests, interests), rejection)
        was_rejected = self._base.rejected.get(key)
        if rejection is None:
            if was_rejected is not None:
                self._recovered.append(key)
        elif rejection[0] != was_rejected:
            self._newly_rejected.append(key)

    def _note_change(self, key: Key, before: bytes | None, body: bytes | None) -> None:
        if before is not None:
            self._hash = subtract_hash(self._hash, entity_hash(key, before))
        if body is not None:
            self._hash = add_hash(self._hash, entity_hash(key, body))
        self._changes.append(Change(key, body))
        self._counts[key.kind] += (body is not None) - (before is not None)
        if not self._full and (before is None) is not (body is None):
            dependents = self._base.dependents.get(key)
            if dependents:
                self._roused.append(dependents)
